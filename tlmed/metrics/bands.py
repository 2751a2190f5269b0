"""A 95 % band around a ROC curve, without resampling."""

import math

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_owners, as_scores, find_missing_kind
from tlmed.metrics.proportions import Z_95, effective_size, has_few_groups, wilson

_MOST_POINTS = 200  # of the curve: at each, effective sizes of groups are computed, which takes time
_DIRECTIONS = 9  # angles from straight up to straight to the side: more of them change the third decimal only


def has_band(positive: np.ndarray, owners: np.ndarray | None = None) -> bool:
    """Say whether a ROC curve has a band: sensitivity and specificity need enough images for intervals.

    Args:
        positive: Whether each case is positive, bool [n].
        owners: The number of the group of each case, int [n]; None if cases have no groups.

    >>> positive = np.arange(40) >= 20
    >>> has_band(positive), has_band(positive, np.arange(40) // 2), has_band(positive, np.arange(40) // 4)
    (True, True, False)
    """
    if positive.all() or not positive.any():
        return False
    return owners is None or not any(has_few_groups(owners[rows]) for rows in (positive, ~positive))


def roc_band(
    positive: np.ndarray, scores: np.ndarray, at: np.ndarray, owners: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return a pointwise 95 % band of the sensitivity at some false positive rates.

    At each threshold the sensitivity and the false positive rate are those of different images, so they err
    independently. Both are moved by Wilson's score at once, by z sin(a) and z cos(a) with z = 1.96, for angles a from 0
    to 90 degrees. The band holds all points that are reached from any threshold. This is the delta method's variance at
    a fixed false positive rate, with Wilson's bounds instead of normal ones. If groups have several images, their
    effective numbers replace the numbers of images.

    In 1,000 draws of each of 7 settings (normal scores 1 to 3 standard deviations apart, 60 to 2,000 images, 10 to 50 %
    positive) it covered the sensitivity at rates of 0.02 to 0.8 in 95 to 100 %. Percentiles of resamples, which cannot
    go beyond the scores that were seen, covered in 2 to 97 %, and worst near the right end.

    Args:
        positive: Whether each case is positive, bool [n], or 0 and 1; both kinds must occur.
        scores: Higher means more likely positive, float [n].
        at: False positive rates, float [m], 0..1.
        owners: The number of the group of each case, int [n]; None if cases have no groups.

    Returns:
        The lower and the upper bound, float [m] each.

    Raises:
        InputError: If an array is something else, one kind is missing, or a score is not finite.

    >>> low, high = roc_band(np.arange(40) >= 20, np.arange(40.0), np.array([0.0, 0.5]))
    >>> low.round(2).tolist(), high.tolist()
    ([0.0, 0.84], [1.0, 1.0])
    """
    (positive,) = as_flags(positive=positive)
    (scores,) = as_scores(len(positive), scores=scores)
    owners = as_owners(len(positive), owners)
    if faults := find_missing_kind(positive):
        raise InputError(faults)
    true, false = (_count(rows, scores, positive, owners) for rows in (positive, ~positive))
    low, high = np.ones(len(at)), np.zeros(len(at))
    for angle in np.linspace(0, math.pi / 2, _DIRECTIONS):
        (least, most), (left, right) = (
            _move(counts, Z_95 * part) for counts, part in ((true, math.sin(angle)), (false, math.cos(angle)))
        )
        # The highest point at or left of each rate bounds from above, the lowest at or right of it from below.
        # 1e-12 keeps rounding from choosing the neighbouring point of the curve.
        high = np.maximum(high, most[np.searchsorted(left, at + 1e-12, "right") - 1])
        low = np.minimum(low, least[np.searchsorted(right, at - 1e-12, "left")])
    return low, high


def _count(rows, scores, positive, owners) -> np.ndarray:
    """Return the share of some cases above each threshold of the curve, and how many cases tell it, float [points, 2].

    The first point is above all scores, the last below: there the shares are 0 and 1.
    """
    ordered = np.unique(scores)[::-1]
    chosen = np.unique(np.linspace(0, len(ordered) - 1, min(_MOST_POINTS, len(ordered))).round().astype(int))
    own, groups = scores[rows], None if owners is None else owners[rows]
    points = [np.zeros(len(own), bool), *(own >= threshold for threshold in ordered[chosen])]
    sizes = [float(len(own)) if groups is None else effective_size(above, groups) for above in points]
    return np.array([(above.mean(), size) for above, size in zip(points, sizes, strict=True)])


def _move(counts, z) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's bounds of shares for a quantile of the normal distribution; they grow from point to point."""
    bounds = np.array([wilson(share * size, size, z) for share, size in counts])
    # Effective sizes and rounding differ from point to point, but a curve never falls.
    return np.minimum.accumulate(bounds[::-1, 0])[::-1], np.maximum.accumulate(bounds[:, 1])
