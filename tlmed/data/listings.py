"""A `.csv` with the columns path,label and optionally split and one for the group as a table."""

import csv
import io
import os
import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from tlmed.columns import (
    BY_NAME,
    Grouping,
    describe_group,
    find_group,
    is_blank,
    is_missing,
    name_spellings,
    state_group_rule,
    suggest_spelling,
)
from tlmed.data.kinds import find_kind, read_head
from tlmed.data.masks import find_masks
from tlmed.data.readers import describe_endings, is_image, names_patients
from tlmed.data.table import Table, find_licence, make_table
from tlmed.errors import InputError, did_you_mean
from tlmed.regular_files import read_regular
from tlmed.split_names import SPLIT_NAMES, name_split
from tlmed.words import listed

REQUIRED, OPTIONAL = ("path", "label"), ("group", "split")
DELIMITERS = {";": "semicolons", "\t": "tabs"}
USUAL = {  # without case, spaces, underscores, hyphens and dots
    "path": ("path", "image", "imagepath", "imagefile", "file", "filename", "filepath", "imagename"),
    "label": ("label", "class", "target", "diagnosis", "dx", "category"),
}
_HEADERS = (
    "No column names the patients, and in a CSV the headers of DICOM files are not asked. They are if the data are a "
    "folder of class folders; or add a column `patient`."
)
NAMED = 3  # faulty rows of a kind that an error names; the others it counts


@dataclass(frozen=True)
class _Row:
    line: int
    path: str
    label: str
    split: str
    too_long: bool
    others: dict[str, str]  # values of all columns but path, label and split


def open_listing(file: Path, grouping: Grouping = BY_NAME) -> Table:
    """Read a CSV file whose paths are relative to the file's own folder.

    A column `split` without a single value gives no splits. Masks of other images are left out and named, although they
    are listed, because lists are often made of all files. Any other row that names no image is a fault, because a whole
    class could be missing without it. Columns of other names are traits of the images, such as the site, the device or
    the patient's sex.

    Args:
        file: The CSV file, UTF-8, with a header.
        grouping: Which column names the groups.

    Returns:
        The table.

    Raises:
        InputError: Every fault of the file at once, with line numbers.
    """
    images, notes = _read_rows(file)
    others = {name: [row.others[name] for row in images] for name in (images[0].others if images else ())}
    filled = {name: texts for name, texts in others.items() if any(texts)}
    group = find_group(filled, grouping, f"data={file}")
    has_splits = any(row.split for row in images)
    if faults := _faults(file, images, group, has_splits):
        raise InputError(faults)
    masks = find_masks(file.parent, [posixpath.normpath(row.path) for row in images])
    kept = [row for row, image in enumerate(images) if posixpath.normpath(image.path) not in masks.of]
    images = [images[row] for row in kept]
    others = {name: [texts[row] for row in kept] for name, texts in others.items()}
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
        notes=(*notes, *told, *name_spellings(groups or ()), *masks.describe()),
        licence=find_licence(file.parent),
        traits={name: tuple(texts) for name, texts in others.items()},
    )


def _read_rows(file: Path) -> tuple[list[_Row], list[str]]:
    """Return the rows, and sentences on how an unusual form was understood; refuse a file that is no table."""
    try:
        # Excel begins a CSV file in UTF-8 with a byte order mark, which "utf-8-sig" removes.
        text = read_regular(file).decode("utf-8-sig")
        header = text.partition("\n")[0]
        delimiter = next((mark for mark in DELIMITERS if mark in header and "," not in header), ",")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        meant = _find_meant(columns)
        columns = [meant.get(name, name) for name in columns]
        _check_columns(file, columns)
        reader.fieldnames = columns
        rows = [_row(file.parent, reader.line_num, fields) for fields in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"A listing must be a CSV file in UTF-8. Received: data={file}: {reason}.") from error
    notes = [f"The column {name!r} is taken for {wanted!r}." for name, wanted in meant.items()]
    notes += [f"The columns are separated by {DELIMITERS[delimiter]}."] if delimiter in DELIMITERS else []
    return rows, notes


def _find_meant(columns: list[str]) -> dict[str, str]:
    """Return the columns taken for `path` and `label`: none has that name, and only one has a usual name for it."""
    meant = {}
    for wanted, names in USUAL.items():
        found = [name for name in columns if re.sub(r"[\s_\-.]+", "", name).lower() in names]
        if wanted not in columns and len(found) == 1:
            meant[found[0]] = wanted
    return meant


def _check_columns(file: Path, columns: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in columns]
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    known = {*REQUIRED, "split"}
    capital = [name for name in columns if name not in known and name.lower() in known and name.lower() not in missing]
    faults = [
        f"A listing must have the column '{name}' ({','.join(REQUIRED)} and optionally {','.join(OPTIONAL)}, "
        f"separated by commas).{did_you_mean(name, columns)} "
        f"Received: data={file} with {listed(columns) or 'none'}."
        for name in missing
    ]
    faults += [f"A column name may occur only once. Received: '{name}' twice in data={file}." for name in twice]
    faults += [
        f"The column '{name.lower()}' must be written in small letters. Received: '{name}' in data={file}."
        for name in capital
    ]
    if faults:
        raise InputError(faults)


def _row(folder: Path, line: int, fields: dict) -> _Row:
    text = {name: (value or "").strip() for name, value in fields.items() if name is not None}
    others = {name: text[name] for name in text if name and name not in {*REQUIRED, "split"}}
    return _Row(line, _find_path(folder, text["path"]), text["label"], text.get("split", ""), None in fields, others)


def _find_path(folder: Path, path: str) -> str:
    """Return a path relative to the folder; absolute paths inside it and paths written by Windows are converted."""
    if os.path.isfile(folder / (forward := path.replace("\\", "/"))):
        path = forward
    root = folder.resolve().as_posix() + "/"
    return path.removeprefix(root) if path.startswith(root) else path


def _faults(file: Path, rows: list[_Row], group: str | None, has_splits: bool) -> list[str]:
    """Return one sentence for every kind of fault, each with the lines that have it."""
    bad: dict[str, list[str]] = defaultdict(list)
    lines: dict[str, list[int]] = defaultdict(list)
    train = {row.label for row in rows if _split(row) == "train"}
    for row in rows:
        for rule, received in _row_faults(file.parent, row, train, group, has_splits):
            bad[rule].append(f"{received} (line {row.line})")
        if row.path:
            lines[posixpath.normpath(row.path)].append(row.line)
    twice = [f"'{path}' (lines {listed(where)})" for path, where in lines.items() if len(where) > 1]
    if twice:
        bad["A path must occur only once."] = twice
    if has_splits:
        for split in {"train", "test"} - {_split(row) for row in rows}:
            bad[f"The column 'split' must name rows of '{split}' (only 'val' may be missing)."] = ["none"]
    return [f"{rule} Received: {listed(received, NAMED)}." for rule, received in sorted(bad.items())]


def _row_faults(folder: Path, row: _Row, train: set[str], group: str | None, has_splits: bool):
    """Yield rule and received value for every fault of one row."""
    if row.too_long:
        yield (
            "A row must have no more fields than the header (a comma inside a value needs quotes).",
            "more fields",
        )
    if not row.path:
        yield "A path must not be empty.", "path=''"
    elif _escapes(row.path):
        yield "A path must be relative to the CSV's folder and stay inside it.", f"'{row.path}'"
    elif not is_image(folder / row.path):
        kind = find_kind(folder / row.path)
        yield (
            f"A path must name an image ({describe_endings()}){f'; {kind.advice}' if kind else ''}.",
            f"'{row.path}'",
        )
    elif not os.path.isfile(folder / row.path):
        yield f"A path must name a file that exists, relative to {folder}.", f"'{row.path}'"
    if is_blank(row.label):
        yield (
            "A label must not be empty, nor what programs write for an empty one (nan, NA, null): leave such rows out, "
            "or give the class another name.",
            f"label={row.label!r}",
        )
    if group and is_missing(row.others[group]):
        yield (
            f"{state_group_rule(group)}.",
            f"{group}={row.others[group]!r}",
        )
    if not has_splits:
        return
    if not row.split:
        yield "A split must be given in every row, or in none (then tlmed divides the images).", "split=''"
    elif _split(row) is None:
        near = did_you_mean(row.split, SPLIT_NAMES)
        yield f"A split must be 'train', 'val' or 'test'.{near}", f"'{row.split}'"
    elif row.label and train and row.label not in train:
        near = suggest_spelling(row.label, train)
        yield f"A label of '{_split(row)}' must occur in 'train' too.{near}", f"'{row.label}'"


def _split(row: _Row) -> str | None:
    return name_split(row.split)


def _escapes(path: str) -> bool:
    """Tell whether a path is absolute, on Windows or elsewhere, or leads out of its folder.

    >>> [_escapes(path) for path in ("a/../b.png", "../b.png", "/b.png", "C:/b.png")]
    [False, True, True, True]
    """
    # `anchor` also finds a drive or share: C:/b.png, //server/share.
    absolute = posixpath.isabs(path) or bool(PureWindowsPath(path).anchor)
    return absolute or posixpath.normpath(path).split("/")[0] == ".."
