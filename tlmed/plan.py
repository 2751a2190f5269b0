"""What a schedule means for a network: which blocks and layers each phase trains, and how many parameters."""

import math
from collections.abc import Sequence

import keras

from tlmed.blocks import Block, count_parameters, partition
from tlmed.errors import InputError
from tlmed.phases import leaves, split_blocks
from tlmed.recipe import Phase


def make_plan(model: keras.Model, phases: Sequence[Phase], **facts) -> dict:
    """Return the content of `plan.json`.

    Args:
        model: A classifier, every layer of it still trainable.
        phases: The schedule.
        facts: More to note, such as the backbone's name.

    Returns:
        `blocks` and `phases`. A phase's `fine_tuning_ratio` is the share of the backbone's weighted layers
        (normalisation apart) that it thaws: 0 for a feature extractor, 1 for fine-tuning from scratch.

    Raises:
        InputError: With every phase that thaws more blocks than there are.
    """
    blocks = partition(model)
    if faults := find_thaw_faults(blocks, phases):
        raise InputError(faults)
    return {
        **facts,
        "parameters": count_parameters(model.layers),
        "blocks": [_describe_block(block) for block in blocks],
        "phases": [_describe_phase(model, blocks, phase) for phase in phases],
    }


def memory_needed(model: keras.Model, phases: Sequence[Phase], batch_size: int) -> int:
    """Return the bytes that training needs at the very least: less memory than that cannot do.

    One batch of the largest float32 activation has to be held in any case, and where layers are trained, what goes
    into each of them, for its gradient.

    Args:
        model: A classifier.
        phases: The schedule.
        batch_size: Images per step.
    """
    blocks = partition(model)
    largest = max(_values(layer.output) for layer in model.layers)
    kept = [
        sum(_values(layer.input) for block in split_blocks(blocks, phase)[1] for layer in _weighted(block.layers))
        for phase in phases
    ]
    return 4 * batch_size * max(largest, *kept)


def _values(tensor) -> int:
    return math.prod(tensor.shape[1:])


def _describe_block(block: Block) -> dict:
    return {
        "name": block.name,
        "layers": len(_weighted(block.layers)),
        "parameters": count_parameters(block.layers),
        "first": block.layers[0].name,
        "last": block.layers[-1].name,
        "shape": list(block.output.shape[1:]),
    }


def find_thaw_faults(blocks: Sequence[Block], phases: Sequence[Phase]) -> list[str]:
    """Return one sentence for each phase that thaws more blocks than there are."""
    faults = []
    for phase in phases:
        try:
            split_blocks(tuple(blocks), phase)
        except InputError as error:
            faults += error.faults
    return faults


def _describe_phase(model, blocks: Sequence[Block], phase: Phase) -> dict:
    _, thawed = split_blocks(tuple(blocks), phase)
    inside = {id(layer) for block in blocks for layer in block.layers}
    head = [layer for layer in model.layers if id(layer) not in inside]
    layers = [layer for block in thawed for layer in block.layers]
    still = _norms(layers) if phase.batch_norm == "frozen" else set()
    trained = [layer for layer in leaves([*layers, *head]) if layer.weights and layer.name not in still]
    trainable = sum(math.prod(v.shape) for layer in trained for v in layer.trainable_variables)
    weighted = sum(len(_weighted(block.layers)) for block in blocks)
    return {
        "name": phase.name,
        "thaw": phase.thaw,
        "blocks": [block.name for block in thawed],
        "layers": [layer.name for layer in trained],
        "trainable_parameters": trainable,
        "frozen_parameters": count_parameters(model.layers) - trainable,
        "fine_tuning_ratio": round(len(_weighted(layers)) / weighted, 4),
        "batch_norm": phase.batch_norm,
        "epochs": phase.epochs,
        "learning_rate": phase.learning_rate,
        "patience": phase.patience,
        "optimizer": phase.optimizer,
    }


def _norms(layers) -> set[str]:
    return {layer.name for layer in leaves(layers) if isinstance(layer, keras.layers.BatchNormalization)}


def _weighted(layers) -> list[keras.layers.Layer]:
    """Return the layers that papers count: those with weights, normalisation apart."""
    norms = (keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.Normalization)
    return [leaf for leaf in leaves(layers) if leaf.weights and not isinstance(leaf, norms)]


def describe_backbone(name: str, model: keras.Model) -> list[str]:
    """Return a backbone's blocks, layers and parameters as lines."""
    blocks = [_describe_block(block) for block in partition(model)]
    layers, parameters = (sum(block[key] for block in blocks) for key in ("layers", "parameters"))
    height, width = model.input_shape[1:3]
    first = (
        f"{name}: {len(blocks)} blocks, {layers} weighted layers, {parameters:,} parameters without a head "
        f"(shapes at {height} x {width})"
    )
    return [first, *describe_blocks({"blocks": blocks})]


def describe_blocks(plan: dict) -> list[str]:
    """Return the plan's blocks as lines of a table."""
    lines = [f"{'block':<8} {'layers':>6} {'parameters':>12}  {'output':<16} from .. to"]
    for block in plan["blocks"]:
        shape = " x ".join(map(str, block["shape"]))
        lines.append(
            f"{block['name']:<8} {block['layers']:>6} {block['parameters']:>12,}  {shape:<16} "
            f"{block['first']} .. {block['last']}"
        )
    return lines


def describe_phases(plan: dict) -> list[str]:
    """Return the plan's phases as lines of a table."""
    lines = [
        f"{'phase':<10} {'thaw':>4}  {'trains':<26} {'trainable':>11} {'frozen':>12} {'ratio':>6} "
        f"{'BatchNorm':<9} {'epochs':>6} {'rate':>8}"
    ]
    for phase in plan["phases"]:
        what = " ".join([*phase["blocks"], "head"])
        lines.append(
            f"{phase['name']:<10} {phase['thaw']:>4}  {what:<26} {phase['trainable_parameters']:>11,} "
            f"{phase['frozen_parameters']:>12,} {phase['fine_tuning_ratio']:>6.2f} {phase['batch_norm']:<9} "
            f"{phase['epochs']:>6} {phase['learning_rate']:>8g}"
        )
    return lines
