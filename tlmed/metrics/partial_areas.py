"""The part of the area under a ROC curve at the specificities that matter, standardised."""

import dataclasses
import math

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.areas import newcombe
from tlmed.metrics.arguments import as_flags, as_owners, as_scores, find_missing_kind
from tlmed.metrics.measured import Measured, bounded, unbounded
from tlmed.metrics.sample_sizes import LEAST_UNITS, NO_INTERVAL
from tlmed.metrics.spreads import bound_logit, find_strata, measure_spread

_METHOD = "influences of {} {} on the logit scale (Dodd & Pepe 2003), t with {:.0f} df (Welch 1947)"
_FLAT = "The curve does not vary there: the interval is a bound from the number of {}."


def partial_area(
    positive: np.ndarray, scores: np.ndarray, most: float = 0.2, owners: np.ndarray | None = None
) -> Measured:
    """Return the partial AUC up to a false positive rate, standardised: 0.5 is guessing, 1 is perfect.

    The area below the ROC curve from a false positive rate of 0 to `most` (that is, at specificities of 1 - `most` or
    more), A, lies between `most`^2 / 2 (guessing) and `most`, and becomes (1 + (A - least) / (most - least)) / 2
    (McClish, Medical Decision Making 1989, 9:190-195), as `roc_auc_score(max_fpr=)` of scikit-learn gives it. Its
    variance is that of the influences of the images: a positive adds by how far its placement lies below `most`, a
    negative takes from those that it outranks (Dodd & Pepe, Biometrics 2003, 59:614-623), by groups if images have
    some. The interval is that of A / `most`, the mean sensitivity there, on the logit scale, with Student's t: of the
    negatives only those in the range count for its degrees of freedom, and there must be five.

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        scores: Higher means more likely positive, float [n].
        most: The highest false positive rate, above 0 and up to 1.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Raises:
        InputError: If an array is something else, one kind is missing, or `most` is out of range.

    >>> round(partial_area(np.arange(40) >= 20, np.arange(40) % 20, 0.2).entry["value"], 3)
    0.5
    """
    (positive,) = as_flags(positive=positive)
    (scores,) = as_scores(len(positive), scores=scores)
    owners = as_owners(len(positive), owners)
    faults = find_missing_kind(positive)
    if not 0 < most <= 1:
        faults.append(f"`most` must be above 0 and up to 1. Received: most={most}.")
    if faults:
        raise InputError(faults)
    reached, influences = _measure(positive, scores, most)
    mean, moved = reached / most, influences / most
    strata = find_strata(positive.astype(int), owners)
    spread = measure_spread(moved, strata, owners)
    units = "images" if owners is None else "groups"
    turned = moved * _slope(most)
    if most * (~positive).sum() < LEAST_UNITS:
        note = f"Fewer than {LEAST_UNITS} images outside the class lie in that range, {NO_INTERVAL}"
        return unbounded(_standardise(mean, most), turned, note)
    if spread.variance and 1e-12 < mean < 1 - 1e-12:
        totals = moved if owners is None else np.bincount(owners, moved)
        spread = dataclasses.replace(spread, freedom=min(spread.freedom, _count_freedom(totals, strata, most)))
        method = _METHOD.format(spread.units, units, spread.freedom)
        bounds = (_standardise(bound, most) for bound in bound_logit(mean, spread))
        return bounded(_standardise(mean, most), tuple(bounds), method, turned)
    sizes = [len(np.unique(owners[rows])) if owners is not None else int(rows.sum()) for rows in (positive, ~positive)]
    # Only the negatives of the range count, at least one.
    bounds = newcombe(min(1.0, mean), sizes[0], max(1, math.floor(most * sizes[1])))
    method = "Newcombe score (Newcombe 2006, method 5)"
    standard = tuple(_standardise(bound, most) for bound in bounds)
    return bounded(_standardise(mean, most), standard, method, turned, _FLAT.format(units))


def _count_freedom(totals, strata, most) -> float:
    """Return Welch's degrees of freedom, with only as many negatives as lie in the range."""
    parts = []
    for kind in np.unique(strata):
        own = totals[strata == kind]
        freedom = max(1.0, (most if kind == 0 else 1.0) * len(own) - 1)
        parts.append((float(np.var(own)) * len(own), freedom))
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return max(1.0, sum(variance for variance, _ in parts) ** 2 / below)


def _standardise(mean, most) -> float:
    """Return McClish's area from the mean sensitivity."""
    return (1 + (mean - most / 2) / (1 - most / 2)) / 2


def _slope(most) -> float:
    return 1 / (2 - most)


def _measure(positive, scores, most) -> tuple[float, np.ndarray]:
    """Return the area up to a false positive rate, and what each image adds to it."""
    winners, losers = scores[positive], scores[~positive]
    ordered = np.sort(losers)
    # The shares of negatives above each positive, and as high or above; between them the curve is a straight line.
    above, upto = (1 - np.searchsorted(ordered, winners, side) / len(losers) for side in ("right", "left"))
    room, least = np.clip(most - above, 0, None), np.clip(most - upto, 0, None)
    tied = upto > above
    width = np.where(tied, upto - above, 1)
    part = np.where(tied, (room**2 - least**2) / (2 * width), room)
    area = part.mean()
    # The derivatives of `part` by `above` and by `upto`.
    half = np.where(above < most, -0.5, 0.0)
    by_above, by_upto = np.where(tied, (part - room) / width, half), np.where(tied, (least - part) / width, half)
    influences = np.empty(len(scores))
    influences[positive] = (part - area) / len(winners)
    influences[~positive] = _move_losers(winners, losers, (by_above, by_upto)) / len(losers)
    return float(area), influences


def _move_losers(winners, losers, slopes) -> np.ndarray:
    """Return what each negative adds, times their number: it raises the placements of the positives below it."""
    order = np.argsort(winners, kind="stable")
    ordered, moved = winners[order], np.zeros(len(losers))
    for slope, side in zip(slopes, ("left", "right"), strict=True):
        # `above` counts negatives that score higher than a positive, `upto` also those that score the same.
        below = np.searchsorted(ordered, losers, side)
        sums = np.r_[0, np.cumsum(slope[order])][below] / len(winners)
        moved += sums - sums.mean()
    return moved
