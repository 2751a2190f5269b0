"""The predictions of a run as one table: what `predictions.csv` holds."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlmed import rundir
from tlmed.columns import BY_NAME, Grouping, find_group, name_spellings
from tlmed.errors import InputError, did_you_mean
from tlmed.regular_files import read_regular
from tlmed.rundir import SPLIT_NAMES, SPLITS, name_split
from tlmed.words import listed

SCORE, CALIBRATED = "score_", "calibrated_"
_OURS = ("path", "split", "label", "prediction", "fold")
_NAMED = 3  # faulty rows that an error names; the others it counts


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network said about n images, and what they are.

    Attributes:
        paths: Where each image lies, relative to the root of the data; n texts, all different.
        splits: The split of each image, "val" or "test" as a rule; n texts.
        labels: True classes, int [n], 0..k-1.
        scores: Uncalibrated probabilities, one column per class, float [n, k].
        predictions: Predicted classes, int [n], 0..k-1.
        classes: The k names, in the order of the columns of `scores`.
        groups: Who each image belongs to, n texts, or None; an empty text stands for an image on its own.
        calibrated: Calibrated probabilities, float [n, k], or None.
        traits: What else is known of each image, by name: n texts each. Not written to the file.
        notes: Sentences about the file that a user should see. Not written to the file.
    """

    paths: tuple[str, ...]
    splits: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    predictions: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    calibrated: np.ndarray | None = None
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, split: str) -> "Predictions":
        """Return the predictions of one split."""
        return self.take(np.flatnonzero(np.array(self.splits, dtype=object) == split))

    def take(self, rows: np.ndarray) -> "Predictions":
        """Return the predictions of some rows, int [m]."""

        def pick(texts):
            return tuple(texts[row] for row in rows)

        return Predictions(
            pick(self.paths),
            pick(self.splits),
            self.labels[rows],
            self.scores[rows],
            self.predictions[rows],
            self.classes,
            None if self.groups is None else pick(self.groups),
            None if self.calibrated is None else self.calibrated[rows],
            {name: pick(texts) for name, texts in self.traits.items()},
            self.notes,
        )


def predict_classes(scores: np.ndarray, positive_index: int | None, threshold: float | None) -> np.ndarray:
    """Turn scores into classes: by the threshold for two classes, else the highest score.

    Args:
        scores: One column per class, float [n, k].
        positive_index: Which of two classes is the positive one, 0 or 1; None for more.
        threshold: A case is positive where its score reaches this; None: the highest score decides.

    Returns:
        Predicted classes, int [n].

    >>> predict_classes(np.array([[0.7, 0.3], [0.2, 0.8]]), positive_index=1, threshold=0.25).tolist()
    [1, 1]
    """
    scores = np.asarray(scores, dtype=float)  # a threshold has more digits than a score in single precision
    if threshold is None or positive_index is None or scores.shape[1] != 2:
        return scores.argmax(axis=1)
    return np.where(scores[:, positive_index] >= threshold, positive_index, 1 - positive_index)


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write `predictions.csv`, whole or not at all; scores keep every bit."""
    names, groups, calibrated = predictions.classes, predictions.groups, predictions.calibrated
    header = ["path", "split", "label", "prediction", *(SCORE + name for name in names)]
    columns = [
        predictions.paths,
        predictions.splits,
        [names[label] for label in predictions.labels],
        [names[guess] for guess in predictions.predictions],
        *_to_texts(predictions.scores),
    ]
    if calibrated is not None:
        header += [CALIBRATED + name for name in names]
        columns += _to_texts(calibrated)
    if groups is not None:
        header.append("group")
        columns.append(groups)
    rundir.write_csv(path, header, zip(*columns, strict=True))


def _to_texts(numbers) -> list[list[str]]:
    """Return the columns of a table as Python floats: they read back as the same numbers, whatever the precision."""
    return [list(map(repr, column)) for column in np.asarray(numbers, dtype=float).T.tolist()]


def read_predictions(path: str | Path, grouping: Grouping = BY_NAME) -> Predictions:
    """Read predictions from any CSV with the columns `path`, `label` and `score_<class>` for every class.

    The columns `split` and `prediction` may be missing: then every row belongs to "test", and the class with
    the highest score is the prediction. A split may be spelled as people do ("Training", "valid"). Also missing may be
    the column that names the group of each image, which is found by the rule of `find_group`, and `calibrated_<class>`
    for every class. Columns of other names are traits of the images.

    Args:
        path: The file, UTF-8, with or without a byte order mark.
        grouping: Which column names the groups.

    Raises:
        InputError: With every fault of the file: columns or classes that are missing, rows of another length,
            scores that are no probabilities or do not sum to 1 (within 1e-3), paths that occur twice, predictions of
            several folds.
    """
    header, rows = _read_rows(Path(path))
    classes = tuple(name.removeprefix(SCORE) for name in header if name.startswith(SCORE))
    _raise(path, _find_header_faults(header, rows, classes))
    columns = dict(zip(header, zip(*rows.values(), strict=True), strict=True))
    tables = {
        prefix: np.array([[_to_number(text) for text in columns[prefix + name]] for name in classes]).T
        for prefix in (SCORE, CALIBRATED)
        if prefix + classes[0] in columns
    }
    _raise(path, _find_faults(list(rows), columns, classes, tables))
    numbers = {name: number for number, name in enumerate(classes)}
    guesses = columns.get("prediction")
    others = {name: tuple(map(str.strip, texts)) for name, texts in columns.items() if not _is_ours(name)}
    group = find_group({name: texts for name, texts in others.items() if any(texts)}, grouping, str(path))
    groups = others.pop(group) if group else None
    told = () if group in (None, "group") else (f"The column {group!r} names the groups.",)
    return Predictions(
        columns["path"],
        tuple(map(name_split, columns["split"])) if "split" in columns else ("test",) * len(rows),
        np.array([numbers[name] for name in columns["label"]]),
        tables[SCORE],
        tables[SCORE].argmax(axis=1) if guesses is None else np.array([numbers[name] for name in guesses]),
        classes,
        groups,
        tables.get(CALIBRATED),
        others,
        (*told, *name_spellings([name for name in groups or () if name])),
    )


def check_table(path: Path, force: bool, inputs: Sequence[str | Path]) -> None:
    """Refuse a file that `tlmed predict` may not write its table to.

    Args:
        path: The file.
        force: Whether an earlier table of `tlmed predict` may be written over: one of the same columns.
        inputs: What the command reads.

    Raises:
        InputError: As `rundir.check_targets`, or if there is no folder to write in.
    """
    rundir.check_folder(path.parent, [path.name], make=False)
    rundir.check_targets("--out", {path: _is_predicted}, force, inputs)


def _is_predicted(path: Path) -> bool:
    header = rundir.read_header(path)
    classes = [name.removeprefix(SCORE) for name in header if name.startswith(SCORE)]
    return bool(classes) and header == list_columns(classes)


def list_columns(classes: Sequence[str]) -> list[str]:
    """Return the columns of the table that `tlmed predict` writes.

    >>> list_columns(["ill", "well"])
    ['path', 'prediction', 'score_ill', 'score_well', 'calibrated_ill', 'calibrated_well']
    """
    return ["path", "prediction", *(kind + name for kind in (SCORE, CALIBRATED) for name in classes)]


def _is_ours(column: str) -> bool:
    return column in _OURS or column.startswith((SCORE, CALIBRATED))


def _read_rows(path: Path) -> tuple[list[str], dict[int, list[str]]]:
    """Return the header, and line number to fields."""
    try:
        text = read_regular(path).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        return header, dict((reader.line_num, row) for row in reader if row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"Predictions must be a CSV file in UTF-8. Received: {path}: {reason}.") from error


def _raise(path, faults: Sequence[tuple[str, str]]) -> None:
    """Raise all faults at once; each is a rule and what of the file breaks it."""
    if faults:
        raise InputError([f"{rule}. Received: {path}{', ' * bool(what)}{what}." for rule, what in faults])


def _find_header_faults(header, rows, classes) -> list[tuple[str, str]]:
    columns = f"columns {', '.join(header) or 'none'}"
    if len(header) == 1 and len(parts := re.split("[;\t|]", header[0])) > 1:
        columns += f" (one column: commas separate, not {header[0][len(parts[0])]!r})"
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
    if not rows:
        faults.append(("The file must have one row or more below its header", "no row"))
    ragged = [line for line, row in rows.items() if len(row) != len(header)]
    return faults + _name_lines(f"Every row must have {len(header)} fields, as the header has", ragged)


def _find_faults(lines, columns, classes, tables) -> list[tuple[str, str]]:
    faults = [fault for prefix, table in tables.items() for fault in _find_score_faults(lines, prefix, table)]
    seen = Counter(columns["path"])
    faults += [
        *_name_lines("`path` must not be empty", _pick(lines, [not name for name in columns["path"]])),
        *_name_lines(
            "`path` must be another one in every row",
            _pick(lines, [seen[name] > 1 for name in columns["path"]]),
        ),
    ]
    if folds := sorted(set(columns.get("fold", ()))):
        rule = (
            "Predictions must be of one fold: each fold has a network of its own, and their scores are not on one "
            "scale. A cross-validation's `metrics.json` holds the mean over its folds"
        )
        faults += [(rule, f"folds {', '.join(folds)}")] if len(folds) > 1 else []
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


def _to_number(text: str) -> float:
    """Return the number that `text` is; NaN, which no score may be, for any other text."""
    try:
        return float(text)
    except ValueError:
        return math.nan
