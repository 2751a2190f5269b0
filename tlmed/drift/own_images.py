"""Which rows of a file are a run's own images: of its test, by paths and scores; or what it learned from, by paths."""

from collections.abc import Iterable, Mapping, Sequence
from ntpath import basename  # knows the slashes of all systems

import numpy as np

from tlmed.split_names import LEARNED

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


def count_learned(paths: Sequence[str], recorded: Iterable[Iterable[Mapping[str, str]]]) -> dict[str, int]:
    """Return how many rows are training images, and how many are validation images, by their paths alone.

    A run keeps no scores of training images. A row is known by the whole path that the run recorded, also below other
    folders; there, a file name without any folder tells nothing.

    Args:
        paths: Of the rows.
        recorded: The rows of `splits.csv` of each network that answers: an image that one of them was trained on
            counts as a training image.

    >>> rows = [{"path": "ill/1.png", "split": "train"}, {"path": "2.png", "split": "val"}]
    >>> count_learned(["/data/ill/1.png", "2.png", "/data/2.png"], [rows])
    {'train': 1, 'val': 1}
    """
    known = {name: set() for name in LEARNED}
    for row in (row for rows in recorded for row in rows):
        if row["split"] in known:
            known[row["split"]].add(row["path"])
    found = dict.fromkeys(LEARNED, 0)
    for names in map(_list_endings, paths):
        if split := next((split for split in LEARNED if not known[split].isdisjoint(names)), ""):
            found[split] += 1
    return found


def _list_endings(path) -> list[str]:
    """Return a path, and each end of it that has a folder."""
    parts = path.replace("\\", "/").split("/")
    return [path, *("/".join(parts[start:]) for start in range(len(parts) - 1))]


def _scale(scores: np.ndarray) -> np.ndarray:
    """Return coordinates, float [n, 2 k], of which none differs by more than 1 between scores of one image."""
    return np.hstack([scores / _SAME, np.log(np.maximum(scores, _LEAST)) / _SAME_SHARE])
