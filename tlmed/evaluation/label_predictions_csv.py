"""Tables of predictions of several labels per image: the columns `label_`, `prediction_` and `score_` of each label."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tlmed import whole_files
from tlmed.errors import InputError
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import CALIBRATED, SCORE
from tlmed.label_texts import UNKNOWN
from tlmed.regular_files import read_regular
from tlmed.split_names import SPLITS
from tlmed.tasks import MULTI_LABEL
from tlmed.words import listed

LABEL, PREDICTION = "label_", "prediction_"
_SINGLE = "%.9g"  # single precision needs nine digits
_NAMED = 3  # lines that an error names; it counts the others


def write_label_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write `predictions.csv`, whole or not at all; a label that is not known is empty, and scores keep every bit."""
    names, groups, calibrated = predictions.classes, predictions.groups, predictions.calibrated
    tables = {
        LABEL: [["" if value == UNKNOWN else value for value in row] for row in predictions.labels.tolist()],
        PREDICTION: predictions.predictions.tolist(),
        SCORE: _write_numbers(predictions.scores),
        **({} if calibrated is None else {CALIBRATED: _write_numbers(calibrated)}),
    }
    header = ["path", "split", *(kind + name for kind in tables for name in names)]
    header += [] if groups is None else ["group"]
    owners = ((),) * len(predictions.paths) if groups is None else ((group,) for group in groups)
    parts = zip(predictions.paths, predictions.splits, zip(*tables.values(), strict=True), owners, strict=True)
    rows = ((place, split, *(cell for part in cells for cell in part), *owner) for place, split, cells, owner in parts)
    whole_files.write_csv(Path(path), header, rows)


def _write_numbers(numbers) -> list[list[str]]:
    """Return numbers as texts that read back as the same: single precision needs nine digits, double 17."""
    numbers = np.asarray(numbers, dtype=float)
    form = _SINGLE if np.array_equal(numbers, _to_single(numbers)) else "%.17g"
    return [[form % number for number in row] for row in numbers.tolist()]


def _to_single(numbers) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(numbers, dtype=float).astype(np.float32).astype(float)


def read_label_predictions(path: str | Path, classes: Sequence[str]) -> Predictions:
    """Read a table that `write_label_predictions` wrote.

    Args:
        path: The table.
        classes: The names of the labels, in order.

    Raises:
        InputError: It cannot be read, lacks a column, or holds what is no label, split or score.
    """
    rows = _read_rows(Path(path), classes)
    tables = {kind: [[row[kind + name] for name in classes] for row in rows] for kind in (LABEL, PREDICTION, SCORE)}
    is_calibrated = CALIBRATED + classes[0] in rows[0]
    calibrated = [[row[CALIBRATED + name] for name in classes] for row in rows] if is_calibrated else None
    return Predictions(
        tuple(row["path"] for row in rows),
        tuple(row["split"] for row in rows),
        np.array([[int(cell) if cell else UNKNOWN for cell in row] for row in tables[LABEL]]),
        _read_numbers(tables[SCORE]),
        np.array([list(map(int, row)) for row in tables[PREDICTION]]),
        tuple(classes),
        tuple(row["group"] for row in rows) if "group" in rows[0] else None,
        None if calibrated is None else _read_numbers(calibrated),
        task=MULTI_LABEL,
    )


def _read_numbers(texts) -> np.ndarray:
    numbers = np.array([list(map(float, row)) for row in texts])
    single = _to_single(numbers)
    # Nine digits, read in double precision, are not quite the number that was written.
    return single if all(map(_is_written_so, texts, single.tolist())) else numbers


def _is_written_so(texts, numbers) -> bool:
    return texts == [_SINGLE % number for number in numbers]


def _read_rows(path: Path, classes) -> list[dict[str, str]]:
    try:
        with io.TextIOWrapper(io.BytesIO(read_regular(path)), encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            header, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"Predictions must be a CSV file in UTF-8. Received: {path}: {reason}.") from error
    wanted = ["path", "split", *(kind + name for kind in (LABEL, PREDICTION, SCORE) for name in classes)]
    calibrated = [CALIBRATED + name for name in classes]
    wanted += calibrated if any(name in header for name in calibrated) else []
    if missing := [name for name in wanted if name not in header]:
        raise InputError(f"The file must have the columns {listed(missing)}. Received: {path} without them.")
    if not rows:
        raise InputError(f"The file must have one row or more below its header. Received: {path}, no row.")
    if faults := _find_faults(rows, wanted):
        raise InputError([f"{rule}. Received: {path}, {where}." for rule, where in faults])
    return rows


def _find_faults(rows, wanted) -> list[tuple[str, str]]:
    """Return which rule is broken, and in which lines."""
    seen = Counter((row["split"], row["path"]) for row in rows)
    rules = {
        "Every row must have as many fields as the header": lambda row: None in row or None in row.values(),
        f"`split` must be one of {', '.join(SPLITS)}": lambda row: row["split"] not in SPLITS,
        "`path` must be different in every row of a split": lambda row: seen[row["split"], row["path"]] > 1,
    }
    rules |= {
        f"`{name}` must be {_CELLS[kind][0]}": _make_test(name, kind)
        for name in wanted
        for kind in _CELLS
        if name.startswith(kind)
    }
    found = []
    for rule, is_broken in rules.items():
        lines = [line for line, row in enumerate(rows, 2) if is_broken(row)]
        if lines:
            found.append((rule, f"line{'s' * (len(lines) > 1)} {listed(map(str, lines), _NAMED)}"))
        if found and rule.startswith("Every row"):
            return found  # other columns cannot be told there
    return found


def _make_test(name, kind):
    return lambda row: not _CELLS[kind][1](row[name])


def _is_probability(text) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


_CELLS = {
    LABEL: ("0, 1 or empty", lambda text: text in ("0", "1", "")),
    PREDICTION: ("0 or 1", lambda text: text in ("0", "1")),
    SCORE: ("a probability, 0 to 1", _is_probability),
    CALIBRATED: ("a probability, 0 to 1", _is_probability),
}
