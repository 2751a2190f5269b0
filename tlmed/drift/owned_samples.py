"""Two samples whose rows may belong to patients: which rows are whose, and how they could have been dealt out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_ROOM = 2**22  # numbers in memory at a time


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class TwoSamples:
    """The owners of the rows of two samples, the first one's rows before the second one's.

    Attributes:
        first: Whom each row of the first sample belongs to, int [n].
        second: Likewise, int [m]; nobody owns rows of both samples.
    """

    first: np.ndarray
    second: np.ndarray

    @cached_property
    def owners(self) -> np.ndarray:
        """Whom each row belongs to, int [n + m], from 0; owners of the first sample have the lower numbers."""
        parts = [np.unique(part, return_inverse=True)[1] for part in (self.first, self.second)]
        return np.concatenate([parts[0], parts[1] + self.amounts[0]])

    @cached_property
    def amounts(self) -> tuple[int, int]:
        """How many owners each sample has."""
        return len(np.unique(self.first)), len(np.unique(self.second))

    @property
    def are_single(self) -> bool:
        """Tell whether each owner has one row, so that rows are independent."""
        return self.amounts == (len(self.first), len(self.second))

    @cached_property
    def weights(self) -> np.ndarray:
        """How much each row counts, float [n + m]: the rows of an owner count 1 together."""
        return (1 / np.bincount(self.owners))[self.owners]

    def average(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean of each sample's rows, where the rows of an owner count 1 together.

        Args:
            first: float [n] or [n, k].
            second: float [m] or [m, k].

        >>> there, here = TwoSamples(np.array([7, 7, 8]), np.array([9])).average(np.array([0, 1, 1]), np.array([1]))
        >>> float(there), float(here)
        (0.75, 1.0)
        """
        n = len(self.first)
        return np.average(first, 0, self.weights[:n]), np.average(second, 0, self.weights[n:])

    def deal(self, draws: int, seed: int) -> Iterator[np.ndarray]:
        """Yield which owners are dealt to the first sample, bool [d, owners], in parts, of so many draws in all.

        Owners stay whole, and each sample keeps its number of owners.

        Args:
            draws: How many times they are dealt anew.
            seed: Decides the draws.
        """
        random, total = np.random.RandomState(seed), sum(self.amounts)
        step = max(1, _ROOM // max(len(self.owners), 1))
        for start in range(0, draws, step):
            rows = np.empty((min(step, draws - start), total), bool)
            for row in rows:
                row[:] = random.permutation(total) < self.amounts[0]
            yield rows


def share_above(found: list[np.ndarray], observed: float) -> float:
    """Return the p-value of a statistic by its values in draws: (1 + how many are as large) / (draws + 1).

    >>> share_above([np.array([0.1, 0.5]), np.array([0.7])], 0.5)
    0.75
    """
    values = np.concatenate(found)
    # Sums in another order differ in their last digits: such a value is as large.
    return float((1 + (values >= observed - 1e-9 * max(1.0, abs(observed))).sum()) / (len(values) + 1))
