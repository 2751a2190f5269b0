"""The tables of a run: their columns, their reader and their writer."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tlmed.errors import InputError
from tlmed.rundir import FOLDS, RunDir
from tlmed.split_names import PLACES
from tlmed.whole_files import read_csv, write_csv


@dataclass(frozen=True)
class CsvFile:
    """One table of a run directory.

    Attributes:
        name: Its name.
        columns: Its columns; empty where they differ from run to run.
        check: Returns what else is wrong with the rows, in words; "" where all is well.
        optional: Columns that follow these in some runs.
    """

    name: str
    columns: tuple[str, ...] = ()
    check: Callable[[list[dict[str, str]]], str] = lambda rows: ""
    optional: tuple[str, ...] = ()

    def read(self, run: RunDir) -> list[dict[str, str]]:
        """Return the rows.

        Raises:
            InputError: If the file is missing, cannot be read, or is not as `tlmed train` writes it.
        """
        try:
            rows = read_csv(run / self.name)
            fault = self._find_fault(rows)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            fault = f"{type(error).__name__}: {error}"
        if fault:
            columns = f", with the columns {','.join(self.columns)}" if self.columns else ""
            raise InputError(
                f"`{self.name}` of a run must be as `tlmed train` wrote it{columns}. "
                f"Received: {run / self.name}: {fault}."
            )
        return rows

    def find(self, run: RunDir) -> list[dict[str, str]]:
        """Return the rows; none where there is no such file.

        Raises:
            InputError: As `read`, if there is one.
        """
        return self.read(run) if (run / self.name).exists() else []

    def write(self, run: RunDir, rows: Iterable[Mapping[str, object]]) -> None:
        """Write the table, whole or not at all; where columns differ from run to run, those of the first row."""
        rows = list(rows)
        columns = self.choose_columns(rows[0]) if rows else self.columns
        write_csv(run / self.name, columns, ([row[name] for name in columns] for row in rows))

    def choose_columns(self, row: Mapping[str, object]) -> tuple[str, ...]:
        """Return the columns of a table with such rows: the optional ones if they are there."""
        return (*(self.columns or tuple(row)), *(name for name in self.optional if name in row))

    def _find_fault(self, rows) -> str:
        # `csv.DictReader` puts surplus fields under the key None, and None in place of missing ones.
        columns = tuple(name for name in rows[0] if name is not None) if rows else self.columns
        if self.columns and columns != self.choose_columns(dict.fromkeys(columns)):
            return f"the columns {','.join(columns)}"
        for line, row in enumerate(rows, 2):
            if None in row or None in row.values():
                return f"row {line} has not {len(columns)} fields"
        return self.check(rows)


def _check_images(rows: list[dict[str, str]]) -> str:
    if not rows:
        return "it names no image"
    for line, row in enumerate(rows, 2):
        if row["split"] not in PLACES or not re.fullmatch("[0-9a-f]{64}", row["sha256"]):
            return f"split={row['split']!r} and sha256={row['sha256']!r} in row {line}"
    twice = [path for path, number in Counter(row["path"] for row in rows).items() if number > 1]
    return f"{twice[0]!r} twice" if twice else ""


SPLITS_CSV = CsvFile("splits.csv", ("path", "label", "group", "split", "sha256"), _check_images)
HISTORY_CSV = CsvFile(
    "history.csv",
    ("phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_auc", "seconds"),
    optional=("learning_rate",),
)
DEGREES_CSV = CsvFile(
    "degrees.csv",
    (
        *("phase", "start", "unit", "blocks", "layers", "trainable_parameters", "fine_tuning_ratio"),
        *(
            "epochs",
            "best_epoch",
            "val_loss",
            "val_accuracy",
            "val_auc",
            "test_accuracy",
            "test_auc",
            "seconds",
            "kept",
        ),
    ),
)
STRENGTHS_CSV = CsvFile(
    "strengths.csv",
    ("phase", "l2", "loss", "val_loss", "val_accuracy", "val_auc", "val_weighted_loss", "steps", "judged_on", "chosen"),
)
SEARCH_CSV = CsvFile("search.csv")
FOLDS_CSV = CsvFile(f"{FOLDS}.csv")


def append_history(run: RunDir, row: Mapping[str, object]) -> None:
    """Add one epoch to `history.csv`, which begins with its header."""
    path = run / HISTORY_CSV.name
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HISTORY_CSV.choose_columns(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def replace_history(run: RunDir, rows: Iterable[Mapping[str, object]]) -> None:
    """Write `history.csv` anew, with the epochs after which a run continues; without any there is no such file."""
    if rows := list(rows):
        HISTORY_CSV.write(run, rows)
    else:
        (run / HISTORY_CSV.name).unlink(missing_ok=True)
