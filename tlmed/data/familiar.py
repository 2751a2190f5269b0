"""Recognise images of another source that a run has seen, by their SHA-256 and by their groups."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.columns import spell
from tlmed.data.leaks import (
    describe_undecided,
    find_undecided,
    name_givers,
    say_rest,
    say_same_names,
)
from tlmed.data.learned import Learned, list_learned, recognise_images
from tlmed.data.pipeline import ImageSet
from tlmed.label_texts import DOUBT, split_text
from tlmed.part_names import file_of
from tlmed.split_names import LEARNED
from tlmed.words import count, listed

NAMED = 3  # images that a sentence names; it counts the others
_USED = {"train": "{} was trained on", "val": "{} was validated on"}
_ONE = "the run"


@dataclass(frozen=True, eq=False)
class Familiar:
    """Images of another source, compared with what a run recorded.

    Attributes:
        images: The images; if the source names no groups, with those that the run recorded.
        leaked: Whether training or validation knows each image or its group, bool [n].
        undecided: Whether nothing tells it of an image that is not known, because of pseudonyms or because patients are
            named on one side only, bool [n].
        sentences: What a user should know of it.
    """

    images: ImageSet
    leaked: np.ndarray
    undecided: np.ndarray
    sentences: tuple[str, ...]


def compare_with_run(
    images: ImageSet,
    recorded: Sequence[Mapping[str, str]],
    elsewhere: Mapping[str, Learned],
    pseudonyms: bool = False,
    run: str = _ONE,
) -> Familiar:
    """Find which images of another source a run has seen, and where the source contradicts the run's record.

    An image is known if training or validation had an identical one, one of the group that the run recorded for it, or
    one of the group that the source names. Names of groups alone prove nothing, because another hospital also counts
    its patients from 1. They count only if images that both have show that both use the same names.

    Args:
        images: All images of the source.
        recorded: The rows of the run's `splits.csv`.
        elsewhere: What each of the runs learned from that gave the weights, by its directory.
        pseudonyms: Whether names of groups hold in the run's own source alone.
        run: Words for the run, or for one of several whose records are joined.
    """
    rows = defaultdict(list)
    for row in recorded:
        rows[row["sha256"]].append(row)
    there = [rows.get(digest, []) for digest in images.sha256]
    named, given = images.table, images.table.groups
    filled = _fill_groups(images, there) if given is None and not images.table.alone else None
    sentences = [*_describe_identical(images, there, elsewhere, run), *_describe_labels(images, there)]
    if filled is not None:
        sentences.append(_describe_filled(there, filled))
        images = replace(images, table=replace(images.table, groups=filled))
    identical = _find_identical(images, there, elsewhere)
    learned = {run: list_learned(recorded, pseudonyms)}
    learned |= name_givers(elsewhere)
    leaked = recognise_images(learned.values(), images.sha256, images.table.own_groups)
    sentences += _describe_groups(images, there, leaked & ~identical, int((~leaked).sum()))
    hidden = find_undecided(named, images.sha256, learned)
    if given is not None:
        sentences += _describe_divided(given, there)
        # Groups of unproven identity are only named; they are not counted as leaked.
        same = {
            words: known.find_same_names(images.sha256, images.table.own_groups) for words, known in learned.items()
        }
        sentences += [
            say_same_names(given, chosen, len(given), words) for words, chosen in same.items() if chosen.any()
        ]
    sentences += describe_undecided(named, images.sha256, np.ones(len(named), bool), learned)
    return Familiar(images, leaked, hidden & ~leaked, tuple(sentences))


def _find_identical(images, there, elsewhere) -> np.ndarray:
    """Tell which images the run was trained or validated on, or the runs before it know, bool [n]."""
    used = [any(row["split"] in LEARNED for row in rows) for rows in there]
    return np.array(used, bool) | recognise_images(elsewhere.values(), images.sha256, None)


def _list_groups(rows) -> set[str]:
    """Return the groups that the run recorded for an image, in one spelling."""
    return {spell(row["group"]) for row in rows if row["group"]}


def _fill_groups(images, there) -> tuple[str, ...] | None:
    """Return the groups that the run recorded; each other image is a group by itself. None if it recorded none."""
    if not any(map(_list_groups, there)):
        return None
    names = [next((row["group"] for row in rows if row["group"]), "") for rows in there]
    return tuple(name or path for name, path in zip(names, images.table.paths, strict=True))


def _describe_filled(there, filled) -> str:
    known = [group for group, rows in zip(filled, there, strict=True) if _list_groups(rows)]
    alone = "; each other image counts by itself" if len(known) < len(filled) else ""
    return (
        f"The source names no groups. The run's splits.csv knows those of {count(len(known), 'image')} of "
        f"{len(filled):,} ({count(len(set(known)), 'group')}), by their content, and they are used{alone}. "
        "`--no-groups` says that every image stands alone."
    )


def _describe_identical(images, there, elsewhere, run) -> list[str]:
    """Name images that trained the run or chose its epoch and threshold, and the run's own test images."""
    used = {
        words.format(run): [any(row["split"] == split for row in rows) for rows in there]
        for split, words in _USED.items()
    }
    for folder, known in elsewhere.items():
        met = [file_of(digest) in known.digests for digest in images.sha256]
        used[f"{folder}, where the weights come from, knows"] = met
    sentences = [
        f"{_name_amount(paths, images)} among those that {words}, and will look better than new ones: "
        f"{listed(paths, NAMED)}."
        for words, chosen in used.items()
        if (paths := _pick(images.table.paths, chosen))
    ]
    if own := _pick(images.table.paths, [any(row["split"] == "test" for row in rows) for rows in there]):
        whose = "the run's own test images" if run == _ONE else "test images of members, and none learned from them"
        sentences.append(f"{_name_amount(own, images)} among {whose}: {listed(own, NAMED)}.")
    return sentences


def _describe_labels(images, there) -> list[str]:
    """Name images that had another label when the run was trained; of several labels, those that both sides know."""
    table, differ = images.table, []
    agree = _agree if table.is_multi else str.__eq__
    for path, label, rows in zip(table.paths, table.texts, there, strict=True):
        labels = sorted({row["label"] for row in rows})
        if labels and not any(agree(label, other) for other in labels):
            differ.append(f"{path} ({label!r} here, {' and '.join(map(repr, labels))} there)")
    if not differ:
        return []
    have = "has" if len(differ) == 1 else "have"
    return [
        f"{count(len(differ), 'image')} of {len(there):,} {have} another label here than in the run's splits.csv: "
        f"{listed(differ, NAMED)}. Those given here are used."
    ]


def _agree(one: str, other: str) -> bool:
    """Tell whether two texts of several labels say the same of each label that both know.

    >>> _agree("edema|?mass", "edema"), _agree("edema|?mass", "mass")
    (True, False)
    """
    parts = [set(split_text(text)) for text in (one, other)]
    return all(DOUBT + label in parts[0] | parts[1] for label in parts[0] ^ parts[1] if not label.startswith(DOUBT))


def _describe_groups(images, there, chosen, left) -> list[str]:
    """Name the groups of images that are known by their group alone; `left` is how many images are not known at all."""
    if not chosen.any():
        return []
    groups = images.table.groups or [next((row["group"] for row in rows if row["group"]), "") for rows in there]
    named = sorted(set(_pick(groups, chosen)))
    amount = _name_amount(_pick(images.table.paths, chosen), images)
    return [
        f"{amount} of groups with other images in training or validation ({listed(named, NAMED)}): their scores may "
        f"be too good, and {say_rest(left)}."
    ]


def _describe_divided(groups, there) -> list[str]:
    """Name groups of the run whose images have several groups here: intervals would take them for independent."""
    parts = defaultdict(set)
    for group, rows in zip(groups, there, strict=True):
        for owner in {row["group"] for row in rows if row["group"]}:
            parts[owner].add(spell(group))
    divided = sorted(owner for owner, found in parts.items() if len(found) > 1)
    if not divided:
        return []
    return [
        f"Images of {count(len(divided), 'group')} of the run's splits.csv have several groups here "
        f"({listed(divided, NAMED)}). Those given here are used: if they are wrong, intervals are too narrow."
    ]


def _name_amount(paths, images) -> str:
    return f"{count(len(paths), 'image')} of {len(images.splits)} {'is' if len(paths) == 1 else 'are'}"


def _pick(texts, chosen) -> list[str]:
    return [text for text, wanted in zip(texts, chosen, strict=True) if wanted]
