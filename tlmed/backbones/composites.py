"""Open composite layers, such as a transformer's encoder: the layers inside become part of the graph.

Called on a symbolic tensor, `encoder(x)` is one operation. `encoder.call(x)` runs the encoder's own code, in which
every inner layer is called on symbolic tensors, and so Keras records each as an operation of its own: the same objects,
the same weights, the same numbers. The graph can then be cut between them.
"""

from collections import Counter
from collections.abc import Callable

import keras

from tlmed.backbones.hub_layers import REFUSALS, can_be_made_again, state_config


def is_composite(operation) -> bool:
    """Return whether an operation is a layer to open: it repeats another, or a saved model could not contain it.

    An encoder of a transformer repeats a block: it holds two layers of one class that hold layers themselves. Its
    blocks do not, each of which has one attention and one perceptron. A layer with weights of its own cannot be opened:
    outside of it they would be constants.
    """
    if not isinstance(operation, keras.layers.Layer) or isinstance(operation, keras.Model):
        return False
    parts = _parts(operation)
    if not parts or _own_weights(operation):
        return False
    kinds = Counter(type(part) for part in parts if _parts(part))
    return max(kinds.values(), default=0) >= 2 or not can_be_made_again(operation)


def call_open(layer: keras.layers.Layer, args: tuple, kwargs: dict, name: Callable[[str], str]):
    """Call a composite layer on symbolic tensors so that the layers inside are recorded, not the layer itself.

    Args:
        layer: From `is_composite`.
        args: What it is called with.
        kwargs: The same, by name.
        name: Gives each inner layer its name in the graph, from its own name.

    Returns:
        What the layer returns. If its code does not run on symbolic tensors, or uses a weight outside of the layer that
        holds it, the layer is called as one operation.
    """
    closed = layer(*args, **kwargs)  # also builds it
    for part in _parts(layer):
        part.name = name(f"{layer.name}_{part.name}")
    for part in layer._flatten_layers(include_self=False):
        state_config(part)
    try:
        opened = _OPENERS.get(type(layer).__name__, type(layer).call)(layer, *args, **kwargs)
    except REFUSALS:
        return closed
    before, after = keras.tree.flatten(closed), keras.tree.flatten(opened)
    if len(before) != len(after) or not _holds_all(layer, args, after):
        return closed
    return keras.tree.pack_sequence_as(closed, [_state_shape(*pair) for pair in zip(before, after, strict=True)])


def _state_shape(known, tensor):
    # Keras cannot always infer sizes that the layer's own `compute_output_shape` tells, such as the number of tokens.
    if not isinstance(tensor, keras.KerasTensor) or None not in tensor.shape[1:] or None in known.shape[1:]:
        return tensor
    return keras.ops.reshape(tensor, (-1, *known.shape[1:]))


def _open_dinov3(encoder, x, position_embeddings, **kwargs):
    """Call the blocks of DINOv3's encoder, each with rotary position embeddings that are drawn after its own input.

    They depend on the size of the images only, but in the graph they come from the images: an edge from there to every
    block would leave no place to cut.
    """
    rope = position_embeddings[0]._keras_history.operation
    shape = (1, *rope.input.shape[1:])
    pyramid = {}
    for i, block in enumerate(encoder.layers, 1):
        # The layer looks at the shape of an image, not at its values.
        image = keras.ops.broadcast_to(keras.ops.zeros_like(x[:1, :1, :1, None]), shape)
        x = block(x, position_embeddings=rope(image), **kwargs)
        pyramid[f"stage{i}"] = x
    return x, pyramid


def _open_deit(encoder, x):
    """Call the blocks of DeiT's encoder, each as a model of one output: what they return beside it is no tensor."""
    unused = encoder(x)[1:]
    for block in encoder.encoder_layers:
        tokens = keras.Input(batch_shape=x.shape)
        x = keras.Model(tokens, block.call(tokens)[0], name=block.name)(x)
    return encoder.layer_norm(x), *unused


_OPENERS = {"DINOV3Encoder": _open_dinov3, "DeiTEncoder": _open_deit}


def _holds_all(layer, args, outputs) -> bool:
    """Return whether all weights of a layer belong to operations between its inputs and its outputs."""
    starts = {id(tensor) for tensor in keras.tree.flatten(args)}
    waiting, seen, held = [tensor for tensor in outputs if isinstance(tensor, keras.KerasTensor)], set(), set()
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in starts or id(tensor) in seen:
            continue
        seen.add(id(tensor))
        history = tensor._keras_history
        held |= {id(weight) for weight in getattr(history.operation, "weights", ())}
        waiting += history.operation._inbound_nodes[history.node_index].input_tensors
    return all(id(weight) in held for weight in layer.weights)


def _parts(layer) -> list[keras.layers.Layer]:
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _own_weights(layer) -> list[keras.Variable]:
    inside = {id(weight) for part in _parts(layer) for weight in part.weights}
    return [weight for weight in layer.weights if id(weight) not in inside]
