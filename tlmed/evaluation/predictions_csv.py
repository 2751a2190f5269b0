"""Tables of predictions: `predictions.csv` of a run, and tables that other programs wrote."""

import csv
import io
import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlmed import whole_files
from tlmed.columns import (
    BY_NAME,
    Grouping,
    describe_group,
    describe_traits,
    find_group,
    is_missing,
    name_spellings,
    order_classes,
    state_group_rule,
)
from tlmed.divisions import describe_unused_splits, find_folds, find_split_faults
from tlmed.errors import InputError, did_you_mean
from tlmed.evaluation.predictions import Predictions, predict_classes
from tlmed.metrics import positive_index
from tlmed.regular_files import read_regular
from tlmed.split_names import SPLIT_NAMES, SPLITS, name_split
from tlmed.tasks import ORDINAL, SINGLE_LABEL
from tlmed.words import listed

SCORE, CALIBRATED = "score_", "calibrated_"
NOTE = "image_note"  # the column of `tlmed predict` that says what is odd about an image
_OURS = ("path", "split", "label", "prediction", "fold")
_NAMED = 3  # faulty rows that an error names; it counts the others


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write `predictions.csv`, whole or not at all; scores keep every bit.

    Single precision, which networks compute in, has nine digits: half of what double precision takes.
    """
    names, groups, calibrated = predictions.classes, predictions.groups, predictions.calibrated
    tables = {SCORE: predictions.scores} | ({} if calibrated is None else {CALIBRATED: calibrated})
    texts = zip(
        predictions.paths,
        predictions.splits,
        [names[label] for label in predictions.labels],
        [names[guess] for guess in predictions.predictions],
        strict=True,
    )
    numbers = zip(*map(_to_texts, tables.values()), strict=True)
    owners = ((),) * len(predictions.paths) if groups is None else ((group,) for group in groups)
    header = ("path", "split", "label", "prediction", *(kind + name for kind in tables for name in names))
    with whole_files.atomic(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.write(whole_files.format_csv((*header, *(("group",) if groups is not None else ())), ()))
        for row, scores, owner in zip(texts, numbers, owners, strict=True):
            after = [_to_line(owner)] if owner else []
            file.write(",".join([_to_line(row), *scores, *after]) + "\n")


def _to_line(fields) -> str:
    return whole_files.format_csv(fields, ()).removesuffix("\n")


def _to_texts(numbers) -> Iterator[str]:
    """Yield the rows of a table with commas between, so that they read back as the same numbers."""
    numbers = np.asarray(numbers, dtype=float)
    form = _name_form(numbers.shape[1]) if _is_single(numbers) else ",".join(["%r"] * numbers.shape[1])
    return (form % tuple(row) for row in numbers.tolist())


def _name_form(columns: int) -> str:
    """Return the format of a row in single precision: nine digits distinguish all its numbers."""
    return ",".join(["%.9g"] * columns)


def _to_single(numbers: np.ndarray) -> np.ndarray:
    """Return the nearest numbers of single precision, in double precision."""
    with np.errstate(over="ignore"):  # of numbers that are no scores
        return numbers.astype(np.float32).astype(float)


def _is_single(numbers: np.ndarray) -> bool:
    return np.array_equal(numbers, _to_single(numbers))


def read_predictions(
    path: str | Path,
    grouping: Grouping = BY_NAME,
    positive: str | None = None,
    order: Sequence[str] | None = None,
    task: str = SINGLE_LABEL,
) -> Predictions:
    """Read predictions from any CSV with the columns `path`, `label` and `score_<class>` for every class.

    The columns `split` and `prediction` may be missing: then every row belongs to "test", and the prediction is the
    positive one of two classes where its score reaches 0.5, of several the one with the highest score, and of ordered
    ones the median, by calibrated scores if there are any. Nothing depends on the order of the columns: classes are in
    that of `order_classes`. A split may be spelled as people do ("Training", "valid"). Also missing may be the column
    that names the group of each image, which is found by the rule of `find_group`, and `calibrated_<class>` for every
    class. Columns of other names are traits of the images.

    Args:
        path: The file, UTF-8, with or without a byte order mark.
        grouping: Which column names the groups.
        positive: The positive of two classes, by default the second in the order of classes.
        order: The classes in another order. Used where these are the classes of the file: otherwise whoever compares
            the classes names the difference.
        task: What was asked, of `tlmed.tasks`.

    Raises:
        InputError: With every fault of the file: columns or classes that are missing, rows of another length,
            scores that are no probabilities or do not sum to 1 (within 1e-3), paths that occur twice, unknown splits,
            predictions of several folds; and with rows that name no group where others do.
    """
    header, classes, rows = _read_rows(Path(path))
    _raise(path, _find_header_faults(header, rows, classes))
    columns = dict(zip(rows.names, zip(*rows.texts, strict=True), strict=True))
    tables = {kind: rows.read_table(kind, header, classes) for kind in rows.tables}
    _raise(path, _find_faults(rows.lines, columns, classes, tables))
    ordered = tuple(order if order is not None and sorted(order) == sorted(classes) else order_classes(classes))
    places = [classes.index(name) for name in ordered]
    classes, tables = ordered, {kind: table[:, places] for kind, table in tables.items()}
    numbers = {name: number for number, name in enumerate(classes)}
    guesses = columns.get("prediction")
    others = {name: tuple(map(str.strip, texts)) for name, texts in columns.items() if not _is_ours(name)}
    filled = {name: texts for name, texts in others.items() if any(texts)}
    group = find_group(filled, grouping, str(path))
    groups = others.pop(group) if group else None
    unused = {} if "split" in columns else others
    if faults := find_split_faults(unused, str(path), "all rows shall be scored"):
        raise InputError(faults)
    if groups:
        _raise(path, _name_lines(state_group_rule(group), _pick(rows.lines, map(is_missing, groups))))
    if guesses is None:
        decisive = tables.get(CALIBRATED, tables[SCORE]) if task == ORDINAL else tables[SCORE]
        predicted = predict_classes(decisive, positive_index(classes, positive), task=task)
    else:
        predicted = np.array([numbers[name] for name in guesses])
    notes = (
        *describe_group(group, filled, grouping),
        *name_spellings(groups or ()),
        *name_spellings(classes, "classes"),
        *describe_traits(others),
        *describe_unused_splits(unused),
        *(_describe_unused_guesses(others, classes) if guesses is None else ()),
    )
    return Predictions(
        columns["path"],
        tuple(map(name_split, columns["split"])) if "split" in columns else ("test",) * len(rows.lines),
        np.array([numbers[name] for name in columns["label"]]),
        tables[SCORE],
        predicted,
        classes,
        groups,
        tables.get(CALIBRATED),
        others,
        notes,
        by_scores=guesses is None,
        task=task,
    )


def _describe_unused_guesses(columns, classes) -> list[str]:
    """Say that a column of another name seems to hold predictions, in a file that has none of the right name."""
    names = [name for name, texts in columns.items() if len(set(texts)) > 1 and set(texts) <= set(classes)]
    return [
        f"Column {name!r} holds classes and is not used: predicted classes are read from `prediction`."
        for name in names
    ]


def _is_ours(column: str) -> bool:
    return column in (*_OURS, NOTE) or column.startswith((SCORE, CALIBRATED))


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class _Rows:
    """The rows of a file: texts as they are there, scores as numbers, which take a tenth of the memory.

    Attributes:
        names: The columns that hold texts.
        lines: The number of the line of each row.
        texts: The fields of those columns, a list for each row.
        tables: "score_" and "calibrated_", as far as there are such columns: numbers, an array for each row.
        single: Whether a table was written in single precision, by the nine digits that `_name_form` gives.
        ragged: Lines with more or fewer fields than the header, which are in none of the above.
    """

    names: tuple[str, ...]
    lines: list[int] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    tables: dict[str, list[np.ndarray]] = field(default_factory=dict)
    single: dict[str, bool] = field(default_factory=dict)
    ragged: list[int] = field(default_factory=list)

    def read_table(self, kind: str, header: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """Return the scores of a kind, float [n, k], in the order of the classes."""
        table = np.array(self.tables[kind])
        place = {name: column for column, name in enumerate(name for name in header if name.startswith(kind))}
        table = table[:, [place[kind + name] for name in classes]]
        # Nine digits, read in double precision, are not quite the number that was written.
        return _to_single(table) if self.single[kind] else table


def _read_rows(path: Path) -> tuple[list[str], tuple[str, ...], _Rows]:
    """Return the header, the classes and the rows."""
    try:
        with io.TextIOWrapper(io.BytesIO(read_regular(path)), encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)  # otherwise Python accepts broken quotes
            header = next(reader, [])
            return header, *_collect(header, reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"Predictions must be a CSV file in UTF-8. Received: {path}: {reason}.") from error


def _collect(header, reader) -> tuple[tuple[str, ...], _Rows]:
    places = {kind: [i for i, name in enumerate(header) if name.startswith(kind)] for kind in (SCORE, CALIBRATED)}
    known = {i for found in places.values() for i in found}
    others = [i for i in range(len(header)) if i not in known]
    rows = _Rows(tuple(header[i] for i in others))
    for kind in [kind for kind, found in places.items() if found]:
        rows.tables[kind], rows.single[kind] = [], True
    forms = {kind: _name_form(len(places[kind])) for kind in rows.tables}
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
                rows.single[kind] = ",".join(texts) == forms[kind] % tuple(_to_single(numbers).tolist())
    return tuple(header[i].removeprefix(SCORE) for i in places[SCORE]), rows


def _raise(path, faults: Sequence[tuple[str, str]]) -> None:
    """Raise all faults at once; each is a rule and what of the file breaks it."""
    if faults:
        raise InputError([f"{rule}. Received: {path}{', ' * bool(what)}{what}." for rule, what in faults])


def _find_header_faults(header, rows, classes) -> list[tuple[str, str]]:
    columns = f"columns {', '.join(header) or 'none'}"
    if len(header) == 1 and len(parts := re.split("[;\t|]", header[0])) > 1:
        columns += f" (one column: commas separate, not {header[0][len(parts[0])]!r})"
    if "label" not in header and any(f"label_{name}" in header for name in classes):
        return [("A file of several labels per image cannot be scored yet; `tlmed evaluate RUN` scores a run", columns)]
    faults = [(f"The file must have the column `{name}`", columns) for name in ("path", "label") if name not in header]
    if len(classes) < 2:
        faults.append((f"The file must have a column `{SCORE}<class>` for each of two classes or more", columns))
    calibrated = {name.removeprefix(CALIBRATED) for name in header if name.startswith(CALIBRATED)}
    if calibrated and calibrated != set(classes):
        faults.append(
            (f"The file must have a column `{CALIBRATED}<class>` for every class with scores, or none", columns)
        )
    rule = "The columns that tlmed knows must be written in small letters"
    faults += [(rule, f"column {name!r}") for name in header if name not in _OURS and name.strip().lower() in _OURS]
    twice = [name for name, count in Counter(header).items() if count > 1]
    faults += [("The file must have each column once", f"column {name} more than once") for name in twice]
    if not rows.lines and not rows.ragged:
        faults.append(("The file must have one row or more below its header", "no row"))
    return faults + _name_lines(f"Every row must have {len(header)} fields, as the header has", rows.ragged)


def _find_fold_faults(columns) -> list[tuple[str, str]]:
    rule = (
        "Predictions must be of one fold: each fold has a network of its own, and their scores are not on one scale. "
        "A cross-validation's `metrics.json` holds the mean over its folds; remove the column if it means another thing"
    )
    folds = {name: find_folds(name, texts) for name, texts in columns.items()}
    # Of tlmed's own column every value counts, however many there are.
    folds["fold"] = kinds if len(kinds := sorted(set(columns.get("fold", ())))) > 1 else []
    return [(rule, f"column {name!r} with {listed(kinds, _NAMED)}") for name, kinds in folds.items() if kinds]


def _find_faults(lines, columns, classes, tables) -> list[tuple[str, str]]:
    faults = [fault for prefix, table in tables.items() for fault in _find_score_faults(lines, prefix, table)]
    # `./a.png` and `a.png` are one image. A group that was pooled may have a row in each split.
    splits = map(name_split, columns.get("split", ["test"] * len(lines)))
    keys = list(zip(splits, map(posixpath.normpath, columns["path"]), strict=True))
    seen = Counter(keys)
    faults += [
        *_name_lines("`path` must not be empty", _pick(lines, [not name for name in columns["path"]])),
        *_name_lines(
            "`path` must be different in every row of a split",
            _pick(lines, [seen[key] > 1 for key in keys]),
        ),
    ]
    faults += _find_fold_faults(columns)
    faults += _find_split_faults(lines, columns)
    for column in [name for name in ("label", "prediction") if name in columns]:
        unknown = [name not in classes for name in columns[column]]
        names = ", ".join(map(repr, sorted(set(columns[column]) - set(classes))[:_NAMED]))
        rule = f"`{column}` must be a class with scores ({', '.join(classes)})"
        faults += [(rule, f"{where}: {names}") for rule, where in _name_lines(rule, _pick(lines, unknown))]
    return faults


def _find_split_faults(lines, columns) -> list[tuple[str, str]]:
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
        faults += [(rule, f"{where}: {said}") for _, where in _name_lines(rule, _pick(lines, chosen))]
    if "split" not in columns:
        rule = "The column that says which split a row belongs to must be called `split`"
        others = [name for name, texts in columns.items() if not _is_ours(name) and all(map(name_split, texts))]
        faults += [(rule, f"column {name!r} with {', '.join(sorted(set(columns[name])))}") for name in others]
    return faults


def _find_score_faults(lines, prefix, scores) -> list[tuple[str, str]]:
    outside = ~((scores >= -1e-3) & (scores <= 1 + 1e-3)).all(axis=1)  # true of NaN too
    with np.errstate(invalid="ignore"):  # of infinities, which are outside already
        uneven = ~outside & (np.abs(scores.sum(axis=1) - 1) > 1e-3)
    return [
        *_name_lines(f"`{prefix}<class>` must be finite probabilities, 0 to 1", _pick(lines, outside)),
        *_name_lines(f"`{prefix}<class>` of a row must sum to 1, within 0.001", _pick(lines, uneven)),
    ]


def _pick(lines, chosen) -> list[int]:
    return [line for line, bad in zip(lines, chosen, strict=True) if bad]


def _name_lines(rule, lines) -> list[tuple[str, str]]:
    """Return the fault of breaking `rule` in `lines`, with the first of them, or nothing."""
    if not lines:
        return []
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return [(rule, f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines[:_NAMED]))}{more}")]


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
