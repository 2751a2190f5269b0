"""Posterior draws of true scores from scores and their errors: a group that leads, and the others below it."""

import math
from dataclasses import dataclass

import numpy as np

from tlmed import seeds

PRIOR = 1.5  # the scale of the prior of the true spread, in standard errors
_SPREADS, _SCALES = 30, 5  # points of the grids of the true spread and of the errors' scale
_LEAST = 1e-12  # of the largest error: less is taken for rounding
# The others: one in twenty is expected to be among them, some ten errors below the group, with long tails.
_OTHERS, _GROUP, _FAR = 1.0, 19.0, 10.0


@dataclass(frozen=True)
class _Group:
    """The posterior of the true scores of the k highest, if these are one group, and how likely such a group is.

    Attributes:
        k: How many.
        evidence: Its logarithm.
        sizes: Variances of the errors in the directions in which they do not correlate, [k - 1].
        seen: The scores in these directions.
        directions: [k - 1, k].
        spreads: Points of the grid: the variance of true scores, [points].
        scales: By what the errors' variances are multiplied there.
        weights: How probable each point is; they sum to 1.
    """

    k: int
    evidence: float
    sizes: np.ndarray
    seen: np.ndarray
    directions: np.ndarray
    spreads: np.ndarray
    scales: np.ndarray
    weights: np.ndarray


def draw_true_scores(
    scores: np.ndarray, covariance: np.ndarray, freedom: float, draws: int, seed: int, far: int = 0
) -> np.ndarray:
    """Return posterior draws of true scores under a hierarchical model, up to a shift that all have in common.

    The true scores of a leading group are normal, of unknown mean and spread; the others are somewhere below, and tell
    nothing of the group's spread. Who belongs to the group is unknown too: the two highest, or the three highest, and
    so on up to all. Each such group has a probability, by Bayes' rule, and so many of the draws are made with it.
    Without this rule a few that fail make the others look further apart than they are.

    Args:
        scores: float [m], 2 or more.
        covariance: Of their errors, float [m, m].
        freedom: The degrees of freedom of its estimate, which may be infinite.
        draws: How many.
        seed: Decides them.
        far: How many more were left out because they are far below.

    Returns:
        float [draws, m].

    >>> values = draw_true_scores(np.array([0.7, 0.9]), np.eye(2) * 0.01**2, math.inf, 1000, seed=0)
    >>> values.shape, abs(float(np.diff(values).mean()) - 0.2) < 0.01
    ((1000, 2), True)
    """
    order = np.argsort(-scores, kind="stable")
    ordered, among = scores[order], covariance[np.ix_(order, order)]
    # Errors of zero have a tiny size, so that of several that nothing tells apart any may be the best.
    least = max(float(np.diag(among).max()) * _LEAST, np.finfo(float).tiny)
    unit = math.sqrt(max(float(np.trace(among) - among.sum() / len(scores)) / (len(scores) - 1), least))
    grid, basis = _make_grid(unit, freedom), _make_contrasts(len(scores))
    groups = [
        _find_group(ordered[:k], among[:k, :k], basis[: k - 1, :k], (unit, least), grid)
        for k in range(2, len(scores) + 1)
    ]
    chances = np.array([group.evidence + _expect_others(ordered, group.k, unit, far) for group in groups])
    chances = np.exp(chances - chances.max())
    rng = np.random.default_rng(seeds.derive(seed, "best"))
    counts = rng.multinomial(draws, chances / chances.sum())
    found = [_draw_group(ordered, among, group, n, rng) for group, n in zip(groups, counts, strict=True) if n]
    values = np.empty((draws, len(scores)))
    values[:, order] = np.concatenate(found)
    return values


def _find_group(scores, covariance, basis, errors, grid) -> _Group:
    k, (unit, least), (spreads, scales) = len(scores), errors, grid
    # In the directions in which errors do not correlate, each true difference has a posterior of its own.
    sizes, turn = np.linalg.eigh(basis @ covariance @ basis.T)
    sizes = np.maximum(sizes, least)
    seen, directions = turn.T @ basis @ scores, turn.T @ basis
    variances = spreads[:, None] + scales[:, None] * sizes
    logs = -0.5 * (np.log(2 * math.pi * variances / unit**2) + seen**2 / variances).sum(1)
    weights = np.exp(logs - logs.max())
    # The group's mean may be anything: integrated over, it leaves 1 / sqrt(k).
    evidence = float(logs.max() + math.log(weights.mean()) - 0.5 * math.log(k))
    return _Group(k, evidence, sizes, seen, directions, spreads, scales, weights / weights.sum())


def _expect_others(scores, k, unit, far) -> float:
    """Return the logarithm of how probable it is that all but the k highest are others, and where they are."""
    from scipy.special import betaln  # here, because a command should not wait for this slow import

    below = (scores[:k].mean() - scores[k:]) / unit
    places = np.log(2 / (math.pi * _FAR * (1 + (below / _FAR) ** 2))).sum()
    return float(places + betaln(_OTHERS + len(scores) - k + far, _GROUP + k))


def _draw_group(scores, covariance, group, draws, rng) -> np.ndarray:
    """Return draws of all true scores if the k highest are one group, and nothing is known of the others."""
    k, cells = group.k, rng.choice(len(group.weights), draws, p=group.weights)
    scales = group.scales[cells, None]
    shrink = group.spreads[cells, None] / (group.spreads[cells, None] + scales * group.sizes)
    drawn = group.seen * shrink
    drawn += np.sqrt(shrink * scales * group.sizes) * rng.standard_normal(drawn.shape)
    middle, others = scores[:k].mean(), len(scores) - k
    if not others:
        return middle + drawn @ group.directions
    # The errors of the others, less the group's mean error, follow from the group's errors as far as they correlate.
    less = np.hstack([np.full((others, k), -1 / k), np.eye(others)])
    slopes = less @ covariance[:, :k] @ group.directions.T / group.sizes
    left = less @ covariance @ less.T - (slopes * group.sizes) @ slopes.T
    sizes, turn = np.linalg.eigh(left)
    root = turn * np.sqrt(np.maximum(sizes, np.finfo(float).tiny))
    errors = (group.seen - drawn) @ slopes.T + np.sqrt(scales) * (rng.standard_normal((draws, others)) @ root.T)
    return np.hstack([middle + drawn @ group.directions, scores[k:] - errors])


def _make_grid(error, freedom) -> tuple[np.ndarray, np.ndarray]:
    """Return points of equal prior probability: variances of true scores, and scales of those of errors."""
    from scipy.special import chdtri  # here, because a command should not wait for this slow import

    spreads = (PRIOR * error * np.tan(math.pi / 2 * (np.arange(_SPREADS) + 0.5) / _SPREADS)) ** 2
    if math.isinf(freedom):
        return spreads, np.ones(_SPREADS)
    scales = freedom / chdtri(freedom, (np.arange(_SCALES) + 0.5) / _SCALES)
    return np.repeat(spreads, _SCALES), np.tile(scales, _SPREADS)


def _make_contrasts(m) -> np.ndarray:
    """Return an orthonormal basis of differences, [m - 1, m] (Helmert's): its first k rows are that of k + 1."""
    rows = np.arange(1, m)
    basis = np.tril(np.ones((m - 1, m))) / np.sqrt(rows * (rows + 1))[:, None]
    basis[rows - 1, rows] = -rows / np.sqrt(rows * (rows + 1))
    return basis
