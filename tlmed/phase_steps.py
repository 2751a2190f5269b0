"""What a phase makes of its optimizer's steps: a learning rate for each part, a schedule, clipping, weight decay."""

import tlmed.tensorflow_start

from collections.abc import Mapping, Sequence

import keras

from tlmed.blocks import Block
from tlmed.optimizers import Changes, find_exempt
from tlmed.schedules import Curve, is_scheduled
from tlmed.sections import Phase
from tlmed.sections.training import EMA

HEAD = "head"


def list_changes(
    variables: Sequence[keras.Variable],
    thawed: Sequence[Block],
    phase: Phase,
    rates: Mapping[str, float] | None = None,
) -> Changes:
    """Return how the steps of a phase differ from those of its optimizer in Keras.

    Args:
        variables: All that are trained.
        thawed: The blocks among them.
        phase: The phase.
        rates: The learning rates of the head and of each block, by name; None: as the phase gives them.
    """
    curve = Curve(phase) if is_scheduled(phase) else None
    factors = _rate_factors(variables, thawed, phase, rates or learning_rates(thawed, phase))
    exempt, average = find_exempt(variables), phase.average == EMA
    return Changes(factors, curve, phase.clip_norm, phase.weight_decay, exempt, average)


def learning_rates(thawed: Sequence[Block], phase: Phase) -> dict[str, float]:
    """Return the learning rate of the head and of each thawed block, by name: it falls towards the input."""
    steps = enumerate(reversed(thawed), 1)
    return {HEAD: phase.learning_rate} | {
        block.name: phase.learning_rate * phase.block_decay**step for step, block in steps
    }


def find_owners(thawed: Sequence[Block]) -> dict[int, str]:
    """Return the name of the block that each trained variable of the blocks belongs to, by the variable's `id`."""
    return {
        id(variable): block.name for block in thawed for layer in block.layers for variable in layer.trainable_variables
    }


def scale_ratios(ratios: Mapping[str, float], learning_rate: float) -> dict[str, float]:
    """Return learning rates from the ratios of gradient and weights: the largest ratio has the full rate (Auto-RGN).

    Lee et al., Surgical Fine-Tuning Improves Adaptation to Distribution Shifts, ICLR 2023; the division by the largest
    is that of the authors' code (anniesch/surgical-finetuning, `main.py`).

    The head has the full rate, as ever. There it has a ratio like all others, but it comes with the network; here a new
    one of any ratio may precede the phase: a solved head has next to no gradient and would stay as it is.

    Args:
        ratios: The norm of the gradient over that of the weights, of each block by name.
        learning_rate: The full rate.

    >>> scale_ratios({"block2": 2.0, "block1": 0.5}, 0.01)
    {'head': 0.01, 'block2': 0.01, 'block1': 0.0025}
    """
    largest = max(ratios.values())
    return {HEAD: learning_rate} | {name: learning_rate * (ratio / largest) for name, ratio in ratios.items()}


def _rate_factors(variables, thawed, phase, rates) -> dict[int, float]:
    owners = find_owners(thawed)
    return {id(it): rates[owners.get(id(it), HEAD)] / phase.learning_rate for it in variables}
