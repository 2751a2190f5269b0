"""Pixels that are decoded already, as NumPy arrays: of MedMNIST files, and of Python users."""

from collections.abc import Sequence

import numpy as np

from tlmed.data.readers.plane import Plane, check_size
from tlmed.data.readers.reader import Reader

_BITS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}


def is_picture(shape: Sequence[int]) -> bool:
    """Tell whether an array of this shape is one gray or RGB image: [height, width] and 1, 3 or no channels.

    >>> is_picture((4, 5)), is_picture((4, 5, 3)), is_picture((3, 4, 5)), is_picture((0, 5))
    (True, True, False, False)
    """
    return len(shape) in (2, 3) and tuple(shape[2:]) in ((), (1,), (3,)) and 0 not in shape


def _read_plane(pixels: np.ndarray, index: int) -> Plane:
    if pixels.dtype not in _BITS:
        raise ValueError(f"pixels of type {pixels.dtype} have no defined range")
    if not is_picture(pixels.shape):
        raise ValueError(f"pixels of shape {list(pixels.shape)} are neither grayscale nor RGB")
    check_size(*pixels.shape[:2])
    return Plane(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels, _BITS[pixels.dtype])


ARRAYS = Reader(
    name="array",
    endings=(),
    extra=None,
    owns=lambda head: isinstance(head, np.ndarray),
    version=lambda: "",
    count_planes=lambda pixels: 1,
    read_plane=_read_plane,
)
