"""Measures of pixels that are not the finding, or need not be: brightness, border, corners, marks, and the outer frame.

All are measured on the input of a network, so that they are what a network could learn instead of the finding.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

GRID = 32  # rows and columns of the small picture whose outer frame is kept
_WIDE = 4  # cells from its edge inwards: an eighth of each side
_CHUNK = 32  # images that are measured at a time: more would leave the cache of a processor
_SIXTEENTH = 16  # the width of the border is this part of the shorter side
_DARK, _WHITE = 8, 247  # of 255: padding, and burnt-in white, with the noise of a JPEG
_BRIGHT = 200  # of 255: how bright a mark is at least
_CONTRAST = 96  # of 255: the step from a pixel to the next one in a row, as letters have it
_THIN = 4  # the colour is measured on each so many rows and columns
FLAT = 3.0  # standard deviation of gray levels, 0 to 255: below it an image is nearly of one, and shows nothing
_TONES = ("mean", "deviation", "dark", "white")
_LARGEST = 0.01  # of the image: a larger bright part is no letter
_IN_PLANE = np.zeros((3, 3, 3), bool)  # neighbours within an image, not in the next one
_IN_PLANE[1] = True
RING = np.ones((GRID, GRID), bool)  # which cells of the small picture are its outer frame
RING[_WIDE:-_WIDE, _WIDE:-_WIDE] = False

FRAME = np.dtype(
    [
        ("mean", np.float32),  # brightness, 0 to 255
        ("deviation", np.float32),  # its standard deviation
        ("sharpness", np.float32),  # mean difference from the next pixel in a row
        ("colour", np.float32),  # mean difference between the largest and the smallest of red, green and blue
        ("dark", np.float32),  # share of pixels that are black
        ("white", np.float32),  # share of pixels that are white
        ("border_mean", np.float32),  # of the outermost sixteenth of each side
        ("border_deviation", np.float32),
        ("border_dark", np.float32),
        ("border_white", np.float32),
        ("sides", np.float32, 4),  # mean of the border: top, bottom, left, right
        ("corners", np.float32, 4),  # mean of an eighth by an eighth: top left, top right, bottom left, bottom right
        ("peaks", np.float32, 4),  # the brightest cell in each of these corners
        ("edges", np.float32),  # share of pixels of the outer eighth with a high step to the next one
        ("marks", np.float32),  # number of small bright parts that touch the frame
        ("mark_area", np.float32),  # their share of the image
        ("ring", np.uint8, int(RING.sum())),  # the cells of the frame, row by row
    ]
)


def measure_frames(pixels: np.ndarray) -> np.ndarray:
    """Return `FRAME` [n]: measures of each image in 0..255, or shares from 0 to 1.

    Args:
        pixels: uint8 [n, height, width, 3].

    >>> found = measure_frames(np.full((1, 8, 8, 3), 7, np.uint8))
    >>> found["mean"].tolist(), found["deviation"].tolist(), found["border_dark"].tolist()
    ([7.0], [0.0], [1.0])
    """
    measured = np.zeros(len(pixels), FRAME)
    for start in range(0, len(pixels), _CHUNK):
        rows = slice(start, start + _CHUNK)
        _measure(measured[rows], pixels[rows])
    return measured


def _measure(measured: np.ndarray, pixels: np.ndarray) -> None:
    # Pillow makes gray and small pictures in a tenth of the time that NumPy takes.
    images = [Image.fromarray(one).convert("L") for one in pixels]
    gray = np.stack([np.asarray(image) for image in images])
    cells = np.stack([np.asarray(image.resize((GRID, GRID), Image.BOX)) for image in images])
    thin = pixels[:, ::_THIN, ::_THIN]
    measured["colour"] = (thin.max(axis=3) - thin.min(axis=3)).mean(axis=(1, 2))
    for name, value in zip(_TONES, _describe_tones([image.histogram() for image in images]), strict=True):
        measured[name] = value
    steps = np.maximum(gray[:, :, 1:], gray[:, :, :-1]) - np.minimum(gray[:, :, 1:], gray[:, :, :-1])
    measured["sharpness"] = steps.mean(axis=(1, 2)) if steps.size else 0
    _measure_border(measured, gray, steps)
    corners = cells.reshape(-1, GRID // _WIDE, _WIDE, GRID // _WIDE, _WIDE)[:, [0, 0, -1, -1], :, [0, -1, 0, -1]]
    measured["corners"], measured["peaks"] = corners.mean(axis=(2, 3)).T, corners.max(axis=(2, 3)).T
    measured["marks"], measured["mark_area"] = _find_marks(gray)
    measured["ring"] = cells[:, RING]


def _describe_tones(histograms: Sequence[Sequence[int]]) -> tuple[np.ndarray, ...]:
    """Return the mean, the standard deviation, and the shares of black and of white, from counts of 256 values."""
    counts, values = np.array(histograms, float), np.arange(256)
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    deviation = np.sqrt(np.maximum(shares @ values**2 - mean**2, 0))
    return mean, deviation, shares[:, : _DARK + 1].sum(axis=1), shares[:, _WHITE:].sum(axis=1)


def _measure_border(measured: np.ndarray, gray: np.ndarray, steps: np.ndarray) -> None:
    height, width = gray.shape[1:]
    wide = max(round(min(height, width) / _SIXTEENTH), 1)
    bands = _cut_bands(gray, wide)
    for place, band in enumerate(bands):
        measured["sides"][:, place] = band.mean(axis=1)
    border = np.concatenate(bands, axis=1)
    tones = _describe_tones([np.bincount(one, minlength=256) for one in border])
    for name, value in zip(_TONES, tones, strict=True):
        measured[f"border_{name}"] = value
    if steps.size:
        measured["edges"] = (np.concatenate(_cut_bands(steps, 2 * wide), axis=1) >= _CONTRAST).mean(axis=1)


def _cut_bands(values: np.ndarray, wide: int) -> tuple[np.ndarray, ...]:
    """Return the pixels of the top, bottom, left and right of each image, [n, pixels] each."""
    bands = (values[:, :wide], values[:, -wide:], values[:, :, :wide], values[:, :, -wide:])
    return tuple(band.reshape(len(values), -1) for band in bands)


def _find_marks(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many small bright parts lie in the frame of each image, and their share of its area.

    Letters, arrows and markers of sides are such parts. Pixels are taken two by two: thin strokes stay whole, and it
    takes a quarter of the time.
    """
    n, height, width = gray.shape
    step = 2 if min(height, width) > 2 * GRID else 1
    bright = _take_brightest(gray, step) >= _BRIGHT
    down, across = bright.shape[1:]
    labels, found = ndimage.label(bright, _IN_PLANE)
    if not found:
        return np.zeros(n), np.zeros(n)
    where = np.flatnonzero(bright)
    names = labels.ravel()[where]
    sizes, owner, framed = np.bincount(names, minlength=found + 1), np.zeros(found + 1, int), np.zeros(found + 1, bool)
    image, row, column = np.unravel_index(where, bright.shape)
    owner[names] = image
    framed[names[_is_in_frame(row, down) | _is_in_frame(column, across)]] = True
    small = framed & (sizes <= _LARGEST * down * across)
    amount = np.bincount(owner[small], minlength=n)
    return amount, np.bincount(owner[small], sizes[small], minlength=n) / (down * across)


def _take_brightest(gray: np.ndarray, step: int) -> np.ndarray:
    """Return the highest of each `step` by `step` pixels; a last row or column that is left over is passed over."""
    height, width = (side // step * step for side in gray.shape[1:])
    rows = np.maximum(gray[:, :height:step], gray[:, step - 1 : height : step])
    return np.maximum(rows[:, :, :width:step], rows[:, :, step - 1 : width : step])


def _is_in_frame(place: np.ndarray, side: int) -> np.ndarray:
    wide = side * _WIDE // GRID
    return (place < wide) | (place >= side - wide)
