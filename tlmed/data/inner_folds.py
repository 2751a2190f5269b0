"""Inner folds: cross-validation among the development images, while the test images are put aside."""

from collections.abc import Sequence

import numpy as np

from tlmed.data.splits import count_folds, find_fold_faults, make_fold
from tlmed.data.table import Table
from tlmed.data.units import join_units
from tlmed.errors import InputError
from tlmed.sections import KFold
from tlmed.seeds import derive
from tlmed.split_names import INNER, SPLITS, UNUSED

_TEST = "test"
_AMONG = "Among the images that `data.inner` divides, which are all but the test images:"


def divide_inner(table: Table, sha256: Sequence[str], splits: np.ndarray, scheme: KFold, seed: int) -> np.ndarray:
    """Return splits in which test images are unused, and one fold of the others takes the place of the test split.

    Only the others decide: which of them stay together, and where each goes, does not depend on the test images.

    Args:
        table: Usable images only.
        sha256: The digest of every image's content.
        splits: "train", "val" or "test" for every image; train and val together are divided anew.
        scheme: The cross-validation among them, with the number of a fold.
        seed: Decides the folds. Groups and byte-identical files stay whole, and classes are stratified.

    Raises:
        InputError: No fold is named, or a class has too few images for the folds.

    >>> from tlmed.data.table import Table
    >>> paths = tuple(f"{number}.png" for number in range(8))
    >>> table = Table("busi", paths, np.zeros(8, int), ("benign",), None, None, open)
    >>> splits = np.array(["test", "train", "val", "train"] * 2)
    >>> divide_inner(table, paths, splits, KFold(3, fold=2), seed=0).tolist()
    ['unused', 'train', 'test', 'test', 'unused', 'train', 'val', 'train']
    """
    if faults := _find_unnamed(scheme):
        raise InputError(faults)
    rows = np.flatnonzero(splits != _TEST)
    chosen, digests = _take(table, sha256, rows)
    found = np.full(len(table), UNUSED, dtype=object)
    try:
        found[rows] = make_fold(chosen, join_units(chosen.groups, digests), scheme, _derive(seed))
    except InputError as error:
        raise InputError(_say_among(error.faults)) from error
    return found.astype(str)


def name_made(table: Table) -> tuple[str, ...]:
    """Return who made the splits of an inner fold, as `ImageSet.split_made` says it."""
    return SPLITS if table.splits is None else (*SPLITS, INNER)


def check_share(
    table: Table, sha256: Sequence[str], splits: np.ndarray, scheme: KFold, seed: int, share: float
) -> None:
    """Refuse a share of the training images that leaves none of a class in some fold, as before the first fold.

    Args:
        table: As for `divide_inner`, as are the others.
        sha256: Likewise.
        splits: What `divide_inner` returned.
        scheme: Likewise.
        seed: Likewise.
        share: Above 0, up to 1.

    Raises:
        InputError: With the fold.
    """
    count_folds(*_take(table, sha256, np.flatnonzero(splits != UNUSED)), scheme, _derive(seed), share)


def find_inner_faults(table: Table, scheme: KFold | None) -> list[str]:
    """Return why images cannot be divided by an inner fold, as far as this is known without reading them.

    Which images are test images is known only where the source says so; reading can only find more faults.
    """
    if scheme is None or table.splits is None or scheme.fold is None:
        return [] if scheme is None else _find_unnamed(scheme)
    chosen = table.take(np.flatnonzero(np.array(table.splits) != _TEST))
    return _say_among(find_fold_faults(chosen, join_units(chosen.groups, chosen.paths), scheme))


def _find_unnamed(scheme) -> list[str]:
    if scheme.fold is not None:
        return []
    return [
        f"`data.inner.fold` must be a number from 1 to {scheme.folds} where images are divided: a run is of one inner "
        "fold. Received: data.inner.fold=None."
    ]


def _say_among(faults) -> list[str]:
    return [f"{_AMONG} {fault[0].lower()}{fault[1:]}" for fault in faults]


def _take(table, sha256, rows) -> tuple[Table, list[str]]:
    return table.take(rows.tolist()), [sha256[row] for row in rows]


def _derive(seed) -> int:
    return derive(seed, "inner folds")
