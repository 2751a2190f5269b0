"""Write an ensemble into a directory of its own, whole or not at all."""

from pathlib import Path

from tlmed.ensembles.making import Made
from tlmed.errors import InputError
from tlmed.evaluation.pooled_csv import TABLES, list_tables, write_pooled
from tlmed.members import write_members
from tlmed.run_files import ENSEMBLE_JSON, METRICS_JSON, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.targets import check_folder, writing_out


def check_new_folder(folder: Path) -> None:
    """Refuse a directory that exists and is not empty: an ensemble is never written over anything.

    Raises:
        InputError: If it holds something, is a file, or cannot be made.
    """
    check_folder(folder, ())
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"`--out` must be a new or empty directory. Received: {folder}, which exists.")


def write_ensemble(folder: Path, made: Made) -> RunDir:
    """Write the predictions, `metrics.json`, `timing.json` and, last, `ensemble.json`.

    Args:
        folder: A new or empty directory, which is made if it is missing.
        made: From `make_ensemble`.

    Raises:
        InputError: As `check_new_folder`, or if something cannot be written.
    """
    check_new_folder(folder)
    with writing_out(folder):
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return _write(RunDir(folder), made)
        except BaseException:
            for name in (*TABLES, METRICS_JSON.name, TIMING_JSON.name, ENSEMBLE_JSON.name):
                (folder / name).unlink(missing_ok=True)
            if is_new:
                folder.rmdir()
            raise


def _write(run: RunDir, made: Made) -> RunDir:
    write_pooled(run.path, made.pooled)
    METRICS_JSON.write(run, {**made.result, "evaluated": {**made.result["evaluated"], "run": str(run.path)}})
    TIMING_JSON.write(run, made.timing)
    # Last: without it the directory is no ensemble.
    write_members(run, made.members, made.weights, ["metrics.json", "timing.json", *list_tables(made.result)])
    return run
