"""What a run writes down of itself: recipe, splits, environment, timing; and what it compares when it goes on."""

import dataclasses
import json
import time

from tlmed.backbones import Backbone
from tlmed.data import ImageSet
from tlmed.environment import describe_environment, peak_memory_mb
from tlmed.errors import InputError
from tlmed.recipe import Recipe, to_source
from tlmed.run.clock import Clock
from tlmed.run.outcome import Outcome
from tlmed.rundir import RunDir, atomic, write_csv, write_json, write_text


def holds_same_recipe(run: RunDir, recipe: Recipe) -> bool:
    """Tell whether a run directory holds this recipe; another one is an error that names the fields."""
    old = _flatten(run.json("recipe.json")) if (run / "recipe.json").exists() else None
    if old is None:
        return False
    new = _flatten(_to_json(recipe))
    if old != new:
        keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        differ = [f"{key}={old.get(key)!r} there, {new.get(key)!r} here" for key in keys]
        raise InputError(
            f"`--out` holds a run of another recipe; choose another directory, or --fresh to start over. "
            f"Received: {run.path}: {'; '.join(differ)}."
        )
    return True


def _to_json(recipe) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def _flatten(content, path="") -> dict:
    """Return nested dictionaries and lists as one dictionary with dotted keys."""
    if isinstance(content, dict):
        parts = (_flatten(part, f"{path}{name}.") for name, part in content.items())
        return {key: value for part in parts for key, value in part.items()}
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return _flatten(dict(enumerate(content)), path)
    return {path.rstrip("."): content}


def open_run(run: RunDir, recipe: Recipe, recipe_file, images: ImageSet, fresh: bool) -> None:
    """Make the run directory, or go on in it: only with the recipe and the images that it began with."""
    if fresh:
        run.clear()
    run.start()
    table = images.table
    groups = table.groups or [""] * len(table.paths)
    names = (table.classes[label] for label in table.labels)
    rows = list(zip(table.paths, names, groups, images.splits, images.sha256, strict=True))
    with atomic(run.progress / "splits.csv") as part:
        write_csv(part, ("path", "label", "group", "split", "sha256"), rows)
        new = part.read_bytes()
    if (run / "splits.csv").exists() and (run / "splits.csv").read_bytes() != new:
        raise InputError(
            f"A run continues with the images that it began with; --fresh starts over. "
            f"Received: {run.path}, whose splits.csv differs."
        )
    (run.progress / "splits.csv").replace(run / "splits.csv")
    write_json(run / "recipe.json", _to_json(recipe))
    write_text(run / "recipe.py", recipe_file.read_text("utf-8") if recipe_file else to_source(recipe))


def keep_choices(run: RunDir, plan: dict) -> None:
    """Go on by the choices that a run began with: whether each phase keeps what its frozen blocks give."""
    if (run / "plan.json").exists():
        before = {phase["name"]: phase["cache"] for phase in run.json("plan.json")["phases"]}
        for phase in plan["phases"]:
            phase["cache"] = before[phase["name"]]


def describe_run(recipe: Recipe, backbone: Backbone, images: ImageSet) -> dict:
    """Return the content of `environment.json`."""
    sources = [dataclasses.asdict(source) for source in backbone.sources]
    return {
        **describe_environment(),
        "seed": recipe.seed,
        "weights": sources[0] if len(sources) == 1 else sources,
        "data": {
            "source": recipe.data.source,
            "images": len(images.splits),
            "classes": list(images.table.classes),
            "split": "made" if images.split_made else "given",
            "left_out": [{"path": path, "reason": reason} for path, reason in images.broken],
        },
        "warnings": [*images.warnings, *images.leaks],
    }


def write_timing(run: RunDir, clock: Clock, outcome: Outcome) -> None:
    """Write `timing.json`.

    Args:
        run: The run.
        clock: Of this command.
        outcome: What training was.
    """
    now = time.perf_counter()
    write_json(
        run / "timing.json",
        {
            "training_seconds": round(max(clock.trained - clock.reading, 0) + outcome.earlier, 3),
            "total_seconds": round(now - clock.begin + outcome.earlier, 3),
            "images_per_second": round(outcome.images / outcome.seconds, 2),
            "peak_memory_mb": peak_memory_mb(),
            "stages": clock.stages,
            "extractions": clock.extractions,
        },
    )
