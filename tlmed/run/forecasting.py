"""How long a recipe will take on this machine, roughly: the operations of each phase at a round speed."""

from collections.abc import Mapping

from tlmed.expected_time import ExpectedTime
from tlmed.plan.costs import BYTES_PER_SECOND, ENGINE_SECONDS, FLOPS_PER_SECOND, count_flops
from tlmed.recipe import Recipe
from tlmed.replicas import device_class
from tlmed.run.preparation import foresee

# Measured with MobileNetV2 and LeNet5 on two cores, in a process that has trained before.
START_SECONDS = 3.0  # building, reading images that are known, scores
PHASE_SECONDS = 1.0  # before a phase takes its first step
GRAPH_SECONDS = 0.09  # likewise, for each layer that it trains
# Of a step of training, for each layer that it trains, however small the images: its operations must be begun.
LAYER_SECONDS = 0.0005
EXAMPLES_SECONDS = 2.0  # pictures that explain examples
BASELINES_SECONDS = 8.0
BACKWARD = 2.0  # operations of a gradient, for each operation of the pass before it
# Operations in a second of training, beside what layers cost whatever the images: MobileNetV2 came to 99e9 at 224
# pixels, and to about as many at 64. What is computed once is also read, converted and kept: it takes as long again.
TRAINING = {**FLOPS_PER_SECOND, "CPU": 100e9}


def forecast(recipe: Recipe, skip_bad: bool = False) -> ExpectedTime:
    """Return about how long a recipe takes; it may be wrong by a factor of three.

    It counts operations as `tlmed plan` does, and takes every phase to run for all its epochs.

    Args:
        recipe: The recipe.
        skip_bad: Leave out images that cannot be read.

    Raises:
        InputError, RunFailed: As `foresee`.
    """
    seen = foresee(recipe, skip_bad)
    whole, device = count_flops(seen.network), device_class()
    train, judged, test = (len(seen.images.indices(split)) for split in ("train", "val", "test"))
    start = START_SECONDS + EXAMPLES_SECONDS * bool(recipe.examples) + BASELINES_SECONDS * recipe.baselines
    if not seen.plan["phases"]:  # a hybrid: one pass, and a classifier
        return ExpectedTime(start, ENGINE_SECONDS + whole * (train + judged + test) / FLOPS_PER_SECOND[device])
    steps = -(-train // recipe.data.batch_size)
    phases = [_count_phase(phase, whole, (train, judged), steps, device) for phase in seen.plan["phases"]]
    once, work = (sum(part) for part in zip(*phases, strict=True))
    return ExpectedTime(start, once, whole * test / TRAINING[device] + work)


def _count_phase(phase: Mapping, whole: int, images: tuple[int, int], steps: int, device: str) -> tuple[float, float]:
    """Return the seconds of a phase, of what is computed once and of the rest.

    Args:
        phase: As `plan.json` has it.
        whole: The operations of the network for one image.
        images: Images for training and for validation.
        steps: Of training, in an epoch.
        device: What trains.
    """
    (train, judged), frozen = images, int(phase["cache"]["flops"])
    thawed, epochs = max(0, whole - frozen), phase["epochs"]
    of_epoch = train * (frozen + thawed * (1 + BACKWARD)) + judged * whole
    layers = GRAPH_SECONDS + LAYER_SECONDS * epochs * steps
    graph = 0.0 if phase["solver"] else PHASE_SECONDS + layers * phase["weighted_layers"]
    if not phase["cache"]["on"]:
        return 0.0, graph + epochs * of_epoch / TRAINING[device]
    once = (train + judged) * frozen / FLOPS_PER_SECOND[device] + ENGINE_SECONDS
    read = phase["cache"]["bytes_per_image"] * (train + judged) * (epochs + 1) / BYTES_PER_SECOND
    return once, graph + read + epochs * (of_epoch - (train + judged) * frozen) / TRAINING[device]
