"""Divide images with several labels so that each part has its share of every label (iterative stratification)."""

from collections.abc import Sequence

import numpy as np

from tlmed.label_texts import NEGATIVE, POSITIVE
from tlmed.seeds import derive


def split_vectors(labels: np.ndarray, units: np.ndarray, fractions: Sequence[float], seed: int) -> np.ndarray:
    """Divide units by iterative stratification: Sechidis, Tsoumakas & Vlahavas, ECML PKDD 2011, algorithm 1.

    The label with the fewest units left comes first, because later nothing could make up for an uneven start: each of
    its units, in an order drawn from the seed, goes to the part that lacks most images of the label, of equal ones to
    the part that lacks most images in all. Units without any of the labels come last. Of a label that most images have
    those without it are counted, which are rarer.

    Beyond the paper, a label with only as many units left as there are parts without it is given to those parts, so
    that no part lacks a label that has enough units.

    Args:
        labels: Vectors of 1, 0 and -1 (not known), int [n, k].
        units: The unit of every image, numbered from 0, int [n]; its images stay together.
        fractions: The parts' sizes, which add up to 1; a part of size 0 gets nothing.
        seed: The run's seed.

    Returns:
        int64 [n], the part of every image.

    >>> labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    >>> parts = split_vectors(labels, np.arange(6), (0.5, 0.5), seed=0)
    >>> [labels[parts == part].sum(axis=0).tolist() for part in (0, 1)]
    [[1, 1], [1, 1]]
    """
    held = count_rarer(labels, units)
    amounts = np.bincount(units, minlength=len(held))
    sizes = np.array(fractions, float)
    lacks, lacks_all = np.outer(sizes, held.sum(axis=0)), sizes * len(labels)
    empty = np.repeat((sizes > 0)[:, None], held.shape[1], axis=1)
    order = np.random.RandomState(derive(seed, "split")).permutation(len(held))
    part_of = np.full(len(held), -1)

    def put(unit: int, allowed: np.ndarray, wanted: np.ndarray) -> None:
        part = max(np.flatnonzero(allowed), key=lambda part: (wanted[part], lacks_all[part], -part))
        part_of[unit] = part
        lacks[part] -= held[unit]
        lacks_all[part] -= amounts[unit]
        empty[part] &= held[unit] == 0

    while True:
        left = (held[part_of < 0] > 0).sum(axis=0)
        if not left.any():
            break
        label = int(np.argmin(np.where(left > 0, left, len(held) + 1)))
        waiting = [unit for unit in order if part_of[unit] < 0 and held[unit, label]]
        for number, unit in enumerate(waiting):
            lacking = empty[:, label] & (len(waiting) - number <= empty[:, label].sum())
            put(unit, lacking if lacking.any() else sizes > 0, lacks[:, label].copy())
    for unit in order[part_of[order] < 0]:
        put(unit, sizes > 0, lacks_all.copy())
    return part_of[units].astype(np.int64)


def count_rarer(labels: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return how many images of each unit have the rarer value of each label, int [units, k].

    Args:
        labels: As for `split_vectors`, as are `units`.
        units: See there.
    """
    positive, negative = labels == POSITIVE, labels == NEGATIVE
    common = positive.sum(axis=0) > negative.sum(axis=0)
    found = np.zeros((int(units.max(initial=-1)) + 1, labels.shape[1]), int)
    np.add.at(found, units, np.where(common, negative, positive))
    return found
