"""What a phase makes of its optimizer's steps: a learning rate for each part, a schedule, clipping, weight decay."""

import tlmed.tensorflow_start

from collections.abc import Sequence

import keras

from tlmed.blocks import Block
from tlmed.optimizers import Changes, find_exempt
from tlmed.schedules import Curve, is_scheduled
from tlmed.sections import Phase
from tlmed.sections.training import EMA


def list_changes(variables: Sequence[keras.Variable], thawed: Sequence[Block], phase: Phase) -> Changes:
    """Return how the steps of a phase differ from those of its optimizer in Keras.

    Args:
        variables: All that are trained.
        thawed: The blocks among them.
        phase: The phase.
    """
    curve = Curve(phase) if is_scheduled(phase) else None
    factors = _rate_factors(thawed, phase)
    exempt, average = find_exempt(variables), phase.average == EMA
    return Changes(factors, curve, phase.clip_norm, phase.weight_decay, exempt, average)


def learning_rates(thawed: Sequence[Block], phase: Phase) -> dict[str, float]:
    """Return the learning rate of the head and of each thawed block, by name: it falls towards the input."""
    steps = enumerate(reversed(thawed), 1)
    return {"head": phase.learning_rate} | {
        block.name: phase.learning_rate * phase.block_decay**step for step, block in steps
    }


def _rate_factors(thawed, phase) -> dict[int, float]:
    rates = learning_rates(thawed, phase)
    return {
        id(variable): rates[block.name] / phase.learning_rate
        for block in thawed
        for layer in block.layers
        for variable in layer.trainable_variables
    }
