"""A scale on which scores near the highest possible one err as much as others: the root of what is missed."""

from dataclasses import dataclass

import numpy as np

# A count x is as good as normal, with the variance 1/4, as the root of x + 3/8 (Anscombe, Biometrika 1948, 35:246-254).
_SHIFT = 3 / 8
# Of no mistake the likelihood is narrower on this scale: its variance is 0.18. And a variance that was estimated of a
# few mistakes is hardly known. Both are met by a part of a mistake more, and a whole one more in what it is divided by.
# How large a part was chosen by simulation (`benchmarks/false_claims.py`).
MORE_ERROR, _MORE_MISSED = 3 / 8, 1.0


@dataclass(frozen=True)
class StableScale:
    """Scores on another scale, and the way back.

    Attributes:
        values: Higher is better, float [m].
        covariance: Of their errors, float [m, m].
        top: The highest possible score.
        shift: What was added to what is missed.
    """

    values: np.ndarray
    covariance: np.ndarray
    top: float
    shift: float

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Return scores from values on this scale, of any shape; what is beyond the highest score becomes it."""
        missed = np.maximum(np.minimum(values, 0.0) ** 2 - self.shift, 0.0)
        return self.top - missed


def stabilise(scores: np.ndarray, covariance: np.ndarray, top: float) -> StableScale:
    """Return scores and errors on a scale where errors are about equally large near the top and far from it.

    What a score misses is like a count, of mistakes: its variance is proportional to its size. So the root of it has
    errors of the same size everywhere, which is why neither luck nor a true success makes the best one look surer. The
    size of one count is the variance of all scores divided by what they miss.

    Args:
        scores: float [m], at most `top`.
        covariance: Of their errors, float [m, m], not all zero.
        top: The highest possible score.

    >>> scale = stabilise(np.array([0.96, 0.84]), np.diag([0.0004, 0.0016]), top=1.0)
    >>> scale.covariance.round(3).tolist(), scale.restore(scale.values).round(3).tolist()
    ([[0.002, 0.0], [0.0, 0.002]], [0.96, 0.84])
    """
    m, missed, own = len(scores), top - scores, np.diag(covariance)
    # Where all are perfect, each is taken to miss as much as it may err.
    count = float(own.sum() / max(missed.sum(), np.sqrt(own).sum()))
    alike = (covariance.sum() / own.sum() - 1) / (m - 1)
    slopes = 0.5 / np.sqrt(missed + _MORE_MISSED * count)
    more = MORE_ERROR * count**2 * (alike + (1 - alike) * np.eye(m))
    shift = _SHIFT * count
    return StableScale(-np.sqrt(missed + shift), (covariance + more) * np.outer(slopes, slopes), top, shift)
