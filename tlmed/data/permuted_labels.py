"""Labels that are dealt out anew between owners, as if nothing were tied to them."""

import numpy as np


def permute_rows(owners: np.ndarray, amount: int, random: np.random.RandomState) -> np.ndarray:
    """Return from which image each image takes its label, int32 [amount, n]; images of an owner take those of one.

    Many images of a patient are one draw: labels move between owners, in the order in which an owner has them, from a
    place that is drawn. An owner with more images than the other takes the labels again from their beginning, so that
    shares stay as they are. Where each owner has one image, these are plain permutations.

    Args:
        owners: int [n], from 0.
        amount: How many.
        random: Decides.

    >>> rows = permute_rows(np.array([0, 0, 1, 1, 1]), 50, np.random.RandomState(0))
    >>> bool(((rows[:, :2] < 2).all(axis=1) | (rows[:, :2] >= 2).all(axis=1)).all())
    True
    """
    n, sizes = len(owners), np.bincount(owners)
    if len(sizes) == n:
        # Owners may be numbered in any order; a permutation of images is the same.
        return np.argsort(random.rand(amount, n), axis=1).astype(np.int32)
    order = np.argsort(owners, kind="stable")
    starts = np.cumsum(sizes) - sizes
    sorted_owners = owners[order]
    rank = np.arange(n) - starts[sorted_owners]
    takes = np.argsort(random.rand(amount, len(sizes)), axis=1)
    begins = (random.rand(amount, len(sizes)) * sizes[takes]).astype(np.int64)
    source = takes[:, sorted_owners]
    place = (rank + begins[:, sorted_owners]) % sizes[source]
    rows = np.empty((amount, n), np.int32)
    rows[:, order] = order[starts[source] + place]
    return rows
