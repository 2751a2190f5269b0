"""Linear heads on nested subsets of images: logistic regressions with an L2 penalty, each started from the one before.

`fit_head` gives the same head for one subset. A learning curve needs thousands of small heads on subsets that grow, and
from the head of a smaller subset a few of Newton's steps are enough. With `solve_path` in their place, eight subsets of
100 images took 14 times as long, of 400 or 2,000 images 8 times, and of 5,000 as long
(`benchmarks/linear_heads.py --nested`). Heads of phases cannot have these steps: their curvature is a matrix of
features times classes squared, which for 1,280 features and 5 classes is 40 million numbers.
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from tlmed.logistic.single_thread import single_thread

_CLOSE = 0.003  # a step that changes no log-odds by more ends the search
_MOST_STEPS, _LONGEST = 100, 4.0  # steps; how far one may change log-odds
_SLOW = 0.3  # a step that is not shorter than this share of the one before needs the curvature anew
_LEVEL = 1e-6  # the penalty of the intercept, so that it stays finite


def fit_nested(
    features: np.ndarray, positive: np.ndarray, subsets: Sequence[np.ndarray], penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights, float [s, d], and the intercepts, float [s], of heads on s subsets.

    Each minimises the sum of log losses plus `penalty` / 2 times the sum of squared weights, by Newton's method. The
    curvature is computed once for most heads (a chord method): it costs as much as a hundred gradients.

    Args:
        features: float32 [n, d].
        positive: What the head is to tell, bool [n]. Where a subset has one kind only, its weights are 0.
        subsets: int [m] each, rows; each holds the one before.
        penalty: Above 0.

    >>> rows = np.array([[-1.0], [1.0]], np.float32)
    >>> weights, levels = fit_nested(rows, np.array([False, True]), [np.arange(2)], 0.2)
    >>> weights.round(2).tolist(), levels.round(2).tolist()
    ([[1.63]], [0.0])
    """
    wide = np.hstack([features, np.ones((len(features), 1))]).astype(np.float32)
    penalties = np.append(np.full(features.shape[1], penalty), _LEVEL)
    found, weights = np.zeros((len(subsets), wide.shape[1])), np.zeros(wide.shape[1])
    for number, rows in enumerate(subsets):
        targets = positive[rows].astype(np.float32)
        if 0 < targets.sum() < len(targets):
            with single_thread():
                weights = found[number] = _descend(wide[rows], targets, penalties, weights)
    return found[:, :-1], found[:, -1]


def _descend(wide, targets, penalties, weights) -> np.ndarray:
    """Return weights, with the intercept last, from others that are near them."""
    factor, before, weights = None, np.inf, weights.copy()
    for _ in range(_MOST_STEPS):
        chances = expit(wide @ weights.astype(np.float32))
        slope = wide.T @ (chances - targets) + penalties * weights
        if factor is None:
            bend = (wide * (chances * (1 - chances))[:, None]).T @ wide
            factor = cho_factor(bend.astype(np.float64) + np.diag(penalties), overwrite_a=True, check_finite=False)
        step = cho_solve(factor, slope, check_finite=False)
        length = float(np.abs(wide @ step.astype(np.float32)).max())
        weights -= step * min(1.0, _LONGEST / max(length, 1e-12))
        if length < _CLOSE:
            break
        factor, before = (None if length > _SLOW * before else factor), length
    return weights
