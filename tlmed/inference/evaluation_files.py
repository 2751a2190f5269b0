"""The folder that an evaluation is written to; only an earlier evaluation may be replaced."""

import tlmed.tensorflow_start

from collections.abc import Sequence
from pathlib import Path

from tlmed.errors import InputError
from tlmed.evaluation.pooled_csv import TABLES, list_tables, write_pooled
from tlmed.evaluation.pooling import Pooled
from tlmed.regular_files import sha256
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.targets import check_folder, check_targets, is_marked, writing_out

_EVALUATION = (*TABLES, "metrics.json", "evaluation.html")


def check_evaluation_folder(folder: Path, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Refuse a folder that an evaluation cannot be written to, before it is made.

    Args:
        folder: The folder.
        force: Whether an earlier evaluation may be written over.
        inputs: The files that the command reads.

    Raises:
        InputError: If it cannot be written to, is a run's, or holds files that may not be written over.
    """
    check_folder(folder, _EVALUATION)
    made = _read_evaluated(folder)
    own = {
        folder / "metrics.json": lambda file: made is not None,
        folder / "evaluation.html": lambda file: is_marked(file, "evaluate"),
        **{
            folder / table: lambda file: made is not None and made.get(_name_digest(file)) == sha256(file)
            for table in TABLES
        },
    }
    check_targets("--out", own, force, inputs)


def _read_evaluated(folder: Path) -> dict | None:
    """Return `evaluated` of the `metrics.json` in a folder; None where there is none."""
    try:
        return METRICS_JSON.read(RunDir(folder)).get("evaluated")
    except InputError:
        return None


def _name_digest(table: Path) -> str:
    """Return the part of `evaluated` that tells whether a table is the one that the evaluation wrote."""
    return f"{table.stem}_sha256"


def write_evaluation(
    folder: Path, pooled: Pooled, result: dict, force: bool = False, inputs: Sequence[Path] = ()
) -> None:
    """Write the tables of predictions and `metrics.json` into a folder, which is made if it is missing.

    Args:
        folder: The folder.
        pooled: From `evaluate`, as is `result`.
        result: The content of `metrics.json`.
        force: Write over an earlier evaluation.
        inputs: The files that were read, which are never written over.

    Raises:
        InputError: As `check_evaluation_folder`, or if they cannot be written.
    """
    check_evaluation_folder(folder, force, inputs)
    with writing_out(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_pooled(folder, pooled)
        for table in set(TABLES) - set(list_tables(result)):
            (folder / table).unlink(missing_ok=True)  # of an earlier evaluation, which pooled scores
        # The tables come first, because `metrics.json` holds their hashes.
        digests = {_name_digest(folder / table): sha256(folder / table) for table in list_tables(result)}
        METRICS_JSON.write(folder, {**result, "evaluated": {**result["evaluated"], **digests}})
