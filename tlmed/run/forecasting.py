"""How long a recipe will take on this machine, roughly: the operations of each phase at a round speed."""

from collections.abc import Mapping

from tlmed.plan.costs import BYTES_PER_SECOND, ENGINE_SECONDS, FLOPS_PER_SECOND, count_flops
from tlmed.recipe import Recipe
from tlmed.replicas import device_class
from tlmed.run.preparation import foresee

START_SECONDS = 5.0  # building, reading images that are known, scores and the report
BACKWARD = 2.0  # operations of a gradient, for each operation of the pass before it


def forecast(recipe: Recipe, skip_bad: bool = False) -> float:
    """Return about how many seconds a recipe takes; it may be wrong by a factor of three.

    It counts operations as `tlmed plan` does, and takes every phase to run for all its epochs.

    Args:
        recipe: The recipe.
        skip_bad: Leave out images that cannot be read.

    Raises:
        InputError, RunFailed: As `foresee`.
    """
    seen = foresee(recipe, skip_bad)
    whole, speed = count_flops(seen.network), FLOPS_PER_SECOND[device_class()]
    train, judged, test = (len(seen.images.indices(split)) for split in ("train", "val", "test"))
    if not seen.plan["phases"]:  # a hybrid: one pass, and a classifier
        return START_SECONDS + ENGINE_SECONDS + whole * (train + judged + test) / speed
    phases = (_count_phase(phase, whole, train, judged, speed) for phase in seen.plan["phases"])
    return START_SECONDS + whole * test / speed + sum(phases)


def _count_phase(phase: Mapping, whole: int, train: int, judged: int, speed: float) -> float:
    """Return the seconds of a phase; `whole` are the operations of the network for one image."""
    frozen = int(phase["cache"]["flops"])
    thawed, epochs = max(0, whole - frozen), phase["epochs"]
    of_epoch = train * (frozen + thawed * (1 + BACKWARD)) + judged * whole
    if not phase["cache"]["on"]:
        return epochs * of_epoch / speed
    once = (train + judged) * frozen / speed + ENGINE_SECONDS
    read = phase["cache"]["bytes_per_image"] * (train + judged) * (epochs + 1) / BYTES_PER_SECOND
    return once + read + epochs * (of_epoch - (train + judged) * frozen) / speed
