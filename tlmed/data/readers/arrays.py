"""Pixels that are decoded already, as NumPy arrays: of MedMNIST files, pictures and volumes, and of Python users."""

from collections.abc import Sequence

import numpy as np

from tlmed.data.readers.plane import Plane, check_size
from tlmed.data.readers.reader import Reader
from tlmed.data.readers.stack import CHOOSE, Stack, check_index, check_shape
from tlmed.slicing import AXES

_AXES = AXES[::-1]
_MOST_CHANNELS = 4
_BITS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}


def is_picture(shape: Sequence[int]) -> bool:
    """Tell whether an array of this shape is one gray or RGB image: [height, width] and 1, 3 or no channels.

    >>> is_picture((4, 5)), is_picture((4, 5, 3)), is_picture((3, 4, 5)), is_picture((0, 5))
    (True, True, False, False)
    """
    return len(shape) in (2, 3) and tuple(shape[2:]) in ((), (1,), (3,)) and 0 not in shape


def is_volume(shape: Sequence[int]) -> bool:
    """Tell whether an array of this shape is one volume: [planes, height, width], with or without one channel.

    A last axis of at most 4 is one of channels, such as RGB and transparency.

    >>> is_volume((4, 5, 6)), is_volume((4, 5, 6, 1)), is_volume((9, 9, 4)), is_volume((4, 5))
    (True, True, False, False)
    """
    plain = tuple(shape[:-1] if len(shape) == 4 and shape[-1] == 1 else shape)
    return len(plain) == 3 and plain[-1] > _MOST_CHANNELS and 0 not in plain


def open_stack(pixels: np.ndarray) -> Stack:
    """Return the planes of a volume, or the one of a picture.

    The axes of an array say nothing of the patient: planes along the first one count as axial, along the second as
    coronal, and along the third as sagittal, shown as they are stored.

    Raises:
        ValueError: It is neither.
    """
    if not is_volume(pixels.shape):
        return Stack({"axial": 1}, lambda axis, index: _read_plane(pixels, index), oriented=False)
    check_shape(pixels.shape[:3])

    def read(axis: str, index: int) -> Plane:
        check_index(index, counts[axis])
        return _read_plane(np.ascontiguousarray(np.moveaxis(pixels, _AXES.index(axis), 0)[index]), 0)

    counts = dict(zip(_AXES, pixels.shape, strict=False))
    return Stack(counts, read, oriented=False)


def _read_plane(pixels: np.ndarray, index: int) -> Plane:
    if pixels.dtype not in _BITS:
        raise ValueError(f"pixels of type {pixels.dtype} have no defined range")
    if is_volume(pixels.shape):
        raise ValueError(f"it is a volume; {CHOOSE}")
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
    count_planes=lambda pixels: pixels.shape[0] if is_volume(pixels.shape) else 1,
    read_plane=_read_plane,
    open_stack=open_stack,
    may_be_deep=lambda pixels: pixels.dtype != np.uint8,
)
