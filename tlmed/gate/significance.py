"""How sure it is that labels follow from any of many things: permutations, corrected over all tests at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlmed.data.permuted_labels import permute_rows

_FIRST = 99  # permutations after which a search in which nothing stands out ends
_EXCEEDED = 10  # of them that reach the best test: p is about 0.1 or more
_FLOOR = 0.5  # of the largest deviation of a test: one that hardly varies must not lead by chance


@dataclass(frozen=True, eq=False)
class Significance:
    """What permutations say of tests.

    Attributes:
        areas: Of the labels as they are, float64 [tests, questions].
        p: Of each by itself, as `areas`.
        corrected: Over all tests and questions, as `areas`.
        permutations: How many were made.
    """

    areas: np.ndarray
    p: np.ndarray
    corrected: np.ndarray
    permutations: int


def find_significance(
    measure: Callable[[np.ndarray], np.ndarray], owners: np.ndarray, most: int, random: np.random.RandomState
) -> Significance:
    """Return areas and their p-values by the permutation distribution of the largest (Westfall and Young 1993).

    Each area is divided by its deviation over permutations first, so that all tests have the same chance. It takes few
    permutations to see that nothing is there: the search ends early then (Besag and Clifford 1991). What is significant
    has passed all of them, so that ending early lets no more through.

    Args:
        measure: Rows, int [m, n], from which each image takes its label in each of m permutations, to areas, float64
            [tests, questions, m].
        owners: int [n], whose each image is.
        most: How many permutations at most.
        random: Draws them.
    """
    areas = measure(np.arange(len(owners), dtype=np.int32)[None])
    for amount in (min(_FIRST, most), most - _FIRST):
        if amount > 0:
            areas = np.concatenate([areas, measure(permute_rows(owners, amount, random))], axis=2)
        corrected = _correct(_standardise(areas))
        if corrected.min(initial=1.0) > _EXCEEDED / (_FIRST + 1):
            break
    alone = (areas >= areas[:, :, :1]).mean(axis=2)
    return Significance(areas[:, :, 0], alone, corrected, areas.shape[2] - 1)


def _standardise(areas: np.ndarray) -> np.ndarray:
    # The labels as they are count as one permutation more, which keeps the test exact.
    deviation = areas.std(axis=2, keepdims=True)
    floor = np.maximum(deviation, _FLOOR * deviation.max(initial=0))
    return np.divide(areas - areas.mean(axis=2, keepdims=True), floor, out=np.zeros_like(areas), where=floor > 0)


def _correct(values: np.ndarray) -> np.ndarray:
    """Return step-down p-values: the best of all tests, the second of all but the best, and so on."""
    flat = values.reshape(-1, values.shape[2])
    order = np.argsort(-flat[:, 0], kind="stable")
    # The largest of each test and of all that are worse than it, in each permutation.
    largest = np.maximum.accumulate(flat[order][::-1], axis=0)[::-1]
    found = np.empty(len(flat))
    found[order] = np.maximum.accumulate((largest >= flat[order][:, :1]).mean(axis=1)) if len(flat) else 0
    return found.reshape(values.shape[:2])
