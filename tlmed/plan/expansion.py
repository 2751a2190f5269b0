"""Expand a recipe's schedule to phases for a network, and find their faults."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from tlmed.adapters import find_adapters
from tlmed.blocks import partition
from tlmed.errors import InputError
from tlmed.frozen import batch_norms
from tlmed.phases import split_blocks
from tlmed.sections import Degrees, Phase


def expand(phases: tuple[Phase, ...] | Degrees, backbone: keras.Model) -> tuple[Phase, ...]:
    """Return the phases of a schedule for a backbone; a list of phases stays as it is.

    Args:
        phases: What a recipe has for `phases`.
        backbone: A functional model on raw images.

    Raises:
        InputError: If the schedule goes by the backbone's blocks and it cannot be cut.

    >>> backbone = keras.applications.VGG16(weights=None, include_top=False)
    >>> [phase.name for phase in expand(Degrees(epochs=1, learning_rate=1e-4), backbone)]
    ['head', 'block5', 'block4', 'block3', 'block2', 'block1']
    """
    if not isinstance(phases, Degrees):
        return phases
    try:
        return phases.expand([block.name for block in partition(backbone, phases.unit, tail=True)])
    except ValueError as error:
        raise InputError(
            f"`phases` must be a tuple of Phase(...) with thaw=0 or thaw='all' for {backbone.name}, which cannot be "
            f"cut into {phases.unit}s ({error}). Received: phases={phases!r}."
        ) from error


@dataclass(frozen=True)
class _Step:
    """A phase, the `id` of each weight that may move in its blocks, and whether it thaws the whole backbone."""

    phase: Phase
    moves: frozenset[int]
    thaws_all: bool


def find_schedule_faults(backbone: keras.Model, phases: Sequence[Phase]) -> list[str]:
    """Return one sentence for each phase that thaws or adapts what is not there, or nothing new, or is never reached.

    Phases may count in different units, so their weights are compared: those of the thawed layers, with those of
    BatchNorm only where the phase lets them move.

    Args:
        backbone: A functional model on raw images.
        phases: The schedule, expanded.

    >>> backbone = keras.applications.VGG16(weights=None, include_top=False)
    >>> find_schedule_faults(backbone, [Phase("top", thaw=6, epochs=1, learning_rate=1e-4)])
    ["`thaw` must be from 0 to 5 (blocks of vgg16) or 'all'. Received: thaw=6 in phase 'top'."]
    """
    faults, chain, anchored = [], [], []
    for phase in phases:
        try:
            frozen, thawed = split_blocks(backbone, phase)
            moves = _find_moves(thawed, phase)
        except InputError as error:
            faults += error.faults
            continue
        step = _Step(phase, moves, not frozen)
        if phase.start == "pretrained":
            faults += _find_repetition(step, anchored)
            # A phase that starts anew is compared only with others that start from the same weights.
            chain = []
        else:
            faults += _find_repetition(step, chain[-1:]) or _find_dead_end(step, chain)
        chain.append(step)
        # Later phases with start="pretrained" begin as these did: the same weights thawed again would repeat them.
        if phase.start == "pretrained" or phase.thaw == 0:
            anchored.append(step)
    return faults


def _find_moves(thawed, phase) -> frozenset[int]:
    if phase.adapt:
        adapters = find_adapters(thawed, phase)
        return frozenset(id(weight) for adapter in adapters for weight in (*adapter.targets, *adapter.trained))
    norms, batch_norm = batch_norms(thawed), phase.batch_norm
    still = {id(weight) for norm in norms for weight in norm.weights} if batch_norm == "frozen" else set()
    if batch_norm == "affine":
        still = {id(weight) for norm in norms for weight in (norm.moving_mean, norm.moving_variance)}
    return frozenset(id(weight) for block in thawed for layer in block.layers for weight in layer.weights) - still


def _find_repetition(step, earlier) -> list[str]:
    twins = (other.phase for other in earlier if other.moves == step.moves)
    twin = next((phase for phase in twins if phase.adapt == step.phase.adapt), None)
    if twin is None:
        return []
    return [
        f"Each phase must thaw something new: {step.phase.name!r} thaws what {twin.name!r} does; thaw more in it, or "
        f"leave one of the two out. Received: {_name_thaw(twin)}, {_name_thaw(step.phase)}."
    ]


def _find_dead_end(step, chain) -> list[str]:
    whole = (other for other in chain if other.thaws_all and other.phase.adapt in (None, step.phase.adapt))
    last = next((other.phase for other in whole if step.moves <= other.moves), None)
    if last is None:
        return []
    return [
        f"A phase that thaws everything must come last: after {last.name!r} nothing is left to thaw, so "
        f"{step.phase.name!r} can never be reached. Put it before {last.name!r}, or let it start='pretrained'. "
        f"Received: {_name_thaw(last)}, {_name_thaw(step.phase)}."
    ]


def _name_thaw(phase) -> str:
    return f"thaw={phase.thaw!r} (unit={phase.unit!r}) in phase {phase.name!r}"
