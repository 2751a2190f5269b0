"""Time a training step on this machine in each precision, before a run begins."""

import dataclasses
import statistics
import time

import numpy as np

from tlmed import backbones
from tlmed.building import assemble
from tlmed.errors import InputError
from tlmed.phases import computing, thaw
from tlmed.plan import expand
from tlmed.recipe import PRECISIONS, Recipe
from tlmed.sections import Hybrid

CLASSES = 2
WARM, STEPS = 2, 5  # the first steps are not timed, because they also trace and allocate memory
CLEAR = 1.1  # a gain of less than a tenth is not worth the rounding


def measure_precisions(recipe: Recipe) -> dict[str, float]:
    """Return the seconds of a training step, of the phase that trains most, in each precision.

    Weights and images are random: what a step costs does not depend on them. The median of five steps.

    Raises:
        InputError: If the recipe trains no network, or its backbone cannot be built.
    """
    if isinstance(recipe.head, Hybrid):
        raise InputError("--measure needs a recipe that trains a network. Received: a Hybrid(...) as `head`.")
    network = backbones.build(recipe.backbone, "none", recipe.data.image_size).model
    phases = expand(recipe.schedule, network)
    most = max(phases, key=lambda each: float("inf") if each.thaw == "all" else each.thaw)
    # There are no pretrained weights here to go back to.
    phase = dataclasses.replace(most, start="previous")
    model = assemble(recipe, network, CLASSES)
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (recipe.data.batch_size, *recipe.data.image_size, 3)).astype("uint8")
    labels = random.randint(0, CLASSES, recipe.data.batch_size)
    found = {}
    for precision in PRECISIONS:
        thaw(model, phase)
        with computing(model, precision):
            found[precision] = statistics.median([_time(model, images, labels) for _ in range(WARM + STEPS)][WARM:])
    return found


def _time(model, images, labels) -> float:
    begin = time.perf_counter()
    model.train_on_batch(images, labels)
    return time.perf_counter() - begin


def recommend(seconds: dict[str, float]) -> str:
    """Return the measured times as a sentence, with a recommendation.

    >>> recommend({"float32": 2.0, "bfloat16": 0.5})
    'A training step takes 2.000 s in float32 and 0.500 s in bfloat16: precision=bfloat16 is 4.0 x as fast here.'
    >>> recommend({"float32": 0.5, "bfloat16": 0.49})
    'A training step takes 0.500 s in float32 and 0.490 s in bfloat16: stay with precision=float32 here.'
    """
    ratio = seconds["float32"] / seconds["bfloat16"]
    advice = (
        f"precision=bfloat16 is {ratio:.1f} x as fast here" if ratio > CLEAR else "stay with precision=float32 here"
    )
    times = " and ".join(f"{value:.3f} s in {precision}" for precision, value in seconds.items())
    return f"A training step takes {times}: {advice}."
