"""The rule for how often what trains blocks of a network passes over the images: by steps, and by the time there is."""

import math

FEWEST, MOST = 8, 16  # epochs
# A solved head is disturbed by the first steps at the full rate: at 224 pixels it took some 160 steps to be as good
# again, and a schedule of 140 ended there (`benchmarks/advice_epochs.py`).
SHORT, LONG = 140, 280  # steps
SOURCE = "benchmarks/advice_epochs.py of tlmed"
_TRAINING_SHARE = 0.8  # of development images, about: others validate, and a part judges what is tried


def choose_epochs(images: int, batch_size: int, steps: int) -> int:
    """Return the epochs that make some number of steps, in 8 epochs or more and 16 at most.

    Args:
        images: For development.
        batch_size: Images of a step.
        steps: `SHORT` or `LONG`.

    >>> [choose_epochs(images, 32, SHORT) for images in (85, 400, 663, 9000)]
    [16, 14, 8, 8]
    >>> [choose_epochs(images, 32, LONG) for images in (85, 400, 663, 9000)]
    [16, 16, 16, 8]
    """
    return min(MOST, max(FEWEST, round(steps / _count_steps(images, batch_size))))


def say_epochs(images: int, batch_size: int, settled: int | None = None) -> str:
    """Return what the rule says, in two sentences.

    Args:
        images: For development.
        batch_size: Images of a step.
        settled: How many epochs the budget has time for; None: that is not known yet.
    """
    most, fewest = (choose_epochs(images, batch_size, steps) for steps in (LONG, SHORT))
    passes, step = "What trains blocks of the network passes", _count_steps(images, batch_size)
    aim = f"The aim is about {LONG} steps, in {FEWEST} passes at least and {MOST} at most"
    if most == fewest:
        return f"{passes} {most} times over the images, in about {round(most * step, -1):,} steps. {aim}."
    less = f"{aim}; half as many where time is short."
    if settled is None:
        return f"{passes} {most} times over the images if the budget has time for that; else {fewest} times. {less}"
    time = "has time to train all layers so" if settled == most else f"has no time to try and train {most} times"
    steps = round(settled * step, -1)  # a trial has fewer images than the answer
    return f"{passes} {settled} times over the images, in about {steps:,} steps: the budget {time}. {less}"


def _count_steps(images, batch_size) -> int:
    return math.ceil(images * _TRAINING_SHARE / batch_size)
