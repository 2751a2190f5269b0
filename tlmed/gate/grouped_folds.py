"""Folds for checks of the gate: images of one patient, and copies of one image, stay together."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tlmed.gate.evidence import Evidence


def find_owners(evidence: Evidence) -> np.ndarray:
    """Return whom each image belongs to, int [n], from 0: images of one group, one file content or equal pixels share.

    Those nearly of one gray level, such as black planes of volumes, have equal pixels by chance, which join nobody; nor
    do equal files of exactly one, which many patients may have.

    Args:
        evidence: Of n images.
    """
    blank = evidence.frames["deviation"] == 0
    contents = ((evidence.sha256, blank), (evidence.digests, evidence.flat))
    parts = [_tell_apart(names, alone.tolist()) for names, alone in contents if names is not None]
    return join_owners([_number(part) for part in (evidence.table.groups, *parts) if part is not None])


def _tell_apart(names: Sequence[str | bytes], alone: Sequence[bool]) -> list[str | bytes | int]:
    """Return names, and for each row that stands alone its number."""
    return [row if is_alone else name for row, (name, is_alone) in enumerate(zip(names, alone, strict=True))]


def _number(names: Sequence[str | bytes | int]) -> np.ndarray:
    """Return a number for each name, from 0; digests of pixels are bytes, which NumPy would read as text."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64)


def join_owners(parts: list[np.ndarray]) -> np.ndarray:
    """Return one owner for images that share a number in any of several divisions, directly or through others.

    Args:
        parts: int [n] each, from 0.

    >>> join_owners([np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])]).tolist()
    [0, 0, 0, 1]
    """
    n = len(parts[0])
    starts = np.cumsum([n, *(part.max(initial=-1) + 1 for part in parts)])
    images = np.tile(np.arange(n), len(parts))
    nodes = np.concatenate([part + start for part, start in zip(parts, starts, strict=False)])
    links = coo_array((np.ones(len(nodes), bool), (images, nodes)), shape=(starts[-1], starts[-1]))
    found = connected_components(links, directed=False)[1][:n]
    return np.unique(found, return_inverse=True)[1]


def deal_folds(labels: np.ndarray, owners: np.ndarray, folds: int, random: np.random.RandomState) -> np.ndarray:
    """Return the fold of each image, int [n]: owners stay whole, and folds have about as many images of each class.

    Owners of a class (their most frequent one) are dealt out like cards, the largest first, forth and back.

    Args:
        labels: int [n], from 0.
        owners: int [n], from 0.
        folds: How many.
        random: Decides the order of owners of the same size.

    >>> labels, owners = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 3, 4])
    >>> folds = deal_folds(labels, owners, 2, np.random.RandomState(0))
    >>> bool(folds[0] == folds[1]), np.bincount(folds[labels == 1]).tolist()
    (True, [1, 1])
    """
    counts = np.zeros((owners.max() + 1, labels.max() + 1), np.int64)
    np.add.at(counts, (owners, labels), 1)
    kinds, sizes = counts.argmax(1), counts.sum(1)
    order = np.lexsort((random.rand(len(sizes)), -sizes, kinds))
    first = np.searchsorted(kinds[order], np.arange(counts.shape[1]))
    # Each class begins at a fold of its own, so that no fold gets the odd owner of every class.
    place = np.arange(len(order)) - first[kinds[order]] + random.randint(folds, size=counts.shape[1])[kinds[order]]
    there, back = np.divmod(place, folds)
    dealt = np.empty(len(order), np.int64)
    dealt[order] = np.where(there % 2, folds - 1 - back, back)
    return dealt[owners]
