"""Read what a network answered since it was trained: a CSV as `tlmed predict` writes it, with more columns at will."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from tlmed.columns import is_missing
from tlmed.errors import did_you_mean
from tlmed.evaluation.prediction_rows import (
    SCORE,
    UNUSUAL,
    Fault,
    Rows,
    find_form_faults,
    name_lines,
    name_texts,
    pick,
    raise_faults,
    read_rows,
)
from tlmed.label_texts import UNKNOWN
from tlmed.words import listed, shorten

LABEL, PREDICTION, GROUP = "label", "prediction", "group"
_MONTH, _DAY = re.compile(r"\d{4}-\d{2}"), re.compile(r"\d{8}")
_NEAR = 1e-3  # by which the sum of the scores may miss 1
_SHOWN = 40  # characters of a text that is no date
_NUMBERS = "A column of labels must hold 1, 0 or nothing in each row"


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Batch:
    """What a network answered for n images; also its test split is one.

    Attributes:
        scores: float [n, k].
        guesses: Predicted classes, int [n]; of several labels 1 and 0 for each, int [n, k].
        owners: Whom each row belongs to, int [n].
        labels: True classes, int [n], or vectors, int [n, k]; -1 where they are not known. None: no column says it.
        unusual: p-values of being like training images, float [n]; NaN where they are not known. None: no column.
        months: "2026-01" for each row; None: no column of dates was named.
    """

    scores: np.ndarray
    guesses: np.ndarray
    owners: np.ndarray
    labels: np.ndarray | None = None
    unusual: np.ndarray | None = None
    months: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Batch":
        """Return some rows, int [m]."""
        parts = (self.scores, self.guesses, self.owners, self.labels, self.unusual, self.months)
        return Batch(*(None if part is None else part[rows] for part in parts))


@dataclass(frozen=True)
class Reading:
    """How a file of predictions is read.

    Attributes:
        classes: Those of the run, in order.
        several: Whether an image may have several labels.
        date: The column of dates, if one is named.
        group: The column that says whose each image is; None: `group`, if there is one.
    """

    classes: tuple[str, ...]
    several: bool = False
    date: str | None = None
    group: str | None = None


@dataclass(frozen=True, eq=False)
class Incoming:
    """What came in by a file.

    Attributes:
        batch: Its rows, each answer once; where no predicted classes stand in the file, `guesses` are -1.
        decided: Whether they stand there.
        repeated: How many rows say again what an earlier one says, and are left out.
        alone: How many rows name no group, though others do.
        paths: Of the rows; empty where the file does not say them.
    """

    batch: Batch
    decided: bool
    repeated: int
    alone: int
    paths: tuple[str, ...]


def read_incoming(path: Path, reading: Reading) -> Incoming:
    """Return the rows of a file of predictions.

    Of a file with splits, such as the run's own `predictions.csv`, the rows of "test" are read. A row with the path,
    the scores and the group of an earlier one is the same image, answered or written down again, and does not count.

    Args:
        path: The file.
        reading: How it is read.

    Raises:
        InputError: If it is no table, has no rows or other classes, or with every fault of its rows.
    """
    rows = read_rows(path)
    raise_faults(path, _find_header_faults(rows, reading))
    columns, lines = rows.columns, rows.lines
    scores = rows.read_table(SCORE, reading.classes)
    raise_faults(path, _find_faults(rows, reading, scores))
    guesses, labels = (_read_kinds(columns, reading, kind) for kind in (PREDICTION, LABEL))
    owners = columns.get(reading.group or GROUP, [""] * len(lines))
    months = None if reading.date is None else np.array([read_month(text) for text in columns[reading.date]])
    shape = scores.shape if reading.several else len(scores)
    found = Batch(
        scores,
        np.full(shape, UNKNOWN) if guesses is None else guesses,
        _number_owners(owners),
        labels,
        np.array([_to_share(text) for text in columns[UNUSUAL]]) if UNUSUAL in columns else None,
        months,
    )
    tested = np.array([text.strip() == "test" for text in columns.get("split", ())], bool)
    chosen = np.flatnonzero(tested) if tested.any() else np.arange(len(lines))
    names = columns.get("path", range(len(lines)))  # without names no row repeats another
    answers = list(zip(names, map(tuple, scores.tolist()), owners, strict=True))
    first: dict[tuple, int] = {}
    for row in chosen.tolist():
        first.setdefault(answers[row], row)
    kept = np.array(list(first.values()), int)
    alone = sum(not owners[row].strip() for row in kept.tolist())
    paths = tuple(columns["path"][row] for row in kept.tolist()) if "path" in columns else ()
    return Incoming(
        found.take(kept), guesses is not None, len(chosen) - len(kept), alone if alone < len(kept) else 0, paths
    )


def read_month(text: str) -> str | None:
    """Return the month of a date, or None: "2026-01-31", also with a time, "20260131" as in DICOM, or "2026-01".

    >>> read_month("2026-01-31T10:00:00"), read_month("20260131"), read_month("2026-01"), read_month("31/01/2026")
    ('2026-01', '2026-01', '2026-01', None)
    """
    text = text.strip()
    try:
        if _MONTH.fullmatch(text):
            return datetime.strptime(text, "%Y-%m").strftime("%Y-%m")
        found = datetime.strptime(text, "%Y%m%d") if _DAY.fullmatch(text) else datetime.fromisoformat(text)
        return found.strftime("%Y-%m")
    except ValueError:
        return None


def _find_header_faults(rows: Rows, reading: Reading) -> list[Fault]:
    ours = {"path", LABEL, PREDICTION, UNUSUAL, "split"}
    if faults := find_form_faults(rows, ours):
        return faults
    there, wanted = rows.list_after(SCORE), reading.classes
    if sorted(there) != sorted(wanted):
        lacking, others = ([name for name in a if name not in b] for a, b in ((wanted, there), (there, wanted)))
        named = [("without", lacking), ("with", others)]
        said = " and ".join(f"{how} {listed(f'`{SCORE}{name}`' for name in names)}" for how, names in named if names)
        rule = "Predictions must have a column `score_<class>` for each class of RUN, and no other"
        faults.append((f"{rule}: {', '.join(wanted)}", said))
    for option, name in (("--date", reading.date), ("--group", reading.group)):
        if name is not None and name not in rows.names:
            near = did_you_mean(name, rows.names).strip()
            rule = f"`{option}` must name a column of the predictions: {listed(rows.names)}"
            faults.append((rule, f"{name!r}{f' ({near})' if near else ''}"))
    return faults


def _find_faults(rows: Rows, reading: Reading, scores: np.ndarray) -> list[Fault]:
    columns, faults = rows.columns, []
    wrong = ~((scores >= 0) & (scores <= 1)).all(axis=1)  # NaN, too
    faults += name_lines("Scores must be numbers from 0 to 1", pick(rows.lines, wrong))
    if not reading.several:
        odd = ~wrong & (np.abs(scores.sum(axis=1) - 1) > _NEAR)
        faults += name_lines("The scores of a row must sum to 1", pick(rows.lines, odd))
    if reading.date is not None:
        bad = [read_month(text) is None for text in columns[reading.date]]
        if any(bad):
            text = columns[reading.date][bad.index(True)]
            first = shorten(repr(text), _SHOWN) if text.strip() else "it is empty"
            rule = f"`--date {reading.date}` must name dates written as 2026-01-31 or 20260131"
            faults += [(rule, f"{where}: {first}") for _, where in name_lines(rule, pick(rows.lines, bad))]
    if UNUSUAL in columns:
        rule = f"`{UNUSUAL}` must be a number above 0 to 1, or nothing"
        bad = [not (is_missing(text) or 0 < _to_share(text) <= 1) for text in columns[UNUSUAL]]
        faults += name_lines(rule, pick(rows.lines, bad))
    if reading.group is not None:
        faults += name_lines(
            f"`--group {reading.group}` must name whom each image belongs to",
            pick(rows.lines, map(is_missing, columns[reading.group])),
        )
    return faults + _find_kind_faults(rows, reading)


def _find_kind_faults(rows, reading) -> list[Fault]:
    """Return predicted or true classes that the run does not have; a true one may be missing."""
    columns, faults, names = rows.columns, [], set(reading.classes)
    rule = f"must be a class of RUN ({', '.join(reading.classes)})"
    if not reading.several:
        for kind, allowed in ((PREDICTION, names), (LABEL, names | {""})):
            texts = [text.strip() for text in columns.get(kind, ())]
            faults += name_texts(f"`{kind}` {rule}", rows, texts, allowed) if texts else []
        return faults
    for name in (f"{kind}_{label}" for kind in (PREDICTION, LABEL) for label in reading.classes):
        if name in columns:
            allowed = {"0", "1"} if name.startswith(PREDICTION) else {"0", "1", "", "-1"}
            faults += name_texts(f"{_NUMBERS} (`{name}`)", rows, [text.strip() for text in columns[name]], allowed)
    return faults


def _read_kinds(columns: Mapping, reading: Reading, kind: str) -> np.ndarray | None:
    """Return predicted or true classes; None where no column says them."""
    if not reading.several:
        if kind not in columns:
            return None
        numbers = {name: number for number, name in enumerate(reading.classes)}
        return np.array([numbers.get(text.strip(), UNKNOWN) for text in columns[kind]])
    names = [f"{kind}_{label}" for label in reading.classes]
    if not all(name in columns for name in names):
        return None
    return np.array([[int(text.strip() or UNKNOWN) for text in columns[name]] for name in names]).T


def _number_owners(owners: Sequence[str]) -> np.ndarray:
    """Return whom each row belongs to, int [n]; a row without a name to nobody else."""
    names = [text.strip() or (row,) for row, text in enumerate(owners)]  # a tuple equals no text
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])


def _to_share(text: str) -> float:
    """Return a p-value as a number; NaN for nothing, and -1 for what is none."""
    if is_missing(text):
        return np.nan
    try:
        return float(text)
    except ValueError:
        return -1.0
