"""The table that every form of `--data` becomes: one row per sample, nothing decoded yet."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tlmed.class_order import order_classes
from tlmed.data.found_masks import Masks
from tlmed.data.parts import Content
from tlmed.data.readers import describe_endings
from tlmed.errors import InputError
from tlmed.identifiers import ARRAYS, FILES, TFDS, Identifiers
from tlmed.label_texts import POSITIVE
from tlmed.label_vectors import are_vectors, write_labels
from tlmed.plain_cells import FORMULA, RULE, is_formula, is_plain
from tlmed.words import count, listed

NAMED = 3  # files of a kind that a sentence names; it counts the others
MANY_CLASSES = 100  # from this number on a user is warned


@dataclass(frozen=True, eq=False)
class Table:
    """Hold what a source says about its images, one row per sample, and how to read one.

    A sample is an image file, or a part of a file: a plane of a volume, for example.

    Args:
        source: The source as it was given.
        paths: Posix paths relative to the data's root; `split/index` for TFDS and `.npz`; `file#plane=12` for a part of
            a file (`tlmed.part_names`).
        labels: int64, an index into `classes` for every image; where an image may have several labels, a row of 1, 0
            and -1 for every image, with a column for each of `classes`.
        classes: The class names, in order: numbers by their size, others as text; or the names of the labels.
        groups: The group (patient) of every image, or None if the source names none.
        splits: The given split of every image ("train", "val" or "test"), or None.
        read: Row number to the encoded file content; to the decoded array for `.npz`; or to a `Part`.
        skipped: The files that are not images.
        hidden: Files, and folders with a slash at the end, whose names begin with a dot: they are not read.
        notes: Sentences about the source that a user should see.
        encoded_here: Whether this machine encoded the images, as TFDS does. An image is then identified by its pixels,
            because the encoder of another machine may write the same pixels as other bytes.
        decoded: Whether `read` gives pixels, which then identify the image.
        licence: Of the images, as the source states it; None if it states none.
        traits: What else the source says of every image, by name.
        root: The folder that the paths lead from; None where rows are no files.
        pseudonyms: Whether tlmed made the names of groups, so that the same name means nothing in another source.
        alone: Whether a user says that each image stands alone; without groups, nothing then tells whose they are.
        several: The names of the labels, where each of `classes` stands for several labels of an image until
            `several_labels.spread` divides them; None elsewhere.
        folders: For each file in a folder that a source names as one volume, the folder's path; "" for other files.
            None: it names no folders so.
        masks: What was found of masks among its files.
    """

    source: str
    paths: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None
    splits: tuple[str, ...] | None
    read: Callable[[int], Content]
    skipped: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    encoded_here: bool = False
    decoded: bool = False
    licence: str | None = None
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pseudonyms: bool = False
    alone: bool = False
    root: Path | None = None
    folders: tuple[str, ...] | None = None
    several: tuple[str, ...] | None = None
    masks: Masks = field(default_factory=Masks)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    @property
    def is_multi(self) -> bool:
        """Whether an image may have several labels, so that `labels` are vectors."""
        return are_vectors(self.labels)

    @property
    def texts(self) -> list[str]:
        """The label of every image as a text, or its labels: `edema|effusion`."""
        return write_labels(self.labels, self.classes)

    def has(self, number: int) -> np.ndarray:
        """Tell which images are of a class, or have a label; bool [n].

        Args:
            number: Of the class, or of the label, in `classes`.
        """
        return self.labels[:, number] == POSITIVE if self.is_multi else self.labels == number

    @property
    def own_groups(self) -> tuple[str, ...] | None:
        """The groups, for a comparison with another source: pseudonyms and files by names that no other source has."""
        return self.identifiers.own(self.groups)

    @property
    def identifiers(self) -> Identifiers:
        """How it identifies its images and groups."""
        return Identifiers(TFDS if self.encoded_here else ARRAYS if self.decoded else FILES, self.pseudonyms)

    @property
    def unit(self) -> str:
        """What two identical images have in common, each "byte" or each "pixel"."""
        return self.identifiers.unit

    def take(self, rows: Sequence[int]) -> "Table":
        """Return the table of these rows, in this order.

        Args:
            rows: Row numbers of this table.

        Returns:
            A table over the same source whose row i is this table's row `rows[i]`.
        """
        rows = np.asarray(rows, np.int64)
        read = self.read
        return replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            labels=self.labels[rows],
            groups=None if self.groups is None else tuple(self.groups[row] for row in rows),
            splits=None if self.splits is None else tuple(self.splits[row] for row in rows),
            read=lambda row: read(int(rows[row])),
            traits={name: tuple(texts[row] for row in rows) for name, texts in self.traits.items()},
            folders=None if self.folders is None else tuple(self.folders[row] for row in rows),
        )


def make_table(source: str, paths: Sequence[str], names: Sequence[str], read, **columns) -> Table:
    """Build a table in canonical order (sorted by path) from class names per image.

    Args:
        source: The source as it was given.
        paths: The path of every image.
        names: The class name of every image.
        read: Row number, counted in the given order, to content.
        **columns: Further attributes of the table; `groups`, `splits` and `traits` in the given order.

    Returns:
        The table.

    Raises:
        InputError: A name cannot be used.
    """
    check_names(source, paths)
    _check_cells(source, names, columns.get("groups"))
    classes = tuple(order_classes(names))
    number = {name: index for index, name in enumerate(classes)}
    columns = {"groups": None, "splits": None, **columns}
    labels = np.array([number[name] for name in names], np.int64)
    table = Table(str(source), tuple(paths), labels, classes, read=read, **columns)
    return table.take(sorted(range(len(paths)), key=table.paths.__getitem__))


def check_names(source: object, paths: Iterable[str]) -> None:
    """Refuse names of files that are not UTF-8, because files of a run cannot hold them, and formulas.

    Args:
        source: The source as it was given.
        paths: The path of every image.

    Raises:
        InputError: One sentence with three of them for each kind.
    """
    faults, paths = [], list(paths)
    odd = [ascii(path) for path in (str(source), *paths) if not _is_utf8(path)]
    if odd:
        faults.append(f"Names of files and folders must be UTF-8: rename them. Received: {listed(odd, NAMED)}.")
    if odd := [ascii(path) for path in paths if is_formula(path)]:
        faults.append(f"The path of an image {FORMULA}: rename it. Received: {listed(odd, NAMED)}.")
    if faults:
        raise InputError(faults)


def _check_cells(source: object, *columns: Sequence[str] | None) -> None:
    """Refuse names that stand in CSV files and tables of a run, for everybody to open."""
    odd = {text for texts in columns for text in texts or () if not is_plain(text)}
    if odd:
        raise InputError(
            f"The name of a class or a group {RULE}. "
            f"Received: data={source} with {listed(map(ascii, sorted(odd)), NAMED)}."
        )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python reads other bytes as surrogates, which have no UTF-8
        return False
    return True


def check_classes(table: Table, fewest: int = 2) -> None:
    """Refuse a table without images, or with images of one class only.

    Args:
        table: Any table.
        fewest: Classes that there must be.

    Raises:
        InputError: One sentence that says what was found.
    """
    if not len(table):
        raise InputError(
            f"The data must hold images ({describe_endings()}). "
            f"Received: data={table.source}, which holds no image and {count(len(table.skipped), 'other file')}"
            f"{_say_hidden(table)}{''.join(f' ({note[:-1]})' for note in table.notes)}."
        )
    if len(table.classes) < fewest:
        raise InputError(
            "The data must hold images of two classes or more. "
            f"Received: data={table.source}, where only the class '{table.classes[0]}' "
            f"({count(len(table), 'image')}) was found."
        )


def _say_hidden(table: Table) -> str:
    return f"; {describe_hidden(table.hidden)}" if table.hidden else ""


def describe_skipped(skipped: Sequence[str], hidden: Sequence[str]) -> str:
    """Return which files of a folder are not used, and why; "" if all are used.

    Args:
        skipped: Files that are not images.
        hidden: Files, and folders with a slash at the end, whose names begin with a dot.

    >>> describe_skipped(["a/notes.txt"], ["a/._x.png"])
    '1 not an image (a/notes.txt); 1 hidden, by the dot before its name (a/._x.png)'
    """
    kind = "not an image" if len(skipped) == 1 else "not images"
    parts = [f"{len(skipped):,} {kind} ({_name(skipped)})"] if skipped else []
    return "; ".join([*parts, *([describe_hidden(hidden)] if hidden else [])])


def describe_hidden(hidden: Sequence[str]) -> str:
    """Return how many files and folders are hidden, with some names; a folder's ends with a slash."""
    own = "its name" if len(hidden) == 1 else "their names"
    return f"{len(hidden):,} hidden, by the dot before {own} ({_name(hidden)})"


def _name(files: Sequence[str]) -> str:
    """Return the names of some files; names with control characters or other bytes are escaped."""
    return listed((name if name.isprintable() else ascii(name) for name in files), NAMED)


def describe_classes(classes: int, images: int, unit: str = "image") -> tuple[str, ...]:
    """Return what a user should know if there are many classes.

    Args:
        classes: How many there are.
        images: How many images share them, or how many files or groups.
        unit: What these are.

    >>> describe_classes(99, 500), describe_classes(200, 1000)[0].partition(":")[0]
    ((), 'There are 200 classes, with 5 images each on average')
    """
    if classes < MANY_CLASSES:
        return ()
    return (
        f"There are {classes:,} classes, with {images / classes:.3g} {unit}s each on average: a class by itself is "
        f"measured on few {unit}s, and every table has a row or a column for each.",
    )


def find_licence(folder: Path) -> str | None:
    """Return where a folder states the licence of its files; None if it states none.

    Args:
        folder: The folder.
    """
    names = sorted(path.name for path in folder.iterdir() if re.match("licen[cs]e", path.name, re.IGNORECASE))
    return f"see {names[0]}, beside the images" if names else None


def describe_files(table: Table, broken: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return what a user should know of the source's files.

    Args:
        table: The images.
        broken: Path and reason of every image that cannot be read.
    """
    sentences = list(table.notes)
    if left := [*table.skipped, *table.hidden]:
        sentences.append(f"{count(len(left), 'file')} skipped: {describe_skipped(table.skipped, table.hidden)}.")
    if broken:
        named = listed(f"'{path}' ({reason})" for path, reason in broken)
        sentences.append(f"{count(len(broken), 'image')} left out, as they cannot be read: {named}.")
    return tuple(sentences)
