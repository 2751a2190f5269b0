"""Leaks: test images that training has seen, whole or by their patient, and images that contradict each other."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tlmed.columns import name_alike, spell
from tlmed.data.learned import Learned, recognise_images
from tlmed.data.table import Table
from tlmed.data.units import find_repeated, list_present, spell_all
from tlmed.findings import AMOUNT, CHOOSING, GROUP, IDENTICAL, KNOWN, NAMES, TWO_LABELS, WARNING, Finding
from tlmed.label_texts import NEGATIVE, POSITIVE
from tlmed.pseudonyms import names_owner
from tlmed.split_names import LEARNED
from tlmed.words import NAMED, count, listed, percent, quote_commas


def find_leaks(
    table: Table,
    sha256: Sequence[str],
    splits: np.ndarray,
    elsewhere: Mapping[str, Learned] | None = None,
    certain: bool = True,
) -> tuple[Finding, ...]:
    """Find images that make scores too good or labels contradictory.

    These are identical images or groups in several splits, and identical images under several labels. Test images that
    earlier runs, from which the weights come, have seen are named too, and images of groups that only share a name with
    a group of those runs, and validation images on which those runs were trained.

    Args:
        table: Usable images only.
        sha256: The digest of every image's content.
        splits: The split of every image.
        elsewhere: What each of the runs learned from that gave the weights, by its directory.
        certain: Whether these are all that gave weights, and it is known which images they know.

    Returns:
        A finding for every set of identical images and every group concerned, kind by kind, and before them one that
        says how many test images that is.
    """
    elsewhere = elsewhere or {}
    leaked = find_leaked(sha256, table.own_groups, splits, elsewhere)
    undecided = find_undecided(table, sha256, elsewhere, certain) & (splits == "test")
    labels, copies = _find_copies(table, sha256, splits)
    return (
        *_count_leaked(table, leaked, undecided, splits, elsewhere),
        *_find_known(table, sha256, splits, elsewhere),
        *_find_same_names(table, sha256, splits, elsewhere),
        *_find_known_validation(table, sha256, splits, elsewhere),
        *labels,
        *copies,
        *_find_group_leaks(table, splits),
    )


def list_paths(table: Table, rows: Iterable[int]) -> tuple[str, ...]:
    """Return the paths of some images, as the files of a finding."""
    return tuple(table.paths[row] for row in rows)


def contradict(table: Table, rows: Sequence[int]) -> bool:
    """Tell whether identical images contradict each other: by their classes, or by 1 and 0 of one label.

    Args:
        table: The images.
        rows: Of the identical ones. Where an image may have several labels, one that is not known contradicts nothing.
    """
    labels = table.labels[rows]
    if not table.is_multi:
        return len(np.unique(labels)) > 1
    return bool(((labels == POSITIVE).any(axis=0) & (labels == NEGATIVE).any(axis=0)).any())


def _find_known(table, sha256, splits, elsewhere) -> list[Finding]:
    leaks = []
    for run, known in elsewhere.items():
        rows = np.flatnonzero((splits == "test") & recognise_images([known], sha256, table.own_groups))
        if len(rows):
            is_many = count(len(rows), "test image") + (" is" if len(rows) == 1 else " are")
            names = listed((f"'{table.paths[row]}'" for row in rows), 3)
            text = (
                f"{is_many} among those on which {run}, where the weights come from, was trained or validated, or of "
                f"their groups: {names}."
            )
            leaks.append(Finding(KNOWN, text, list_paths(table, rows)))
    return leaks


def _find_known_validation(table, sha256, splits, elsewhere) -> list[Finding]:
    """Name validation images on which an earlier run was trained.

    Those that only validated it are left out: they chose among its epochs, as they choose among the epochs of this run.
    """
    leaks, validated = [], splits == "val"
    for run, known in elsewhere.items():
        rows = np.flatnonzero(validated & recognise_images([known.without_validation()], sha256, table.own_groups))
        if len(rows):
            names = listed((f"'{table.paths[row]}'" for row in rows), 3)
            amount = f"{len(rows):,} of {count(int(validated.sum()), 'validation image')}"
            text = (
                f"{amount} {'is' if len(rows) == 1 else 'are'} among those on which {run}, which gave the weights, was "
                f"trained, or of their groups: {names}. What validation chooses or fits (epoch, phase, threshold, "
                "temperature) may not suit new images."
            )
            leaks.append(Finding(CHOOSING, text, list_paths(table, rows), WARNING))
    return leaks


def _find_same_names(table, sha256, splits, elsewhere) -> list[Finding]:
    return [
        Finding(
            NAMES,
            say_same_names(table.groups, chosen, int((splits == "test").sum()), run),
            list_paths(table, np.flatnonzero(chosen)),
            WARNING,
        )
        for run, known in name_givers(elsewhere).items()
        if (chosen := (splits == "test") & known.find_same_names(sha256, table.own_groups)).any()
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


def name_givers(elsewhere: Mapping[str, Learned]) -> dict[str, Learned]:
    """Return what the runs learned from that gave the weights, by words for each run.

    Args:
        elsewhere: The same by directory.
    """
    return {f"{folder}, where the weights come from,": known for folder, known in elsewhere.items()}


def describe_undecided(
    table: Table, sha256: Sequence[str], tested: np.ndarray, runs: Mapping[str, Learned]
) -> list[str]:
    """Return a sentence for each run of which it cannot be told whether it knows patients of tested images, and why.

    Args:
        table: The images.
        sha256: The digest of every image's content.
        tested: Which images are tested, bool [n].
        runs: What each run learned from, by words for the run.
    """
    found = {run: tested & find_undecided(table, sha256, {run: known}) for run, known in runs.items()}
    amount = count(int(tested.sum()), "image" if tested.all() else "test image")
    return [
        f"Whether {run} was trained or validated on other images of the same patients cannot be told for "
        f"{chosen.sum():,} of {amount}{_say_why(table, runs[run])}"
        for run, chosen in found.items()
        if chosen.any()
    ]


def _say_why(table, known) -> str:
    if not known.names_owners:
        return ", because nothing named its patients."
    if not any(map(names_owner, table.groups or ())):
        return ", because nothing names their patients here."
    return ": pseudonyms of a DICOM folder hold only there. List both sets in CSVs with a patient column."


def _find_copies(table, sha256, splits) -> tuple[list[Finding], list[Finding]]:
    """Return findings on identical images under several labels, and on those in several splits."""
    labelled, apart, texts = [], [], table.texts
    same = "Byte-identical files" if table.unit == "byte" else "Images of equal pixels"
    for rows in find_repeated(sha256):
        files = list_paths(table, rows)
        if contradict(table, rows):
            labelled.append(Finding(TWO_LABELS, say_two_labels(same, files, {texts[row] for row in rows}), files))
        if len(where := list_present(splits[rows])) > 1:
            apart.append(Finding(IDENTICAL, f"{same} are in {' and '.join(where)}: {name_files(files)}.", files))
    return labelled, apart


def say_two_labels(same: str, files: Sequence[str], labels: Iterable[str]) -> str:
    """Return a sentence on identical images under several labels.

    Args:
        same: How it begins: what these images have in common.
        files: Their paths.
        labels: Their labels, in any order.

    >>> say_two_labels("Byte-identical files", ["a.png", "b.png"], ["well", "ill"])
    "Byte-identical files stand under the labels ill, well: 'a.png', 'b.png'."
    """
    return f"{same} stand under the labels {listed(quote_commas(sorted(set(labels))))}: {name_files(files)}."


def name_files(files: Iterable[str], limit: int = NAMED) -> str:
    """Return the paths of some images as a sentence names them, and the count of the rest."""
    return listed((f"'{path}'" for path in files), limit)


def find_leaked(
    sha256: Sequence[str],
    groups: Sequence[str] | None,
    splits: np.ndarray,
    elsewhere: Mapping[str, Learned] | None = None,
) -> np.ndarray:
    """Tell which test images a network has seen: an identical one, or one of the same group, is in train or val.

    Names of groups that differ only in spelling count as one. Images that earlier runs, from which the weights come,
    were trained or validated on count as seen too. Images that the run left aside are not known.

    Args:
        sha256: The digest of every image's content.
        groups: The group of every image, "" for none; None if there are no groups.
        splits: The split of every image.
        elsewhere: As for `find_leaks`.

    Returns:
        bool [n].

    >>> find_leaked(["a", "a", "b", "c"], ["p", "q", "r", "r"], np.array(["train", "test", "test", "val"])).tolist()
    [False, True, True, False]
    """
    test, learned, leaked = splits == "test", np.isin(splits, LEARNED), np.zeros(len(splits), bool)
    for keys in (sha256, spell_all(groups)):
        # "" stands for no group, which two images cannot share.
        known = {key for key, is_learned in zip(keys, learned, strict=False) if key and is_learned}
        leaked |= test & np.array([key in known for key in keys] or False)
    return leaked | find_known_by_weights(sha256, groups, splits, elsewhere or {})


def find_known_by_weights(
    sha256: Sequence[str], groups: Sequence[str] | None, splits: np.ndarray, elsewhere: Mapping[str, Learned]
) -> np.ndarray:
    """Tell which test images the runs that gave the weights know, bool [n]; the arguments are those of `find_leaked`.

    >>> from tlmed.data.learned import list_learned
    >>> known = {"first": list_learned([{"sha256": "a", "group": "", "split": "train"}])}
    >>> find_known_by_weights(["a", "a", "b"], None, np.array(["test", "train", "test"]), known).tolist()
    [True, False, False]
    """
    return (splits == "test") & recognise_images(elsewhere.values(), sha256, groups)


def find_undecided(
    table: Table, sha256: Sequence[str], runs: Mapping[str, Learned], certain: bool = True
) -> np.ndarray:
    """Tell for which images it cannot be told whether some run has them, or others of their patient; bool [n].

    Args:
        table: The images.
        sha256: The digest of every image's content.
        runs: What each run learned from, by its directory or by words for it.
        certain: Whether these are all runs that matter; if not, it can be told of no image.
    """
    found = [known.find_undecided(sha256, table.groups, table.pseudonyms, table.alone) for known in runs.values()]
    return np.any([np.full(len(sha256), not certain), *found], axis=0)


def _count_leaked(table, leaked, undecided, splits, elsewhere) -> list[Finding]:
    if not leaked.any():
        return []
    amount, tested = int(leaked.sum()), int((splits == "test").sum())
    which = f"{amount:,} of {count(tested, 'test image')} ({percent(amount / tested)}) {'is' if amount == 1 else 'are'}"
    which = f"At least {which}" if (undecided & ~leaked).any() else which
    weights = ", or known to a run from which the weights come" if elsewhere else ""
    unit, groups = table.unit, set(table.groups or ())
    spelled = ", in some spelling" if len(set(map(spell, groups))) < len(groups) else ""
    text = (
        f"{which} in train or val too, {unit} for {unit}, or of a group that has images there{spelled}{weights}: their "
        f"scores may be too good, and {say_rest(tested - amount)}."
    )
    return [Finding(AMOUNT, text, list_paths(table, np.flatnonzero(leaked)))]


def say_rest(left: int) -> str:
    """Say what scores there are without known images.

    Args:
        left: How many other images are tested.

    >>> say_rest(0)
    'no image is left without them: nothing tells of new images'
    """
    if not left:
        return "no image is left without them: nothing tells of new images"
    return "the main ones are also given without them"


def _find_group_leaks(table: Table, splits: np.ndarray) -> list[Finding]:
    leaks = []
    for rows in find_repeated(spell_all(table.groups)):
        where = list_present(splits[rows])
        if len(where) > 1:
            files, owners = list_paths(table, rows), {table.groups[row] for row in rows}
            who = f"The group '{owners.pop()}' is" if len(owners) == 1 else f"The groups {name_alike(owners)} are"
            leaks.append(Finding(GROUP, f"{who} in {' and '.join(where)}: {name_files(files, 4)}.", files))
    return leaks
