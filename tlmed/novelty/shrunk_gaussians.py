"""A normal distribution of features with a shrunk covariance, and how far an image lies from its middle."""

from dataclasses import dataclass

import numpy as np

_LEAST = 1e-9  # of the mean variance: features without any spread divide by nothing


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Gaussian:
    """A normal distribution whose covariance is known along a few axes, and has one variance along all others.

    Attributes:
        axes: Orthonormal, float [r, d].
        variances: Along the axes, float [r].
        rest: Along every direction that is orthogonal to them.
    """

    axes: np.ndarray
    variances: np.ndarray
    rest: float

    def measure(self, deviations: np.ndarray) -> np.ndarray:
        """Return squared Mahalanobis distances, float64 [n].

        Args:
            deviations: Features less the mean, float [n, d].
        """
        along = np.square(deviations @ self.axes.T, dtype=np.float64)
        # What the axes do not explain; rounding may make it negative.
        across = np.maximum(np.square(deviations, dtype=np.float64).sum(1) - along.sum(1), 0)
        return (along / self.variances).sum(1) + across / self.rest


def shrink(deviations: np.ndarray) -> tuple[float, float]:
    """Return how far Ledoit & Wolf shrink a covariance to a multiple of the identity, 0..1, and that multiple.

    The share of the identity that minimises the expected squared error (Ledoit & Wolf, A well-conditioned estimator for
    large-dimensional covariance matrices, Journal of Multivariate Analysis 2004, 88:365-411), as scikit-learn's
    `ledoit_wolf_shrinkage` computes it for features whose mean is known.

    Args:
        deviations: Features less their mean, float [n, d].

    >>> shrink(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    (1.0, 0.5)
    """
    rows = np.asarray(deviations, np.float64)
    n, d = rows.shape
    lengths = np.square(rows).sum(1)
    level = lengths.sum() / n / d
    # |XᵀX|² is |XXᵀ|²: the smaller one is computed.
    product = rows @ rows.T if n < d else rows.T @ rows
    squares = np.square(product).sum() / n**2
    spread = squares / d - level**2  # mean squared distance of the covariance from the multiple of the identity
    error = (np.square(lengths).sum() / n - squares) / (n * d)
    return (float(min(error, spread) / spread) if spread > 1e-12 * level**2 else 1.0), float(level)


def fit_gaussian(deviations: np.ndarray, most: int | None = None) -> Gaussian:
    """Return the normal distribution of features with the covariance of Ledoit & Wolf.

    Args:
        deviations: Features less their mean, or less that of their class, float [n, d].
        most: How many axes are kept, those of the largest variances; the others then have their mean variance, as in
            probabilistic principal components (Tipping & Bishop, J. R. Statist. Soc. B 1999, 61:611-622). None: all, so
            that distances are exactly those of the shrunk covariance.

    >>> gaussian = fit_gaussian(np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    >>> bool(np.diff(gaussian.measure(np.array([[1.0, 0.0], [0.0, 1.0]])))[0] > 0)
    True
    """
    rows = np.asarray(deviations, np.float64)
    share, level = shrink(rows)
    _, singular, axes = np.linalg.svd(rows, full_matrices=False)
    floor = _LEAST * max(level, 1e-12)
    variances = np.maximum((1 - share) * np.square(singular) / len(rows) + share * level, floor)
    kept = len(variances) if most is None else min(most, len(variances))
    # Beyond the rank of the features only the multiple of the identity is left.
    others = np.concatenate([variances[kept:], np.full(rows.shape[1] - len(variances), share * level)])
    # Where all directions have axes, nothing is left but rounding errors, which must not count.
    rest = max(float(others.mean()), floor) if len(others) else np.inf
    return Gaussian(axes[:kept], variances[:kept], rest)
