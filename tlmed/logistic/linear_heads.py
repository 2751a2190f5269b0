"""Heads for features in memory, as checks of images want them: fitted to class numbers, asked for probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from tlmed.logistic.feature_rows import hold
from tlmed.logistic.solved_paths import solve_path
from tlmed.logistic.targets_of_heads import aim_at_classes


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A fitted head.

    Attributes:
        weights: float64 [d, c], for each of c classes that were seen; [d, 1] for two classes, of the second one.
        intercept: float64 [c] or [1].
        seen: int [c], the classes that occurred; all others get a probability of 0.
        classes: How many classes there are.
        steps: Of the solver.
    """

    weights: np.ndarray
    intercept: np.ndarray
    seen: np.ndarray
    classes: int
    steps: int

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each class, float64 [n, classes].

        Args:
            features: float [n, d].
        """
        scores = features @ self.weights + self.intercept
        found = np.zeros((len(features), self.classes))
        found[:, self.seen] = _to_probabilities(scores) if len(self.seen) > 1 else 1.0
        return found


def _to_probabilities(scores) -> np.ndarray:
    if scores.shape[1] > 1:
        return softmax(scores, axis=1)
    return np.hstack([expit(-scores), expit(scores)])


def fit_head(features: np.ndarray, labels: np.ndarray, classes: int, l2: float) -> LinearHead:
    """Return the head that minimises the mean log loss plus `l2` / 2 times the sum of squared weights.

    Features are taken as they are: `standardise` or `project` them first. The intercept is not penalised. This is
    scikit-learn's `LogisticRegression(C=1 / (n * l2))`.

    Args:
        features: float [n, d].
        labels: int [n], 0..classes - 1.
        classes: How many classes there are; one that does not occur gets a probability of 0.
        l2: Above 0.

    >>> head = fit_head(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, 0.1)
    >>> head.predict(np.array([[0.0], [1.0]])).round(2).tolist()
    [[0.5, 0.5], [0.16, 0.84]]
    """
    return fit_path(features, labels, classes, (l2,))[0]


def fit_path(features: np.ndarray, labels: np.ndarray, classes: int, l2s: Sequence[float]) -> list[LinearHead]:
    """Return the heads of several penalties, in their order; each starts from the one before.

    Args:
        features: float [n, d].
        labels: int [n], 0..classes - 1.
        classes: How many classes there are.
        l2s: Penalties above 0, the largest first for speed.
    """
    seen, codes = np.unique(labels, return_inverse=True)
    if len(seen) == 1:
        return [LinearHead(np.zeros((features.shape[1], 1)), np.zeros(1), seen, classes, 0) for _ in l2s]
    path = solve_path(hold(features), aim_at_classes(codes, len(seen)), l2s, scaled=False)
    return [LinearHead(found.kernel, found.bias, seen, classes, found.steps) for found in path]
