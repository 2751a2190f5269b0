"""What the coordinator of a study and the processes that train its cells say to each other."""

import json
from collections.abc import Sequence
from pathlib import Path

from tlmed.recipe import Cell, Recipe, to_json
from tlmed.sections import Hybrid

TRAIN, FORECAST, LOOK, READ = "train", "forecast", "look", "read"  # kinds of jobs
LESS = "fewer `--jobs` leave more of it to each cell"  # what a user can do about memory without another study
READY, COMPLETE, FAILED, STOPPED = "ready", "complete", "failed", "stopped"  # states of an answer


def write_job(kind: str, cell: Cell, folder: Path, skip_bad: bool, report: bool = True) -> str:
    """Return a job as a line.

    Args:
        kind: "train", "forecast" or "read".
        cell: The cell.
        folder: Where its run goes.
        skip_bad: Leave out images that cannot be read.
        report: Write the page of the run.
    """
    job = {"kind": kind, "recipe": to_json(cell.recipe), "out": str(folder / cell.name), "skip_bad": skip_bad}
    return json.dumps({**job, "report": report}) + "\n"


def write_look(recipes: Sequence[Recipe]) -> str:
    """Return the job to look for faults in the lists of the images of some recipes, as a line."""
    return json.dumps({"kind": LOOK, "recipes": list(map(to_json, recipes))}) + "\n"


def is_light(cell: Cell) -> bool:
    """Tell whether nothing but a head is trained, which leaves hardly anything in a process or on a GPU."""
    recipe = cell.recipe
    if isinstance(recipe.head, Hybrid):
        return True
    return isinstance(recipe.phases, tuple) and all(phase.thaw == 0 for phase in recipe.phases)


def may_stay(cell: Cell, state: str, has_gpu: bool) -> bool:
    """Tell whether a process may train another cell as if it were new: loading TensorFlow takes seconds.

    Args:
        cell: What it has trained.
        state: What came of it.
        has_gpu: Whether there are GPUs: TensorFlow gives their memory back only when a process ends.
    """
    if is_light(cell):
        return state != STOPPED
    return state == COMPLETE and not has_gpu


def name_features(cell: Cell) -> tuple | None:
    """Return what decides the features that a cell begins with; None where it begins with none.

    Cells of one name share features in the store: the first one computes them, and the others wait for it. Random
    weights and augmented images are others for each seed.
    """
    recipe = cell.recipe
    first_frozen = isinstance(recipe.head, Hybrid) or (isinstance(recipe.phases, tuple) and recipe.phases[0].thaw == 0)
    anew = not isinstance(recipe.head, Hybrid) and recipe.augment.changes_images and not recipe.augment.views
    if recipe.cache == "off" or anew or not first_frozen:
        return None
    data = recipe.data
    engine = (recipe.engine, recipe.engine_precision, recipe.cache_dtype)
    pixels = (data.source, data.image_size, str(data.window), data.fit, data.spacing)
    weights = (recipe.weights,) if isinstance(recipe.weights, str) else recipe.weights
    drawn = (recipe.seed, recipe.augment) if "none" in weights or recipe.augment.views else ()
    return recipe.backbone, weights, *engine, *pixels, *map(str, drawn)
