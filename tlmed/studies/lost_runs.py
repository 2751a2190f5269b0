"""Complete cells whose runs are not where they were: deleted, or in the directory of another machine."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from tlmed.recipe import Cell
from tlmed.run_files.study_files import RUNS
from tlmed.rundir import RunDir
from tlmed.studies.directory import one_at_a_time
from tlmed.studies.ledger import Entry, Ledger

_OVER = "What came out is gone: it starts over."


def note_place(folder: Path, directory: str) -> dict[str, str]:
    """Return what a result says of the place of its run: the identifier of the directory, and where that is."""
    return {"directory": directory, "place": f"{socket.gethostname()}:{folder.resolve()}"}


def renew_lost(ledger: Ledger, cells: Sequence[Cell], folder: Path, directory: str) -> list[str]:
    """Let complete cells wait again whose runs were in this directory and are gone, or lack `metrics.json`.

    A run that another machine has in a directory of its own is not lost.

    Args:
        ledger: Of the study.
        cells: Its cells.
        folder: Its directory.
        directory: The identifier of the directory.

    Returns:
        The names of these cells.
    """
    names = [cell.name for cell in cells]
    with one_at_a_time(folder):  # two commands that begin at the same moment must not clear each other's runs
        entries = ledger.read()
        lost = [name for name in names if _is_lost(entries.get(name), folder, directory)]
        for run in (RunDir(folder / RUNS / name) for name in lost):
            if run.path.exists():
                run.mark(_OVER)  # without the marker what is left counts as no run, beside which none may begin
                with run.open(fresh=True):
                    pass
        ledger.renew(lost)
    return lost


def say_place(entry: Entry | None, folder: Path, directory: str) -> str:
    """Say where the run of a complete cell is, if another directory has it and this one does not; else ""."""
    if entry is None or entry.state != "complete" or _is_of(entry.result, directory) or _is_here(entry, folder):
        return ""
    return f"run in another directory: {entry.result['place']}"


def _is_lost(entry, folder, directory) -> bool:
    complete = entry is not None and entry.state == "complete"
    return complete and _is_of(entry.result, directory) and not _is_here(entry, folder)


def _is_of(result: Mapping, directory) -> bool:
    return result.get("directory", directory) == directory


def _is_here(entry, folder) -> bool:
    return RunDir(folder / RUNS / entry.cell).complete
