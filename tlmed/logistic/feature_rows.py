"""Features as a solver reads them: in chunks that fit into a processor's cache, from memory or from a store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

CHUNK = 2**19  # values; larger chunks leave the cache, and smaller ones cost more calls
HELD = 2**26  # values that are standardised once and held: 256 MB


@dataclass(frozen=True, eq=False)
class Source:
    """Some rows of features.

    Attributes:
        take: Row numbers, int [m], to features, float [m, d].
        rows: int [n], the numbers of these rows.
        width: d.
    """

    take: Callable[[np.ndarray], np.ndarray]
    rows: np.ndarray
    width: int

    @property
    def spans(self) -> list[slice]:
        """Where chunks begin and end; it depends on the shape alone, and so do the sums over them, to the bit."""
        size = max(1, CHUNK // max(self.width, 1))
        return [slice(start, min(start + size, len(self.rows))) for start in range(0, len(self.rows), size)]

    def read(self, span: slice) -> np.ndarray:
        """Return the features of a chunk, float [m, d]."""
        return self.take(self.rows[span])

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield all chunks."""
        return map(self.read, self.spans)

    def choose(self, places: np.ndarray) -> "Source":
        """Return some of the rows.

        Args:
            places: int [m], from 0 to n - 1.
        """
        return Source(self.take, self.rows[places], self.width)


def hold(features: np.ndarray) -> Source:
    """Return a source for features in memory, or for an array that is mapped into it.

    Args:
        features: float [n, d].

    >>> next(hold(np.eye(2)).chunks()).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def take(rows: np.ndarray) -> np.ndarray:
        # A slice where rows follow one another: it is not copied.
        one_run = len(rows) and (np.diff(rows) == 1).all()
        return features[rows[0] : rows[-1] + 1] if one_run else features[rows]

    return Source(take, np.arange(len(features)), features.shape[1])


def find_scale(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return by what centred features are divided: infinity for a feature that float32 cannot tell from a constant.

    Args:
        mean: float64 [d].
        deviation: Standard deviations, float64 [d].
    """
    constant = (deviation <= 1e-7 * np.abs(mean)) | (deviation == 0)
    return np.where(constant, np.inf, deviation)


def measure_features(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of each feature, float64 [d], from two passes over chunks.

    Args:
        source: Of n rows, 1 or more.
    """
    mean = sum(chunk.sum(0, dtype=np.float64) for chunk in source.chunks()) / len(source.rows)
    squares = sum(np.square(chunk - mean).sum(0) for chunk in source.chunks())
    return mean, find_scale(mean, np.sqrt(squares / len(source.rows)))


def standardise_source(source: Source, mean: np.ndarray, scale: np.ndarray) -> Source:
    """Return a source of standardised features: held in memory where they are few, else made at each reading."""
    shift, factor = mean.astype(np.float32), (1 / scale).astype(np.float32)

    def change(features: np.ndarray) -> np.ndarray:
        if features.dtype == np.float64:
            return ((features - mean) / scale).astype(np.float32)  # far from 0, float32 would lose digits
        changed = features.astype(np.float32) - shift
        changed *= factor
        return changed

    if len(source.rows) * source.width > HELD:
        return Source(lambda rows: change(source.take(rows)), source.rows, source.width)
    held = np.empty((len(source.rows), source.width), np.float32)
    for span in source.spans:
        held[span] = change(source.take(source.rows[span]))
    return hold(held)
