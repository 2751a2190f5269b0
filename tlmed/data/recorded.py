"""The images of a run, found again by its `splits.csv`; they are never divided anew."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.known_files import KnownPixels
from tlmed.data.leaks import find_leaks
from tlmed.data.learned import Learned
from tlmed.data.patients import align_pseudonyms
from tlmed.data.pipeline import ImageSet
from tlmed.data.reading import read_all
from tlmed.data.sources import open_source
from tlmed.data.splits import list_rows
from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.findings import Finding
from tlmed.fitting_in import STRETCH
from tlmed.intensity import from_json
from tlmed.label_texts import DOUBT, split_text
from tlmed.label_vectors import read_labels
from tlmed.run_files import PLAN_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.split_names import INNER, SPLITS, UNUSED
from tlmed.words import count, listed

NAMED = 3  # images that a sentence names; it counts the others
MEMORY = 2**30  # bytes of pixels that are kept in memory, as `load` keeps them
SAME = ("label", "group", "sha256")  # what must not have changed; the split is always the one that the run recorded
_ENDS = re.compile(r" \(")  # where a path of `Changes.changed` may end: paths hold brackets, too


@dataclass(frozen=True)
class Changes:
    """How a source differs from the images that a run recorded.

    Attributes:
        new: Paths that the run does not know.
        gone: Paths that the source no longer has.
        changed: Paths whose label, group or content changed, with the names of what did.
    """

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def name(self, limit: int = NAMED) -> list[str]:
        """Return amounts and names, an entry for each kind that there is.

        >>> Changes(new=("b.png", "c.png"), changed=("a.png (sha256)",)).name()
        ['2 new: b.png, c.png', '1 changed: a.png (sha256)']
        """
        kinds = {"new": self.new, "gone": self.gone, "changed": self.changed}
        return [f"{len(paths):,} {kind}: {listed(paths, limit)}" for kind, paths in kinds.items() if paths]

    def of(self, paths: Collection[str]) -> "Changes":
        """Return the changes of some of the images that the run recorded.

        Args:
            paths: Theirs; a set, if there are many.

        >>> Changes(gone=("a (1).png", "b.png"), changed=("a (2).png (sha256)", "c.png (label)")).of({"a (2).png"})
        Changes(new=(), gone=(), changed=('a (2).png (sha256)',))
        """
        changed = (
            entry for entry in self.changed if any(entry[: end.start()] in paths for end in _ENDS.finditer(entry))
        )
        return Changes((), tuple(path for path in self.gone if path in paths), tuple(changed))


def compare_rows(
    old: Iterable[Mapping[str, str]], new: Iterable[Mapping[str, str]], columns: Sequence[str] = SAME
) -> Changes:
    """Compare images by their path.

    Args:
        old: What was recorded, a row per image with the columns of `splits.csv`.
        new: What is there now.
        columns: What must be the same.

    >>> row = {"path": "a.png", "label": "ill", "group": "", "split": "test", "sha256": "0"}
    >>> compare_rows([row], [{**row, "sha256": "1"}, {**row, "path": "b.png"}]).name()
    ['1 new: b.png', '1 changed: a.png (sha256)']
    """
    old, new = ({row["path"]: row for row in rows} for rows in (old, new))
    changed = []
    for path in sorted(old.keys() & new.keys()):
        if differ := [name for name in columns if old[path][name] != new[path][name]]:
            changed.append(f"{path} ({', '.join(differ)})")
    return Changes(tuple(sorted(new.keys() - old.keys())), tuple(sorted(old.keys() - new.keys())), tuple(changed))


def read_made(data: Mapping) -> Sequence[str]:
    """Return which splits tlmed made, of what a run or a lock records of its images.

    Older ones record only whether any was made.
    """
    return data.get("made", () if data.get("split") == "given" else SPLITS)


def find_moved(
    old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]], made: Sequence[Collection[str]]
) -> list[str]:
    """Return the images of two records whose split came with them both times, and differs.

    Splits that tlmed makes differ as a consequence of other changes.

    Args:
        old: The rows of `splits.csv` by path.
        new: Those of the other record.
        made: Which splits tlmed made, for each of the two.
    """
    places = [_find_given(names) for names in made]
    pairs = {
        path: [place.get(rows[path]["split"]) for place, rows in zip(places, (old, new), strict=True)]
        for path in old
        if path in new
    }
    return [path for path, (was, now) in pairs.items() if was and now and was != now]


def _find_given(made) -> dict[str, str]:
    """Return, for each split of a run, the split in which its images came; splits that were made have none."""
    if set(made) == {"val"}:
        return {"train": "train", "val": "train", "test": "test", UNUSED: "train"}
    given = {split: split for split in SPLITS if split not in made}
    return given | ({UNUSED: "train"} if "train" in given else {})


def to_rows(images: ImageSet) -> list[dict[str, str]]:
    """Return what `splits.csv` says of images, as `RunDir.splits` gives it."""
    lines = list_rows(images.table, images.splits, images.sha256)
    return [dict(zip(SPLITS_CSV.columns, line, strict=True)) for line in lines]


def find_recorded_leaks(
    recorded: Sequence[Mapping[str, str]],
    classes: Sequence[str],
    elsewhere: Mapping[str, Learned],
    pseudonyms: bool,
    alone: bool = False,
    several: bool = False,
    certain: bool = True,
) -> tuple[Finding, ...]:
    """Find the leaks among the images that a run recorded; no image is read.

    Args:
        recorded: The rows of the run's `splits.csv`.
        classes: The run's classes, in order.
        elsewhere: As for `find_leaks`.
        pseudonyms: Whether tlmed named the run's groups.
        alone: Whether the recipe says that each image stands alone.
        several: Whether an image may have several labels.
        certain: As for `find_leaks`.
    """
    paths, groups, digests = (tuple(row[name] for row in recorded) for name in ("path", "group", "sha256"))
    labels = read_labels([row["label"] for row in recorded], classes, several)
    groups = groups if any(groups) else None
    facts = {"pseudonyms": pseudonyms, "alone": alone}
    table = Table(SPLITS_CSV.name, paths, labels, tuple(classes), groups, None, _refuse, **facts)
    return find_leaks(table, digests, np.array([row["split"] for row in recorded]), elsewhere, certain)


def _refuse(row: int):
    raise NotImplementedError("A record holds no images.")


def digest_columns(table: Table, splits: np.ndarray) -> dict[str, str]:
    """Return the SHA-256 of each trait of the test images, by its name; traits divide them into subgroups.

    Args:
        table: The images, sorted by path.
        splits: The split of every image.

    Returns:
        An empty dict if the source has no traits.
    """
    rows = np.flatnonzero(splits == "test").tolist()
    return {
        name: hashlib.sha256(json.dumps([[table.paths[row], texts[row]] for row in rows]).encode()).hexdigest()
        for name, texts in table.traits.items()
    }


def read_rule(run: RunDir) -> PixelRule:
    """Return how the images of a finished run became pixels; runs of older versions recorded neither window nor fit.

    Raises:
        InputError: Its files cannot be read.
    """
    settings = RECIPE_JSON.read(run, "data.image_size")["data"]
    size, fit = settings["image_size"], settings.get("fit", STRETCH)
    return PixelRule(tuple(size), from_json(PLAN_JSON.find(run).get("window")), fit, settings.get("spacing"))


@dataclass(frozen=True, eq=False)
class Recalled:
    """The images of a run as they are now.

    Attributes:
        images: Those of the run that the source still has and that can be read, with the labels, groups and splits
            that the run recorded.
        same: Which rows of them are as they were, bool [n]; the others must not be scored.
        changes: What is new, gone or changed since.
        moved: Images for which the source now gives another split than the recorded one, with both.
        ungiven: Whether splits came with the images, and the source no longer gives any.
    """

    images: ImageSet
    same: np.ndarray
    changes: Changes
    moved: tuple[str, ...] = ()
    ungiven: bool = False


def recall(
    source: str | Path | Table,
    rule: PixelRule | tuple[int, int],
    recorded: Sequence[Mapping[str, str]],
    classes: Sequence[str],
    left_out: Iterable[str] = (),
    known: KnownPixels | None = None,
    made: Sequence[str] = SPLITS,
) -> Recalled:
    """Read again the images that a run recorded.

    Args:
        source: As for `load`.
        rule: As for `read_files`.
        recorded: The rows of the run's `splits.csv`.
        classes: The run's classes, in order.
        left_out: Paths that the run left out, because they could not be read: they are not new.
        known: As for `load`.
        made: The splits that tlmed made when the run was trained.

    Raises:
        InputError: The source cannot be used, or the record names a class that the run does not have.
    """
    table = source if isinstance(source, Table) else open_source(source)
    if strange := _find_strange(recorded, classes, table.is_multi):
        raise InputError(
            f"The labels of `splits.csv` must be classes of the run: {', '.join(classes)}. Received: {listed(strange)}."
        )
    left_out = set(left_out)
    rows = {row["path"]: row for row in recorded}
    others = [path for path in table.paths if path not in rows and path not in left_out]
    # New images are only named: they are not read.
    table = table.take([number for number, path in enumerate(table.paths) if path in rows])
    if table.pseudonyms:
        groups = align_pseudonyms(table.groups, [rows[path]["group"] for path in table.paths])
        table = replace(table, groups=groups)
    digests, broken, pixels = read_all(table, rule, MEMORY, known)
    lines = zip(table.paths, table.texts, table.groups or [""] * len(table), digests, strict=True)
    found = [dict(zip(("path", *SAME), line, strict=True)) for line in lines]
    readable = [number for number in range(len(table)) if number not in broken]
    unread = {table.paths[number]: reason for number, reason in broken.items()}
    changes = compare_rows(recorded, [row for row in found if row["path"] not in unread])
    same = [all(found[number][name] == rows[table.paths[number]][name] for name in SAME) for number in readable]
    changes = Changes(
        tuple(others),
        tuple(path for path in changes.gone if path not in unread),
        (*changes.changed, *(f"{path} ({reason})" for path, reason in unread.items())),
    )
    moved = _name_moved(table, rows, made)
    ungiven = table.splits is None and set(made) != set(SPLITS)
    table = _with_record(table.take(readable), rows, classes)
    splits = np.array([rows[path]["split"] for path in table.paths], dtype=object)
    digests = tuple(digests[number] for number in readable)
    images = ImageSet(table, splits, digests, pixels.image_size, (), (), (), tuple(made), pixels)
    return Recalled(images, np.array(same, bool), changes, moved, ungiven)


def _find_strange(recorded, classes, several) -> list[str]:
    """Return the labels of a record that the run does not have."""
    texts = {row["label"] for row in recorded}
    named = {part.removeprefix(DOUBT) for text in texts for part in split_text(text)} if several else texts
    return sorted(named - set(classes))


def _name_moved(table, rows, made) -> tuple[str, ...]:
    """Name images for which the source gives another split than the one that a run recorded."""
    found = dict(zip(table.paths, table.splits or (), strict=False))
    if INNER in made:  # train, val and test are the run's own; of what it does not use, an image may have been in train
        return tuple(
            f"{path} (not test there, test now)"
            for path, now in found.items()
            if now == "test" and rows[path]["split"] != UNUSED
        )
    # What was taken from a given train would be taken again.
    anew = {UNUSED, "val"} if "val" in made and "val" not in found.values() else {UNUSED}
    return tuple(
        f"{path} ({was} there, {now} now)"
        for path, now in found.items()
        if (was := rows[path]["split"]) != now and not (now == "train" and was in anew)
    )


def _with_record(table, rows, classes):
    """Return a table with the classes, labels and groups that the run recorded."""
    groups, texts = tuple(rows[path]["group"] for path in table.paths), [rows[path]["label"] for path in table.paths]
    return replace(
        table,
        classes=tuple(classes),
        labels=read_labels(texts, classes, table.is_multi),
        groups=groups if any(groups) else None,
    )


def describe_columns(recorded: Mapping[str, str], now: Mapping[str, str], since: str) -> list[str]:
    """Return what a user should know of columns that divide the same test images into other subgroups than before.

    Args:
        recorded: What `digest_columns` gave then.
        now: What it gives now, for the same test images.
        since: When the columns were recorded, as words after "when".

    >>> describe_columns({"sex": "ab", "site": "cd"}, {"sex": "ef"}, "the run began")[0].rpartition(": ")[2]
    "'sex' (changed), 'site' (gone)."
    """
    moved = [name for name in {**recorded, **now} if recorded.get(name) != now.get(name)]
    if not moved:
        return []
    kinds = {name: "new" if name not in recorded else "changed" if name in now else "gone" for name in moved}
    return [
        f"{'Columns are' if len(moved) > 1 else 'A column is'} not as when {since}, and subgroups are by what stands "
        f"there now: {listed((f'{name!r} ({kind})' for name, kind in kinds.items()), NAMED)}."
    ]


def describe_changes(recalled: Recalled, tested: int) -> list[str]:
    """Return what a user should know of images that are not as the run recorded them, with what is left to score.

    Args:
        recalled: From `recall`.
        tested: How many test images the run recorded.
    """
    found = recalled.changes
    kinds = {
        ("was added and is", "were added and are"): found.new,
        ("has gone and is", "have gone and are"): found.gone,
        ("has changed and is", "have changed and are"): found.changed,
    }
    sentences = [
        f"Since the run was trained, {count(len(paths), 'image')} {one if len(paths) == 1 else many} not "
        f"scored: {listed(paths, NAMED)}."
        for (one, many), paths in kinds.items()
        if paths
    ]
    decides = "The run's splits.csv decides."
    if moved := recalled.moved:
        have = "has" if len(moved) == 1 else "have"
        sentences.append(
            f"Since the run was trained, {count(len(moved), 'image')} {have} got another split in the source: "
            f"{listed(moved, NAMED)}. {decides}"
        )
    if recalled.ungiven:
        sentences.append(f"Since the run was trained, the splits that came with the images have gone. {decides}")
    left = int((recalled.same & (recalled.images.splits == "test")).sum())
    if left < tested:
        sentences.append(f"{left} of the run's {count(tested, 'test image')} are scored.")
    return sentences
