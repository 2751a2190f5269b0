"""The records of a run: recipe, splits, environment, timing; and the comparison with them when it goes on."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tlmed.backbones.ancestry import describe_earlier, list_weights
from tlmed.backbones.recollection import find_earlier
from tlmed.data import ImageSet
from tlmed.data.extras import count_extras
from tlmed.data.leaks import find_known_by_weights, find_undecided
from tlmed.data.learned import recognise_images
from tlmed.data.patients import align_rows
from tlmed.data.readers import describe_formats
from tlmed.data.recorded import (
    SAME,
    compare_rows,
    describe_columns,
    digest_columns,
    find_moved,
    find_recorded_leaks,
    to_rows,
)
from tlmed.data.tones import measure_usual
from tlmed.environment.description import describe_code, describe_environment
from tlmed.environment.memory import peak_memory_mb
from tlmed.environment_changes import name_changes, name_code_change
from tlmed.errors import CheckFailed, InputError, RunFailed
from tlmed.identifiers import read_identifiers
from tlmed.intact import check_intact, reading
from tlmed.recipe import (
    UNDECIDING,
    Recipe,
    RecipeFile,
    flatten,
    from_json,
    name_differences,
    shipped_recipes,
    to_json,
    to_source,
)
from tlmed.replicas import describe_strategy
from tlmed.run.job import Job
from tlmed.run.outcome import Outcome
from tlmed.run.prepared import Prepared
from tlmed.run.workers import Workers
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, RECIPE_JSON, SPLITS_CSV, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.sealed import DamagedFile, seal, unseal
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.voice import Voice
from tlmed.whole_files import write_text
from tlmed.words import listed

START = "start"  # the file of a run's progress that holds what the run began with
# What can change the numbers of a run that goes on.
_ENVIRONMENT = (
    *("versions", "devices", "threads", "strategy"),
    *("system", "processor", "gpus", "cpus", "onednn", "variables"),  # not recorded by older versions
)


def read_start(run: RunDir) -> dict | None:
    """Return what a stopped run began with.

    It has `recipe`, `images`, `made`, `columns`, `choices`, `window`, `environment`, `code` and `changed`.

    An older version of tlmed recorded no `columns`, no `window`, no `code`, and not which splits it `made`.

    A run goes on only from this and from the sealed files beside it, because other files can be edited or lost.

    Returns:
        None where nothing was trained yet.

    Raises:
        RunFailed: If something was trained, and this file is missing or is not as it was written.
    """
    try:
        return unseal(run.progress / START)[0]
    except FileNotFoundError:
        fault = "it is missing (early versions of tlmed wrote none)"
    except DamagedFile as error:
        fault = str(error)
    # Without any of these nothing was trained, and the run begins anew without a loss.
    if any(path.suffix in (".phase", ".weights", ".checkpoint") for path in run.progress.rglob("*")):
        raise RunFailed(
            "The record of what a stopped run began with must be there, unchanged; --fresh starts over. "
            f"Received: {run.progress / START}: {fault}."
        )
    return None


def write_start(run: RunDir, images: ImageSet, plan: dict, environment: dict) -> None:
    """Seal what a run begins with, or goes on with, before it trains."""
    began = read_start(run)
    about = {
        "recipe": RECIPE_JSON.read(run),  # not the job's: the file keeps the title where this command gives none
        "images": to_rows(images),
        "made": list(images.split_made),
        # Those that it began with, so that every command that goes on with others says so.
        "columns": began.get("columns") if began else environment["data"]["columns"],
        "choices": list_choices(plan),
        "window": plan["window"],
        "environment": _choose(environment, _ENVIRONMENT),
        "code": environment["code_sha256"],
        "changed": environment.get("changed", []),
    }
    seal(run.progress / START, about, {})


def note_choices(run: RunDir, plan: dict) -> None:
    """Seal new choices, where a run could not keep to those that it began with."""
    seal(run.progress / START, {**read_start(run), "choices": list_choices(plan)}, {})


def list_choices(plan: dict) -> dict[str, dict]:
    """Return each phase's `cache` of a plan: whether the outputs of its frozen blocks are kept."""
    return {phase["name"]: phase["cache"] for phase in plan["phases"]}


def _read_recipe(run) -> dict | None:
    """Return the recipe of a complete run, or the one that a stopped run began with; None where there is none yet."""
    start = None if run.complete else read_start(run)
    if start is not None:
        return start["recipe"]
    return RECIPE_JSON.read(run) if (run / "recipe.json").exists() else None


def holds_same_recipe(run: RunDir, recipe: Recipe) -> bool:
    """Tell whether a run directory holds this recipe, whatever its title; another recipe is an error.

    The images of a stopped run may have moved: they are compared one by one when it goes on.
    """
    if (there := _read_recipe(run)) is None:
        return False
    # Not so for a complete run, whose images are not read again.
    free = UNDECIDING if run.complete else {*UNDECIDING, "data.source"}
    whole = _complete_recipe(run, there)
    new_since = flatten(whole).keys() - flatten(there).keys()
    differ = [it for it in name_differences(whole, to_json(recipe)) if it[0] not in free]
    if words := [
        f"{key} not recorded there, {new!r} here" if key in new_since else f"{key}={old!r} there, {new!r} here"
        for key, old, new in differ
    ]:
        raise InputError(
            f"`--out` holds a run of another recipe; choose another directory, or --fresh to start over. "
            f"Received: {run.path}: {'; '.join(words)}."
        )
    return True


def _complete_recipe(run, there) -> dict:
    """Return a recorded recipe with the default of every field that the version that recorded it did not have yet.

    Such a field then does what versions without it did, except for the window, which the run's own record decides.
    """
    try:
        return to_json(from_json(there))
    except InputError as error:
        raise InputError(
            f"`--out` holds a run of another version of tlmed, whose recipe this one cannot read; --fresh starts over. "
            f"Received: {run.path}: {' '.join(error.faults)}"
        ) from error


def holds_complete(job: Job) -> bool:
    """Tell whether a run is complete; a run of another recipe is an error, as always, and so is an ensemble."""
    if job.run.is_ensemble:
        raise InputError(
            f"`--out` must be a new or empty directory, or a run's. Received: {job.run.path}, an ensemble."
        )
    return job.run.exists and holds_same_recipe(job.run, job.recipe) and job.run.complete


def flat_fields(recipe: Recipe) -> dict[str, str]:
    """Return every field of a recipe that decides a result as text, by its dotted name."""
    return {name: repr(value) for name, value in flatten(to_json(recipe)).items() if name not in UNDECIDING}


def say_complete(job: Job) -> str:
    """Return the message about a run that is complete already.

    Raises:
        CheckFailed: If `strict` is set and the run, or a fold of it, has leaks.
        InputError: If `strict` is set and a file that shows them is not as the run wrote it.
    """
    run, name = job.run, job.recipe.name
    leaks = [leak for part in run.folds or (run,) for leak in _list_leaks(part, job.voice)] if job.strict else []
    if leaks:
        raise CheckFailed(list(dict.fromkeys(leaks)))
    title = RECIPE_JSON.read(run).get("name")
    said = (
        f"{run.path} is complete already, and its images were not read again "
        f"(`tlmed evaluate {(run.folds or (run,))[0].path}` names what has changed); --fresh trains it again."
    )
    if name not in (None, title):
        said += f" Its title stays {title!r}." if title else " It stays without a title."
    return f"{said}\nReport: {run / 'report.html'}"


def _list_leaks(run, voice) -> list[str]:
    """Return the leaks of a finished run: those that it noted, and those that its `splits.csv` shows.

    A lock holds no digest of the note, which could be edited; it holds one of `splits.csv`.
    """
    for sentence in check_intact(run, ("splits.csv", "environment.json")):
        voice.warn(sentence)
    with reading(run):
        environment, rows = ENVIRONMENT_JSON.read(run), SPLITS_CSV.read(run)
        identifiers = read_identifiers(environment["data"])
        earlier = find_earlier(run)
        alone = RECIPE_JSON.read(run).get("data", {}).get("groups") is False
        several = read_task(METRICS_JSON.read(run)) == MULTI_LABEL
        classes = environment["data"]["classes"]
        found = find_recorded_leaks(
            rows, classes, earlier.elsewhere, identifiers.pseudonyms, alone, several, earlier.certain
        )
    for sentence in earlier.unsure:
        voice.warn(sentence)
    return list(dict.fromkeys([*environment.get("leaks", []), *(leak.text for leak in found)]))


@contextlib.contextmanager
def open_run(job: Job, workers: Workers, images: ImageSet) -> Iterator[None]:
    """Make the run directory, or go on in it, as its only writer: with the recipe and the images that it began with."""
    run = job.run
    with run.open(job.fresh):
        rows, start = to_rows(images), read_start(run)
        if start is not None:
            began = start["images"]
            aligned = align_rows(rows, began) if images.table.pseudonyms else rows
            _check_images(run, began, aligned, (start.get("made", images.split_made), images.split_made))
        workers.follow()
        run.mark("Started.")
        SPLITS_CSV.write(run, rows)
        write_recipe(run, job.recipe, job.recipe_file)
        yield


def write_recipe(run: RunDir, recipe: Recipe, recipe_file: RecipeFile | None) -> None:
    """Write `recipe.json`, and `recipe.py`: the file that the recipe was loaded from, or code that makes it.

    A run that goes on keeps its title where no other one is given.
    """
    if recipe.name is None and (there := _read_recipe(run)) is not None:
        recipe = dataclasses.replace(recipe, name=there.get("name"))
    RECIPE_JSON.write(run, to_json(recipe))
    write_text(run / "recipe.py", recipe_file.text if recipe_file else to_source(recipe))


def describe_rows(images: ImageSet) -> dict[str, str]:
    """Return for every image, by its path, what must be the same in all workers."""
    return {
        row["path"]: " ".join((row["label"], row["group"], row["split"], row["sha256"][:16])) for row in to_rows(images)
    }


def _check_images(run, began, rows, made) -> None:
    """Refuse images other than those that the run began with, and name them; `made` is as for `find_moved`.

    A changed image may divide others in another way, so splits that tlmed made are compared only where nothing else
    differs.
    """
    old, new = ({row["path"]: row for row in table} for table in (began, rows))
    moved = set(find_moved(old, new, made))
    given = [row if row["path"] in moved else {**row, "split": old.get(row["path"], row)["split"]} for row in rows]
    columns = (*SAME, "split")
    if found := compare_rows(began, given, columns).name() or compare_rows(began, rows, columns).name():
        raise InputError(
            f"A run continues with the images that it began with; --fresh starts over. "
            f"Received: {run.path}: {'; '.join(found)}."
        )


def keep_choices(run: RunDir, plan: dict, choices: Mapping[str, dict]) -> None:
    """Put the choices that a run began with into its plan: whether each phase keeps its frozen blocks' outputs.

    Args:
        run: The run; it may have begun.
        plan: Its plan, which is changed.
        choices: If this run repeats another: what the other one chose, by phase.
    """
    if start := read_start(run):
        choices = start["choices"]
    for phase in plan["phases"]:
        phase["cache"] = choices.get(phase["name"], phase["cache"])


def warn_of_changes(run: RunDir, environment: dict, voice: Voice, place: str = "") -> None:
    """Warn where a run goes on in another environment, or with other columns, and note it in `environment`.

    Args:
        run: The run; it may have begun.
        environment: The content of `environment.json`, which is changed.
        voice: Where to warn.
        place: From where on in its training, such as "phase 'top'"; "" where it has no phases.
    """
    if (start := read_start(run)) is None:
        return
    if (began := start.get("columns")) is not None:
        for sentence in describe_columns(began, environment["data"]["columns"], "the run began"):
            environment["warnings"].append(sentence)
            voice.warn(sentence)
    began, now = start["environment"], _choose(environment, start["environment"])
    changed = name_changes(flatten(began), flatten(now), place)
    changed += name_code_change(start.get("code"), environment["code_sha256"], place)
    environment["changed"] = [*start["changed"], *changed]  # of every time that it went on, not only of the last
    for differ in filter(None, (start["changed"], changed)):
        environment["warnings"].append(f"The run goes on in another environment than it began in: {listed(differ)}.")
    if changed:
        voice.warn(environment["warnings"][-1] + " Its numbers may not be those of an uninterrupted run.")


def _choose(environment, names) -> dict:
    return {name: environment.get(name) for name in names}


def describe_run(job: Job, prepared: Prepared, addresses: Sequence[str]) -> dict:
    """Return the content of `environment.json`; `addresses` are the workers', where there are several."""
    recipe, images, environment, code = job.recipe, prepared.images, describe_environment(), describe_code()
    sources = [dataclasses.asdict(source) for source in prepared.backbone.sources]
    leaks = [leak.text for leak in images.leaks]
    given = list_weights({"weights": sources}, {"backbone": recipe.backbone})
    earlier, certain = describe_earlier(given, images.table.identifiers, to_rows(images), images.table.alone)
    return {
        **environment,
        "git_commit": code["git_commit"],
        "code_sha256": code["sha256"],
        "strategy": describe_strategy(addresses),
        "changed": [],  # `warn_of_changes` adds to it; older versions recorded nothing where nothing changed
        "seed": recipe.seed,
        "recipe": _describe_recipe(recipe, job.recipe_file),
        "weights": sources[0] if len(sources) == 1 else sources,
        **({"earlier": {"runs": earlier, "certain": certain, **_list_known(images)}} if earlier else {}),
        "data": {
            "source": recipe.data.source,
            **dataclasses.asdict(images.table.identifiers),
            "images": len(images.splits),
            "classes": list(images.table.classes),
            "split": "made" if images.split_made else "given",
            "made": list(images.split_made),
            "licence": images.table.licence,
            "columns": digest_columns(images.table, images.splits),
            "values": measure_usual(images.pixels.tones[images.indices("train")]),
            "formats": describe_formats(images.pixels.formats, images.pixels.rule.intensity),
            "unused": count_extras(images.pixels.extras),
            "left_out": [{"path": path, "reason": reason} for path, reason in images.broken],
            **({"aside": aside} if (aside := len(images.splits) - len(images.used) - images.apart) else {}),
            **({"apart": images.apart} if images.apart else {}),
        },
        "warnings": [*leaks, *images.warnings],
        "leaks": leaks,
    }


def _list_known(images) -> dict[str, list[str]]:
    """Return the paths of the test images that the runs which gave the weights know, and of those they may know.

    With them, those of the validation images on which these runs were trained: they cannot judge the weights.
    """
    known = find_known_by_weights(images.sha256, images.table.own_groups, images.splits, images.elsewhere)
    hidden = find_undecided(images.table, images.sha256, images.elsewhere, images.certain) & (images.splits == "test")
    trained = [learned.without_validation() for learned in images.elsewhere.values()]
    taught = recognise_images(trained, images.sha256, images.table.own_groups) & (images.splits == "val")
    found = {"known": known, "undecided": hidden & ~known, "taught": taught}
    return {name: [images.table.paths[row] for row in np.flatnonzero(chosen)] for name, chosen in found.items()}


def _describe_recipe(recipe, file) -> dict:
    """Return where a recipe comes from: its file, the fields that were set to other values, and its modules."""
    if file is None:
        return {"name": None, "shipped": False, "set": [], "modules": {}}
    return {
        "name": file.path.stem,
        "shipped": shipped_recipes().get(file.path.stem) == file.path,
        "set": [name for name, _, _ in name_differences(to_json(file.recipe), to_json(recipe))],
        "modules": file.modules,
    }


def write_timing(job: Job, outcome: Outcome) -> None:
    """Write `timing.json`, by the clock of this command."""
    clock, now = job.clock, time.perf_counter()
    TIMING_JSON.write(
        job.run,
        {
            "training_seconds": round(clock.training + outcome.earlier, 3),
            "total_seconds": round(now - clock.begin + outcome.earlier, 3),
            "images_per_second": round(outcome.images / outcome.seconds, 2),
            "peak_memory_mb": peak_memory_mb(),
            "stages": clock.stages,
            "extractions": clock.extractions,
        },
    )
