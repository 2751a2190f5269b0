"""A `.csv` with columns for path and label, and optionally for split and group, as a table."""

import os
import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath

from tlmed.columns import (
    describe_group,
    find_group,
    is_blank,
    is_missing,
    name_spellings,
    state_group_rule,
    suggest_spelling,
)
from tlmed.data.kinds import find_kind, read_head
from tlmed.data.listed_folders import ListedFolder, describe_rest, find_nested, open_folders, take_files
from tlmed.data.masks import find_masks
from tlmed.data.readers import describe_endings, is_image, names_patients
from tlmed.data.several_labels import have_several
from tlmed.data.table import Table, find_licence, make_table
from tlmed.data.table_rows import Row, read_rows
from tlmed.data.walking import describe_links_out
from tlmed.errors import InputError, did_you_mean
from tlmed.label_cells import read_cell
from tlmed.label_texts import DOUBT, NEGATIVE, NOTHING, POSITIVE, SEPARATOR
from tlmed.plain_cells import RULE, is_plain
from tlmed.regular_files import read_regular
from tlmed.source_layout import AS_FOUND, Layout
from tlmed.split_names import SPLIT_NAMES, name_split
from tlmed.words import listed

_HEADERS = (
    "No column names the patients, and in a CSV the headers of DICOM files are not asked. They are if the data are a "
    "folder of class folders; or add a column `patient`."
)
_EMPTY = "must not be empty, nor what programs write for an empty one (nan, NA, null)"
_NO_LABEL = f"A label {_EMPTY}: leave such rows out, or give the class another name."
_NO_LABELS = (
    f"The labels of an image {_EMPTY}: write {NOTHING!r} for an image that has none of them, and `{DOUBT}LABEL` for "
    "one that is not known; leave out rows of which no label is known."
)
NAMED = 3  # faulty rows of a kind that an error names; the others it counts


def open_listing(file: Path, layout: Layout = AS_FOUND) -> Table:
    """Read a CSV file whose paths are relative to the file's own folder.

    A path may be that of a folder: all image files in it are one volume, and have what its row says.

    A column `split` without a single value gives no splits. Masks of other images are left out and named, although they
    are listed, because lists are often made of all files. Any other row that names no image is a fault, because a whole
    class could be missing without it. Columns of other names are traits of the images, such as the site, the device or
    the patient's sex.

    Args:
        file: The CSV file, UTF-8, with a header.
        layout: Which columns mean what.

    Returns:
        The table.

    Raises:
        InputError: Every fault of the file at once, with line numbers.
    """
    grouping = layout.grouping
    images, notes, layout = read_rows(file, layout)
    others = {name: [row.others[name] for row in images] for name in (images[0].others if images else ())}
    filled = {name: texts for name, texts in others.items() if any(texts)}
    group = find_group(filled, grouping, f"data={file}")
    has_splits = _has_splits(images, layout)
    folders = open_folders(file, images)
    if faults := _faults(file, images, group, layout, folders):
        raise InputError(faults)
    masks = find_masks(file.parent, [posixpath.normpath(row.path) for row in images if row.path not in folders])
    images = take_files([row for row in images if posixpath.normpath(row.path) not in masks.of], folders)
    others = {name: [row.others[name] for row in images] for name in others}
    paths = [posixpath.normpath(row.path) for row in images]
    groups = others.pop(group) if group else None
    told = describe_group(group, filled, grouping)
    if group is None and grouping.use and any(names_patients(read_head(file.parent / path)) for path in paths):
        told += (_HEADERS,)
    return make_table(
        str(file),
        paths,
        [row.label for row in images],
        lambda row: read_regular(file.parent / paths[row]),
        groups=groups,
        splits=[_split(row) for row in images] if has_splits else None,
        notes=(
            *notes,
            *(_describe_other_splits(images) if layout.elsewhere else ()),
            *told,
            *name_spellings(groups or ()),
            *describe_links_out(file.parent, paths),
            *masks.describe(),
            *describe_rest(file.parent, folders),
            *(_describe_more_labels(others) if layout.elsewhere and layout.label_columns else ()),
        ),
        skipped=tuple(path for folder in folders.values() for path in folder.others),
        hidden=tuple(path for folder in folders.values() for path in folder.hidden),
        folders=tuple(row.folder for row in images) if folders else None,
        licence=find_licence(file.parent),
        masks=masks,
        traits={name: tuple(texts) for name, texts in others.items()},
        root=file.parent,
        several=layout.label_columns,
    )


def _has_splits(rows: list[Row], layout: Layout) -> bool:
    """Tell whether rows give splits; those of another source are not asked for, because all its images are scored."""
    return not layout.elsewhere and any(row.split for row in rows)


def _describe_other_splits(rows: list[Row]) -> list[str]:
    named = sorted({row.split for row in rows if row.split})
    if {*map(name_split, named)} <= {"test"}:
        return []
    return [f"The given splits ({listed(named, NAMED)}) are not used: all images of other data are scored alike."]


def _faults(
    file: Path, rows: list[Row], group: str | None, layout: Layout, folders: Mapping[str, ListedFolder]
) -> list[str]:
    """Return one sentence for every kind of fault, each with the lines that have it."""
    has_splits = _has_splits(rows, layout)
    bad: dict[str, list[str]] = defaultdict(list)
    lines: dict[str, list[int]] = defaultdict(list)
    # Where images have several labels, a label that train lacks is only not measured.
    several = have_several([row.label for row in rows], layout)
    train = set() if several else {layout.name_class(row.label) for row in rows if _split(row) == "train"} - {None}
    for row in rows:
        found = [*_row_faults(file.parent, row, group, folders.get(row.path))]
        found += [(_NO_LABELS if several else _NO_LABEL, f"label={row.label!r}")] if is_blank(row.label) else []
        found += _split_faults(row, layout.name_class(row.label), train) if has_splits else []
        found += _vector_faults(row, layout.label_columns) if layout.label_columns else []
        for rule, received in found:
            bad[rule].append(f"{received} (line {row.line})")
        if row.path:
            lines[posixpath.normpath(row.path)].append(row.line)
    twice = [f"'{path}' (lines {listed(where)})" for path, where in lines.items() if len(where) > 1]
    if twice:
        bad["A path must occur only once."] = twice
    if nested := find_nested(rows, folders):
        bad["A path must not lie in a folder that another row names."] = nested
    if has_splits:
        for split in {"train", "test"} - {_split(row) for row in rows}:
            bad[f"The column 'split' must name rows of '{split}' (only 'val' may be missing)."] = ["none"]
    return [f"{rule} Received: {listed(received, NAMED)}." for rule, received in sorted(bad.items())]


def _row_faults(folder: Path, row: Row, group: str | None, listed_folder: ListedFolder | None):
    """Yield rule and received value for every fault of one row but those of its split."""
    if row.too_long:
        yield (
            "A row must have no more fields than the header (a comma inside a value needs quotes).",
            "more fields",
        )
    if odd := [text for text in (row.path, row.label, row.others.get(group, "")) if not is_plain(text)]:
        yield f"A path, a label and a group {RULE}.", listed(map(ascii, odd))
    elif not row.path:
        yield "A path must not be empty.", "path=''"
    elif _escapes(row.path):
        yield "A path must be relative to the CSV's folder and stay inside it.", f"'{row.path}'"
    elif listed_folder is not None:
        yield from ((rule, f"'{row.path}' with {received}") for rule, received in listed_folder.find_faults())
    elif not (is_image(folder / row.path) or _is_missing(folder / row.path)):
        kind = find_kind(folder / row.path)
        yield (
            f"A path must name an image ({describe_endings()}){f'; {kind.advice}' if kind else ''}.",
            f"'{row.path}'",
        )
    elif not os.path.isfile(folder / row.path):
        yield f"A path must name a file that exists, or a folder, relative to {folder}.", f"'{row.path}'"
    if group and is_missing(row.others[group]):
        yield (
            f"{state_group_rule(group)}.",
            f"{group}={row.others[group]!r}",
        )


def _vector_faults(row: Row, columns: Sequence[str]):
    """Yield the same for a row with a column for each label."""
    if row.odd:
        yield "A column of labels must hold 0, 1, -1 (uncertain) or nothing (not known) in every row.", row.odd
    elif row.label.count(SEPARATOR + DOUBT) + row.label.startswith(DOUBT) == len(columns):
        yield "A row must say 0 or 1 of one of its labels or more.", f"nothing known of {len(columns)}"


def _describe_more_labels(others: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Name the columns of another source that look like labels, and are none of the run's."""
    kinds = {name: set(map(read_cell, set(texts))) for name, texts in others.items()}
    found = [name for name, values in kinds.items() if {NEGATIVE, POSITIVE} <= values and None not in values]
    if not found:
        return ()
    hold = "holds 0 and 1, and is no label" if len(found) == 1 else "hold 0 and 1, and are no labels"
    return (f"{listed(map(repr, found), NAMED)} {hold} of the run.",)


def _is_missing(place: Path) -> bool:
    """Tell whether nothing is at a place whose name says nothing of a format: it may be that of a folder."""
    return not os.path.lexists(place) and find_kind(place) is None


def _split_faults(row: Row, name: str | None, train: set[str]):
    """Yield the same for the split of a row, of a class."""
    if not row.split:
        yield "A split must be given in every row, or in none (then tlmed divides the images).", "split=''"
    elif _split(row) is None:
        near = did_you_mean(row.split, SPLIT_NAMES)
        yield f"A split must be 'train', 'val' or 'test'.{near}", f"'{row.split}'"
    elif name and train and name not in train:
        near = suggest_spelling(name, train)
        yield f"A label of '{_split(row)}' must occur in 'train' too.{near}", f"'{name}'"


def _split(row: Row) -> str | None:
    return name_split(row.split)


def _escapes(path: str) -> bool:
    """Tell whether a path is absolute, on Windows or elsewhere, or leads out of its folder.

    >>> [_escapes(path) for path in ("a/../b.png", "../b.png", "/b.png", "C:/b.png")]
    [False, True, True, True]
    """
    # `anchor` also finds a drive or share: C:/b.png, //server/share.
    absolute = posixpath.isabs(path) or bool(PureWindowsPath(path).anchor)
    return absolute or posixpath.normpath(path).split("/")[0] == ".."
