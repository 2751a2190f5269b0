"""Spearman's rank correlation with an interval: does the score rise with the number of training images?"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.proportions import Z_95, t_tails

_MOST_EXACT = 8  # points up to which all orders are counted: 40,320
_LEAST = 4  # with fewer points the variance of the interval is not defined


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation.

    Attributes:
        value: -1..1; None if one of the two does not vary.
        low: The lower end of its 95 % interval; None if there are fewer than four points.
        high: The upper end.
        p: Of no correlation, two-sided.
        points: How many there are.
        note: What is missing, and why; empty if nothing is.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    points: int
    note: str = ""


def correlate_ranks(sizes: np.ndarray, scores: np.ndarray) -> RankCorrelation:
    """Return the rank correlation of two numbers of each configuration, such as training images and score.

    The interval is that of Bonett & Wright (Psychometrika 2000, 65:23-28) on Fisher's scale, where the variance is
    (1 + r^2 / 2) / (n - 3). At r = 1 or -1 that scale ends, and the bound on the other side is that of the largest
    correlation below it, of one exchange of two neighbours. p counts all orders up to eight points, and is that of
    Student's t for more.

    Points must be independent: average over seeds and folds first, and take one curve (a backbone with an approach).

    Args:
        sizes: float [n], two or more.
        scores: float [n].

    Raises:
        InputError: If the arrays are not of one length, or a number is not finite.

    >>> found = correlate_ranks(np.array([5, 10, 25, 50, 100]), np.array([0.70, 0.75, 0.74, 0.80, 0.85]))
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2), round(found.p, 3)
    (0.9, -0.17, 1.0, 0.083)
    """
    from scipy.stats import rankdata  # here, because a command should not wait for this slow import

    sizes, scores = np.asarray(sizes, float), np.asarray(scores, float)
    n = len(sizes) if sizes.ndim else 0
    if sizes.ndim != 1 or sizes.shape != scores.shape or n < 2:
        shapes = f"{sizes.shape} and {scores.shape}"
        raise InputError(f"`sizes` and `scores` must be [n], with n of 2 or more. Received: shapes {shapes}.")
    if not np.isfinite(sizes).all() or not np.isfinite(scores).all():
        raise InputError("`sizes` and `scores` must be finite. Received: NaN or infinite numbers.")
    if not np.ptp(sizes) or not np.ptp(scores):
        which = "sizes" if not np.ptp(sizes) else "scores"
        return RankCorrelation(None, None, None, None, n, f"All {which} are the same.")
    first, second = rankdata(sizes), rankdata(scores)
    value = round(float(np.corrcoef(first, second)[0, 1]), 12)  # perfect order is 1 and not 1 - 1e-16
    low, high = _bound(value, n)
    note = "" if low is not None else f"An interval needs {_LEAST} points or more; there are {n}."
    return RankCorrelation(value, low, high, _find_p(first, second, value), n, note)


def _bound(value, n) -> tuple[float | None, float | None]:
    if n < _LEAST:
        return None, None
    ends = []
    for side in (-1, 1):
        if value * side > 1 - 1e-12:
            ends.append(float(side))
            continue
        inner = max(-1 + 12 / (n**3 - n), min(1 - 12 / (n**3 - n), value))
        error = math.sqrt((1 + inner**2 / 2) / (n - 3))
        ends.append(math.tanh(math.atanh(inner) + side * Z_95 * error))
    return ends[0], ends[1]


def _find_p(first, second, value) -> float:
    n = len(first)
    if n > _MOST_EXACT:
        # From here r = 1 is beyond any chance, where t would be infinite.
        return t_tails(value * math.sqrt((n - 2) / (1 - value**2)), n - 2) if abs(value) < 1 else 0.0
    orders = np.array(list(itertools.permutations(second - second.mean())))
    reached = np.abs(orders @ (first - first.mean()))
    observed = abs(float((first - first.mean()) @ (second - second.mean())))
    return float((reached > observed - 1e-9).mean())
