"""Whether a kind of image goes with the class: shares of each class, and a test that knows whose each image is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.data.permuted_labels import permute_rows
from tlmed.data.table import Table
from tlmed.data.units import join_units
from tlmed.label_vectors import are_vectors
from tlmed.seeds import derive
from tlmed.words import listed

CHANCE = 0.01  # a smaller p-value means that the kind goes with the label
NAMED = 3  # classes that a sentence names; it counts the others
_MOST, _FEWER = 999, 199  # permutations
_LARGE = 20_000  # images times labels, from which fewer permutations are made
_EACH, _CELLS = 100, 2**22  # permutations at a time, and labels that are held at a time
_SAME = 1e-9  # sums that are taken in another order differ by this


@dataclass(frozen=True, eq=False)
class Classed:
    """The classes of images, and which images belong together.

    Attributes:
        labels: int [n], an index into `classes` for every image, or vectors of labels [n, k].
        classes: The names of the classes, or of the labels.
        units: int [n], from 0: images of a patient, planes of a volume and copies of a file share a number.
    """

    labels: np.ndarray
    classes: Sequence[str]
    units: np.ndarray


def classify(table: Table, sha256: Sequence[str]) -> Classed:
    """Return the classes of a table's images, and which images belong together by group or content.

    Args:
        table: The images.
        sha256: The digest of every image's content.
    """
    return Classed(table.labels, table.classes, join_units(table.groups, sha256))


def say_shares(chosen: np.ndarray, classed: Classed) -> str:
    """Say how many images of each class are chosen, if that is not by chance; return "" if it may be.

    Of several labels the first is told that goes with the choice.

    Args:
        chosen: bool [n].
        classed: Of the same images.

    >>> labels = np.repeat([0, 1], 9)
    >>> say_shares(labels == 1, Classed(labels, ("ill", "well"), np.arange(18)))
    "0 of 9 in class 'ill', 9 of 9 in class 'well'"
    >>> say_shares(labels == 1, Classed(labels, ("ill", "well"), labels))
    ''
    """
    sure = np.flatnonzero(find_chances(chosen, classed) < CHANCE)
    if not len(sure):
        return ""
    if not are_vectors(classed.labels):
        return _say(chosen, classed.labels, classed.classes)
    name, column = classed.classes[sure[0]], classed.labels[:, sure[0]]
    return _say(chosen[column >= 0], column[column >= 0], (f"no {name}", name))


def find_chances(chosen: np.ndarray, classed: Classed) -> np.ndarray:
    """Return how probable a choice of images is that goes with the class as closely, by chance: float [1], or [k].

    The chi-squared statistic of what is counted is compared with those of labels that are dealt out anew between units,
    as the check of the data does. Many images of a patient are no more evidence than one then. Of several labels the
    largest statistic of each permutation counts (Westfall and Young 1993). A p-value that is `CHANCE` or more may be
    rough, because the search ends as soon as it cannot be smaller.

    Args:
        chosen: bool [n].
        classed: Of the same images; a label that is not known counts nowhere.

    >>> labels = np.repeat([0, 1], 4)
    >>> find_chances(labels == 1, Classed(labels, ("ill", "well"), np.arange(8))) < CHANCE  # 2 of 70 ways
    array([False])
    """
    columns = classed.labels if are_vectors(classed.labels) else classed.labels[:, None]
    reached, made = np.zeros(columns.shape[1], int), 0
    if not chosen.any() or chosen.all():
        return np.ones(len(reached))
    observed = _measure(chosen, columns[None])
    random = np.random.RandomState(derive(0, "class shares"))  # the same for all seeds: it is the data that is told of
    most = _MOST if columns.size <= _LARGE else _FEWER
    step = int(np.clip(_CELLS // columns.size, 1, _EACH))
    while made < most and (reached + 1 < CHANCE * (most + 1)).any():
        rows = permute_rows(classed.units, min(step, most - made), random)
        largest = _measure(chosen, columns[rows]).max(axis=0)
        reached += (largest >= observed - _SAME).sum(axis=1)
        made += len(rows)
    return (reached + 1) / (made + 1)


def _measure(chosen: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the chi-squared statistic of a choice [n] and labels [m, n, k], float [k, m]."""
    kinds = int(columns.max(initial=0)) + 1
    return np.array([_measure_one(chosen, columns[:, :, number], kinds) for number in range(columns.shape[2])])


def _measure_one(chosen: np.ndarray, labels: np.ndarray, kinds: int) -> np.ndarray:
    known, m = labels >= 0, len(labels)
    cells = (2 * np.arange(m)[:, None] + chosen) * kinds + labels
    counts = np.bincount(cells[known], minlength=2 * m * kinds).reshape(m, 2, kinds)
    product = counts.sum(axis=2, keepdims=True) * counts.sum(axis=1, keepdims=True)
    # The sum of n * counts ** 2 / (row * column) over the table is n more than chi-squared.
    shares = np.divide(counts**2, product, out=np.zeros(counts.shape), where=product > 0)
    total = counts.sum(axis=(1, 2))
    return total * np.maximum(shares.sum(axis=(1, 2)) - 1, 0)


def _say(chosen, labels, classes) -> str:
    totals, found = (np.bincount(rows, minlength=len(classes)) for rows in (labels, labels[chosen]))
    return listed(
        [f"{found[i]:,} of {totals[i]:,} in class '{name}'" for i, name in enumerate(classes) if totals[i]], NAMED
    )
