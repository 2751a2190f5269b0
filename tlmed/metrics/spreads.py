"""Intervals from influences: a variance, its degrees of freedom, and the scale on which it applies."""

import math
from dataclasses import dataclass

import numpy as np

from tlmed.metrics.proportions import count_freedom, t_95

_NOTHING = 1e-24  # a variance that is only rounding


@dataclass(frozen=True)
class Spread:
    """How much a metric varies from sample to sample.

    Attributes:
        variance: Of the metric; 0 if the images show none.
        freedom: Degrees of freedom of that variance.
        skewness: Of what the units add to the metric.
        units: Images, or groups.
        grouped: Whether they are groups.
    """

    variance: float
    freedom: float
    skewness: float
    units: int
    grouped: bool = False


def find_strata(labels: np.ndarray, owners: np.ndarray | None = None) -> np.ndarray:
    """Return the class of each image, or of each group: -1 for groups of several classes and classes of one unit.

    Args:
        labels: True classes, int [n], 0..k-1.
        owners: The number of the group of each image from 0, int [n]; None if images have no groups.

    Returns:
        int [units], units being images or groups.

    >>> find_strata(np.array([0, 0, 1, 1, 2])).tolist()
    [0, 0, 1, 1, -1]
    >>> find_strata(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2])).tolist()
    [-1, -1, -1]
    """
    if owners is None:
        strata = labels.copy()
    else:
        strata = np.full(int(owners.max()) + 1, -1)
        strata[owners] = labels
        # The assignment above kept one image's class per group: any other class in the group shows that it is mixed.
        mixed = owners[strata[owners] != labels]
        strata[mixed] = -1
    known, counts = np.unique(strata, return_counts=True)
    strata[np.isin(strata, known[counts < 2])] = -1
    return strata


def measure_spread(influences: np.ndarray, strata: np.ndarray, owners: np.ndarray | None = None) -> Spread:
    """Return the variance that influences give, with the degrees of freedom of Welch and Satterthwaite.

    A few images of a class give only a rough variance, however many images another class has. The variance is therefore
    split into that within each class and that of the random mix of classes, and each part counts with the degrees of
    freedom of its images (Satterthwaite, Biometrics Bulletin 1946, 2:110-114; Welch, Biometrika 1947, 34:28-35).
    Images of a group are added up first. The mix is made of the same units as the classes, so the parts together could
    count more degrees of freedom than there are: n units give at most n - 1.

    Args:
        influences: What each image adds to the metric, float [n], sum zero.
        strata: The class of each image or group, from `find_strata`.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    >>> spread = measure_spread(np.array([-1.0, 1.0, -1.0, 1.0]) / 4, np.array([0, 0, 1, 1]))
    >>> round(spread.variance, 3), round(spread.freedom, 3)
    (0.5, 2.0)
    """
    totals = influences if owners is None else np.bincount(owners, influences)
    totals = totals - totals.mean()
    units = len(totals)
    _, places, counts = np.unique(strata, return_inverse=True, return_counts=True)
    means = np.bincount(places, totals) / counts
    # n / (n - 1), here and for the mix, because sums of squares around a mean are too small by one of n.
    within = np.bincount(places, (totals - means[places]) ** 2) * counts / np.maximum(counts - 1, 1)
    mix = float((counts * means**2).sum()) * units / max(units - 1, 1)
    variance = float(within.sum()) + mix
    if not variance > _NOTHING:
        return Spread(0.0, math.nan, 0.0, units, owners is not None)
    below = float((within**2 / np.maximum(counts - 1, 1)).sum()) + mix**2 / max(units - 1, 1)
    skewness = float((totals**3).mean() / (totals**2).mean() ** 1.5)
    most, more = (units - 1, 1.0) if owners is None else count_freedom(influences, owners)
    freedom = min(variance**2 / below, most)
    variance *= more
    return Spread(variance, freedom, skewness, units, owners is not None)


def bound_logit(value: float, spread: Spread) -> tuple[float, float]:
    """Return the 95 % interval of a share, on the logit scale.

    Args:
        value: Above 0 and below 1.
        spread: Its variance and degrees of freedom.

    >>> [round(bound, 3) for bound in bound_logit(0.8, Spread(0.0064, 20.0, 0.0, 30))]
    [0.585, 0.919]
    """
    middle, half = math.log(value / (1 - value)), _half(spread) / (value * (1 - value))
    low, high = (0.5 * (1 + math.tanh(edge / 2)) for edge in (middle - half, middle + half))  # inverse logit
    return low, high


def bound_correlation(value: float, spread: Spread) -> tuple[float, float]:
    """Return the 95 % interval of a number like a correlation, on Fisher's scale (Metron 1921, 1:3-32).

    Args:
        value: Above -1 and below 1.
        spread: Its variance and degrees of freedom.

    >>> [round(bound, 3) for bound in bound_correlation(0.6, Spread(0.01, 20.0, 0.0, 30))]
    [0.352, 0.769]
    """
    middle, half = math.atanh(value), _half(spread) / (1 - value**2)
    return math.tanh(middle - half), math.tanh(middle + half)


def bound_mean(value: float, spread: Spread, most: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean of skewed numbers, between 0 and `most`.

    A few large losses decide such a mean: if none of them is in the sample, both the mean and its variance are too low.
    The t statistic is made symmetric by the cubic transformation of Hall, J. R. Statist. Soc. B 1992, 54:221-228. Its
    degrees of freedom are those of all units; for groups they are Welch's if those are fewer, because groups of several
    images are unequal, and there are few of them.

    Args:
        value: The mean, 0..`most`.
        spread: Its variance, degrees of freedom and skewness.
        most: The largest value that is possible; infinite for none.

    >>> [round(bound, 3) for bound in bound_mean(0.2, Spread(0.0016, 20.0, 2.0, 30), 1.0)]
    [0.135, 0.327]
    """
    freedom = min(spread.freedom, spread.units - 1) if spread.grouped else spread.units - 1
    quantile, error = t_95(freedom), math.sqrt(spread.variance)
    bend, shift = spread.skewness / (3 * math.sqrt(spread.units)), spread.skewness / (6 * math.sqrt(spread.units))

    def turn(statistic):
        moved = statistic - shift
        return moved if abs(bend) < 1e-9 else (math.cbrt(1 + 3 * bend * moved) - 1) / bend  # no skewness: the limit

    low, high = value - turn(quantile) * error, value - turn(-quantile) * error
    return max(0.0, min(low, value)), min(most, max(high, value))


def _half(spread) -> float:
    return t_95(spread.freedom) * math.sqrt(spread.variance)
