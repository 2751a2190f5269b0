"""One plane of a file, and how large it may be."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from tlmed.data.readers.damage import Unread

MOST_PIXELS = 100_000_000  # each takes 4 bytes in Pillow, and some steps hold two copies
LONGEST_SIDE = 65_535  # that of the largest JPEG; Pillow keeps a table for each row
_LARGEST = np.finfo(np.float32).max  # ranges are measured in float32


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane of a file: its numbers, after the format's own rules that give them a meaning, before they are 8 bits.

    Args:
        values: Finite numbers [height, width], or uint8 or uint16 [height, width, 3]: RGB. With 8 bits or fewer, and
            without a window, they are uint8, 0..255. A Pillow image of mode L or RGB stands for its uint8 values, and
            is resized without a copy.
        bits: How many bits a sample has in the file. The values of uint16 use as many of their bits.
        window: The lowest and the highest value to be shown, by the file itself, in units of `values`, or of what
            `voi` makes of them; the highest is above the lowest. None if the file names none.
        inverted: Whether the lowest value is white (DICOM's MONOCHROME1).
        spacing: Millimetres between rows, and between columns; None if the file states none.
        unit: "HU" if values are Hounsfield units by what the file says; "" otherwise.
        whole: The lowest and the highest value that the bits can express, where the format does not say that these are
            black and white. None: it says so, as PNG does, or there is no such range, as for floats.
        voi: What the file does with values before its window (DICOM's VOI LUT and sigmoid); None: nothing.
        padding: Which pixels are no part of the image by what the file says (DICOM's Pixel Padding Value), bool
            [height, width]. They are shown as their values say, and count in no range that is measured. None: none.
    """

    values: np.ndarray | Image.Image
    bits: int = 8
    window: tuple[float, float] | None = None
    inverted: bool = False
    spacing: tuple[float, float] | None = None
    unit: str = ""
    whole: tuple[float, float] | None = None
    voi: Callable[[np.ndarray], np.ndarray] | None = None
    padding: np.ndarray | None = None

    @property
    def is_gray(self) -> bool:
        """Whether values are numbers of one channel that a window may be for; Pillow images are shown as they are."""
        return isinstance(self.values, np.ndarray) and self.values.ndim == 2

    @property
    def counted(self) -> np.ndarray:
        """The values that count in a range that is measured: all but those of padding, which may be none."""
        values = np.asarray(self.values)
        return values if self.padding is None else values[~self.padding]

    def move(self, how: Callable[[np.ndarray], np.ndarray], **changes) -> "Plane":
        """Return a plane whose pixels lie elsewhere: turned, or cut out.

        Args:
            how: Values [height, width, ...] to those of the new plane.
            **changes: Other fields that differ.
        """
        arrays = {"values": self.values, "padding": self.padding}
        moved = {name: np.ascontiguousarray(how(np.asarray(old))) for name, old in arrays.items() if old is not None}
        return replace(self, **moved, **changes)


def check_size(height: int, width: int) -> None:
    """Refuse a plane that is too large. Every reader asks this by the header, before pixels take memory.

    Args:
        height: In pixels.
        width: The same.

    Raises:
        Unread: It has more than `MOST_PIXELS`, or a side longer than `LONGEST_SIDE`.

    >>> check_size(1, 70_000)
    Traceback (most recent call last):
    tlmed.data.readers.damage.Unread: it has a side of more than 65,535 pixels: 1 x 70,000
    """
    if height * width > MOST_PIXELS:
        raise Unread(f"it has more than {MOST_PIXELS:,} pixels: {height:,} x {width:,}")
    if max(height, width) > LONGEST_SIDE:
        raise Unread(f"it has a side of more than {LONGEST_SIDE:,} pixels: {height:,} x {width:,}")


def count_odd(values: np.ndarray) -> int:
    """Return how many floating-point numbers are NaN, infinite, or too large for a plane.

    >>> count_odd(np.array([1.0, np.nan, -np.inf, 1e300]))
    3
    """
    with np.errstate(invalid="ignore"):
        return values.size - int(np.count_nonzero(np.abs(values) <= _LARGEST))
