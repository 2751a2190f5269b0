"""The files of a study's directory: what it is, its cells, and their scores as a tidy table."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed.errors import InputError
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv, write_csv, write_json
from tlmed.words import count, listed

STUDY_JSON = "study.json"
CELLS_CSV = "cells.csv"
STUDY_CSV = "study.csv"
TOLD = "told"  # the part of `study.json` that holds what was said of the images
RUNS = "runs"  # the folder of the cells' runs
CELL_STATES = ("complete", "failed", "running", "waiting")
EARLIER = "of an earlier winner"  # the reason of complete cells that a search would not train any more
CELL_COLUMNS = (
    *("cell", "state", "reason", "recipe", "backbone", "weights", "seed", "fold"),
    *("auc", "accuracy", "seconds", "run"),
)  # before those of the varied fields
_NAMED = 3  # cells that a sentence names; it counts the others
SCORE_COLUMNS = (("cell", "recipe", "backbone", "weights"), ("seed", "fold", "metric", "value", "low", "high", "n"))


def is_study(folder: Path) -> bool:
    """Tell whether a folder holds a study."""
    return (folder / STUDY_JSON).is_file()


def has_begun(folder: Path) -> bool:
    """Tell whether a study has its tables, which are written when its work begins."""
    return (folder / CELLS_CSV).is_file()


def say_begun(folder: Path) -> str:
    """Say of a study that it has no tables yet."""
    return f"{folder}: a study whose work has not begun; the same `tlmed sweep` command begins it."


def write_study(folder: Path, content: Mapping) -> None:
    """Write `study.json`."""
    write_json(folder / STUDY_JSON, content)


def read_study_json(folder: Path) -> dict:
    """Return `study.json`.

    Raises:
        InputError: If it cannot be read.
    """
    return RunDir(folder).json(STUDY_JSON)


def read_told(folder: Path) -> dict[str, list[str]] | None:
    """Return what was said of the images of a study: `said`, and what was `found`; None where nothing was.

    Raises:
        InputError: If `study.json` cannot be read.
    """
    return read_study_json(folder).get(TOLD) if is_study(folder) else None


def list_told(folder: Path) -> list[str]:
    """Return all sentences about the images of a study."""
    told = read_told(folder) or {"said": [], "found": []}
    return [*told["said"], *told["found"]]


def write_cells(folder: Path, varied: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write `cells.csv`, a row for each cell, with a column for each varied field at the end."""
    columns = (*CELL_COLUMNS, *varied)
    write_csv(folder / CELLS_CSV, columns, ([row[name] for name in columns] for row in rows))


def write_scores(folder: Path, varied: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write `study.csv`, a row for each complete cell and each of its metrics."""
    first, last = SCORE_COLUMNS
    columns = (*first, *varied, *last)
    write_csv(folder / STUDY_CSV, columns, ([row[name] for name in columns] for row in rows))


def read_cells(folder: Path) -> list[dict[str, str]]:
    """Return the rows of `cells.csv`.

    Raises:
        InputError: If it cannot be read, or has other columns.
    """
    if is_study(folder) and not has_begun(folder):
        raise InputError(say_begun(folder))
    return _read(folder / CELLS_CSV, CELL_COLUMNS)


def read_scores(folder: Path) -> list[dict[str, str]]:
    """Return the rows of `study.csv`.

    Raises:
        InputError: If it cannot be read, or has other columns.
    """
    return _read(folder / STUDY_CSV, SCORE_COLUMNS[0] + SCORE_COLUMNS[1])


@dataclass(frozen=True)
class Missing:
    """The names of complete cells whose runs are not in the directory of their study.

    Attributes:
        gone: Those whose runs were here.
        elsewhere: Those whose runs another directory has, with a sentence about where.
    """

    gone: tuple[str, ...]
    elsewhere: Mapping[str, str]


def find_missing(folder: Path, rows: Iterable[Mapping[str, str]]) -> Missing:
    """Return the complete cells whose runs are not in the directory of a study.

    Args:
        folder: The directory.
        rows: From `read_cells`.
    """
    needed = [row for row in rows if row["state"] == "complete" and row["reason"] != EARLIER]
    absent = [row for row in needed if not RunDir(folder / row["run"]).complete]
    gone = tuple(row["cell"] for row in absent if not row["reason"])
    return Missing(gone, {row["cell"]: row["reason"] for row in absent if row["reason"]})


def describe_missing(missing: Missing) -> list[str]:
    """Return a sentence about the runs that are gone, and one about those that another directory has."""
    said = []
    if missing.gone:
        said.append(
            f"The runs of {count(len(missing.gone), 'complete cell')} are gone ({listed(missing.gone, _NAMED)}): "
            "the same `tlmed sweep` command trains them again."
        )
    if missing.elsewhere:
        places = listed(dict.fromkeys(missing.elsewhere.values()), _NAMED)
        said.append(
            f"The runs of {count(len(missing.elsewhere), 'complete cell')} are not here "
            f"({listed(missing.elsewhere, _NAMED)}; {places}): copy the `{RUNS}/` of that directory to compare them."
        )
    return said


def _read(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        rows = read_csv(file)
        missing = [name for name in columns if rows and name not in rows[0]]
        fault = f"no column {missing[0]!r}" if missing else ""
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        raise InputError(f"`{file.name}` of a study must be as `tlmed sweep` wrote it. Received: {file}: {fault}.")
    return rows
