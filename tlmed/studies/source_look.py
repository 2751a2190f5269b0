"""What is wrong with the images of recipes, told from their lists before anything is written or trained."""

from collections.abc import Sequence

from tlmed.errors import RunFailed
from tlmed.recipe import Recipe
from tlmed.studies.jobs import COMPLETE, LOOK, write_look
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
    is_given = False
    while True:
        for worker, answer in pool.listen():
            if answer is None:
                raise RunFailed(
                    f"The list of images must be read by a process of its own. Received: {say_end(worker)}."
                )
            pool.release(worker, keep=True)
            if answer["state"] != COMPLETE:
                raise RunFailed(f"The list of images must be readable. Received: {answer.get('reason', 'nothing')}.")
            return answer["faults"]
        if not is_given and (worker := pool.find_idle(1)) is not None:
            worker.give(LOOK, write_look(recipes))
            is_given = True
        pool.wait(_TICK)
