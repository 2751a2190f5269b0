"""The scores of a finished run, or an ensemble, on those of its test images that repeat no image it learned from."""

from tlmed.comparison.groups import find_known, measure_without
from tlmed.comparison.results import read_ensemble, read_result
from tlmed.run_files.json_files import WithoutLeaks
from tlmed.run_files.kept_findings import read_kept
from tlmed.rundir import RunDir


def measure_without_copies(run: RunDir, checked: RunDir) -> WithoutLeaks | None:
    """Return the main scores without the test images that repeat an image of train or val, or share its group.

    Near-copies that the check found are left out, too, which `without_leaks` of a run knows nothing of.

    Args:
        run: The run or ensemble.
        checked: The run whose check looked at the same images in the same splits: itself, or one of an ensemble.

    Returns:
        How many images were left out and how many are left, with the metrics of these; None where the check found no
        such copies.

    Raises:
        InputError: If a file cannot be read, or is not as it was written.
    """
    kept = read_kept(checked)
    if kept is None or not kept.repeated:
        return None
    result = (read_ensemble if run.is_ensemble else read_result)(run, run.path.name)
    known = find_known(result) | {result.units[path] for path in kept.repeated if path in result.units}
    left = len(result.test.paths) - len(known)
    metrics = measure_without([result], known)[0] if left else {}
    return {"leaked": len(known), "n": left, "metrics": dict(metrics)}
