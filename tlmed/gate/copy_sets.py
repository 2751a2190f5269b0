"""Sets of pictures that are copies of one another, from pairs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pair:
    """Two images of which one is a copy of the other.

    Attributes:
        first: The row of one.
        second: The row of the other; `matrix` says where it lies on the first.
        correlation: The median over blocks with detail.
        matrix: Float [2, 3], from points of the second, from -1 to 1, to points of the first, both without borders.
        boxes: What of their sketches lies inside borders, int [2, 4].
    """

    first: int
    second: int
    correlation: float
    matrix: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class DescribedPair:
    """Two images of which one is a copy of the other, in words.

    Attributes:
        rows: Of the two images.
        files: Their paths.
        correlation: The median over blocks with detail.
        changed: What differs between the two, as words; none if nothing that registration sees.
    """

    rows: tuple[int, int]
    files: tuple[str, str]
    correlation: float
    changed: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the pair for a file."""
        return {"files": list(self.files), "correlation": round(self.correlation, 3), "changed": list(self.changed)}

    @classmethod
    def from_json(cls, found: Mapping, rows: Mapping[str, int]) -> "DescribedPair":
        """Return the pair that `as_json` returned.

        Args:
            found: As `as_json` returned it.
            rows: The row of each path.
        """
        one, other = found["files"]
        return cls((rows[one], rows[other]), (one, other), found["correlation"], tuple(found["changed"]))


class Sets:
    """Rows that belong together, each row alone at first; union by size, and paths are halved."""

    def __init__(self, rows: int, groups: Sequence[str] | None = None) -> None:
        """Start with `rows` sets of one row each.

        Args:
            rows: How many.
            groups: The group of each row, "" for none; None for none at all.
        """
        self._parent = list(range(rows))
        self._groups = [{group} - {""} for group in groups] if groups else [set() for _ in range(rows)]

    def find(self, row: int) -> int:
        """Return the row that stands for the set of a row."""
        while self._parent[row] != row:
            self._parent[row] = row = self._parent[self._parent[row]]
        return row

    def join(self, first: int, second: int) -> None:
        """Make one set of the sets of two rows."""
        first, second = self.find(first), self.find(second)
        if first != second:
            self._parent[second] = first
            self._groups[first] |= self._groups[second]

    def share_group(self, first: int, second: int) -> bool:
        """Tell whether two sets hold images of one group."""
        return not self._groups[self.find(first)].isdisjoint(self._groups[self.find(second)])

    def list_sets(self) -> list[list[int]]:
        """Return the sets of two rows and more, each sorted, by their first rows."""
        members: dict[int, list[int]] = {}
        for row in range(len(self._parent)):
            members.setdefault(self.find(row), []).append(row)
        return sorted(rows for rows in members.values() if len(rows) > 1)
