"""Train on a share of the training images: shares are nested, keep units whole, and hold each class in its proportion.

Learning curves that draw each size anew vary by the draw as well as by the size; nested ones compare like with like.
"""

from collections.abc import Sequence

import numpy as np

from tlmed.data.stratification import count_rarer
from tlmed.data.table import Table
from tlmed.data.units import join_units
from tlmed.errors import InputError
from tlmed.label_vectors import are_vectors
from tlmed.seeds import derive
from tlmed.split_names import UNUSED
from tlmed.words import count, join_names

_DIGITS = 4  # of a share that a message names


def leave_aside(
    table: Table, sha256: Sequence[str], splits: np.ndarray, share: float, seed: int, where: str = ""
) -> np.ndarray:
    """Return splits in which only a share of the training images is left in train; the others are unused.

    Args:
        table: Usable images only.
        sha256: The digest of every image's content.
        splits: The split of every image; those of val and test stay as they are.
        share: Above 0, up to 1.
        seed: Decides which images are taken.
        where: Words for the splits in a message, such as " in fold 2".

    Raises:
        InputError: A class, or a label, that training images have would have none.

    >>> from tlmed.data.table import Table
    >>> paths = tuple(f"{number}.png" for number in range(8))
    >>> table = Table("busi", paths, np.repeat([0, 1], [4, 4]), ("benign", "malignant"), None, None, open)
    >>> found = leave_aside(table, paths, np.full(8, "train"), 0.5, seed=0)
    >>> [(found[own] == "train").sum().item() for own in (slice(4), slice(4, 8))]
    [2, 2]
    """
    if share == 1:
        return splits
    rows = np.flatnonzero(splits == "train")
    units = np.unique(join_units(table.groups, sha256)[rows], return_inverse=True)[1]
    places = place_units(table.labels[rows], units, seed)[units]
    if faults := _find_lacking(table, rows, places, share, where):
        raise InputError(faults)
    found = splits.astype(object)  # "train" may be the longest name that `splits` has room for
    found[rows[places >= share]] = UNUSED
    return found.astype(str)


def place_units(labels: np.ndarray, units: np.ndarray, seed: int) -> np.ndarray:
    """Return from which share on each unit is taken: a share takes the units whose place is below it.

    Units are sorted into strata by the rarest class, or label, that they hold, as in iterative stratification, where
    the rarest comes first (Sechidis et al. 2011). In each stratum they stand in an order drawn from the seed, and each
    place is the middle of the unit's images in it. So a share takes from each stratum the number of images that is
    nearest to that share, and takes all that a smaller one does.

    Args:
        labels: The class of every image, int [n], or vectors of 1, 0 and -1 (not known), int [n, k].
        units: The unit of every image, numbered from 0, int [n].
        seed: Decides the order.

    Returns:
        float [units], above 0 and below 1.

    >>> place_units(np.zeros(4, int), np.arange(4), seed=0).tolist()
    [0.125, 0.375, 0.875, 0.625]
    """
    sizes = np.bincount(units)
    strata = _find_strata(labels, units)
    order = np.random.RandomState(derive(seed, "training share")).permutation(len(sizes))
    places = np.empty(len(sizes))
    for stratum in np.unique(strata):
        own = order[strata[order] == stratum]
        amounts = sizes[own]
        places[own] = (np.cumsum(amounts) - amounts / 2) / amounts.sum()
    return places


def _find_strata(labels, units) -> np.ndarray:
    """Return for each unit the rarest class or label that it holds, by the number of units; -1 for none."""
    if are_vectors(labels):
        held = count_rarer(labels, units) > 0
    else:
        held = np.zeros((units.max(initial=-1) + 1, labels.max(initial=-1) + 1), bool)
        held[units, labels] = True
    rarity = np.where(held, held.sum(axis=0), len(held) + 1)
    return np.where(held.any(axis=1), rarity.argmin(axis=1), -1)


def _find_lacking(table, rows, places, share, where) -> list[str]:
    """Return a line, if a class or label that training images have would have no image."""
    has = {name: table.has(number)[rows] for number, name in enumerate(table.classes)}
    firsts = {name: places[own].min() for name, own in has.items() if own.any()}
    lacking = [name for name, first in firsts.items() if first >= share]
    if not lacking:
        return []
    # The share itself does not take a unit whose place it is: the next larger number does.
    enough = (np.floor(max(firsts[name] for name in lacking) * 10**_DIGITS) + 1) / 10**_DIGITS
    kind = "label" if table.is_multi else "class"
    named = join_names(f"0 of {count(int(has[name].sum()), 'training image')} of {kind} {name!r}" for name in lacking)
    return [
        f"`data.train_share` must leave a training image of each {kind}: {enough:g} or more. "
        f"Received: data.train_share={share:g}, which leaves {named}{where}."
    ]
