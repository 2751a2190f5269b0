"""Images that weights were trained or validated on, in the run that they come from and in the runs before it."""

from collections.abc import Iterable

from tlmed.backbones.weights import is_foreign_file, run_folder
from tlmed.data.learned import Learned, list_learned
from tlmed.data.sources import find_gap
from tlmed.errors import InputError
from tlmed.intact import check_intact
from tlmed.run_files import ENVIRONMENT_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir

_CHECKED = ("splits.csv", "environment.json")


def find_known(weights: str | Iterable[str], source: str) -> tuple[dict[str, Learned], list[str]]:
    """Return the images that trained or validated the runs that weights come from, back to the first run.

    Args:
        weights: As in a recipe, or by full names; one or several.
        source: Where the images to be recognised come from.

    Returns:
        What each run learned from, by its directory; and a sentence for each source where this is not certain: the run
        is gone, a file is missing or was changed, its images come from a source of another form, or the weights are a
        file of the user's, which does not say what it was trained on.
    """
    known, unsure, seen = {}, [], set()
    waiting = [weights] if isinstance(weights, str) else list(weights)
    while waiting:
        words = waiting.pop()
        folder = run_folder(words)
        # `seen` also ends a circle of runs that name one another.
        if (folder or words) in seen:
            continue
        seen.add(folder or words)
        if folder is None:
            if is_foreign_file(words):
                unsure.append(_say_unknown(words))
            continue
        run = RunDir(folder)
        try:
            rows = SPLITS_CSV.read(run)
            unsure += [f"Weights come from {folder}. {said}" for said in check_intact(run, _CHECKED)]
            if gap := find_gap(str(RECIPE_JSON.read(run).get("data", {}).get("source")), source):
                unsure.append(f"Weights come from {folder}; which of these images they know cannot be told: {gap}.")
            known[str(folder)] = list_learned(rows)
            waiting += name_weights(run)
        except InputError as error:
            unsure.append(f"Weights come from {folder}; which images they know cannot be told: {error}")
    return known, unsure


def _say_unknown(words) -> str:
    return (
        f"Weights come from {words.removeprefix('file:')}, which does not say on which images they were trained: if "
        "test or validation images are among them, scores are too good."
    )


def name_weights(run: RunDir) -> list[str]:
    """Return the full names of the weights that a run started from, as recorded in its `environment.json`.

    Raises:
        InputError: The file cannot be read.
    """
    found = ENVIRONMENT_JSON.read(run).get("weights")
    # A list for several backbones, one record for a single one.
    sources = found if isinstance(found, list) else [found]
    return [str(source["name"]) for source in sources if isinstance(source, dict) and "name" in source]
