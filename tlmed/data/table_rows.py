"""The rows of a table of images (.csv, .tsv, .txt), and which of its columns mean path, label and split."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlmed.data.kinds import HEAD, recognise
from tlmed.data.label_columns import count_uncertain, infer_label_columns
from tlmed.data.readers import has_usual_ending, readable_endings
from tlmed.errors import InputError, did_you_mean
from tlmed.label_cells import join_cells
from tlmed.patient_columns import squeeze
from tlmed.regular_files import read_regular
from tlmed.source_layout import DELIMITERS, ROLES, Layout
from tlmed.words import count, join_names, listed

REQUIRED, OPTIONAL = ("path", "label"), ("group", "split")
USUAL = {  # without case, spaces, underscores, hyphens and dots
    "path": ("path", "image", "imagepath", "imagefile", "imageid", "file", "filename", "filepath", "imagename"),
    "label": ("label", "class", "target", "diagnosis", "dx", "category"),
    "split": ("split",),
}
WHY = "why"  # a column of remarks, as `data check --write` writes it: it means nothing for the images
_GUESSED = ("\t", ";", "|")  # separators of a header without a comma


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        line: Its last line in the file.
        path: Relative to the file's folder, as far as that can be made of what is written.
        label: As it is written.
        split: As it is written; "" if there is no such column.
        too_long: Whether it has more fields than the header.
        others: The values of all other columns.
        odd: Cells of columns of labels that hold neither 0, 1 nor nothing, as words; "" for none.
        folder: The path of the folder that the table names, for a file in it; "" for a file that the table names.
    """

    line: int
    path: str
    label: str
    split: str
    too_long: bool
    others: dict[str, str]
    odd: str = ""
    folder: str = ""


def read_rows(file: Path, layout: Layout) -> tuple[list[Row], list[str], Layout]:
    """Read a table.

    Args:
        file: UTF-8, with a header.
        layout: What the user says of its columns.

    Returns:
        The rows, sentences on how an unusual form was understood, and the layout of this table: of another source of
        several labels, whose labels may stand in columns of their own or together in one.

    Raises:
        InputError: It is no such table, or a column is missing or could be one of several.
    """
    try:
        content = read_regular(file)
        # Excel begins a CSV file in UTF-8 with a byte order mark, which "utf-8-sig" removes.
        text = content.decode("utf-8-sig")
        delimiter = _find_delimiter(file, text.partition("\n")[0], layout)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        read = [(reader.line_num, fields) for fields in reader]
        cells = [fields for _, fields in read]
        layout, inferred = _infer(columns, cells, _settle(columns, layout))
        meant, told = _find_columns(file, columns, layout)
        told += [*inferred, *count_uncertain(cells, layout)]
        rows = [_row(file.parent, line, fields, meant, layout) for line, fields in read]
    except UnicodeDecodeError as error:
        raise InputError(_describe_encoding(file, content, error)) from error
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"A listing must be a CSV file in UTF-8. Received: data={file}: {reason}.") from error
    if delimiter not in (",", layout.delimiter):
        told.append(f"columns are separated by {DELIMITERS[delimiter]}")
    return *_complete(file.parent, rows, [f"Of the table, {join_names(told)}."] if told else []), layout


def _settle(columns, layout) -> Layout:
    """Return the layout of a table: in another source than a run's own, its labels may stand in the other form.

    The form of the run's own source comes first, if the table has it.
    """
    if not layout.elsewhere or layout.vocabulary is None:
        return layout
    apart = tuple(name for name in layout.vocabulary if name in columns)
    together = [name for name in columns if name == layout.label or squeeze(name) in USUAL["label"]]
    return replace(layout, label_columns=None if together and layout.label_columns is None else apart or None)


def _infer(columns, rows, layout) -> tuple[Layout, list[str]]:
    """Return the layout of a table without a column of labels, which may have one of 0 and 1 for each label."""
    spoken = layout.label is not None or layout.label_columns is not None or layout.several is False
    if spoken or layout.classes is not None or (layout.elsewhere and layout.vocabulary is not None):
        return layout, []
    if any(squeeze(name) in USUAL["label"] for name in columns):
        return layout, []
    usual = [name for name in columns if squeeze(name) in (*USUAL["path"], *USUAL["split"])]
    taken = [*usual, *layout.list_columns().values(), *filter(None, [layout.grouping.column])]
    return infer_label_columns(columns, rows, layout, taken)


def _find_delimiter(file: Path, header: str, layout: Layout) -> str:
    if layout.delimiter is not None and (layout.delimiter in header or not layout.elsewhere):
        return layout.delimiter
    if file.suffix.lower() == ".tsv" and "\t" in header:
        return "\t"
    return next((mark for mark in _GUESSED if mark in header and "," not in header), ",")


def _describe_encoding(file: Path, content: bytes, error: UnicodeDecodeError) -> str:
    kind = recognise(content[:HEAD])
    cure = f"; it is {kind.name}: {kind.cure}" if kind else ". Excel writes it as 'CSV UTF-8'"
    return f"A listing must be a CSV file in UTF-8{cure}. Received: data={file}: {error}."


def _find_columns(file: Path, columns: Sequence[str], layout: Layout) -> tuple[dict[str, str], list[str]]:
    """Return the column that means each role, as far as there is one, and parts of a sentence about usual names."""
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    faults = [f"A column name may occur only once. Received: '{name}' twice in data={file}." for name in twice]
    named, meant, told = layout.list_columns(), {}, []
    apart = layout.label_columns or ()
    for name in apart:
        if name not in columns:
            faults.append(_describe_unknown(file, "label_columns", name, columns))
    spoken = {*named.values(), *apart, layout.grouping.column}
    for role in [role for role in ROLES if not (apart and role == "label")]:
        usual = [name for name in columns if squeeze(name) in USUAL[role] and name not in spoken]
        found = [name for name in usual if squeeze(name) == role] or usual
        if named.get(role) in columns:
            meant[role] = named[role]
        elif role in named and not layout.elsewhere:
            faults.append(_describe_unknown(file, f"{role}_column", named[role], columns))
        elif len(found) == 1:
            meant[role] = found[0]
            told += [] if found[0] == role else [f"the column {found[0]!r} is taken for {role!r}"]
        elif role == "label" and not found and layout.elsewhere and layout.vocabulary:
            faults.append(_describe_no_labels(file, layout.vocabulary, columns))
        elif found or role in REQUIRED:
            faults.append(_describe_unclear(file, role, found, columns))
    if faults:
        raise InputError(faults)
    return meant, told


def _describe_unknown(file: Path, field: str, name: str, columns: Sequence[str]) -> str:
    return (
        f"`data.{field}` must name {'columns' if field.endswith('s') else 'a column'}.{did_you_mean(name, columns)} "
        f"Received: {name!r}, for data={file} with {listed(columns) or 'none'}."
    )


def _describe_unclear(file: Path, role: str, found: Sequence[str], columns: Sequence[str]) -> str:
    if found:
        return (
            f"Only one column may mean the column '{role}': `data.{role}_column` says which. "
            f"Received: data={file} with {join_names(map(repr, found))}."
        )
    several = ", or `data.label_columns` those of several labels" if role == "label" else ""
    return (
        f"A listing must have the column '{role}' ({','.join(REQUIRED)} and optionally {','.join(OPTIONAL)}, "
        f"separated by commas), or `data.{role}_column` must name it{several}.{did_you_mean(role, columns)} "
        f"Received: data={file} with {listed(columns) or 'none'}."
    )


def _describe_no_labels(file: Path, names: Sequence[str], columns: Sequence[str]) -> str:
    return (
        f"A table must have a column for labels of the run ({listed(names)}), or the column 'label' with some between "
        f"vertical bars.{did_you_mean(names[0], columns)} Received: data={file} with {listed(columns) or 'none'}."
    )


def _row(folder: Path, line: int, fields: dict, meant: dict[str, str], layout: Layout) -> Row:
    text = {name: (value or "").strip() for name, value in fields.items() if name is not None}
    apart = layout.label_columns or ()
    spoken_for = {*meant.values(), *apart, *({WHY} if layout.grouping.column != WHY else ())}
    others = {name: value for name, value in text.items() if name and name not in spoken_for}
    split, odd = text[meant["split"]] if "split" in meant else "", ""
    if apart:
        label, odd = join_cells({name: text[name] for name in apart}, layout.uncertain)
    else:
        label = text[meant["label"]]
    return Row(line, _find_path(folder, text[meant["path"]]), label, split, None in fields, others, odd)


def _find_path(folder: Path, path: str) -> str:
    """Return a path relative to the folder; absolute paths inside it and paths written by Windows are converted."""
    if os.path.isfile(folder / (forward := path.replace("\\", "/"))):
        path = forward
    root = folder.resolve().as_posix() + "/"
    return path.removeprefix(root) if path.startswith(root) else path


def _complete(folder: Path, rows: list[Row], told: list[str]) -> tuple[list[Row], list[str]]:
    """Give paths their ending where a table names images without it, and one file has the name with such an ending."""
    completed = [row if (path := _find_ending(folder, row.path)) is None else _with_path(row, path) for row in rows]
    pairs = [(row.path, new.path) for row, new in zip(rows, completed, strict=True) if row is not new]
    if pairs:
        before, after = pairs[0]
        told.append(f"{count(len(pairs), 'path')} without an ending: {before!r} is taken for {after!r}, and so on.")
    return completed, told


def _with_path(row: Row, path: str) -> Row:
    return replace(row, path=path)


def _find_ending(folder: Path, path: str) -> str | None:
    if not path or has_usual_ending(path) or os.path.lexists(folder / path):
        return None
    found = [path + ending for ending in readable_endings() if os.path.isfile(folder / (path + ending))]
    return found[0] if len(found) == 1 else None
