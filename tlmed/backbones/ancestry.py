"""Images that weights were trained or validated on, in the run that they come from and in the runs before it."""

from collections.abc import Iterable

from tlmed.backbones.weights import run_folder
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
        What each run learned from, by its directory; and a sentence for each run where this is not certain: the run is
        gone, a file is missing or was changed, or its images come from a source of another form.
    """
    known, unsure, seen = {}, [], set()
    waiting = [run_folder(words) for words in ([weights] if isinstance(weights, str) else weights)]
    while waiting:
        folder = waiting.pop()
        # `seen` also ends a circle of runs that name one another.
        if folder is None or folder in seen:
            continue
        seen.add(folder)
        run = RunDir(folder)
        try:
            rows = SPLITS_CSV.read(run)
            unsure += [f"Weights come from {folder}. {said}" for said in check_intact(run, _CHECKED)]
            if gap := find_gap(str(RECIPE_JSON.read(run).get("data", {}).get("source")), source):
                unsure.append(f"Weights come from {folder}; which of these images they know cannot be told: {gap}.")
            known[str(folder)] = list_learned(rows)
            waiting += map(run_folder, name_weights(run))
        except InputError as error:
            unsure.append(f"Weights come from {folder}; which images they know cannot be told: {error}")
    return known, unsure


def name_weights(run: RunDir) -> list[str]:
    """Return the full names of the weights that a run started from, as recorded in its `environment.json`.

    Raises:
        InputError: The file cannot be read.
    """
    found = ENVIRONMENT_JSON.read(run).get("weights")
    # A list for several backbones, one record for a single one.
    sources = found if isinstance(found, list) else [found]
    return [str(source["name"]) for source in sources if isinstance(source, dict) and "name" in source]
