"""Sizes, kinds and intensities of images: in their files, and as a network gets them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

from tlmed.data import ImageSet
from tlmed.data.decode_and_resize import as_rule, find_intensity
from tlmed.data.file_samples import PARALLEL, cut_between_files
from tlmed.data.parts import Content, Part
from tlmed.data.readers import read_plane
from tlmed.data.readers.plane import Plane
from tlmed.data.reading import CHUNK, READ_ERRORS
from tlmed.data.showing import say_shown
from tlmed.errors import CHANGED, RunFailed
from tlmed.intensity import HOUNSFIELD, Intensity

LEVELS = 256
QUANTILES = 256  # values that stand for the pixels of a file, each for the same share of them


@dataclass(frozen=True, eq=False)
class Measures:
    """What some images are like, a row for each; of a sample of several planes, of all together.

    Attributes:
        rows: Their rows in the table, int64 [n].
        heights: In pixels, of the file, int64 [n]; of several planes the largest.
        widths: Likewise.
        bits: Of a value in the file, int64 [n].
        gray: Whether the file has no colours, bool [n].
        as_stored: Whether the values of the file are 0..255 already and stay so, bool [n].
        hounsfield: Whether they are Hounsfield units, bool [n].
        shown: Which values are shown, in words, text [n]; "" where those of 8 bits stay as they are.
        lowest: The lowest value in the file that is no padding, in its unit, float64 [n].
        highest: The highest one.
        stored: Values in the file that are no padding, ascending, at the middle of each of `QUANTILES` equal shares,
            float32 [n, 256].
        levels: The share of each level from 0 to 255 in what a network gets, float32 [n, 256].
    """

    rows: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    bits: np.ndarray
    gray: np.ndarray
    as_stored: np.ndarray
    hounsfield: np.ndarray
    shown: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    stored: np.ndarray
    levels: np.ndarray


def measure(images: ImageSet, rows: np.ndarray) -> Measures:
    """Measure images, each decoded once.

    Args:
        images: The images.
        rows: Which of them, int64 [n], ascending.

    Raises:
        RunFailed: One cannot be read any more.
    """
    pieces = cut_between_files([images.table.paths[row] for row in rows], CHUNK)
    with ThreadPoolExecutor(PARALLEL) as pool:
        found = pool.map(lambda piece: _measure_piece(images, rows[piece.start : piece.stop]), pieces)
        each = [one for piece in found for one in piece]
    columns = zip(*each, strict=True)
    names = [field.name for field in fields(Measures)]
    return Measures(**{name: np.array(column) for name, column in zip(names, columns, strict=True)})


def _measure_piece(images: ImageSet, rows: np.ndarray) -> list[tuple]:
    measured = []
    for row in rows:
        # Until it is given anew, `held` keeps the file of the row before open: a volume is decoded once.
        held, planes = read_planes(images, row)
        pixels = images.pixels.take(rows[rows == row])
        levels = np.bincount(pixels.ravel(), minlength=LEVELS) / pixels.size
        intensity = find_intensity(held, planes, as_rule(images.pixels.rule).intensity)
        measured.append((row, *_measure_planes(planes, intensity), levels.astype(np.float32)))
    return measured


def read_planes(images: ImageSet, row: int) -> tuple[Content, tuple[Plane, ...]]:
    """Return the content of a sample, and the planes that it shows, as its file has them.

    Raises:
        RunFailed: It cannot be read any more.
    """
    try:
        content = images.table.read(row)
        return content, content.read() if isinstance(content, Part) else (read_plane(content),)
    except READ_ERRORS as error:
        raise RunFailed(f"{CHANGED} Received: {images.table.paths[row]}: {error}.") from error


def _measure_planes(planes: Sequence[Plane], intensity: Intensity) -> tuple:
    arrays = [np.asarray(plane.values) for plane in planes]
    values = np.concatenate([take_counted(plane).ravel() for plane in planes])
    return (
        max(array.shape[0] for array in arrays),
        max(array.shape[1] for array in arrays),
        max(plane.bits for plane in planes),
        all(array.ndim == 2 for array in arrays),
        all(is_as_stored(plane, intensity) for plane in planes),
        all(plane.unit == HOUNSFIELD for plane in planes),
        say_all_shown(planes, intensity),
        float(values.min()),
        float(values.max()),
        find_quantiles(values),
    )


def take_counted(plane: Plane) -> np.ndarray:
    """Return the values of a plane that are no padding; all of one that is nothing else."""
    return plane.counted if plane.counted.size else np.asarray(plane.values)


def find_quantiles(values: np.ndarray) -> np.ndarray:
    """Return the value at the middle of each of `QUANTILES` equal shares of some values, float32, ascending.

    >>> find_quantiles(np.arange(512)[::-1])[:3].tolist()
    [1.0, 3.0, 5.0]
    """
    places = ((np.arange(QUANTILES) + 0.5) / QUANTILES * len(values)).astype(np.int64)
    if values.dtype != np.uint8:
        return np.sort(values)[places].astype(np.float32)
    # Counting 256 values takes a quarter of the time of sorting them.
    upto = np.cumsum(np.bincount(values, minlength=LEVELS))
    return np.searchsorted(upto, places, side="right").astype(np.float32)


def say_all_shown(planes: Sequence[Plane], intensity: Intensity) -> str:
    """Return in words which values of planes are shown, each range once; "" where those of 8 bits stay as they are."""
    return "; ".join(dict.fromkeys(filter(None, (say_shown(plane, intensity) for plane in planes))))


def is_as_stored(plane: Plane, intensity: Intensity) -> bool:
    """Tell whether the values of a plane are 0..255 already, and neither a window nor an inversion changes them."""
    changed = plane.inverted or say_shown(plane, intensity)
    return np.asarray(plane.values).dtype == np.uint8 and not changed


def show_stored(planes: Sequence[Plane]) -> Image.Image:
    """Return planes as their file has them, side by side: from the lowest value, black, to the highest, white.

    Values of 8 bits stay as they are.

    >>> np.asarray(show_stored([Plane(np.array([[-1000.0, 0.0, 1000.0]]), bits=16)])).tolist()
    [[0, 128, 255]]
    """
    shown = [Image.fromarray(_show(plane)) for plane in planes]
    if len(shown) == 1:
        return shown[0]
    whole = Image.new("L", (sum(image.width for image in shown), max(image.height for image in shown)))
    left = 0
    for image in shown:
        whole.paste(image, (left, 0))
        left += image.width
    return whole


def _show(plane: Plane) -> np.ndarray:
    values = np.asarray(plane.values)
    if values.dtype != np.uint8:
        counted = take_counted(plane)
        low, high = float(counted.min()), float(counted.max())
        values = np.rint((values - low) * (255 / (high - low)) if high > low else np.zeros(values.shape))
        values = np.clip(values, 0, 255).astype(np.uint8)
    return 255 - values if plane.inverted else values
