"""The AUC of two classes with its variance and its interval, for independent images and for images of groups."""

import math

import numpy as np

from tlmed.metrics.proportions import Z_95, count_freedom, t_95
from tlmed.metrics.roc import binary_auc


def place(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the placement of each case: the share of the other class that it is on the right side of.

    A tie counts one half. The mean over the positive cases, like that over the negative ones, is the AUC. Computed by
    sorting, in O(n log n) (Sun & Xu, IEEE Signal Processing Letters 2014, 21:1389-1393, by ranks).

    Args:
        positive: Whether each case is positive, bool [n]; both kinds must occur.
        scores: Higher means more likely positive, float [n].

    Returns:
        float [n].

    >>> place(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.4, 0.8])).tolist()
    [1.0, 0.75, 0.75, 1.0]
    """
    placements = np.empty(len(scores))
    winners, losers = np.sort(scores[positive]), np.sort(scores[~positive])
    placements[positive] = _rank_within(losers, scores[positive]) / len(losers)
    # Counted from the other end, not as 1 minus a share: both of two classes must get the same numbers to the bit.
    placements[~positive] = (len(winners) - _rank_within(winners, scores[~positive])) / len(winners)
    return placements


def _rank_within(ordered, values):
    """Return how many of `ordered` each value exceeds, ties counted half."""
    order = np.argsort(values, kind="stable")  # searching in order is ten times as fast: the cache is warm
    ranks = np.empty(len(values))
    ranks[order] = sum(np.searchsorted(ordered, values[order], side) for side in ("left", "right")) / 2
    return ranks


def covariance(positive: np.ndarray, placements: np.ndarray, owners: np.ndarray | None = None) -> np.ndarray:
    """Return the covariance matrix of the AUCs of several scores of the same cases.

    DeLong, DeLong & Clarke-Pearson, Biometrics 1988, 44:837-845; if groups have several images, Obuchowski,
    Biometrics 1997, 53:567-578, which is the same where every group has one.

    Args:
        positive: Whether each case is positive, bool [n]; both kinds must occur.
        placements: Those of each score, float [scores, n].
        owners: The number of the group of each case, int [n]; None if cases have no groups.

    Returns:
        float [scores, scores]; nan where only one group has positive cases, or negative ones.

    >>> positive, scores = np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])
    >>> float(covariance(positive, place(positive, scores)[None])[0, 0])
    0.125
    """
    owners = np.arange(len(positive)) if owners is None else owners
    totals, units = [], []
    for rows in (positive, ~positive):
        surplus = np.where(rows, placements - placements[:, rows].mean(axis=1, keepdims=True), 0) / rows.sum()
        totals.append(np.stack([np.bincount(owners, row) for row in surplus]))
        units.append(len(np.unique(owners[rows])))
    if min(units) < 2:
        return np.full((len(placements), len(placements)), np.nan)
    # Groups with images of both classes make the two halves depend on each other.
    every = len(np.unique(owners))
    mixed = totals[0] @ totals[1].T * every / (every - 1)
    own = (total @ total.T * unit / (unit - 1) for total, unit in zip(totals, units, strict=True))
    return sum(own) + mixed + mixed.T


def count_sides(positive: np.ndarray, placements: np.ndarray, owners: np.ndarray) -> tuple[float, float]:
    """Return the degrees of freedom of an AUC's variance by groups, and a factor for that variance.

    They are those of the class with fewer groups, by `count_freedom`.

    Args:
        positive: Whether each case is positive, bool [n].
        placements: As `place` returns them, or the difference of two scores' placements, float [n].
        owners: The number of the group of each case, int [n].
    """
    sides = [(placements[rows], owners[rows]) for rows in (positive, ~positive)]
    freedoms, factors = zip(*(count_freedom(own - own.mean(), groups) for own, groups in sides), strict=True)
    return min(freedoms), max(factors)  # the more cautious of both


def newcombe(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """Return the 95 % score interval of an AUC from the numbers of cases alone.

    It holds the AUCs that lie within 1.96 of their own standard errors from the observed one, with Hanley and McNeil's
    variance for exponential scores: method 5 of Newcombe, Statistics in Medicine 2006, 25:559-573. It has a bound
    at 0 and 1, where DeLong's variance is zero. There it is cautious: for normal scores whose AUC is the lower bound,
    all pairs of 20 + 60 cases are in the right order in at most 0.3 % of 100,000 draws, of 10 + 10 cases in 1.1 %, of
    5 + 5 in 2.9 % (standard deviations of the two classes as 1:2, 1:1 and 2:1), where 2.5 % would be enough.

    Args:
        area: 0..1.
        positives: 1 or more.
        negatives: 1 or more.

    >>> [round(bound, 3) for bound in newcombe(1.0, 20, 60)]
    [0.933, 1.0]
    """
    mean = (positives + negatives) / 2

    # Hanley and McNeil use the number of each class; method 5 puts the mean of both in place of each.
    def is_near(other):
        spread = (1 - other) / (2 - other) + other / (1 + other)
        variance = other * (1 - other) * (1 + (mean - 1) * spread) / (positives * negatives)
        return (area - other) ** 2 <= Z_95**2 * variance

    def search(far):
        # `near` is always inside the interval, `far` outside or at the end of the range.
        near = area
        # 60 halvings reach the last bit of a number from 0 to 1.
        for _ in range(60):
            middle = (near + far) / 2
            near, far = (middle, far) if is_near(middle) else (near, middle)
        return near

    return (search(0.0) if area > 0 else 0.0), (search(1.0) if area < 1 else 1.0)


def area_interval(positive: np.ndarray, scores: np.ndarray, owners: np.ndarray | None = None) -> dict:
    """Return the AUC of two classes with its interval: DeLong's variance on the logit scale.

    The logit keeps the interval within 0 and 1 and makes it as asymmetric as the AUC is (Pepe, The Statistical
    Evaluation of Medical Tests, 2003, chapter 5; Qin & Hotilovac, Statist. Methods Med. Res. 2008, 17:207-221).
    Few positives give only a rough estimate of their part of the variance, so the quantile is that of Student's t with
    the degrees of freedom of Welch and Satterthwaite. In 3,000 draws of normal scores with AUC 0.85 and a random number
    of positives it covered in 93.9 % (60 images, one in ten positive), 93.0 % (117) and 94.9 % (400); with z in 90.5,
    91.6 and 94.2 %.

    Where groups have several images, the variance is Obuchowski's, and the quantile is that of Student's t with
    one degree of freedom less than the class with fewer groups has groups, which count as fewer where their sizes
    differ (`count_sides`). In 2,000 draws of 20 + 20 groups of 5
    (AUC 0.8 and 0.95, correlation 0.5 and 0.8) it covered in 93.7 to 96.4 %; with z in 92.3 to 95.1 %, without
    groups in 67 to 78 %. At AUC 0.99 so few groups are too few: 90.6 %.

    An AUC of 0 or 1, and one whose variance cannot be estimated, gets Newcombe's score interval, by the numbers of
    images, or of groups.

    Args:
        positive: Whether each case is positive, bool [n]; both kinds must occur.
        scores: Higher means more likely positive, float [n], finite.
        owners: The number of the group of each case, int [n]; None if cases have no groups.

    Returns:
        `value`, `low`, `high` and `method`, and a `note` where it is not DeLong's.

    >>> entry = area_interval(np.arange(40) % 2 == 1, np.arange(40) % 5)
    >>> entry["value"], round(entry["low"], 3), round(entry["high"], 3)
    (0.5, 0.322, 0.678)
    """
    placements, area, sides = place(positive, scores), binary_auc(positive, scores), (positive, ~positive)
    clustered = owners is not None and len(np.unique(owners)) < len(owners)
    if clustered:
        variance, units = (
            covariance(positive, placements[None], owners).item(),
            [len(np.unique(owners[s])) for s in sides],
        )
        freedom, more = count_sides(positive, placements, owners)
        variance *= more
    else:
        units = [int(rows.sum()) for rows in sides]
        variance, freedom = _add_sides([placements[rows] for rows in sides])
    # Rounding leaves a variance of 1e-34 where all placements are equal.
    flat = all(np.ptp(placements[rows]) < 1e-12 for rows in sides)
    if flat or not variance > 0:
        low, high = newcombe(area, *units)
        method = "Newcombe score" + (" by groups" if clustered else "") + " (Newcombe 2006, method 5)"
        return {"value": area, "low": low, "high": high, "method": method, "note": _explain(area, flat, clustered)}
    middle, half = math.log(area / (1 - area)), t_95(freedom) * math.sqrt(variance) / (area * (1 - area))
    low, high = (0.5 * (1 + math.tanh(edge / 2)) for edge in (middle - half, middle + half))  # inverse logit
    method = f"DeLong on the logit scale (DeLong et al. 1988, Pepe 2003), t with {freedom:.0f} df (Welch 1947)"
    if clustered:
        groups = len(np.unique(owners))
        method = f"DeLong of {groups} groups on the logit scale (Obuchowski 1997), t with {freedom:.0f} df"
    return {"value": area, "low": low, "high": high, "method": method}


def _add_sides(sides) -> tuple[float, float]:
    """Return DeLong's variance and its degrees of freedom from the placements of each class; nan for one image."""
    if min(map(len, sides)) < 2:
        return math.nan, math.nan
    parts = [float(np.var(side, ddof=1)) / len(side) for side in sides]
    below = sum(part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True))
    return sum(parts), sum(parts) ** 2 / below if below else math.nan


def _explain(area, flat, clustered) -> str:
    bounded = f"the interval is a bound from the number of {'groups' if clustered else 'images'}."
    if area in (0, 1):
        return f"Every pair of images is in the {'right' if area else 'wrong'} order: {bounded}"
    if flat:
        return f"The scores do not vary within a class: {bounded}"
    return f"There are too few of a class to estimate the variance: {bounded}"
