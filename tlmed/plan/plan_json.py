"""The content of `plan.json`: what each phase trains, the classifier, and the memory that training needs."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import keras

from tlmed.adapters import choose_rank, count_added, find_adapters
from tlmed.backbones.graphs import is_counted
from tlmed.blocks import Block, count_parameters, find_reused, partition
from tlmed.errors import InputError
from tlmed.frozen import batch_norms, leaves, whole
from tlmed.optimizers import list_settings
from tlmed.phases import Classifier, learning_rates, split_blocks
from tlmed.plan.costs import Terms, choose_cache
from tlmed.plan.expansion import find_schedule_faults
from tlmed.sections import Hybrid, Phase
from tlmed.sections.adaptation import LORA
from tlmed.sections.training import AUTO_RGN


def make_plan(model: keras.Model, phases: Sequence[Phase], terms: Terms | None = None, **facts) -> dict:
    """Return the content of `plan.json`.

    Args:
        model: A classifier, every layer of it still trainable; without phases, a network from images to features.
        phases: The schedule, expanded.
        terms: What else decides whether a phase keeps the outputs of its frozen blocks; None: nothing is decided.
        facts: More to note, such as the backbone's name, or a hybrid's `classifier`.

    Returns:
        `parameters`, `blocks` and `phases`, and `reused` if the backbone uses layers more than once: their names. A
        phase's `fine_tuning_ratio` is the share of the backbone's weighted layers (normalisation apart) that it thaws:
        0 for a feature extractor, 1 for fine-tuning from scratch. Its `moving_statistics`, if any, are the numbers of
        BatchNorm that no gradient trains and that still move; its `frozen_parameters` stay, adapted ones until the
        adapters are merged into them; `adapters`, if any, are how many layers have one, and their numbers. Its
        `learning_rates` are those of the head and of each thawed block, none yet if training measures them; its
        `optimizer_settings` Keras's defaults, but for what fields of the phase set; its `cache`, with `terms`, a
        `Choice`.

    Raises:
        InputError: With every fault of the schedule.
    """
    backbone = model.parts.backbone if isinstance(model, Classifier) else model
    if faults := find_schedule_faults(backbone, phases):
        raise InputError(faults)
    return {
        **facts,
        **({"reused": list(reused)} if (reused := find_reused(backbone)) else {}),
        "parameters": count_parameters(model.layers),
        "blocks": [describe_block(block) for block in cut(backbone)],
        "phases": [
            _describe_phase(model, phase)
            | ({"cache": dataclasses.asdict(choose_cache(model, phase, terms))} if terms else {})
            for phase in phases
        ],
    }


def describe_classifier(head: Hybrid, grid: Mapping[str, Sequence]) -> dict:
    """Return what `plan.json` says of a hybrid's classifier.

    Args:
        head: The recipe's head.
        grid: Its grid, or the default grid where that is empty.

    >>> describe_classifier(Hybrid(), {"C": (0.1, 1, 10), "gamma": ("scale", 0.01)})["points"]
    6
    """
    words = {spec.name: getattr(head, spec.name) for spec in dataclasses.fields(head)}
    grid = {name: list(values) for name, values in grid.items()}
    return {
        "name": words.pop("classifier"),
        **words,
        "grid": grid,
        "points": math.prod(map(len, grid.values())),
    }


def memory_needed(model: Classifier, phases: Sequence[Phase], batch_size: int) -> int:
    """Return the bytes that training needs at least.

    Memory must hold one batch of the largest float32 activation and, because of the gradients, the inputs of all layers
    that are trained.

    Args:
        model: A classifier.
        phases: The schedule, expanded.
        batch_size: Images per step.
    """
    backbone = model.parts.backbone
    largest = max(_values(layer, "output") for layer in model.layers)
    kept = [
        sum(_values(layer, "input") for block in split_blocks(backbone, phase)[1] for layer in _weighted(block.layers))
        for phase in phases
    ]
    return 4 * batch_size * max([largest, *kept])  # 4 bytes each in float32


def _values(layer, side) -> int:
    """Return how many values a layer takes or gives for an image; 0 for a layer that is called only inside another."""
    tensors = keras.tree.flatten(getattr(layer, side)) if layer._inbound_nodes else ()
    return sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)


def cut(backbone: keras.Model) -> tuple[Block, ...]:
    """Return a backbone's blocks, or the whole backbone as one block where it cannot be cut."""
    try:
        return partition(backbone, tail=True)
    except ValueError:
        return (whole(backbone),)


def describe_block(block: Block) -> dict:
    """Return what `plan.json` says of a block; with several backbones, `shape` holds one for each."""
    several = isinstance(block.output, tuple)
    shapes = [list(output.shape[1:]) for output in (block.output if several else (block.output,))]
    return {
        "name": block.name,
        "layers": len(_weighted(block.layers)),
        "parameters": count_parameters(block.layers),
        "first": block.layers[0].name,
        "last": block.layers[-1].name,
        "shape": shapes if several else shapes[0],
    }


def _describe_phase(model: Classifier, phase: Phase) -> dict:
    frozen, thawed = split_blocks(model.parts.backbone, phase)
    layers = [layer for block in thawed for layer in block.layers]
    adapters = find_adapters(thawed, phase) if phase.adapt else ()
    trained, variables = _list_adapted(model, adapters) if adapters else _list_trained(model, thawed, phase)
    added, own = count_added(adapters), sum(math.prod(variable.shape) for variable in variables)
    moving = _count_statistics(thawed) if phase.batch_norm in ("update", "recalibrate") else 0
    weighted = len(_weighted(layers))
    return {
        **{spec.name: getattr(phase, spec.name) for spec in dataclasses.fields(phase)},
        "optimizer_settings": list_settings(phase.optimizer, phase.weight_decay),
        "blocks": [block.name for block in thawed],
        "layers": [layer.name for layer in trained],
        "weighted_layers": weighted,
        "trainable_parameters": own + added,
        **({"moving_statistics": moving} if moving else {}),
        "frozen_parameters": count_parameters(model.layers) - own - moving,
        "fine_tuning_ratio": round(weighted / (weighted + sum(len(_weighted(block.layers)) for block in frozen)), 4),
        # Training writes here those that it measures.
        "learning_rates": {} if phase.rates == AUTO_RGN else learning_rates(thawed, phase),
        **({"adapters": _describe_adapters(adapters, phase)} if adapters else {}),
    }


def _list_trained(model, thawed, phase) -> tuple[list[keras.layers.Layer], list[keras.Variable]]:
    """Return the layers that train in a phase, and their variables; what is used more than once counts once."""
    still = {id(norm) for norm in batch_norms(thawed)} if phase.batch_norm == "frozen" else set()
    layers = [layer for block in thawed for layer in block.layers]
    trained = [layer for layer in leaves([*layers, *model.head]) if layer.weights and id(layer) not in still]
    return trained, _unique(variable for layer in trained for variable in layer.trainable_variables)


def _list_adapted(model, adapters) -> tuple[list[keras.layers.Layer], list[keras.Variable]]:
    """Return the layers that are adapted, and the head's; of the variables those that the network has by itself."""
    head = [layer for layer in leaves(model.head) if layer.weights]
    own = [variable for adapter in adapters for variable in adapter.trained]
    variables = [variable for layer in head for variable in layer.trainable_variables]
    return [*(adapter.layer for adapter in adapters), *head], _unique([*own, *variables])


def _unique(variables) -> list[keras.Variable]:
    return list({id(variable): variable for variable in variables}.values())


def _describe_adapters(adapters, phase) -> dict:
    """Return how many layers are adapted, and by how many numbers."""
    own = sum(math.prod(variable.shape) for adapter in adapters for variable in adapter.trained)
    rank = {"rank": choose_rank(phase)} if phase.adapt == LORA else {}
    return {"layers": len(adapters), "parameters": count_added(adapters) + own, **rank}


def _count_statistics(blocks) -> int:
    """Return how many means and variances BatchNorm layers hold; a layer that is used more than once counts once."""
    norms = {id(norm): norm for norm in batch_norms(blocks)}.values()
    return sum(math.prod(weight.shape) for norm in norms for weight in (norm.moving_mean, norm.moving_variance))


def _weighted(layers) -> list[keras.layers.Layer]:
    """Return the layers that papers count: those with weights, normalisation apart."""
    return [leaf for leaf in leaves(layers) if is_counted(leaf)]
