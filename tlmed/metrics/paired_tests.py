"""Whether two classifiers differ on the same images in their AUC or accuracy: DeLong's test and McNemar's."""

import math
from collections.abc import Sequence

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.areas import count_sides, covariance, place
from tlmed.metrics.arguments import as_flags, as_scores, name_groups
from tlmed.metrics.proportions import LEAST_GROUPS, Z_95, has_few_groups, t_95, t_tails, wilson
from tlmed.metrics.resampling import has_clusters, number_groups
from tlmed.metrics.roc import binary_auc
from tlmed.metrics.sample_sizes import NO_INTERVAL
from tlmed.metrics.sign_flips import bound_difference, flip_signs, is_exact

_NEWCOMBE, _SAME = "; interval: Newcombe 1998, method 10", "; interval: by the same test"


def compare_areas(
    positive: np.ndarray, first: np.ndarray, second: np.ndarray, groups: Sequence[str] | None = None
) -> dict:
    """Test whether two scores of the same cases have the same AUC, and bound the difference.

    DeLong, DeLong & Clarke-Pearson, Biometrics 1988, 44:837-845. Where groups have several images, Obuchowski,
    Biometrics 1997, 53:567-578, with Student's t of one degree of freedom less than the class with fewer groups has
    groups.

    Args:
        positive: Whether each case is positive, bool [n], or 0 and 1.
        first: Higher means more likely positive, float [n], finite.
        second: The other scores, float [n], finite.
        groups: Who each case belongs to, text or numbers [n]; an empty name stands for a case on its own.

    Returns:
        `value` (AUC of the first minus that of the second), `low`, `high`, `statistic`, `p` and `method`; undefined
        (None, with a `reason`) where one class is missing, or no variance can be estimated. Of two that rank every
        case alike `p` is 1, and a `note` says why there is no interval.

    Raises:
        InputError: If an array or the groups are something else, or a score is not finite.

    >>> positive = np.array([False, False, False, True, True, True])
    >>> found = compare_areas(positive, np.array([1, 2, 4, 3, 5, 6]), np.array([1, 5, 4, 2, 3, 6]))
    >>> round(found["value"], 3), round(found["p"], 3)
    (0.333, 0.221)
    """
    (positive,) = as_flags(positive=positive)
    first, second = as_scores(len(positive), first=first, second=second)
    groups = name_groups(groups, len(positive))
    if positive.all() or not positive.any():
        return leave_untested("Only one class is there.")
    owners = number_groups(groups)
    owners = owners if has_clusters(owners) else None
    placements = np.stack([place(positive, first), place(positive, second)])
    difference = binary_auc(positive, first) - binary_auc(positive, second)
    method, more = "paired DeLong (DeLong et al. 1988)", 1.0
    if owners is not None:
        freedom, more = count_sides(positive, placements[0] - placements[1], owners)
        method = f"paired DeLong by groups (Obuchowski 1997), t with {freedom:.3g} df"
    if np.ptp(placements[0] - placements[1]) < 1e-12 and abs(difference) < 1e-12:
        note = "Both rank each image alike among those of the other class, from which no interval follows."
        return {"value": 0.0, "low": None, "high": None, "statistic": 0.0, "p": 1.0, "method": method, "note": note}
    spread = covariance(positive, placements, owners)
    variance = float(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]) * more
    if not variance > 1e-24:  # less is only rounding
        return leave_untested("The variance of the difference cannot be estimated.", difference)
    statistic = difference / math.sqrt(variance)
    quantile = Z_95 if owners is None else t_95(freedom)
    half = quantile * math.sqrt(variance)
    p = math.erfc(abs(statistic) / math.sqrt(2)) if owners is None else t_tails(statistic, freedom)
    bounds = {"low": max(-1.0, difference - half), "high": min(1.0, difference + half)}
    return {"value": difference, **bounds, "statistic": statistic, "p": p, "method": method}


def mcnemar(first: np.ndarray, second: np.ndarray, groups: Sequence[str] | None = None) -> dict:
    """Test whether two classifiers are right equally often on the same images.

    Only discordant images count: one classifier is right and the other wrong. The mid-p version of the exact
    conditional test is used: it keeps its level where the exact test is too cautious and the asymptotic one too bold
    (Fagerland, Lydersen & Laake, BMC Med. Res. Methodol. 2013, 13:91). If groups have several images, the sign of each
    group's surplus is as likely to be the other one: the exact distribution of the test of Yang, Sun & Hardin
    (Biometrical J. 2010, 52:638-652), which is the same if every group has one image. Beyond 1,000 discordant
    images or groups the asymptotic test is used, without continuity correction.

    The interval is method 10 of Newcombe, Statistics in Medicine 1998, 17:2635-2650: the Wilson intervals of the two
    accuracies, combined with the correlation of right answers. It has a width where no image is discordant, and one
    discordant image does not make it end at 0. By groups it follows from the test itself, and leaves out 0 exactly
    where p is below 0.05 (`tlmed.metrics.sign_flips.bound_difference`). Fewer than ten groups get no interval, and a
    `note` says so.

    Args:
        first: Whether the first is right, bool [n], or 0 and 1.
        second: Whether the second is, bool [n], or 0 and 1.
        groups: Who each image belongs to, text or numbers [n]; an empty name stands for an image on its own.

    Returns:
        `value` (accuracy of the first minus that of the second), `low`, `high`, `first_only` and `second_only` (images
        that one alone gets right), `statistic` (chi-squared, 1 degree of freedom, for comparison), `p` and `method`.

    Raises:
        InputError: If an array or the groups are something else, or there is no image.

    >>> first, second = np.arange(21) < 2, (np.arange(21) > 1) & (np.arange(21) < 9) | (np.arange(21) == 0)
    >>> found = mcnemar(first, second)
    >>> found["first_only"], found["second_only"], round(found["p"], 4)
    (1, 7, 0.0391)
    """
    first, second = as_flags(first=first, second=second)
    if not len(first):
        raise InputError("`first` must hold one image or more. Received: len(first)=0.")
    surplus = first.astype(int) - second.astype(int)
    owners = number_groups(name_groups(groups, len(first)))
    clustered = has_clusters(owners)
    owners = owners if clustered else None
    totals = np.bincount(owners, surplus).astype(int) if clustered else surplus
    kind = ", mid-p (Fagerland et al. 2013)" if is_exact(totals) else ", asymptotic (McNemar 1947)"
    return {
        "value": float(surplus.mean()),
        **(_bound_groups(totals, owners) if clustered else _bound_images(first, second)),
        "first_only": int((surplus > 0).sum()),
        "second_only": int((surplus < 0).sum()),
        "statistic": int(totals.sum()) ** 2 / float((totals**2).sum()) if totals.any() else 0.0,
        "p": flip_signs(totals),
        "method": f"McNemar by groups (Yang et al. 2010){kind}{_SAME}" if clustered else f"McNemar{kind}{_NEWCOMBE}",
    }


def _bound_images(first, second) -> dict:
    low, high = newcombe_paired(first, second)
    return {"low": max(-1.0, low), "high": min(1.0, high)}


def _bound_groups(totals, owners) -> dict:
    """Return the interval of the difference of two proportions by groups, or a note why there is none."""
    if has_few_groups(owners):
        return {"low": None, "high": None, "note": f"Fewer than {LEAST_GROUPS} groups, {NO_INTERVAL}"}
    low, high = bound_difference(totals, np.bincount(owners))
    return {"low": max(-1.0, low), "high": min(1.0, high)}


def _subtract_correlated(first, second, correlation) -> tuple[float, float]:
    """Return the interval of a difference from those of both values and their correlation."""
    value = first["value"] - second["value"]
    ways = (
        (first["value"] - first["low"], second["high"] - second["value"]),
        (first["high"] - first["value"], second["value"] - second["low"]),
    )
    down, up = (math.sqrt(max(0.0, a**2 - 2 * correlation * a * b + b**2)) for a, b in ways)
    return value - down, value + up


def newcombe_paired(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two proportions of the same images.

    Method 10 of Newcombe, Statistics in Medicine 1998, 17:2635-2650: Wilson's intervals, combined with the correlation,
    which is taken closer to zero where it is positive, as for a chi-squared with continuity correction.

    Args:
        first: Whether the first is right, bool [n].
        second: Whether the second is, bool [n].

    >>> first, second = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [36, 12, 2, 0], axis=0).T == 1
    >>> [round(float(bound), 4) for bound in newcombe_paired(first, second)]
    [0.0569, 0.3404]
    """
    n = len(first)
    both, neither = np.count_nonzero(first & second), np.count_nonzero(~first & ~second)
    one, other = np.count_nonzero(first & ~second), np.count_nonzero(~first & second)
    product = both * neither - one * other
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    surplus = max(product - n / 2, 0) if product > 0 else product
    correlation = surplus / math.sqrt(margins) if margins else 0.0
    bounds = [(hits / n, *wilson(hits, n)) for hits in (both + one, both + other)]
    entries = [dict(zip(("value", "low", "high"), found, strict=True)) for found in bounds]
    low, high = _subtract_correlated(*entries, correlation)
    return float(low), float(high)


def leave_untested(reason: str, value: float | None = None) -> dict:
    """Return the entry of a difference that has no interval and no test, with the reason."""
    return {"value": value, "low": None, "high": None, "p": None, "method": None, "reason": reason}
