"""What the images of recipes are, and what is wrong with them, told before anything is trained."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tlmed.errors import InputError, RunFailed
from tlmed.recipe import Cell, Recipe
from tlmed.recipe.study import show_value
from tlmed.run_files.study_files import TOLD, read_study_json, read_told, write_study
from tlmed.screen import Screen
from tlmed.studies.crew import Order
from tlmed.studies.directory import one_at_a_time
from tlmed.studies.jobs import COMPLETE, FAILED, LOOK, READ, write_job, write_look
from tlmed.studies.worker_pool import Pool, say_end
from tlmed.words import join_names

_TICK = 0.1  # seconds between two looks at the process, at most
_OF_BACKBONE = ("own",)  # weights of the same name that differ between backbones, as to what is known of them
# Fields of the data that change how images are divided or shown, and not which there are, in which numbers, or labels.
_SAME_IMAGES = (
    *("split", "split_seed", "val_seed", "batch_size", "image_size", "window", "fit", "spacing"),
    *("modality", "body_part", "subject", "codes"),
)


def look_at_sources(pool: Pool, recipes: Sequence[Recipe]) -> list[list[str]]:
    """Return the faults of each recipe's images that their list alone shows.

    A process of a pool looks: the readers of images need TensorFlow, which whoever shares out the cells never loads.

    Args:
        pool: The processes.
        recipes: The recipes; of a cross-validation one fold.

    Raises:
        RunFailed: If the process ends without an answer, or fails.
    """
    answer = _ask(pool, LOOK, write_look(recipes))
    if answer["state"] != COMPLETE:
        raise RunFailed(f"The list of images must be readable. Received: {answer.get('reason', 'nothing')}.")
    return answer["faults"]


def refuse_taught(pool: Pool, cells: Sequence[Cell], order: Order) -> None:
    """Refuse a search in which validation images would judge weights that were trained on them.

    Their scores say what these weights remember, and would win against those of all others.

    Args:
        pool: As for `tell_images`.
        cells: A cell with each of the weights, at least.
        order: What else is asked for.

    Raises:
        InputError: With each of these weights.
    """
    if read_told(order.folder) is not None:  # the search was not refused when it began
        return
    read = _read_each(pool, cells, order.skip_bad)
    faults = [f"{_name(cell)}: {sentence}" for cell, answer in read for sentence in answer["taught"]]
    if faults:
        raise InputError(
            [
                "A search judges candidates by images on which their weights were not trained; leave these weights "
                f"out, or take those of a run on other images. Received: {fault}."
                for fault in faults
            ]
        )


def tell_images(pool: Pool, cells: Sequence[Cell], order: Order, screen: Screen) -> None:
    """Say of the images of a study what `tlmed train` says of its own, and keep it in `study.json`.

    That is how many there are and how many were left out, which class is positive, which columns mean what, and what
    each of the weights knows of them. A study that goes on says what it said when it began.

    Args:
        pool: The processes. One of them reads, because the readers of images need TensorFlow; the pixels that it keeps
            are not decoded again by those that train.
        cells: Of each recipe and of each of the weights some; the first whose images can be read is taken, and one with
            each of the other weights: cells that fail say why themselves.
        order: What else is asked for.
        screen: Where to say it.
    """
    if (told := read_told(order.folder)) is None:
        with screen.busy("Reading the images"):
            told = _read(pool, cells, order.skip_bad)
        if told is None:
            return
        with one_at_a_time(order.folder):
            write_study(order.folder, {**read_study_json(order.folder), TOLD: told})
    for sentence in told["said"]:
        screen.say(sentence)
    for sentence in told["found"]:
        screen.warn(sentence)


def _read(pool, cells, skip_bad) -> dict[str, list[str]] | None:
    read = _read_each(pool, cells, skip_bad)
    if not read:
        return None
    cell, answer = read[0]
    part = [f"fold {cell.fold}"] * bool(cell.fold) + [f"draw {cell.draw}"] * bool(cell.draw)
    whose = f" of {', '.join(part)}" if part else ""
    varied = find_varied_images(cells)
    said = list(answer["said"])
    if varied:
        what = join_names([f"`{name}`" for name in varied])
        said.append(f"These are the images{whose} of {_name_values(cell, varied)}; {what} varies, and they with it.")
    elif part:
        said.append(f"These are the splits{whose}.")
    found = list(answer["found"])
    for other, told in read[1:]:
        found += [f"With {_name(other)}: {each}" for each in told["found"] if each not in answer["found"]]
    return {"said": said, "found": found}


def _read_each(pool, cells, skip_bad) -> list[tuple[Cell, dict]]:
    """Return for each of the weights a cell whose images can be read, and what was answered of it."""
    found: dict[tuple, tuple[Cell, dict]] = {}
    asked = set()
    for cell in cells:
        weights = (cell.weights, cell.backbone if cell.weights in _OF_BACKBONE else "")
        if weights in found or (weights, cell.title) in asked:
            continue
        asked.add((weights, cell.title))
        answer = _ask(pool, READ, write_job(READ, cell, Path("."), skip_bad))
        if answer["state"] == COMPLETE:
            found[weights] = cell, answer
    return list(found.values())


def find_varied_images(cells: Sequence[Cell]) -> list[str]:
    """Return the fields of the data by which the images or labels of cells differ, besides seed, fold and draw.

    >>> from tlmed.recipe import Study
    >>> cells = Study(recipes=("feature_extractor",), vary={"data.train_share": (0.5, 1.0)}).expand("images")
    >>> find_varied_images(cells)
    ['data.train_share']
    """
    given: dict[str, set[str]] = {}
    for cell in cells:
        for each in dataclasses.fields(cell.recipe.data):
            if each.name not in _SAME_IMAGES:
                given.setdefault(f"data.{each.name}", set()).add(repr(getattr(cell.recipe.data, each.name)))
    return [name for name, values in given.items() if len(values) > 1]


def _name(cell) -> str:
    return f"{cell.backbone}={cell.weights}"


def _name_values(cell, fields) -> str:
    values = [show_value(getattr(cell.recipe.data, name.removeprefix("data."))) for name in fields]
    return ", ".join(f"{name}={value}" for name, value in zip(fields, values, strict=True))


def _ask(pool, kind, line) -> dict:
    """Give a job to one process and wait for its answer; one that ends without any has failed."""
    is_given = False
    while True:
        for worker, answer in pool.listen():
            if answer is None:
                return {"state": FAILED, "reason": say_end(worker)}
            pool.release(worker, keep=answer["state"] == COMPLETE)
            return answer
        # All processes start at once: each loads TensorFlow for seconds.
        if not is_given and (worker := pool.find_idle(len(pool.cores))) is not None:
            worker.give(kind, line)
            is_given = True
        pool.wait(_TICK)
