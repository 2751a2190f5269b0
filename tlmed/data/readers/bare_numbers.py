"""Gray numbers of any type, as arrays and some TIFF files hold them: which of them is black is for a window to say."""

import numpy as np

from tlmed.data.readers.damage import Unread
from tlmed.data.readers.plane import Plane, count_odd

_BYTE = 8  # bits


def make_plane(values: np.ndarray, inverted: bool = False) -> Plane:
    """Return a plane of numbers.

    Bytes, and unsigned numbers of 16 bits, say what is black and white: 0, and all bits.

    Args:
        values: [height, width], whole or floating-point numbers of up to 64 bits, in any byte order.
        inverted: Whether the lowest value is white.

    Raises:
        Unread: They are of another type, NaN, infinite or too large.

    >>> plane = make_plane(np.array([[-1, 100]], np.int8))
    >>> plane.bits, plane.whole
    (16, (-128.0, 127.0))
    """
    kind = values.dtype
    if kind.kind not in "uif" or kind.itemsize > 8:
        raise Unread(f"pixels of type {kind} are no whole or floating-point numbers of up to 64 bits")
    values, bits = values.astype(kind.newbyteorder("="), copy=False), _BYTE * kind.itemsize
    if kind.kind == "f":
        if odd := count_odd(values):
            raise Unread(f"{odd:,} of its {values.size:,} values are NaN, infinite or too large")
        return Plane(values, bits, inverted=inverted)
    if kind.kind == "u" and bits <= 2 * _BYTE:
        return Plane(values, bits, inverted=inverted)
    whole = float(np.iinfo(kind).min), float(np.iinfo(kind).max)
    if bits == _BYTE:
        values, bits = values.astype(np.int16), 2 * _BYTE  # planes of 8 bits are unsigned
    return Plane(values, bits, inverted=inverted, whole=whole)
