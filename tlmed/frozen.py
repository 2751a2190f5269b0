"""Layers that stay in inference mode whatever Keras is told, and the layers and BatchNorms of blocks."""

import tlmed.tensorflow_start

from collections.abc import Iterable

import keras

from tlmed.blocks import Block


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
        """Return the network's own specification; Keras would call it to find out, and take some tensors for sparse."""
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


def freeze_all_but(chosen: set[int], operation: keras.Operation) -> keras.Operation:
    """Return a layer in inference mode unless it is chosen or holds what is; operations of Keras have no modes."""
    if not isinstance(operation, keras.layers.Layer) or chosen & {id(leaf) for leaf in leaves([operation])}:
        return operation
    return Frozen(operation)


def freeze_statistics(suffix: keras.Model) -> keras.Model:
    """Return the same layers with BatchNorm in inference mode, so that gamma and beta train and statistics stay."""
    return keras.models.clone_model(
        suffix, clone_function=lambda layer: Frozen(layer) if _is_batch_norm(layer) else layer
    )
