"""The range of values that training images have, by percentiles in which each image counts the same.

An image is represented by some of its sorted values, each for a share of its pixels: of 0.05 per cent in the lowest and
the highest 2 per cent, and of 1 per cent between them. So an image takes as little memory as any other, and ranks of
the percentiles that matter are right to 0.05 per cent.
"""

from collections.abc import Sequence

import numpy as np

_TAIL, _FINE, _COARSE = 0.02, 40, 96
_EDGES = np.concatenate(
    [
        np.linspace(0, _TAIL, _FINE, endpoint=False),
        np.linspace(_TAIL, 1 - _TAIL, _COARSE, endpoint=False),
        np.linspace(1 - _TAIL, 1, _FINE + 1),
    ]
)
SHARES = np.diff(_EDGES)
# Where in the sorted values each of them stands: in the middle of its share, but the lowest and the highest are kept.
_PLACES = np.concatenate([[0], (_EDGES[1:-2] + _EDGES[2:-1]) / 2, [1]])
VALUES = len(SHARES)  # of an image
_LEAST = 1e-6  # how wide a range of a single value becomes, as a part of where it stands: float32 tells its ends apart


def summarise(values: np.ndarray) -> np.ndarray:
    """Return sorted values that represent those of an image, float32 [`VALUES`]; none if it has none.

    Args:
        values: Of any shape, finite.

    >>> summarise(np.arange(10_000))[[0, 1, 87, -1]].tolist()
    [0.0, 7.0, 4950.0, 9999.0]
    """
    if not values.size:
        return np.empty(0, np.float32)
    ordered = np.sort(values, axis=None)
    places = np.minimum((_PLACES * ordered.size).astype(np.int64), ordered.size - 1)
    return ordered[places].astype(np.float32)


def measure_range(images: Sequence[np.ndarray], percentiles: tuple[float, float]) -> tuple[float, float] | None:
    """Return two percentiles of the values of all images together, in which each image counts the same.

    Args:
        images: What `summarise` returned for each; of one with several planes, for these one after another.
        percentiles: 0..100.

    Returns:
        Two values that images have, the second above the first; if all are the same, it is a little larger. None if
        there are no images, or none of them has values.

    >>> measure_range([summarise(np.arange(1000)), summarise(np.arange(2000))], (0, 100))
    (0.0, 1999.0)
    """
    values = np.concatenate(images) if len(images) else np.empty(0)
    if not values.size:
        return None
    order, planes = np.argsort(values), len(values) // VALUES
    upto = np.cumsum(np.tile(SHARES, planes)[order]) / planes
    # A sum may miss the share that is looked for by its last bits.
    places = np.searchsorted(upto, np.divide(percentiles, 100) - 1e-9)
    low, high = values[order][np.minimum(places, len(values) - 1)].astype(float).tolist()
    return low, max(high, low + max(abs(low), 1) * _LEAST)
