"""The distance to the k-th nearest of the features that are known, by their direction."""

import numpy as np

_ROOM = 2**24  # distances in memory at a time
_FEW = 8
_ROUNDING = 1e-6  # of products of features of length 1 in single precision


def direct(features: np.ndarray) -> np.ndarray:
    """Return features of length 1, float32 [n, d]; those that are all 0 stay so.

    Args:
        features: float [n, d].

    >>> direct(np.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(np.asarray(features, np.float64), axis=1, keepdims=True)
    return (features / np.maximum(lengths, 1e-30)).astype(np.float32)


def measure_nearest(features: np.ndarray, known: np.ndarray, k: int) -> np.ndarray:
    """Return the distance of each image to the k-th nearest known one, 0..2, float64 [n].

    Features count by their direction, as in Sun, Ming, Zhu & Li, Out-of-distribution detection with deep nearest
    neighbors, ICML 2022.

    Args:
        features: float [n, d].
        known: Of length 1, float32 [m, d], as `direct` gives them.
        k: 1..m.

    >>> measure_nearest(np.array([[2.0, 0.0]]), direct(np.array([[1.0, 0.0], [0.0, 1.0]])), 2).round(3).tolist()
    [1.414]
    """
    found, step = [], max(1, _ROOM // len(known))
    for start in range(0, len(features), step):
        rows = direct(features[start : start + step])
        # Of a few images, threads of a busy machine wait for each other a hundred times as long as one computes.
        alike = np.einsum("nd,md->nm", rows, known) if len(rows) <= _FEW else rows @ known.T
        least = np.partition(alike, len(known) - k, axis=1)[:, len(known) - k] - _ROUNDING
        found += [
            _measure_exactly(row, known[own >= bound], k) for row, own, bound in zip(rows, alike, least, strict=True)
        ]
    return np.array(found, np.float64)


def _measure_exactly(row, known, k) -> float:
    """Return the distance to the k-th nearest of a few.

    |a - b|² is 2 - 2 ab for features of length 1, but of near ones rounding is all that is left of that.
    """
    return np.partition(np.linalg.norm(known.astype(np.float64) - row, axis=1), k - 1)[k - 1]
