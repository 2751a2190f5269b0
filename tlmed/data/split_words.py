"""What a user should know of splits, in sentences: who made them, copies, and classes that they lack."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tlmed.columns import describe_traits, is_missing, name_spellings
from tlmed.data.repeated_images import describe_copies
from tlmed.data.table import Table, describe_classes
from tlmed.data.units import find_repeated, list_present
from tlmed.divisions import describe_unused_splits
from tlmed.label_vectors import find_constant
from tlmed.pseudonyms import is_file_group
from tlmed.split_names import INNER
from tlmed.words import count, join_names, listed

_BY_FILE = (
    "No patients are known: samples of a file count as one group, and files that the table joins as copies. If a "
    "patient has several files, list them in a CSV with a column `patient`."
)


def describe(
    table: Table, sha256: Sequence[str], splits: np.ndarray, made: Collection[str] | None, fold: bool = False
) -> tuple[str, ...]:
    """Return what a user should know of the splits besides leaks.

    Args:
        table: Usable images only.
        sha256: The digest of every image's content.
        splits: The split of every image.
        made: Which of them were decided by us, as `ImageSet.split_made`; None: there are none, because all images are
            scored.
        fold: Whether they are a fold of a cross-validation, whose other folds test the other images.

    Returns:
        Sentences to print.
    """
    sentences = [*describe_classes(len(table.classes), len(table)), *name_spellings(table.classes, "classes")]
    sentences += describe_traits(table.traits)
    if spaced := [name for name in table.classes if name != name.strip()]:
        sentences.append(f"Names of classes begin or end with a space: {listed(map(repr, spaced), 3)}.")
    if unsure := [name for name in table.classes if is_missing(name) and name.strip().casefold() not in ("none", "-")]:
        sentences.append(
            f"A label that may stand for none counts as a class: {join_names(map(repr, unsure))}. If it does, remove "
            "its images."
        )
    if table.groups and all(map(is_file_group, table.groups)):
        sentences.append(_BY_FILE)
    if made and table.splits is None:
        sentences += describe_unused_splits(table.traits)
    if made and table.splits is not None and INNER not in made:
        sentences.append(f"The data gives no val: {count(int((splits == 'val').sum()), 'image')} of train became val.")
    sentences += describe_copies(table, find_repeated(sha256), splits, not made, fold)
    of = {"": np.ones(len(table), bool)} if made is None else {split: splits == split for split in list_present(splits)}
    return (*sentences, *(_describe_values(table, of) if table.is_multi else _describe_absent(table, of)))


def _describe_absent(table: Table, of: Mapping[str, np.ndarray]) -> list[str]:
    """Name the classes of which a split has no image; "" stands for all images."""
    found = {
        split: [name for label, name in enumerate(table.classes) if not table.has(label)[rows].any()]
        for split, rows in of.items()
    }
    return [
        f"{f'The given split {split!r} has no image' if split else 'No image is'} of {listed(absent)}; what needs one "
        "is not measured."
        for split, absent in found.items()
        if absent
    ]


def _describe_values(table: Table, of: Mapping[str, np.ndarray]) -> list[str]:
    """Name the labels that are never, or always, 1 in a split, or not known there; "" stands for all images."""
    sentences = []
    for split, rows in of.items():
        constant = find_constant(table.labels[rows], table.classes)
        sentences += [_say_constant(split, how, names) for how, names in constant.items()]
    return sentences


def _say_constant(split, how, names) -> str:
    """Say which labels have one value only in a split, or none, and what follows."""
    said = f"{f'In {split} ' if split else ''}{listed(map(repr, names))} {'is' if len(names) == 1 else 'are'} {how}"
    if split == "train":
        return f"{said}: nothing can be learned of {'it' if len(names) == 1 else 'them'}."
    return f"{said}; what needs both values is not measured."
