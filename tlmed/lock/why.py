"""Why two runs are not the same: the cause first, then everything side by side."""

from collections.abc import Sequence
from pathlib import Path

from tlmed.intact import reading
from tlmed.lock.agreement import compare_results
from tlmed.lock.input_differences import Difference, compare_inputs, find_causes
from tlmed.lock.levels import BITS
from tlmed.lock.reproduction import list_differences, list_rows
from tlmed.lock.shape import check_run
from tlmed.run_files import RECIPE_JSON, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.tabulation import Table

# The rounding of scores in single precision: 1 minus the score of one class is not exactly the score of the other.
_ROUNDING = 2.0**-23


def explain(first: RunDir, second: RunDir) -> list[str | Table]:
    """Return lines that say why two runs differ: the likeliest cause, all differences, history and metrics.

    Raises:
        InputError: If a run cannot be read, or an older tlmed made it that recorded too little.
    """
    locks, words = (check_run(first), check_run(second)), _name_runs(first, second)
    differences = compare_inputs(*locks)
    rows = compare_results(locks[0]["results"], locks[1]["results"], BITS, _ROUNDING)
    equal = all(row.same for row in rows)
    lines = _name_cause(differences, equal, words, [first, second])
    causes = [] if equal else find_causes(differences)
    others = [it for it in differences if it not in causes]
    for title, found in list_differences(others, lambda it: it.describe(*words)):
        lines += ["", f"{title}:", *(f"  {word}" for word in found)]
    return [*lines, "", list_rows(rows, ("what", *map(str, (first.path, second.path)), "verdict", "note"))]


def _name_runs(first, second) -> tuple[str, str]:
    """Return words for two runs: the name of the directory, or its path where both have the same name."""
    names = [Path(run.path).resolve().name for run in (first, second)]
    if names[0] == names[1]:
        names = [str(run.path) for run in (first, second)]
    return f"in {names[0]}", f"in {names[1]}"


def _name_cause(differences: Sequence[Difference], equal: bool, words, runs) -> list[str]:
    if equal:
        return ["The results are the same, bit for bit."]
    if causes := find_causes(differences):
        return ["Cause, as far as is recorded:", *(f"  {cause.describe(*words)}" for cause in causes)]
    notes = [note for run in runs for note in _find_excuses(run)]
    return ["Cause: none is recorded; recipe, images, weights, code and environment are the same.", *notes]


def _find_excuses(run: RunDir) -> list[str]:
    """Return circumstances of a run that are no inputs and may have changed its last digits."""
    found = []
    if not RECIPE_JSON.read(run).get("deterministic", True):
        found.append(f"  {run.path} was trained with deterministic=False.")
    with reading(run):
        for part in TIMING_JSON.read(run)["extractions"]:
            if part["computed"] < part["images"]:
                found.append(f"  {run.path} found features of {part['name']} in the cache, computed by an earlier run.")
    return found
