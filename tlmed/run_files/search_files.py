"""The files of a search in the directory of its study: its candidates as a table, what came out, and the winner."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tlmed.errors import InputError
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv, write_csv, write_json

CANDIDATES_CSV, SEARCH_JSON, WINNER_PY = "search.csv", "search.json", "winner.py"
BUDGET, TRIALS = "budget", "trials"  # what ended a search before it had tried a recipe as it is
CANDIDATE_COLUMNS = (
    *("candidate", "fold", "state", "reason", "draws", "validation"),
    *("recipe", "backbone"),
)  # before those of the other dimensions


def is_search(folder: Path) -> bool:
    """Tell whether a folder holds a study that was searched."""
    return (folder / SEARCH_JSON).is_file()


def write_search(folder: Path, content: Mapping) -> None:
    """Write `search.json`."""
    write_json(folder / SEARCH_JSON, content)


def read_search_json(folder: Path) -> dict:
    """Return `search.json`.

    Raises:
        InputError: If it cannot be read, or is not as `tlmed sweep` writes it.
    """
    found = RunDir(folder).json(SEARCH_JSON)
    parts = {"metric", "searches", "space", "trials", "nested", "folds", "seconds", "importance"}
    if missing := sorted(parts - found.keys()):
        raise InputError(
            f"`{SEARCH_JSON}` must be as `tlmed sweep` wrote it. Received: {folder / SEARCH_JSON}, without "
            f"{missing[0]!r}."
        )
    return found


def is_finished(search: Mapping) -> bool:
    """Tell whether a search has chosen its winner; earlier versions wrote only which cells train it.

    >>> is_finished({"is_finished": False}), is_finished({"finals": ["winner-seed0"]})
    (False, True)
    """
    return search["is_finished"] if "is_finished" in search else bool(search["finals"])


def write_candidates(folder: Path, names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write `search.csv`, a row for each candidate; `names` are the dimensions besides recipe and backbone."""
    columns = (*CANDIDATE_COLUMNS, *names)
    write_csv(folder / CANDIDATES_CSV, columns, ([row[name] for name in columns] for row in rows))


def read_candidates(folder: Path) -> list[dict[str, str]]:
    """Return the rows of `search.csv`.

    Raises:
        InputError: If it cannot be read, or has other columns.
    """
    file = folder / CANDIDATES_CSV
    try:
        rows = read_csv(file)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"`{file.name}` of a search must be readable. Received: {file}: {error}.") from error
    if missing := [name for name in CANDIDATE_COLUMNS if rows and name not in rows[0]]:
        raise InputError(f"`{file.name}` must have the column {missing[0]!r}. Received: {file}.")
    return rows
