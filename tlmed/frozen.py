"""Layers that stay in inference mode whatever Keras is told, and the layers and BatchNorms of blocks."""

import tlmed.tensorflow_start

from collections.abc import Iterable

import keras

from tlmed.backbones.graphs import is_functional
from tlmed.blocks import Block
from tlmed.errors import InputError
from tlmed.sections import Phase

FIXED_STATISTICS = ("affine", "recalibrate")  # modes in which gamma and beta train on statistics that stay


class Frozen(keras.layers.Layer):
    """Always run a network in inference mode.

    `call` takes no `training` argument, so that Keras has nothing to override.

    Args:
        net: A layer or a model; its weights are shared, not copied.
    """

    def __init__(self, net, **options):
        super().__init__(**options)
        self.net = net

    def call(self, inputs, mask=None):
        """Return `net(inputs)` with BatchNorm on its moving statistics and dropout off."""
        return self.net(inputs, training=False)

    def compute_output_spec(self, inputs, mask=None):
        """Return the network's own specification. Keras would call it to find this, and take tensors for sparse."""
        return self.net.compute_output_spec(inputs)


def whole(backbone: keras.Model) -> Block:
    """Return a backbone as a single block."""
    outputs = tuple(backbone.outputs)
    return Block("backbone", tuple(backbone.layers), outputs if len(outputs) > 1 else outputs[0])


def leaves(layers: Iterable[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Return the layers that hold no others, however deep they are nested."""
    flat = [part for layer in layers for part in layer._flatten_layers()]
    # Keras lists a layer that holds others beside the others themselves.
    return [part for part in flat if not list(part._flatten_layers(include_self=False))]


def batch_norms(blocks: Iterable[Block]) -> list[keras.layers.BatchNormalization]:
    """Return the BatchNorm layers of some blocks, however deep they are nested."""
    return [layer for block in blocks for layer in leaves(block.layers) if _is_batch_norm(layer)]


def _is_batch_norm(layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def freeze_statistics(suffix: keras.Model) -> keras.Model:
    """Return the same layers with BatchNorm in inference mode, so that gamma and beta train and statistics stay.

    This includes the BatchNorms of models inside the model. None may be in a layer's own code (`check_norms`).
    """
    return keras.models.clone_model(
        suffix, clone_function=lambda layer: Frozen(layer) if _is_batch_norm(layer) else layer, recursive=True
    )


def check_norms(thawed: Iterable[Block], phase: Phase) -> None:
    """Refuse a phase that trains gamma and beta on fixed statistics where Keras has no way to fix them.

    Raises:
        InputError: If a layer of the thawed blocks calls a BatchNorm in code of its own.
    """
    buried = _find_buried(layer for block in thawed for layer in block.layers)
    if phase.batch_norm in FIXED_STATISTICS and buried:
        layer = buried[0]
        raise InputError(
            f"`batch_norm` must be 'frozen' or 'update' where a layer calls a BatchNorm in its own code, as "
            f"{type(layer).__name__} {layer.name!r} does. "
            f"Received: batch_norm={phase.batch_norm!r} in phase {phase.name!r}."
        )


def _find_buried(layers) -> list[keras.layers.Layer]:
    """Return the layers that call a BatchNorm in code of their own, where no frozen one can take its place."""
    buried = []
    for layer in layers:
        if is_functional(layer):
            buried += _find_buried(layer.layers)
        elif not _is_batch_norm(layer) and any(map(_is_batch_norm, leaves([layer]))):
            buried.append(layer)
    return buried
