"""The centre of images and what lies around it: covered, kept alone, and how much of a map lies where."""

from collections.abc import Callable, Iterable

import numpy as np

SHARES = (0.5, 0.6, 0.7)  # of height and width that the centre has
WHOLE = "whole"
FRAME = 0.125  # of height and width, on each side, that the outer frame of a map has


def find_centre(height: int, width: int, share: float) -> tuple[slice, slice]:
    """Return the rows and the columns of the centre.

    Args:
        height: In pixels.
        width: In pixels.
        share: Of height and of width that the centre has, 0..1.

    >>> find_centre(10, 20, 0.5)
    (slice(2, 8, None), slice(5, 15, None))
    """
    starts = [round(side * (1 - share) / 2) for side in (height, width)]
    return slice(starts[0], height - starts[0]), slice(starts[1], width - starts[1])


def cover_centre(images: np.ndarray, share: float) -> np.ndarray:
    """Return images whose centre has one colour: the mean of what lies around it.

    Args:
        images: uint8 [n, height, width, 3].
        share: Of height and of width that the centre has, 0..1.
    """
    return _fill(images, _mark_centre(images, share))


def keep_centre(images: np.ndarray, share: float) -> np.ndarray:
    """Return images that have one colour around the centre: the mean of the centre.

    Args:
        images: uint8 [n, height, width, 3].
        share: Of height and of width that the centre has, 0..1.
    """
    return _fill(images, ~_mark_centre(images, share))


def list_views() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what a network is shown, by name: whole images, their centre covered, and nothing but their centre."""
    views = {WHOLE: np.asarray}
    for share in SHARES:
        views[name_view("covered", share)] = lambda images, share=share: cover_centre(images, share)
        views[name_view("kept", share)] = lambda images, share=share: keep_centre(images, share)
    return views


def name_view(how: str, share: float) -> str:
    """Return the name of a view.

    >>> name_view("covered", 0.7)
    'covered 70 %'
    """
    return f"{how} {100 * share:.0f} %"


def score_views(predict: Callable[[np.ndarray], np.ndarray], batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the scores that a network gives to each view of images, float [n, k], by its name.

    Args:
        predict: uint8 [b, height, width, 3] to scores [b, k].
        batches: uint8 [b, height, width, 3] each, one or more.
    """
    views = list_views()
    found = [{name: np.asarray(predict(show(images))) for name, show in views.items()} for images in batches]
    return {name: np.concatenate([scores[name] for scores in found]) for name in views}


def measure_frame(maps: np.ndarray, side: float = FRAME) -> tuple[np.ndarray, float]:
    """Return which share of each map lies in the outer frame, and which share an even map would have there.

    Args:
        maps: float [n, height, width], 0 or more.
        side: The width of the frame, as a share of height and of width, 0..0.5.

    Returns:
        float [n], 0..1, and nan for a map without anything; and a number from 0 to 1.

    >>> corner = np.zeros((1, 8, 8))
    >>> corner[0, 0, 0] = 2
    >>> measure_frame(corner)
    (array([1.]), 0.4375)
    """
    rows, columns = find_centre(*maps.shape[1:], 1 - 2 * side)
    totals = maps.sum(axis=(1, 2), dtype=np.float64)
    inner = maps[:, rows, columns].sum(axis=(1, 2), dtype=np.float64)
    shares = np.divide(totals - inner, totals, out=np.full(len(maps), np.nan), where=totals > 0)
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return shares, 1 - covered / (maps.shape[1] * maps.shape[2])


def _mark_centre(images, share) -> np.ndarray:
    marked = np.zeros(images.shape[1:3], bool)
    marked[find_centre(*images.shape[1:3], share)] = True
    return marked


def _fill(images, marked) -> np.ndarray:
    """Return images with one colour where they are marked: the mean of what is not marked."""
    filled = np.array(images)
    if marked.any() and not marked.all():
        colours = images[:, ~marked].mean(axis=1)
        filled[:, marked] = np.rint(colours)[:, None].astype(images.dtype)
    return filled
