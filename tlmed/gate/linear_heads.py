"""Linear heads on features: multinomial logistic regression with an L2 penalty, fitted until it converges.

One fit takes about 20 steps: features are turned to their principal axes, and each axis is scaled by the bound that
Böhning (Annals of the Institute of Statistical Mathematics 1992, 44:197-200) gives for the curvature of the loss along
it. L-BFGS then meets a loss that is nearly round, whatever the features and the penalty are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

COMPONENTS = 256  # principal components that `project` keeps at most
_BLOCK = 8192  # rows that are standardised at a time
_TOLERANCE = 1e-7  # of the largest slope of the mean loss, in scaled coordinates
_MOST_STEPS = 500
_FLAT, _FLAT_IN_FLOAT32 = 1e-10, 1e-6  # of the largest variance


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


def standardise(features: np.ndarray) -> np.ndarray:
    """Return features with mean 0 and variance 1, float32 [n, d]; a constant one becomes 0.

    Args:
        features: float [n, d].

    >>> standardise(np.array([[1, 7], [3, 7]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale[scale <= 1e-7 * np.abs(mean)] = np.inf  # float32 cannot tell the values apart
    scale[scale == 0] = np.inf
    found = np.empty(features.shape, np.float32)
    for start in range(0, len(features), _BLOCK):
        found[start : start + _BLOCK] = (features[start : start + _BLOCK] - mean) / scale
    return found


def project(features: np.ndarray, most: int = COMPONENTS) -> np.ndarray:
    """Return the principal components of standardised features, float32 [n, at most `most`], the widest first.

    Labels play no part. With all components, every head has the probabilities that it has on standardised features.

    Args:
        features: float [n, d].
        most: Components that are kept.

    >>> project(np.array([[0.0, 1], [2, 3], [4, 5]])).shape
    (3, 1)
    """
    standard = standardise(features)
    _, axes = _find_axes(standard, most)
    return standard @ axes.astype(np.float32)


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


def fit_path(
    features: np.ndarray, labels: np.ndarray, classes: int, l2s: Sequence[float], turned: bool = False
) -> list[LinearHead]:
    """Return the heads of several penalties, in their order; each starts from the one before.

    Args:
        features: float [n, d].
        labels: int [n], 0..classes - 1.
        classes: How many classes there are.
        l2s: Penalties above 0, the largest first for speed.
        turned: Whether `features` are rows of `project`. Their axes then are as good as principal, and need not be
            found again; the heads are the same.
    """
    seen, codes = np.unique(labels, return_inverse=True)
    columns = len(seen) if len(seen) > 2 else len(seen) - 1
    if columns == 0:
        return [LinearHead(np.zeros((features.shape[1], 1)), np.zeros(1), seen, classes, 0) for _ in l2s]
    centre = features.mean(0, dtype=np.float64)
    centred = features - centre
    if turned:
        spread, axes = np.square(centred).mean(0), None
    else:
        spread, axes = _find_axes(centred, min(features.shape))
        centred = centred @ axes
    targets = codes[:, None] == np.arange(columns) if columns > 1 else codes[:, None]
    heads, weights, level = [], np.zeros((len(spread), columns)), np.zeros(columns)
    for l2 in l2s:
        weights, level, steps = _descend(centred, targets.astype(float), spread, l2, weights, level)
        own = weights if axes is None else axes @ weights
        heads.append(LinearHead(own, level - centre @ own, seen, classes, steps))
    return heads


def _find_axes(centred: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances along principal axes, and the axes [d, at most `most`], the widest first."""
    n, d = centred.shape
    if not d:
        return np.empty(0), np.empty((0, 0))
    wide = d <= n
    gram = centred.T @ centred if wide else centred @ centred.T
    size = len(gram)
    values, vectors = scipy.linalg.eigh(gram.astype(np.float64), subset_by_index=(max(size - most, 0), size - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    # Axes with less of the variance hold rounding only: sums in float32 have seven digits.
    kept = values > max(values[0], 0.0) * (_FLAT_IN_FLOAT32 if centred.dtype == np.float32 else _FLAT)
    values, vectors = values[kept], vectors[:, kept]
    return values / n, vectors if wide else centred.T @ vectors / np.sqrt(values)


def _descend(turned, targets, spread, l2, weights, level) -> tuple[np.ndarray, np.ndarray, int]:
    """Return weights along the axes, the intercept, and the number of steps, from weights and an intercept."""
    n, columns = targets.shape
    # Böhning's bound: one unit of a scaled weight bends the loss by at most 1, along whichever axis.
    units = 1 / np.sqrt((0.25 if columns == 1 else 0.5) * spread + l2)[:, None]

    def measure(point):
        scaled = point.reshape(-1, columns)
        own, shift = scaled[:-1] * units, scaled[-1]
        scores = turned @ own + shift
        if columns == 1:
            loss = np.logaddexp(0, scores).sum() - (targets * scores).sum()
            excess = expit(scores) - targets
        else:
            logs = log_softmax(scores, axis=1)
            loss, excess = -(targets * logs).sum(), np.exp(logs) - targets
        slope = np.vstack([(turned.T @ excess / n + l2 * own) * units, excess.mean(0)])
        return loss / n + l2 / 2 * (own**2).sum(), slope.ravel()

    start = np.vstack([weights / units, level])
    options = {"maxiter": _MOST_STEPS, "gtol": _TOLERANCE, "ftol": 0, "maxcor": 20}
    found = minimize(measure, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    scaled = found.x.reshape(-1, columns)
    return scaled[:-1] * units, scaled[-1], int(found.nit)


def _to_probabilities(scores) -> np.ndarray:
    if scores.shape[1] > 1:
        return softmax(scores, axis=1)
    return np.hstack([expit(-scores), expit(scores)])
