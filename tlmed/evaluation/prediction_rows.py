"""Tables of predictions by any program: their columns and rows, the faults of both, and what they say of groups."""

import csv
import io
import math
import posixpath
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlmed.columns import (
    Grouping,
    describe_group,
    describe_traits,
    find_group,
    is_missing,
    name_spellings,
    state_group_rule,
)
from tlmed.divisions import describe_unused_splits, find_folds, find_split_faults
from tlmed.errors import InputError, did_you_mean
from tlmed.regular_files import read_regular
from tlmed.source_layout import DELIMITERS
from tlmed.split_names import SPLIT_NAMES, SPLITS, name_split
from tlmed.words import listed

SCORE, CALIBRATED = "score_", "calibrated_"
UNUSUAL = "unusual"  # the column of `tlmed predict` with the p-value of an image being like those of training
NOTE = "image_note"  # the column of `tlmed predict` that says what is odd about an image
_NAMED = 3  # faulty rows that an error names; it counts the others
Fault = tuple[str, str]  # a rule, and what of the file breaks it
_SINGLE = "%.9g"  # nine digits distinguish all numbers of single precision


def form_row(columns: int) -> str:
    """Return the format of a row of numbers in single precision, with commas between them."""
    return ",".join([_SINGLE] * columns)


def to_single(numbers: np.ndarray) -> np.ndarray:
    """Return the nearest numbers of single precision, in double precision."""
    with np.errstate(over="ignore"):  # of numbers that are no scores
        return np.asarray(numbers).astype(np.float32).astype(float)


def is_single(numbers: np.ndarray) -> bool:
    """Tell whether single precision holds all numbers exactly."""
    return np.array_equal(numbers, to_single(numbers))


def list_after(header: Sequence[str], kind: str) -> list[str]:
    """Return what stands after a beginning in the names of columns, such as the classes after "score_".

    >>> list_after(["path", "score_ill", "score_well"], "score_")
    ['ill', 'well']
    """
    return [name.removeprefix(kind) for name in header if name.startswith(kind)]


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Rows:
    """The rows of a file: texts as they are there, scores as numbers, which take a tenth of the memory.

    Attributes:
        header: The names of all columns.
        names: The columns that hold texts.
        lines: The number of the line of each row.
        texts: The fields of those columns, a list for each row.
        tables: "score_" and "calibrated_", as far as there are such columns: numbers, an array for each row.
        single: Whether a table was written in single precision, by the nine digits that `form_row` gives.
        ragged: Lines with more or fewer fields than the header, which are in none of the above.
    """

    header: list[str]
    names: tuple[str, ...]
    lines: list[int] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    tables: dict[str, list[np.ndarray]] = field(default_factory=dict)
    single: dict[str, bool] = field(default_factory=dict)
    ragged: list[int] = field(default_factory=list)

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The texts of each column, one for each row; there must be rows."""
        return dict(zip(self.names, zip(*self.texts, strict=True), strict=True))

    def list_after(self, kind: str) -> list[str]:
        """Return what stands after a beginning in the names of columns, such as the classes after "score_"."""
        return list_after(self.header, kind)

    def read_table(self, kind: str, classes: Sequence[str]) -> np.ndarray:
        """Return the scores of a kind, float [n, k], in the order of the classes."""
        place = {name: column for column, name in enumerate(self.list_after(kind))}
        table = np.array(self.tables[kind])[:, [place[name] for name in classes]]
        # Nine digits, read in double precision, are not quite the number that was written.
        return to_single(table) if self.single[kind] else table


def read_header(path: Path) -> list[str]:
    """Return the names of the columns of a table.

    Raises:
        InputError: As `read_rows`.
    """
    return _read(path, lambda header, reader: header)


def read_rows(path: Path) -> Rows:
    """Return the rows of a table.

    Raises:
        InputError: It is no CSV file in UTF-8, with or without a byte order mark.
    """
    return _read(path, _collect)


def _read(path, take):
    try:
        with io.TextIOWrapper(io.BytesIO(read_regular(path)), encoding="utf-8-sig", newline="") as text:
            _check_marks(path, text.readline())
            text.seek(0)
            reader = csv.reader(text, strict=True)  # otherwise Python accepts broken quotes
            return take(next(reader, []), reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"Predictions must be a CSV file in UTF-8. Received: {path}: {reason}.") from error


def _check_marks(path, header) -> None:
    """Refuse a table whose columns are not separated by commas, as spreadsheets and R write it in many countries."""
    marks = [said for mark, said in DELIMITERS.items() if mark in header]
    if marks and "," not in header:
        raise InputError(
            "The columns of predictions must be separated by commas, and numbers be written with a point (0.5): save "
            f"the table so. Received: {path}, whose columns are separated by {marks[0]}."
        )


def _collect(header, reader) -> Rows:
    places = {kind: [i for i, name in enumerate(header) if name.startswith(kind)] for kind in (SCORE, CALIBRATED)}
    known = {i for found in places.values() for i in found}
    others = [i for i in range(len(header)) if i not in known]
    rows = Rows(header, tuple(header[i] for i in others))
    for kind in [kind for kind, found in places.items() if found]:
        rows.tables[kind], rows.single[kind] = [], True
    forms = {kind: form_row(len(places[kind])) for kind in rows.tables}
    for fields in filter(None, reader):  # blank lines are no rows
        if len(fields) != len(header):
            rows.ragged.append(reader.line_num)
            continue
        rows.lines.append(reader.line_num)
        rows.texts.append([fields[i] for i in others])
        for kind, table in rows.tables.items():
            texts = [fields[i] for i in places[kind]]
            numbers = np.array(_to_numbers(texts))
            table.append(numbers)
            if rows.single[kind]:
                rows.single[kind] = ",".join(texts) == forms[kind] % tuple(to_single(numbers).tolist())
    return rows


def _to_numbers(texts: Sequence[str]) -> list[float]:
    """Return texts as numbers; NaN, which no score may be, for any text that is no number."""
    try:
        return list(map(float, texts))
    except ValueError:
        return list(map(_to_number, texts))


def _to_number(text: str) -> float:
    """Return `text` as a number; NaN, which no score may be, if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def raise_faults(path: object, faults: Sequence[Fault]) -> None:
    """Raise all faults at once; each is a rule and what of the file breaks it."""
    if faults:
        raise InputError([f"{rule}. Received: {path}{', ' * bool(what)}{what}." for rule, what in faults])


def pick(lines: Sequence[int], chosen: Sequence[bool]) -> list[int]:
    """Return the lines of chosen rows."""
    return [line for line, bad in zip(lines, chosen, strict=True) if bad]


def name_lines(rule: str, lines: Sequence[int]) -> list[Fault]:
    """Return the fault of breaking `rule` in `lines`, with the first of them, or nothing."""
    if not lines:
        return []
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return [(rule, f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines[:_NAMED]))}{more}")]


def name_texts(rule: str, rows: Rows, texts: Sequence[str], right: Collection[str]) -> list[Fault]:
    """Return the fault of texts that are not among the right ones, with the first of them, or nothing."""
    lines = pick(rows.lines, [text not in right for text in texts])
    names = ", ".join(map(repr, sorted(set(texts) - set(right))[:_NAMED]))
    return [(rule, f"{where}: {names}") for rule, where in name_lines(rule, lines)]


def say_columns(rows: Rows) -> str:
    """Return the names of all columns."""
    return f"columns {', '.join(rows.header) or 'none'}"


def find_form_faults(rows: Rows, ours: Collection[str]) -> list[Fault]:
    """Return faults of the form: names of columns in capitals or twice, no rows, and rows of another length.

    Args:
        rows: Of the file.
        ours: The columns that mean something.
    """
    rule, header = "The columns that tlmed knows must be written in small letters", rows.header
    faults = [(rule, f"column {name!r}") for name in header if name not in ours and name.strip().lower() in ours]
    twice = [name for name, count in Counter(header).items() if count > 1]
    faults += [("The file must have each column once", f"column {name} more than once") for name in twice]
    if not rows.lines and not rows.ragged:
        faults.append(("The file must have one row or more below its header", "no row"))
    return faults + name_lines(f"Every row must have {len(header)} fields, as the header has", rows.ragged)


def find_place_faults(lines: Sequence[int], columns: Mapping, others: Collection[str]) -> list[Fault]:
    """Return faults of paths and splits, and columns that say that rows are of several folds.

    Args:
        lines: The number of the line of each row.
        columns: The texts of each column.
        others: The columns that mean nothing else.
    """
    # `./a.png` and `a.png` are one image. A group that was pooled may have a row in each split.
    splits = map(name_split, columns.get("split", ["test"] * len(lines)))
    keys = list(zip(splits, map(posixpath.normpath, columns["path"]), strict=True))
    seen = Counter(keys)
    return [
        *name_lines("`path` must not be empty", pick(lines, [not name for name in columns["path"]])),
        *name_lines("`path` must be different in every row of a split", pick(lines, [seen[key] > 1 for key in keys])),
        *_find_fold_faults(columns),
        *_find_split_faults(lines, columns, others),
    ]


def _find_fold_faults(columns) -> list[Fault]:
    rule = (
        "Predictions must be of one fold: each fold has a network of its own, and their scores are not on one scale. "
        "A cross-validation's `metrics.json` holds the mean over its folds; remove the column if it means another thing"
    )
    folds = {name: find_folds(name, texts) for name, texts in columns.items()}
    # Of tlmed's own column every value counts, however many there are.
    folds["fold"] = kinds if len(kinds := sorted(set(columns.get("fold", ())))) > 1 else []
    return [(rule, f"column {name!r} with {listed(kinds, _NAMED)}") for name, kinds in folds.items() if kinds]


def _find_split_faults(lines, columns, others) -> list[Fault]:
    """Return the rows whose split is none, and the columns that hold splits under another name.

    Rows of an unknown split would be left out, and training images under `subset` scored as if they were test images.
    """
    faults = []
    unknown = sorted({name for name in columns.get("split", ()) if name_split(name) is None})
    if unknown:
        rule = f"`split` must be one of {', '.join(SPLITS)}"
        near = did_you_mean(unknown[0].strip(), SPLIT_NAMES)
        said = listed(map(repr, unknown), _NAMED) + (f" ({near.strip()})" if near else "")
        chosen = [name_split(name) is None for name in columns["split"]]
        faults += [(rule, f"{where}: {said}") for _, where in name_lines(rule, pick(lines, chosen))]
    if "split" not in columns:
        rule = "The column that says which split a row belongs to must be called `split`"
        found = [name for name in others if all(map(name_split, columns[name]))]
        faults += [(rule, f"column {name!r} with {', '.join(sorted(set(columns[name])))}") for name in found]
    return faults


@dataclass(frozen=True)
class Surroundings:
    """What a table says of its rows beside labels and scores.

    Attributes:
        splits: The split of each row, "test" where the table names none.
        groups: The group of each row; None if it names none.
        traits: What else is known, by name: a text for each row.
        of_groups: Sentences on the groups that a user should see.
        of_traits: Sentences on the others.
    """

    splits: tuple[str, ...]
    groups: tuple[str, ...] | None
    traits: dict[str, tuple[str, ...]]
    of_groups: tuple[str, ...]
    of_traits: tuple[str, ...]


def read_surroundings(path: Path, rows: Rows, others: Collection[str], grouping: Grouping) -> Surroundings:
    """Return the splits, groups and traits of rows.

    Args:
        path: The file, for messages.
        rows: Without faults.
        others: The columns that mean nothing else.
        grouping: Which column names the groups.

    Raises:
        InputError: As `find_group`; a column can only mean splits; or a row names no group where others do.
    """
    columns = rows.columns
    traits = {name: tuple(map(str.strip, columns[name])) for name in others}
    filled = {name: texts for name, texts in traits.items() if any(texts)}
    group = find_group(filled, grouping, str(path))
    groups = traits.pop(group) if group else None
    unused = {} if "split" in columns else traits
    if faults := find_split_faults(unused, str(path), "all rows shall be scored"):
        raise InputError(faults)
    if groups:
        raise_faults(path, name_lines(state_group_rule(group), pick(rows.lines, map(is_missing, groups))))
    return Surroundings(
        tuple(map(name_split, columns["split"])) if "split" in columns else ("test",) * len(rows.lines),
        groups,
        traits,
        (*describe_group(group, filled, grouping), *name_spellings(groups or ())),
        (*describe_traits(traits), *describe_unused_splits(unused)),
    )
