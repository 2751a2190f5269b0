"""Arrays of NumPy: of MedMNIST files and Python users, decoded already; and `.npy` files, with one image or volume."""

import io
import math
import tokenize
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from tlmed.data.file_facts import FileFacts
from tlmed.data.readers.bare_numbers import make_plane
from tlmed.data.readers.damage import Unread, replace_reasons
from tlmed.data.readers.plane import Plane, check_size
from tlmed.data.readers.reader import Reader
from tlmed.data.readers.stack import CHOOSE, Stack, check_index, check_shape
from tlmed.slicing import AXES

_AXES = AXES[::-1]
_MOST_CHANNELS = 4
_COLOURS = (np.dtype(np.uint8), np.dtype("<u2"), np.dtype(">u2"))
# Readers of the headers of NumPy's format, by version.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


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
    if is_volume(pixels.shape):
        raise ValueError(f"it is a volume; {CHOOSE}")
    if not is_picture(pixels.shape):
        raise ValueError(f"pixels of shape {list(pixels.shape)} are neither grayscale nor RGB")
    check_size(*pixels.shape[:2])
    if pixels.shape[2:] != (3,):
        return make_plane(pixels.reshape(pixels.shape[:2]))
    if pixels.dtype not in _COLOURS:
        raise ValueError(f"colours of type {pixels.dtype} have no defined range; uint8 and uint16 have one")
    native = pixels.dtype.newbyteorder("=")
    return Plane(pixels.astype(native, copy=False), 8 * native.itemsize)


def read_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of NumPy's format: the shape of an array, whether its first axis changes fastest, and its type.

    Raises:
        Unread: It is damaged, or of a version that is not read.
    """
    with replace_reasons("it is no array of NumPy"):
        version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise Unread(f"it has the version {version} of NumPy's format, which is not read")
    try:
        with replace_reasons("its header is damaged"):
            return _HEADERS[version](stream)
    except (SyntaxError, tokenize.TokenError):  # NumPy takes a header for Python
        raise Unread("its header is damaged") from None


def _load(content: bytes) -> np.ndarray:
    """Return the array of a `.npy` file; it is not copied.

    Raises:
        Unread: It is damaged, holds Python objects, or is too large.
    """
    stream = io.BytesIO(content)
    shape, is_turned, kind = read_header(stream)
    if kind.hasobject:
        raise Unread("it holds Python objects")
    if len(shape) < 2 or min(shape) < 0:
        raise Unread(f"pixels of shape {list(shape)} are neither grayscale nor RGB")
    if is_volume(shape):
        check_shape(shape[:3])
    else:
        check_size(*shape[:2])
    if len(content) - stream.tell() != math.prod(shape) * kind.itemsize:
        raise Unread("it is cut off, or not as large as its shape and type say")
    return np.ndarray(shape, kind, content, stream.tell(), order="F" if is_turned else "C")


def _find_facts(pixels: np.ndarray) -> FileFacts:
    start = 1 if is_volume(pixels.shape) else 0
    height, width = pixels.shape[start : start + 2]
    colours = "colour" if not start and pixels.shape[2:] == (3,) else "gray"
    return FileFacts(0, "", height, width, 8 * pixels.itemsize, colours)


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
    facts=_find_facts,
)

ARRAY_FILES = Reader(
    name="NumPy",
    endings=(".npy",),
    extra=None,
    owns=lambda head: head.startswith(b"\x93NUMPY"),
    version=lambda: "",
    count_planes=lambda content: ARRAYS.count_planes(_load(content)),
    read_plane=lambda content, index: _read_plane(_load(content), index),
    open_stack=lambda content: open_stack(_load(content)),
    may_be_deep=lambda content: ARRAYS.may_be_deep(_load(content)),
    facts=lambda content: replace(_find_facts(_load(content)), format="NumPy"),
)
