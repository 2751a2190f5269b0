"""Which rows of a file are a run's own test images: at their paths, in another folder, or under other names."""

from collections.abc import Sequence
from ntpath import basename  # knows the slashes of all systems

import numpy as np

_SAME = 1e-5  # by which scores of one image may differ, where they were written down or another engine gave them
_SAME_SHARE = 1e-3  # of a score: near 0 those of other images differ by less than the above
_LEAST = 1e-30  # a smaller score counts as this one
_MOST = 0.5  # of the rows: from there on scores alone tell


def count_own(
    paths: Sequence[str], scores: np.ndarray, own_paths: Sequence[str], own_scores: np.ndarray
) -> tuple[int, int]:
    """Return how many rows are own images by their names and scores, and how many more by their scores alone.

    Other images may have the same file names, and a network that is sure gives many images the same scores. So scores
    tell where the path is equal, or where no other own image has them; and under other names only if most rows of the
    file have such scores.

    Args:
        paths: Of the rows; none, or m.
        scores: float [m, k].
        own_paths: Of the test images.
        own_scores: float [n, k].

    >>> own = np.array([[0.2, 0.8], [0.5, 0.5], [0.1, 0.9]])
    >>> count_own(["a/1.png", "b/2.png", "x.png"], own, ["a/1.png", "a/2.png", "a/3.png"], own)
    (2, 1)
    """
    from scipy.spatial import KDTree

    places, rows, own = {path: place for place, path in enumerate(own_paths)}, _scale(scores), _scale(own_scores)
    tree = KDTree(own)
    is_alone = tree.query(own, 2, p=np.inf)[0][:, 1] > 1
    distances, nearest = tree.query(rows, p=np.inf)
    named = unnamed = 0
    for row, (distance, place) in enumerate(zip(distances, nearest, strict=True)):
        path = paths[row] if paths else ""
        is_there = path in places and np.abs(rows[row] - own[places[path]]).max() <= 1
        is_like = distance <= 1 and is_alone[place]
        if is_there or (is_like and basename(path) == basename(own_paths[place])):
            named += 1
        else:
            unnamed += int(is_like)
    return named, unnamed if named + unnamed >= _MOST * len(rows) else 0


def _scale(scores: np.ndarray) -> np.ndarray:
    """Return coordinates, float [n, 2 k], of which none differs by more than 1 between scores of one image."""
    return np.hstack([scores / _SAME, np.log(np.maximum(scores, _LEAST)) / _SAME_SHARE])
