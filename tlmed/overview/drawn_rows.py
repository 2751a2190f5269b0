"""Which images a page shows and measures: drawn by the seed, so that the same page is made each time."""

from collections.abc import Sequence

import numpy as np

from tlmed.data import ImageSet
from tlmed.overview.label_counts import find_members
from tlmed.part_names import split_part
from tlmed.seeds import derive

EACH = 4  # images of a class that are shown
MOST_SHOWN = 80  # images that are shown in all: a page stays below 5 MB
MOST_MEASURED = 10_000  # images whose sizes and intensities are measured: each is decoded once more


def draw_examples(images: ImageSet, seed: int) -> dict[str, np.ndarray]:
    """Return the rows of the images that are shown, by class; without the classes that the page has no room for.

    Training images are drawn, and images of a class that has none there. As far as possible they are of different
    groups, or files.

    Args:
        images: The images, in their splits.
        seed: The run's seed.
    """
    table = images.table
    members = find_members(table.labels, table.classes)
    each = max(1, min(EACH, MOST_SHOWN // len(members)))
    chosen = {}
    for name in list(members)[:MOST_SHOWN]:
        rows = np.flatnonzero(members[name])
        training = rows[images.splits[rows] == "train"]
        order = np.random.RandomState(derive(seed, "overview", name)).permutation(training if len(training) else rows)
        chosen[name] = np.sort(_put_new_owners_first(order, table.groups or table.paths)[:each])
    return chosen


def _put_new_owners_first(rows: np.ndarray, owners: Sequence[str]) -> np.ndarray:
    """Return rows in another order: first one of each group or file, then the others."""
    firsts = {}
    for row in rows.tolist():
        firsts.setdefault(split_part(owners[row])[0], row)
    new = np.isin(rows, list(firsts.values()))
    return np.concatenate([rows[new], rows[~new]])


def draw_measured(images: int, seed: int) -> np.ndarray:
    """Return the rows of the images that are measured, ascending: all, or as many as `MOST_MEASURED`.

    >>> len(draw_measured(20, seed=0)), len(draw_measured(20_000, seed=0))
    (20, 10000)
    """
    if images <= MOST_MEASURED:
        return np.arange(images)
    chosen = np.random.RandomState(derive(seed, "overview")).choice(images, MOST_MEASURED, replace=False)
    return np.sort(chosen)
