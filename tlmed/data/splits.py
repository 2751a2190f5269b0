"""Splits: groups and byte-identical files stay whole, classes are stratified, the seed alone decides."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tlmed.columns import is_missing, name_alike, name_spellings, spell, suggest_spelling
from tlmed.data.findings import AMOUNT, GROUP, IDENTICAL, KNOWN, NAMES, TWO_LABELS, Finding
from tlmed.data.learned import Learned, recognise_images
from tlmed.data.table import Table, describe_classes
from tlmed.errors import InputError
from tlmed.rundir import SPLITS
from tlmed.sections import KFold, find_faults
from tlmed.seeds import derive
from tlmed.words import count, join_names, listed

FEWER = "; fewer folds need fewer"


def assign_splits(
    table: Table, sha256: Sequence[str], scheme: Sequence[float] | KFold, seed: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the split of every image: the given one, or one of ours.

    Where the source gives splits they stay as they are; only `val`, where missing, is split off `train`.

    Args:
        table: Usable images only, in canonical order.
        sha256: The digest of every image's content.
        scheme: The parts of train, val and test, 0..1, which add up to 1; or one fold of a cross-validation.
        seed: The run's seed.

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
        return _made(table, units, dict(zip(SPLITS, scheme, strict=True)), seed), SPLITS
    given = np.array(table.splits)
    _check_given(table, given)
    if "val" in given:
        return given, ()
    rows = np.flatnonzero(given == "train")
    parts = {"train": scheme[0], "val": scheme[1]}
    given[rows] = _made(table.take(rows), units[rows], parts, seed)
    return given, ("val",)


def _assign_fold(table: Table, units: np.ndarray, scheme: KFold, seed: int) -> np.ndarray:
    """Return the splits of one fold; the first one, with which a cross-validation begins, looks at all of them.

    What is wrong with the last fold is so told before the first is trained, and not days later.
    """
    if faults := [*find_faults(scheme), *find_scheme_faults(table, scheme)]:
        raise InputError(faults)
    if scheme.fold is None:
        raise InputError(
            f"`fold` must be a number from 1 to {scheme.folds} where images are divided. Received: fold=None."
        )
    if faults := _find_fold_faults(table, units, scheme):
        raise InputError(faults)
    numbers = range(1, scheme.folds + 1) if scheme.fold == 1 else [scheme.fold]
    places = {number: replace(scheme, fold=number).place() for number in numbers}
    # The folds of a repeat are the parts of one division.
    parts = {
        repeat: _divide(table, units, scheme, repeat, seed) for repeat in {repeat for repeat, _ in places.values()}
    }
    found = {
        number: _hold_out(table, units, parts[repeat], scheme, (repeat, fold), seed)
        for number, (repeat, fold) in places.items()
    }
    _check_folds(table, units, found, scheme)
    return found[scheme.fold]


def find_scheme_faults(table: Table, scheme: Sequence[float] | KFold) -> list[str]:
    """Return what keeps images from being divided by a scheme, as far as it is seen without reading them.

    Byte-identical files join units, and files that cannot be read are left out: reading can only find more faults.
    """
    if not isinstance(scheme, KFold):
        return _find_fraction_faults(table, scheme)
    if table.splits is None:
        units = join_units(table.groups, table.paths)
        return _find_fold_faults(table, units, scheme)
    given = " and ".join(_in_order(np.array(table.splits)))
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


def _find_fold_faults(table: Table, units: np.ndarray, scheme: KFold) -> list[str]:
    """Return which classes have fewer units than folds; of two folds `_check_folds` says which one lacks a class."""
    where = "train, val and test of every fold"
    return _find_few(table, units, scheme.k, where, FEWER) if scheme.k > 2 else []


def _fewest_units(k: int) -> int:
    """Return how many units a class needs for k folds: of two folds each must leave two to the other."""
    return k if k > 2 else 4


def _find_few(table: Table, units: np.ndarray, needed: int, where: str, advice: str = "") -> list[str]:
    """Return a fault for each class with fewer units than it must have."""
    kind, faults = _name_units(table), []
    for label, name in enumerate(table.classes):
        rows = table.labels == label
        held = len(np.unique(units[rows]))
        if held < needed:
            faults.append(
                f"A class must have images in {where}: {needed} {kind} or more{advice}. "
                f"Received: class '{name}' with {count(int(rows.sum()), 'image')} in {held} of them."
            )
    return faults


def _name_units(table: Table) -> str:
    return "separate groups" if table.groups else "different images"


def _divide(table: Table, units: np.ndarray, scheme: KFold, repeat: int, seed: int) -> np.ndarray:
    """Return the part of the k of a repeat that each image is in, from 0."""
    named = derive(seed, "cross-validation", repeat)
    return split_units(table.labels, _renumber(units), [1 / scheme.k] * scheme.k, named, len(table.classes))


def _hold_out(table, units, parts, scheme: KFold, place: tuple[int, int], seed: int) -> np.ndarray:
    """Return the splits of one fold: its part of the images is test, a share of the others val."""
    repeat, fold = place
    classes, named = len(table.classes), (seed, "cross-validation", repeat)
    splits = np.where(parts == fold - 1, "test", "train").astype("<U5")
    rest = np.flatnonzero(parts != fold - 1)
    fractions = (1 - scheme.val, scheme.val)
    chosen = split_units(table.labels[rest], _renumber(units[rest]), fractions, derive(*named, fold, "val"), classes)
    splits[rest[chosen == 1]] = "val"
    return splits


def _renumber(units: np.ndarray) -> np.ndarray:
    """Number units from 0 without gaps, in the same order."""
    return np.unique(units, return_inverse=True)[1]


def _check_folds(table: Table, units: np.ndarray, found: dict[int, np.ndarray], scheme: KFold) -> None:
    """Refuse a class that train, val or test of some fold lacks."""
    faults, kind, needed = [], _name_units(table), _fewest_units(scheme.k)
    for label, name in enumerate(table.classes):
        rows = table.labels == label
        absent = [
            f"{split} of fold {number}"
            for number, splits in found.items()
            for split in SPLITS
            if split not in splits[rows]
        ]
        if absent:
            faults.append(
                f"A class must have images in train, val and test of every fold: {needed} {kind} or more"
                f"{FEWER}. Received: class '{name}' with {count(int(rows.sum()), 'image')} in "
                f"{len(np.unique(units[rows]))} of them, none for {listed(absent, 4)} of {scheme.folds}."
            )
    if faults:
        raise InputError(faults)


def join_units(groups: Sequence[str] | None, sha256: Sequence[str]) -> np.ndarray:
    """Number the units that must stay together: images joined by group or identical content, at any remove.

    Groups whose names differ only in spelling stay together too: they may be one patient's.

    Args:
        groups: The group of every image, or None.
        sha256: The digest of every image's content.

    Returns:
        int64, the unit of every image; units are numbered by their first image.

    >>> join_units(["a", "a", "b", "c"], ["1", "2", "2", "3"]).tolist()
    [0, 0, 0, 1]
    """
    parent = list(range(len(sha256)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for keys in (sha256, _spell_all(groups)):
        first: dict[str, int] = {}
        for node, key in enumerate(keys):
            one, other = root(first.setdefault(key, node)), root(node)
            parent[max(one, other)] = min(one, other)
    number: dict[int, int] = {}
    return np.array([number.setdefault(root(node), len(number)) for node in range(len(parent))], np.int64)


def _spell_all(groups: Sequence[str] | None) -> list[str]:
    """Return the groups, those that differ only in spelling by one name."""
    spelled = {name: spell(name) for name in set(groups or ())}
    return [spelled[name] for name in groups or ()]


def split_units(
    labels: np.ndarray, units: np.ndarray, fractions: Sequence[float], seed: int, classes: int
) -> np.ndarray:
    """Divide units so that every class comes near to its fractions.

    Units go one by one, larger ones first and otherwise in an order drawn from the seed, to the part that
    lacks most of their classes. As soon as a class has only as many units left as there are parts without it,
    they go there, so that no part lacks a class that has enough units. Single images end within 1 of the
    fractions of their class, except for a class of 3 images: 1, 1 and 1 of 0.70, 0.15 and 0.15.

    Args:
        labels: int, the class of every image.
        units: int, the unit of every image, numbered from 0.
        fractions: The parts' sizes; a part of size 0 gets nothing.
        seed: The run's seed.
        classes: The number of classes.

    Returns:
        int64, the part of every image.

    >>> split_units(np.zeros(4, int), np.arange(4), (0.5, 0.5), seed=0, classes=1).tolist()
    [0, 0, 1, 1]
    """
    holdings = _holdings(labels, units)
    order = np.random.RandomState(derive(seed, "split")).permutation(len(holdings)).tolist()
    order.sort(key=lambda unit: -sum(holdings[unit].values()))
    sizes = np.bincount(labels, minlength=classes).tolist()
    lacks = [[size * fraction for fraction in fractions] for size in sizes]
    lacks_all = [len(labels) * fraction for fraction in fractions]
    empty = [{part for part, fraction in enumerate(fractions) if fraction > 0} for _ in sizes]
    left = [0] * classes
    for held in holdings:
        for label in held:
            left[label] += 1
    part_of = [0] * len(holdings)
    for unit in order:
        held = holdings[unit]
        part = _choose(held, lacks, lacks_all, empty, left, sizes, fractions)
        part_of[unit] = part
        for label, images in held.items():
            lacks[label][part] -= images
            lacks_all[part] -= images
            empty[label].discard(part)
            left[label] -= 1
    return np.array(part_of, np.int64)[units]


def _holdings(labels: np.ndarray, units: np.ndarray) -> list[dict[int, int]]:
    """Return for every unit how many images of which class it holds."""
    holdings: list[dict[int, int]] = [{} for _ in range(int(units.max(initial=-1)) + 1)]
    for label, unit in zip(labels.tolist(), units.tolist(), strict=True):
        holdings[unit][label] = holdings[unit].get(label, 0) + 1
    return holdings


def _choose(held, lacks, lacks_all, empty, left, sizes, fractions) -> int:
    """Return the part for one unit.

    The gain is how much the squared distance from the targets shrinks, each class counted by its size (the
    term that does not depend on the part is left out). Ties go to the part that lacks most images in all.
    """
    urgent = [label for label in held if empty[label] and left[label] <= len(empty[label])]
    allowed = set().union(*(empty[label] for label in urgent)) if urgent else range(len(fractions))
    return max(
        (part for part in allowed if fractions[part] > 0),
        key=lambda part: (
            sum(part in empty[label] for label in urgent),
            sum(images * lacks[label][part] / sizes[label] for label, images in held.items()),
            lacks_all[part],
            -part,
        ),
    )


def _made(table: Table, units: np.ndarray, parts: dict[str, float], seed: int) -> np.ndarray:
    """Split the table's rows into named parts and refuse a class that some part lacks."""
    total = sum(parts.values())
    fractions = [fraction / total for fraction in parts.values()]
    units = _renumber(units)
    chosen = split_units(table.labels, units, fractions, seed, len(table.classes))
    splits = np.array(list(parts))[chosen]
    _check_made(table, units, splits, [name for name, fraction in parts.items() if fraction > 0])
    return splits


def _check_made(table: Table, units: np.ndarray, splits: np.ndarray, needed: list[str]) -> None:
    faults = []
    for label, name in enumerate(table.classes):
        rows = table.labels == label
        absent = [split for split in needed if split not in splits[rows]]
        if absent:
            kind = _name_units(table)
            faults.append(
                f"A class must have images in each of {', '.join(needed)}: {len(needed)} {kind} or more. "
                f"Received: class '{name}' with {count(int(rows.sum()), 'image')} in "
                f"{len(np.unique(units[rows]))} of them, none for {' and '.join(absent)}."
            )
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
    """Return what `splits.csv` says of every image: the columns `tlmed.rundir.IMAGES`."""
    groups = table.groups or [""] * len(table)
    names = (table.classes[label] for label in table.labels)
    return list(zip(table.paths, names, groups, map(str, splits), sha256, strict=True))


def find_leaks(
    table: Table, sha256: Sequence[str], splits: np.ndarray, elsewhere: Mapping[str, Learned] | None = None
) -> tuple[Finding, ...]:
    """Name what would flatter or confuse: content or groups in several splits, content under several labels.

    Test images that the weights know, from runs before, are named too, and those of groups that only have the same
    names as what those runs know.

    Args:
        table: Usable images only.
        sha256: The digest of every image's content.
        splits: The split of every image.
        elsewhere: What each of the runs learned from that gave the weights, by its directory.

    Returns:
        A finding for every set of identical images and every group concerned, kind by kind, and before them one that
        says how many test images that is.
    """
    elsewhere = elsewhere or {}
    amount = _count_leaked(table, find_leaked(sha256, table.groups, splits, elsewhere), splits, elsewhere)
    labels, copies = _find_copies(table, sha256, splits)
    texts = {
        AMOUNT: amount,
        KNOWN: _find_known(table, sha256, splits, elsewhere),
        NAMES: _find_same_names(table, sha256, splits, elsewhere),
        TWO_LABELS: labels,
        IDENTICAL: copies,
        GROUP: _group_leaks(table, splits),
    }
    return tuple(Finding(kind, text) for kind, found in texts.items() for text in found)


def _find_known(table, sha256, splits, elsewhere) -> list[str]:
    leaks = []
    for run, known in elsewhere.items():
        rows = np.flatnonzero((splits == "test") & recognise_images([known], sha256, table.groups))
        if len(rows):
            is_many = count(len(rows), "test image") + (" is" if len(rows) == 1 else " are")
            names = listed((f"'{table.paths[row]}'" for row in rows), 3)
            leaks.append(
                f"{is_many} among those on which {run}, where the weights come from, was trained or validated, or of "
                f"their groups: {names}."
            )
    return leaks


def _find_same_names(table, sha256, splits, elsewhere) -> list[str]:
    return [
        say_same_names(table.groups, chosen, int((splits == "test").sum()), f"{run}, where the weights come from,")
        for run, known in elsewhere.items()
        if (chosen := (splits == "test") & known.find_same_names(sha256, table.groups)).any()
    ]


def say_same_names(groups: Sequence[str], chosen: np.ndarray, tested: int, run: str) -> str:
    """Return a sentence on images of groups that a run knows by name, where nothing shows that they are the same.

    Args:
        groups: The group of every image.
        chosen: Which images these are, bool [n], at least one.
        tested: How many images are tested.
        run: Words for the run.
    """
    names = sorted({groups[row] for row in np.flatnonzero(chosen)})
    return (
        f"{chosen.sum():,} of {count(tested, 'test image')} {'belongs' if chosen.sum() == 1 else 'belong'} to groups "
        f"that have the names of groups on which {run} was trained or validated ({listed(names, 3)}): if they are the "
        "same patients, their scores are too good."
    )


def _find_copies(table, sha256, splits) -> tuple[list[str], list[str]]:
    """Return sentences on identical images under several labels, and on those in several splits."""
    labelled, apart = [], []
    same = "Byte-identical files" if table.unit == "byte" else "Images of equal pixels"
    for rows in _repeated(sha256):
        names = listed(f"'{table.paths[row]}'" for row in rows)
        labels = sorted({table.classes[table.labels[row]] for row in rows})
        if len(labels) > 1:
            labelled.append(f"{same} stand under the labels {listed(labels)}: {names}.")
        where = _in_order(splits[rows])
        if len(where) > 1:
            apart.append(f"{same} are in {' and '.join(where)}: {names}.")
    return labelled, apart


def find_leaked(
    sha256: Sequence[str],
    groups: Sequence[str] | None,
    splits: np.ndarray,
    elsewhere: Mapping[str, Learned] | None = None,
) -> np.ndarray:
    """Tell which test images are no news to a network: an identical one, or its group, is in train or val too.

    So is a group whose name differs only in spelling, and what the runs that gave the weights were trained or
    validated on.

    Args:
        sha256: The digest of every image's content.
        groups: The group of every image, "" for none; None where there are no groups.
        splits: The split of every image.
        elsewhere: As for `find_leaks`.

    Returns:
        bool [n].

    >>> find_leaked(["a", "a", "b", "c"], ["p", "q", "r", "r"], np.array(["train", "test", "test", "val"])).tolist()
    [False, True, True, False]
    """
    test, leaked = splits == "test", np.zeros(len(splits), bool)
    for keys in (sha256, _spell_all(groups)):
        known = {key for key, tested in zip(keys, test, strict=False) if key and not tested}
        leaked |= test & np.array([key in known for key in keys] or False)
    return leaked | test & recognise_images((elsewhere or {}).values(), sha256, groups)


def _count_leaked(table, leaked, splits, elsewhere) -> list[str]:
    if not leaked.any():
        return []
    amount, tested = int(leaked.sum()), int((splits == "test").sum())
    which = f"{amount:,} of {count(tested, 'test image')} ({amount / tested:.0%}) {'is' if amount == 1 else 'are'}"
    weights = ", or known to a run from which the weights come" if elsewhere else ""
    unit, groups = table.unit, set(table.groups or ())
    spelled = ", in some spelling" if len(set(map(spell, groups))) < len(groups) else ""
    return [
        f"{which} in train or val too, {unit} for {unit}, or of a group that is there{spelled}{weights}: their scores "
        "may be too good, and all are also given without them."
    ]


def _group_leaks(table: Table, splits: np.ndarray) -> list[str]:
    leaks = []
    for rows in _repeated(_spell_all(table.groups)):
        where = _in_order(splits[rows])
        if len(where) > 1:
            names = listed((f"'{table.paths[row]}'" for row in rows), 4)
            owners = {table.groups[row] for row in rows}
            who = f"The group '{owners.pop()}' is" if len(owners) == 1 else f"The groups {name_alike(owners)} are"
            leaks.append(f"{who} in {' and '.join(where)}: {names}.")
    return leaks


def _repeated(keys: Sequence[str]) -> list[list[int]]:
    """Return the rows of every key that occurs more than once."""
    rows = defaultdict(list)
    for row, key in enumerate(keys):
        rows[key].append(row)
    return [same for same in rows.values() if len(same) > 1]


def _in_order(splits: np.ndarray) -> list[str]:
    present = set(splits.tolist())
    return [split for split in SPLITS if split in present]


def describe(table: Table, sha256: Sequence[str], splits: np.ndarray, made: Collection[str]) -> tuple[str, ...]:
    """Return what a user should know of the splits besides leaks.

    Args:
        table: Usable images only.
        sha256: The digest of every image's content.
        splits: The split of every image.
        made: Which of them were decided by us.

    Returns:
        Sentences to print.
    """
    sentences = [*describe_classes(len(table.classes), len(table)), *name_spellings(table.classes, "classes")]
    if spaced := [name for name in table.classes if name != name.strip()]:
        sentences.append(f"Names of classes begin or end with a space: {listed(map(repr, spaced), 3)}.")
    if unsure := [name for name in table.classes if is_missing(name) and name.strip().casefold() not in ("none", "-")]:
        sentences.append(
            f"A label that may stand for none counts as a class: {join_names(map(repr, unsure))}. If it does, remove "
            "its images."
        )
    if made and table.splits is not None:
        sentences.append(f"The data gives no val: {count(int((splits == 'val').sum()), 'image')} of train became val.")
    copies = sum(len(rows) - 1 for rows in _repeated(sha256))
    if copies:
        apart = not made or any(
            len(set(splits[rows].tolist())) > 1 for rows in _repeated(sha256)
        )  # as given splits may put them
        sentences.append(
            f"{count(copies, 'image')} of the data {'repeats' if copies == 1 else 'repeat'} another one "
            f"{table.unit} for {table.unit}{'.' if apart else '; such images share a split.'} Each counts as an image "
            "by itself: many of them make intervals too narrow."
        )
    for split in _in_order(splits):
        present = set(table.labels[splits == split].tolist())
        absent = [name for label, name in enumerate(table.classes) if label not in present]
        if absent:
            sentences.append(
                f"The given split '{split}' has no image of {listed(absent)}; what needs one is not measured."
            )
    return tuple(sentences)
