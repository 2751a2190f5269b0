"""Features with mean 0 and variance 1, and their principal axes."""

import numpy as np
import scipy.linalg

from tlmed.logistic.feature_rows import find_scale, hold, standardise_source
from tlmed.logistic.single_thread import single_thread

COMPONENTS = 256  # principal components that `project` keeps at most
_FLAT = 1e-6  # of the largest variance: axes with less hold rounding only, sums in float32 have seven digits


def standardise(features: np.ndarray) -> np.ndarray:
    """Return features with mean 0 and variance 1, float32 [n, d]; a constant one becomes 0.

    Args:
        features: float [n, d].

    >>> standardise(np.array([[1, 7], [3, 7]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    source = standardise_source(hold(features), mean, find_scale(mean, scale))
    return np.concatenate([*source.chunks(), np.empty((0, features.shape[1]), np.float32)])


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
    n, d = standard.shape
    if not d:
        return np.empty((n, 0), np.float32)
    with single_thread():
        gram = standard.T @ standard if d <= n else standard @ standard.T
        size = len(gram)
        values, vectors = scipy.linalg.eigh(gram.astype(np.float64), subset_by_index=(max(size - most, 0), size - 1))
        values, vectors = values[::-1], vectors[:, ::-1]
        kept = values > max(values[0], 0.0) * _FLAT
        values, vectors = values[kept], vectors[:, kept]
        axes = vectors if d <= n else standard.T @ vectors / np.sqrt(values)
        return standard @ axes.astype(np.float32)
