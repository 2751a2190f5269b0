"""Splits: groups and byte-identical files stay whole, classes are stratified, the seed alone decides."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from tlmed.columns import suggest_spelling
from tlmed.data.stratification import split_vectors
from tlmed.data.table import Table
from tlmed.data.training_share import leave_aside
from tlmed.data.units import join_units, list_present, split_units
from tlmed.divisions import find_split_faults
from tlmed.errors import InputError
from tlmed.label_vectors import are_vectors
from tlmed.sections import KFold, find_faults
from tlmed.seeds import derive
from tlmed.split_names import SPLITS, name_split
from tlmed.words import count, join_names, listed

FEWER = "; fewer folds need fewer"


def assign_splits(
    table: Table, sha256: Sequence[str], scheme: Sequence[float] | KFold, seed: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the split of every image: the given one, or one of ours.

    Splits that the source gives stay as they are; only a missing `val` is split off `train`.

    Args:
        table: Usable images only, in canonical order.
        sha256: The digest of every image's content.
        scheme: The parts of train, val and test, 0..1, which add up to 1; or one fold of a cross-validation.
        seed: Decides the splits.

    Returns:
        An array of "train", "val" and "test"; and which of them were decided here: all, none, or "val" alone, which
        was split off a given `train`.

    Raises:
        InputError: A class has too few images, the given splits cannot be used, or cross-validation is asked for where
            splits are given.
    """
    units = join_units(table.groups, sha256)
    if isinstance(scheme, KFold):
        return _assign_fold(table, units, scheme, seed), SPLITS
    if table.splits is None:
        return make_parts(table, units, dict(zip(SPLITS, scheme, strict=True)), seed), SPLITS
    given = np.array(table.splits)
    _check_given(table, given)
    if "val" in given:
        return given, ()
    rows = np.flatnonzero(given == "train")
    parts = {"train": scheme[0], "val": scheme[1]}
    given[rows] = make_parts(table.take(rows), units[rows], parts, seed)
    return given, ("val",)


def _assign_fold(table: Table, units: np.ndarray, scheme: KFold, seed: int) -> np.ndarray:
    """Return the splits of one fold."""
    if faults := [*find_faults(scheme), *find_scheme_faults(table, scheme)]:
        raise InputError(faults)
    if scheme.fold is None:
        raise InputError(
            f"`fold` must be a number from 1 to {scheme.folds} where images are divided. Received: fold=None."
        )
    return make_fold(table, units, scheme, seed)


def make_fold(table: Table, units: np.ndarray, scheme: KFold, seed: int) -> np.ndarray:
    """Return the splits of one fold, whatever splits the table gives.

    A cross-validation begins with fold 1, for which all folds are checked: a fault of the last fold is then reported
    before the first fold is trained, and not days later.

    Args:
        table: Usable images only.
        units: What stays together, int [n].
        scheme: The cross-validation, with the number of a fold.
        seed: Decides the splits.

    Raises:
        InputError: A class has too few units.
    """
    if faults := find_fold_faults(table, units, scheme):
        raise InputError(faults)
    found = _divide_folds(table, units, scheme, range(1, scheme.folds + 1) if scheme.fold == 1 else [scheme.fold], seed)
    _check_folds(table, units, found, scheme)
    return found[scheme.fold]


def _divide_folds(table, units, scheme: KFold, numbers: Collection[int], seed: int) -> dict[int, np.ndarray]:
    """Return the splits of some folds, by their numbers from 1."""
    places = {number: replace(scheme, fold=number).place() for number in numbers}
    # The folds of a repeat are the parts of one division.
    parts = {
        repeat: _divide(table, units, scheme, repeat, seed) for repeat in {repeat for repeat, _ in places.values()}
    }
    return {
        number: _hold_out(table, units, parts[repeat], scheme, (repeat, fold), seed)
        for number, (repeat, fold) in places.items()
    }


def count_folds(
    table: Table, sha256: Sequence[str], scheme: KFold, seed: int, share: float = 1.0
) -> dict[str, list[int]]:
    """Return how many images of train, val and test each fold of a cross-validation has, in the order of the folds.

    Groups and identical files stay together, so folds differ in size; a large group makes its fold large.

    Args:
        table: Usable images only, in canonical order.
        sha256: The digest of every image's content.
        scheme: The cross-validation; its `fold` has no influence.
        seed: Decides the splits.
        share: The share of the training images of each fold that is trained on.

    Raises:
        InputError: The share leaves no training image of a class in some fold.

    >>> from tlmed.data.table import Table
    >>> paths = tuple(f"{number}.png" for number in range(8))
    >>> table = Table("busi", paths, np.zeros(8, int), ("benign",), ("Ann",) * 4 + tuple("bcde"), None, open)
    >>> count_folds(table, paths, KFold(k=2, val=0.25), seed=0)["test"]
    [4, 4]
    """
    found = _divide_folds(table, join_units(table.groups, sha256), scheme, range(1, scheme.folds + 1), seed)
    for number, splits in found.items():
        found[number] = leave_aside(table, sha256, splits, share, seed, f" in fold {number} of {scheme.folds}")
    return {split: [int((splits == split).sum()) for splits in found.values()] for split in SPLITS}


def find_scheme_faults(table: Table, scheme: Sequence[float] | KFold) -> list[str]:
    """Return why images cannot be divided by a scheme, as far as this is known without reading them.

    Byte-identical files join units, and files that cannot be read are left out: reading can only find more faults.
    """
    if table.splits is None:
        ready = next((name for name, texts in table.traits.items() if all(map(name_split, texts))), None)
        cure = f"; `data.split_column={ready!r}` takes it as it is" if ready is not None else ""
        unused = find_split_faults(table.traits, f"data={table.source}", f"tlmed shall divide the images{cure}")
        if unused:
            return unused
    if not isinstance(scheme, KFold):
        return _find_fraction_faults(table, scheme)
    if table.splits is None:
        units = join_units(table.groups, table.paths)
        return find_fold_faults(table, units, scheme)
    given = " and ".join(list_present(np.array(table.splits)))
    return [
        "Cross-validation must divide the images itself: give them without splits of their own (a folder of class "
        "folders, a CSV without the column `split`), or give `data.split` three fractions, with which given splits "
        f"stay as they are. Received: data={table.source}, which gives {given}, with data.split={scheme!r}."
    ]


def _find_fraction_faults(table: Table, scheme: Sequence[float]) -> list[str]:
    """Return which classes have too few units for the parts that they are divided into."""
    parts = dict(zip(SPLITS, scheme, strict=True))
    if table.splits is not None:
        given = np.array(table.splits)
        if faults := _find_given_faults(table, given):
            return faults
        if "val" in given:
            return []
        table, parts = table.take(np.flatnonzero(given == "train")), {"train": scheme[0], "val": scheme[1]}
    needed = [split for split, fraction in parts.items() if fraction > 0]
    return _find_few(table, join_units(table.groups, table.paths), len(needed), f"each of {', '.join(needed)}")


def find_fold_faults(table: Table, units: np.ndarray, scheme: KFold) -> list[str]:
    """Return which classes have fewer units than folds; for two folds `_check_folds` says which one lacks a class.

    A label may be rare, but there must be images for train, val and test of every fold.
    """
    where, needed = "train, val and test of every fold", _fewest_units(scheme.k)
    if table.is_multi:
        if (found := len(np.unique(units))) >= needed:
            return []
        rule = f"There must be images for {where}: {needed} {_name_units(table)} or more{FEWER}."
        return [f"{rule} Received: {count(len(table), 'image')} in {found} of them."]
    return _find_few(table, units, scheme.k, where, FEWER) if scheme.k > 2 else []


def _fewest_units(k: int) -> int:
    """Return how many units a class needs for k folds; of two, each must hold one for train and one for val."""
    return k if k > 2 else 4


def _find_few(table: Table, units: np.ndarray, needed: int, where: str, advice: str = "") -> list[str]:
    """Return a fault for each class with fewer units than it must have; a label may be rare."""
    if table.is_multi:
        return []
    kind, faults = _name_units(table), []
    for label in range(len(table.classes)):
        if len(np.unique(units[table.labels == label])) < needed:
            rule = f"A class must have images in {where}: {needed} {kind} or more{advice}."
            faults.append(f"{_tell_few(table, units, label, rule)}.")
    return faults


def _tell_few(table: Table, units: np.ndarray, label: int, rule: str) -> str:
    """Return a rule, and what a class has; it may have little because another spelling of its name has the rest."""
    name, rows = table.classes[label], table.labels == label
    return (
        f"{rule}{suggest_spelling(name, table.classes)} Received: class '{name}' with "
        f"{count(int(rows.sum()), 'image')} in {len(np.unique(units[rows]))} of them"
    )


def _name_units(table: Table) -> str:
    return "separate groups" if table.groups else "different images"


def _divide(table: Table, units: np.ndarray, scheme: KFold, repeat: int, seed: int) -> np.ndarray:
    """Return which of the k parts of a repeat each image is in, counted from 0."""
    named = derive(seed, "cross-validation", repeat)
    return _split(table.labels, units, [1 / scheme.k] * scheme.k, named, len(table.classes))


def _split(labels: np.ndarray, units: np.ndarray, fractions: Sequence[float], seed: int, classes: int) -> np.ndarray:
    """Return the part of each image: each class, or each label, comes near to its fractions."""
    units = _renumber(units)
    if are_vectors(labels):
        return split_vectors(labels, units, fractions, seed)
    return split_units(labels, units, fractions, seed, classes)


def _hold_out(table, units, parts, scheme: KFold, place: tuple[int, int], seed: int) -> np.ndarray:
    """Return the splits of one fold: its part of the images is test, a share of the others val."""
    repeat, fold = place
    # Of type <U5: "val" is assigned below, and "train" must not be cut short.
    splits = np.where(parts == fold - 1, "test", "train").astype("<U5")
    rest = np.flatnonzero(parts != fold - 1)
    named = derive(seed, "cross-validation", repeat, fold, "val")
    fractions = (1 - scheme.val, scheme.val)
    chosen = _split(table.labels[rest], units[rest], fractions, named, len(table.classes))
    splits[rest[chosen == 1]] = "val"
    return splits


def _renumber(units: np.ndarray) -> np.ndarray:
    """Number units from 0 without gaps, in the same order."""
    return np.unique(units, return_inverse=True)[1]


def _check_folds(table: Table, units: np.ndarray, found: dict[int, np.ndarray], scheme: KFold) -> None:
    """Refuse a class that train, val or test of some fold lacks, and a fold that lacks images for one of them."""
    if table.is_multi:  # a label that a split lacks is only not measured there
        for splits in found.values():
            _check_filled(table, units, splits, SPLITS)
        return
    kind, needed, faults = _name_units(table), _fewest_units(scheme.k), []
    rule = f"A class must have images in train, val and test of every fold: {needed} {kind} or more{FEWER}."
    for label in range(len(table.classes)):
        rows = table.labels == label
        absent = [
            f"{split} of fold {number}"
            for number, splits in found.items()
            for split in SPLITS
            if split not in splits[rows]
        ]
        if absent:
            said = _tell_few(table, units, label, rule)
            faults.append(f"{said}, none for {listed(absent, 4)} of {scheme.folds}.")
    if faults:
        raise InputError(faults)


def make_parts(table: Table, units: np.ndarray, parts: dict[str, float], seed: int) -> np.ndarray:
    """Split the table's rows into named parts, by their fractions; refuse a class that some part lacks."""
    total = sum(parts.values())
    fractions = [fraction / total for fraction in parts.values()]
    splits = np.array(list(parts))[_split(table.labels, units, fractions, seed, len(table.classes))]
    needed = [name for name, fraction in parts.items() if fraction > 0]
    (_check_filled if table.is_multi else _check_made)(table, units, splits, needed)
    return splits


def _check_filled(table: Table, units: np.ndarray, splits: np.ndarray, needed: Sequence[str]) -> None:
    """Refuse a split without images; a label that it lacks is only not measured there."""
    if absent := [split for split in needed if split not in splits]:
        kind, found = _name_units(table), len(np.unique(units))
        cure = f"{len(needed)} {kind} or more" if found < len(needed) else f"more {kind}, or larger shares of them"
        raise InputError(
            f"Each of {', '.join(needed)} must have images: {cure}. "
            f"Received: {count(len(table), 'image')} in {found} of them, none for {join_names(absent)}."
        )


def _check_made(table: Table, units: np.ndarray, splits: np.ndarray, needed: list[str]) -> None:
    kind, faults = f"{len(needed)} {_name_units(table)}", []
    rule = f"A class must have images in each of {', '.join(needed)}: {kind} or more."
    for label in range(len(table.classes)):
        absent = [split for split in needed if split not in splits[table.labels == label]]
        if absent:
            faults.append(f"{_tell_few(table, units, label, rule)}, none for {' and '.join(absent)}.")
    if faults:
        raise InputError(faults)


def _check_given(table: Table, given: np.ndarray) -> None:
    """Refuse given splits that cannot be used."""
    if faults := _find_given_faults(table, given):
        raise InputError(faults)


def _find_given_faults(table: Table, given: np.ndarray) -> list[str]:
    """Return where train lacks a class, or train or test has no images."""
    faults = [
        f"The given split '{split}' must hold images. Received: data={table.source} with none."
        for split in ("train", "test")
        if split not in given
    ]
    if table.is_multi:
        return faults
    known = set(table.labels[given == "train"].tolist())
    for label, name in enumerate(table.classes):
        if known and label not in known:
            where = sorted(set(given[table.labels == label].tolist()))
            trained = [table.classes[number] for number in known]
            faults.append(
                f"Every class of val and test must occur in train.{suggest_spelling(name, trained)} "
                f"Received: class '{name}' in "
                f"{' and '.join(where) or 'no split'} only."
            )
    return faults


def list_rows(table: Table, splits: np.ndarray, sha256: Sequence[str]) -> list[tuple[str, ...]]:
    """Return what `splits.csv` says of every image: the columns of `tlmed.run_files.SPLITS_CSV`."""
    groups = table.groups or [""] * len(table)
    return list(zip(table.paths, table.texts, groups, map(str, splits), sha256, strict=True))
