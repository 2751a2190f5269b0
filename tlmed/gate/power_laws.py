"""Inverse power laws of learning curves: how an AUC grows with the number of images, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.stats import t as student

from tlmed.gate.nested_subsets import Points

# The prior of the exponent is log-normal; two in three lie from 0.25 to 1, as in most published learning curves
# (Viering & Loog 2022, section 4; Hestness et al., arXiv:1712.00409).
_EXPONENTS, _MIDDLE, _SPREAD = np.geomspace(0.05, 2, 31), 0.5, 0.7
_LEVELS, _GAPS = (np.arange(41) + 0.5) / 41, (np.arange(41) + 0.5) / 41
_ROUGHNESS = 0.002  # by which an AUC may miss the law, standard deviation


@dataclass(frozen=True, eq=False)
class PowerLaws:
    """Laws a - b n^-c, each with the probability that it has after the points were seen.

    Attributes:
        limits: float [m], each a: the AUC with any number of images, at most 1.
        slopes: float [m], each b, at least 0.
        exponents: float [m], each c.
        weights: float [m], which add up to 1.
        best: The number of the most probable law, of those that pass through the last point.
    """

    limits: np.ndarray
    slopes: np.ndarray
    exponents: np.ndarray
    weights: np.ndarray
    best: int

    def foresee(self, images: float, chances: tuple[float, ...] = (0.05, 0.5, 0.95)) -> list[float]:
        """Return quantiles of the AUC at a number of images.

        Args:
            images: Above 0.
            chances: Of the quantiles, 0..1.
        """
        areas = self.limits - self.slopes * float(images) ** -self.exponents
        order = np.argsort(areas)
        return np.interp(chances, np.cumsum(self.weights[order]), areas[order]).tolist()


def fit_laws(points: Points, times: float = np.inf) -> PowerLaws:
    """Return the laws that the points of a learning curve leave possible.

    The inverse power law is that of Viering & Loog (The shape of learning curves: a review, IEEE TPAMI 2022,
    45:7799-7819). Its posterior is computed on a grid of the AUC at the last point, the share of what is missing to 1
    that more images can bring, and the exponent. The last point says where the curve is, and differences from it say
    how it rises: what all points have in common, because the same images were tested, is not taken for shape. (A joint
    fit of correlated points with unequal variances can lie below all of them: Peelle's puzzle.)

    Args:
        points: The points.
        times: How many times as many images will be measured, those at hand among them; then 1 / `times` of the
            variance of the level stays with them and makes no difference. Infinite: only new images count.
    """
    level, spread = points.areas.mean(axis=0)[-1], _find_spread(points, times)
    # The same probability for each level, from a t distribution that ends at an AUC of 1.
    top = student.cdf((1 - level) / spread, points.freedom)
    levels = np.clip(level + spread * student.ppf(_LEVELS * top, points.freedom), 0, 1)
    steps, missed = _whiten(points)
    # [exponents, levels, gaps]: how much worse the AUC would be with no image at all, in units of the last point's.
    drops = (_GAPS * (1 - levels[:, None]))[None]
    products = (steps * missed).sum(1)[:, None, None], (steps**2).sum(1)[:, None, None]
    logs = drops * products[0] - drops**2 * products[1] / 2
    logs -= ((np.log(_EXPONENTS) - np.log(_MIDDLE)) / _SPREAD)[:, None, None] ** 2 / 2
    weights = np.exp(logs - logs.max())
    last = points.sizes[-1]
    limits = np.broadcast_to(levels[:, None] + drops, logs.shape)
    slopes = drops * (last**_EXPONENTS)[:, None, None]
    middle = len(_LEVELS) // 2
    exponent, gap = np.unravel_index(logs[:, middle].argmax(), logs[:, middle].shape)
    return PowerLaws(
        limits.ravel(),
        np.broadcast_to(slopes, logs.shape).ravel(),
        np.broadcast_to(_EXPONENTS[:, None, None], logs.shape).ravel(),
        (weights / weights.sum()).ravel(),
        int(np.ravel_multi_index((exponent, middle, gap), logs.shape)),
    )


def _find_spread(points, times) -> float:
    """Return the standard deviation of the last point."""
    own = points.tested[-1, -1] + points.trained
    return float(np.sqrt(own * (1 - 1 / times) + points.drawn[-1, -1] + _ROUGHNESS**2))


def _whiten(points) -> tuple[np.ndarray, np.ndarray]:
    """Return how far a law of each exponent falls to each point, and how far the AUC does, both made independent."""
    areas, count = points.areas.mean(axis=0), len(points.sizes)
    differ = np.hstack([-np.eye(count - 1), np.ones((count - 1, 1))])
    covariance = differ @ (points.tested + points.drawn + np.eye(count) * _ROUGHNESS**2) @ differ.T
    root = cholesky(covariance, lower=True)
    falls = (points.sizes[:-1] / points.sizes[-1]) ** -_EXPONENTS[:, None] - 1
    return solve_triangular(root, falls.T, lower=True).T, solve_triangular(root, differ @ areas, lower=True)
