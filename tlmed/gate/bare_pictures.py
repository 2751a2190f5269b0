"""Pictures that are compared: sketches without borders, brightness and contrast, drawn when they are needed."""

from dataclasses import dataclass

import numpy as np

from tlmed.gate.content import cut_out, find_content, level, smooth
from tlmed.gate.registration import halve
from tlmed.gate.sketches import SKETCH

_SHAPE = 4.0  # pixels of 64: the window in which shapes are compared
_FINE = 2.0  # pixels: the window in which detail is compared
_BLUR = 0.8  # pixels: detail that JPEG or another size of the image would change is taken out first
_SCREEN = 2.5  # pixels: the window of small pictures
_CHUNK = 512  # pictures at a time


_WIDE = 3  # pixels of a border, from which it may be no border


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images as they are compared. Only sketches are kept: 100,000 take 410 MB, and what is drawn from them four times.

    An image whose border is wide is two pictures, without it and with it: whether it is a border is a guess.

    Attributes:
        sketches: Of all images, uint8 [n, 64, 64].
        numbers: The number of the image of each picture, int [p].
        boxes: What is compared of each picture, int [p, 4].
    """

    sketches: np.ndarray
    numbers: np.ndarray
    boxes: np.ndarray

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.numbers)

    def draw_contents(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return what lies inside borders, in gray, float32 [r, 64, 64]."""
        return cut_out(self.sketches[self.numbers[rows]], self.boxes[rows])

    def draw_shapes(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return coarse and fine structure, for search and registration, float32 [r, 64, 64]."""
        return level(self.draw_contents(rows), _SHAPE)

    def draw_details(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return fine structure alone, in which copies agree and anatomy does not, float32 [r, 64, 64]."""
        return level(smooth(self.draw_contents(rows), _BLUR), _FINE, noise=1)

    def draw_small(self) -> np.ndarray:
        """Return fine structure of all pictures at half the size, for a first look, float16 [n, 32, 32]."""
        parts = [halve(level(self.draw_contents(rows), _SCREEN)) for rows in self.chunks()]
        return np.concatenate([part.astype(np.float16) for part in parts])

    def chunks(self) -> list[slice]:
        """Return slices of rows that are drawn at a time."""
        return [slice(start, start + _CHUNK) for start in range(0, len(self), _CHUNK)]


def open_pictures(sketches: np.ndarray, numbers: np.ndarray) -> Pictures:
    """Return the pictures of some images.

    Args:
        sketches: Of all images, uint8 [n, 64, 64].
        numbers: Of the images.
    """
    boxes = find_content(sketches[numbers])
    whole = np.array([0, 0, SKETCH, SKETCH])
    wide = np.abs(boxes - whole).max(axis=1, initial=0) >= _WIDE
    both = np.concatenate([boxes, np.tile(whole, (int(wide.sum()), 1))])
    return Pictures(sketches, np.concatenate([numbers, numbers[wide]]), both)
