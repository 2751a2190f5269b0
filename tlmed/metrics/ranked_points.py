"""Points of a ranking: sensitivity at a stated specificity, the reverse, and PPV at a stated sensitivity.

The threshold of such a point is chosen on the very images that it is measured on. The intervals allow for that: images
count by how much they move the rate at the threshold, and by how much they move the threshold (Linnet, Clinical
Chemistry 1987, 33:1640-1642).
"""

import math

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_owners, as_scores, find_missing_kind
from tlmed.metrics.measured import Measured, bounded
from tlmed.metrics.proportions import Z_95, t_95, wilson
from tlmed.metrics.roc import roc_curve
from tlmed.metrics.spreads import find_strata, measure_spread

_METHOD = "Wilson score with the effective sample size of {} {}, threshold included (Linnet 1987, Korn & Graubard 1998)"
_WINDOW = 2.0  # the slope of the curve is that between Wilson bounds with this z: a narrower window shows mostly noise


def sensitivity_at(
    positive: np.ndarray, scores: np.ndarray, specificity: float = 0.9, owners: np.ndarray | None = None
) -> Measured:
    """Return the highest sensitivity that some threshold gives with at least a stated specificity.

    No two neighbouring points of the curve are mixed, so that it is what a threshold on these images gives.

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        scores: Higher means more likely positive, float [n].
        specificity: Above 0 and below 1.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Raises:
        InputError: If an array is something else, one kind is missing, or the number is out of range.

    >>> entry = sensitivity_at(np.arange(40) >= 20, np.arange(40) % 20, 0.9).entry
    >>> entry["value"], round(entry["low"], 2), round(entry["high"], 2)
    (0.1, 0.02, 0.42)
    """
    return _measure(*_check(positive, scores, owners, "specificity", specificity), specificity)


def specificity_at(
    positive: np.ndarray, scores: np.ndarray, sensitivity: float = 0.9, owners: np.ndarray | None = None
) -> Measured:
    """Return the highest specificity that some threshold gives with at least a stated sensitivity.

    Args and errors as for `sensitivity_at`, with the sensitivity stated.

    >>> specificity_at(np.arange(40) >= 20, np.arange(40) % 20, 0.75).entry["value"]
    0.25
    """
    positive, scores, owners = _check(positive, scores, owners, "sensitivity", sensitivity)
    return _measure(~positive, -scores, owners, sensitivity)


def ppv_at(
    positive: np.ndarray, scores: np.ndarray, sensitivity: float = 0.9, owners: np.ndarray | None = None
) -> Measured:
    """Return the share of positives from the highest threshold on that gives at least a stated sensitivity.

    It is the precision at the threshold of `specificity_at`, and holds for the mix of classes of these images. What
    varies is the specificity there, and the share of positives.

    Args and errors as for `sensitivity_at`, with the sensitivity stated.

    >>> ppv_at(np.arange(40) >= 20, np.arange(40) % 20, 0.75).entry["value"]
    0.5
    """
    positive, scores, owners = _check(positive, scores, owners, "sensitivity", sensitivity)
    below, _, moved = _move(~positive, -scores, sensitivity, owners)
    chosen = ~below
    value, share = float(positive[chosen].mean()), positive.mean()
    # The logit of PPV is that of the share of positives, plus log sensitivity, less log (1 - specificity).
    false = float(chosen[~positive].mean())
    influences = (positive - share) / (len(positive) * share * (1 - share))
    influences = value * (1 - value) * (influences + (moved / false if false else 0.0))
    return _bound(value, influences, positive, owners, chosen)


def _check(positive, scores, owners, name, number) -> tuple:
    (positive,) = as_flags(positive=positive)
    (scores,) = as_scores(len(positive), scores=scores)
    faults = find_missing_kind(positive)
    if not 0 < number < 1:
        faults.append(f"`{name}` must be above 0 and below 1. Received: {name}={number}.")
    if faults:
        raise InputError(faults)
    return positive, scores, as_owners(len(positive), owners)


def _find_threshold(false, scores, specificity) -> float:
    """Return the lowest score from which on at most a share of negatives lie; infinite where every one takes more.

    Args:
        false: The false positive rates of a ROC curve, from 0 on.
        scores: Those of the curve.
        specificity: 1 less the share.
    """
    levels = np.unique(scores)[::-1]
    # The first point of the curve is above all scores. 1e-12: a share may miss the stated number by rounding.
    kept = int(np.flatnonzero(false <= 1 - specificity + 1e-12)[-1])
    return math.inf if kept == 0 else float(levels[kept - 1])


def _measure(positive, scores, owners, specificity) -> Measured:
    """Return the sensitivity at a specificity."""
    _, value, influences = _move(positive, scores, specificity, owners)
    return _bound(value, influences, positive, owners, positive)


def _move(positive, scores, specificity, owners) -> tuple[np.ndarray, float, np.ndarray]:
    """Return which images reach the threshold of a specificity, the sensitivity there, and what each adds to it."""
    curve, negatives = roc_curve(positive, scores), int((~positive).sum())
    chosen = scores >= _find_threshold(curve[0], scores, specificity)
    value, false = float(chosen[positive].mean()), float(chosen[~positive].mean())
    units = negatives if owners is None else len(np.unique(owners[~positive]))
    ends = wilson(false * units, units, _WINDOW)
    rates = np.interp(ends, *curve)
    slope = (rates[1] - rates[0]) / (ends[1] - ends[0])
    # A negative above the threshold raises it, and so lowers the sensitivity by the slope of the curve.
    own = positive * (chosen - value) / positive.sum()
    return chosen, value, own - slope * ~positive * (chosen - false) / negatives


def _bound(value, influences, positive, owners, rows) -> Measured:
    """Return a share with Wilson's interval for as many images as would estimate it as exactly.

    They are at most those that it is a share of, `rows`, or their groups.
    """
    spread = measure_spread(influences, find_strata(positive.astype(int), owners), owners)
    size = float(rows.sum() if owners is None else len(np.unique(owners[rows])))
    if spread.variance and 0 < value < 1:
        most = float(rows.sum())
        size = min(most, value * (1 - value) / spread.variance * (Z_95 / t_95(spread.freedom)) ** 2)
    method = _METHOD.format(spread.units, "images" if owners is None else "groups")
    return bounded(value, wilson(size if value == 1 else value * size, size), method, influences)
