"""Pairs of pictures that may be copies: for each picture the few others that look most like one of its views."""

from dataclasses import dataclass

import numpy as np

from tlmed.gate.views import TURNS, describe_parts, flatten, turn_parts

_SCORES = 2**24  # similarities that are held at a time
_FLOOR = 0.02  # of the largest spread of a coefficient: what varies less is noise


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs that may be copies, each once.

    Attributes:
        first: The row of the picture that is seen in views, int [p].
        second: The row of the picture that is seen as it is, int [p].
        view: The number of the view of the first that looks most like the second, int [p].
        likeness: The cosine between the two, float32 [p].
    """

    first: np.ndarray
    second: np.ndarray
    view: np.ndarray
    likeness: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.first)


@dataclass(frozen=True, eq=False)
class Scale:
    """What makes coefficients comparable: their mean over pictures, and their spread, that of axes exchanged alike."""

    mean: np.ndarray
    spread: np.ndarray

    def describe(self, coefficients: np.ndarray) -> np.ndarray:
        """Return descriptors of length 1, float32 [..., d]."""
        scaled = flatten((coefficients - self.mean) / self.spread)
        return scaled / np.maximum(np.linalg.norm(scaled, axis=-1, keepdims=True), 1e-12)


def measure_scale(whole: np.ndarray) -> Scale:
    """Return the scale of coefficients [n, 14, 14]: what all images share, such as a chest, then counts for nothing."""
    mean, spread = whole.mean(axis=0), whole.std(axis=0)
    spread = np.sqrt((spread**2 + spread.T**2) / 2)
    return Scale(mean, spread + _FLOOR * spread.max() + 1e-12)


def find_candidates(maps: np.ndarray, each: int) -> Candidates:
    """Return for each map the `each` others most like one of its upright views, and as many for its turned views.

    Args:
        maps: float32 [n, 64, 64], local mean 0.
        each: Others per map; fewer if there are not as many.
    """
    parts = describe_parts(maps)
    scale = measure_scale(parts[:, 0])
    index = scale.describe(parts[:, 0])
    each = min(each, len(maps) - 1)
    views = turn_parts(parts[:1]).shape[1]
    step = max(1, _SCORES // (views * len(maps)))
    found = [_compare(parts, scale, index, slice(start, start + step), each) for start in range(0, len(maps), step)]
    return keep_best(Candidates(*(np.concatenate(column) for column in zip(*found, strict=True))))


def _compare(parts, scale, index, rows, each) -> tuple[np.ndarray, ...]:
    queries = scale.describe(turn_parts(parts[rows]))
    n, views, d = queries.shape
    likeness = (queries.reshape(-1, d) @ index.T).reshape(n, views, -1)
    numbers = np.arange(rows.start, rows.start + n)
    found = []
    # Upright views apart from turned ones: most copies are upright, and there are seven times as many of the others.
    for start, stop in ((0, views // TURNS), (views // TURNS, views)):
        best = likeness[:, start:stop].max(axis=1)
        best[np.arange(n), numbers] = -np.inf
        second = np.argpartition(-best, each - 1, axis=1)[:, :each].ravel()
        first = np.repeat(np.arange(n), each)
        view = start + likeness[first, start:stop, second].argmax(axis=1)
        found.append((numbers[first], second, view, best[first, second]))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def keep_best(found: Candidates) -> Candidates:
    """Return each pair once, in the direction and view that are most alike, the most alike first."""
    order = np.argsort(-found.likeness, kind="stable")
    low, high = np.minimum(found.first, found.second)[order], np.maximum(found.first, found.second)[order]
    _, once = np.unique(np.stack([low, high]), axis=1, return_index=True)
    chosen = order[np.sort(once)]
    return Candidates(found.first[chosen], found.second[chosen], found.view[chosen], found.likeness[chosen])
