"""What the images of recipes are, and what is wrong with them, told before anything is trained."""

from collections.abc import Sequence
from pathlib import Path

from tlmed.errors import RunFailed
from tlmed.recipe import Cell, Recipe
from tlmed.run_files.study_files import TOLD, read_study_json, read_told, write_study
from tlmed.screen import Screen
from tlmed.studies.crew import Order
from tlmed.studies.directory import one_at_a_time
from tlmed.studies.jobs import COMPLETE, FAILED, LOOK, READ, write_job, write_look
from tlmed.studies.worker_pool import Pool, say_end

_TICK = 0.1  # seconds between two looks at the process, at most


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


def tell_images(pool: Pool, cells: Sequence[Cell], order: Order, screen: Screen) -> None:
    """Say of the images of a study what `tlmed train` says of its own, and keep it in `study.json`.

    That is how many there are and how many were left out, which class is positive, and which columns mean what. A study
    that goes on says what it said when it began.

    Args:
        pool: The processes. One of them reads, because the readers of images need TensorFlow; the pixels that it keeps
            are not decoded again by those that train.
        cells: Of each recipe some; the first whose images can be read is taken: cells that fail say why themselves.
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
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.title, cell)
    for cell in first.values():
        answer = _ask(pool, READ, write_job(READ, cell, Path("."), skip_bad))
        if answer["state"] == COMPLETE:
            said, found = answer["said"], answer["found"]
            part = [f"fold {cell.fold}"] * bool(cell.fold) + [f"draw {cell.draw}"] * bool(cell.draw)
            return {"said": said + [f"These are the splits of {', '.join(part)}."] * bool(part), "found": found}
    return None


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
