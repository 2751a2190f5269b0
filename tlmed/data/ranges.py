"""Check that arrays of a Python user hold intensities from 0 to 255; a network sees numbers from 0 to 1 as black."""

from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.errors import InputError
from tlmed.words import count, listed

NAMED = 3


def find_range_faults(pictures: Mapping[int, np.ndarray]) -> list[str]:
    """Say which images hold numbers that are not intensities; return an empty list if all may be.

    Each image is judged by itself, because a data set may mix two ways of scaling. Floats up to 1 with fractions mean
    that the image is scaled to 0..1. Floats that are only 0 and 1 may be a black image: they are refused if no image is
    brighter.

    Args:
        pictures: The images, by number, of any type except 16-bit integers, which have a range of their own.

    >>> image = np.array([[0.0, 51.0], [102.0, 255.0]])
    >>> find_range_faults({0: image, 1: image / 255, 2: np.minimum(image, 1)})
    ['numbers from 0 to 1 in 1 image (1), which are to be multiplied by 255, or rounded if they are black']
    """
    others = {i: image for i, image in pictures.items() if image.dtype != np.uint8}
    if not others:
        return []
    lows = {i: image.min() for i, image in others.items()}
    highs = {i: image.max() for i, image in others.items()}
    unfinished = [i for i in others if not (np.isfinite(lows[i]) and np.isfinite(highs[i]))]
    if unfinished:
        return [f"NaN or infinite numbers in {_name(unfinished)}"]
    outside = [i for i in others if lows[i] < 0 or highs[i] > 255]
    if outside:
        low, high = min(lows.values()), max(highs.values())
        cure = ", which are to be multiplied by 127.5 after adding 1" if low >= -1 and high <= 1 else ""
        return [f"numbers from {low:g} to {high:g} in {_name(outside)}{cure}"]
    small = [i for i, image in others.items() if image.dtype.kind == "f" and 0 < highs[i] <= 1]
    if small and any(image.max() > 1 for image in pictures.values()):
        # A brighter image shows that the data are in 0..255: then whole numbers 0 and 1 are nearly black pixels.
        small = [i for i in small if (others[i] != np.rint(others[i])).any()]
    if not small:
        return []
    return [f"numbers from 0 to 1 in {_name(small)}, which are to be multiplied by 255, or rounded if they are black"]


def check_ranges(images: np.ndarray, rule: str) -> None:
    """Refuse images whose numbers are not intensities.

    Args:
        images: [n, height, width, 3].
        rule: What they must be, which the error begins with.

    Raises:
        InputError: If they are no numbers from 0 to 255.
    """
    if images.dtype.kind not in "iuf":
        raise InputError(f"{rule}. Received: numbers of type {images.dtype}.")
    if images.dtype != np.uint8 and (faults := find_range_faults(dict(enumerate(images)))):
        raise InputError(f"{rule}. Received: {listed(faults)}.")


def _name(numbers: Sequence[int]) -> str:
    return f"{count(len(numbers), 'image')} ({listed(numbers, NAMED)})"
