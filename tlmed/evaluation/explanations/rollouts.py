"""Maps from a transformer's attention: how far the tokens that the head reads go back to each patch of the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tlmed.backbones.origins import branch_prefix
from tlmed.backbones.token_grids import TokenGrid, find_grid
from tlmed.errors import InputError
from tlmed.evaluation.explanations.halves import check_images, normalise

BATCH_SIZE = 8  # attention has a number for each two tokens of each layer: 1,370 tokens of DINOv2 at 518 px squared
_NEEDS = "Attention rollout needs one transformer in which each token attends to all others"


@dataclass(frozen=True)
class Rollout:
    """What is read of a network's attention.

    Attributes:
        layers: The layers of attention.
        grid: How tokens lie in the image.
        reads: Which tokens the head reads: "class", "patches" or both.
    """

    layers: tuple[keras.layers.Layer, ...]
    grid: TokenGrid
    reads: tuple[str, ...]


def attention_rollout(model: keras.Model, images: np.ndarray, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """Return maps of how far what a transformer's head reads comes from each place, whatever the class.

    After Abnar & Zuidema, Quantifying attention flow in transformers (ACL 2020), section 3: the attention of a layer is
    the mean of its heads and, for the residual connection, half of the identity; layers are multiplied. The row of the
    class token is shown; where the head reads the mean of patches, the mean of their rows; where it reads both, the
    mean of the two. Values and perceptrons have no part in it: it shows where information could come from, not what
    speaks for a class.

    Args:
        model: A functional classifier from raw images, on one transformer whose tokens lie in a known order.
        images: uint8 [n, height, width, 3], RGB at the network's size.
        batch_size: Images at a time.

    Returns:
        float32 [n, height, width]: 1 at the place with the largest share of this image, others in relation to it.

    Raises:
        InputError: It is no such network, or images do not fit.
    """
    return roll_out(trace_attention(model), model, images, batch_size)


def roll_out(rollout: Rollout, model: keras.Model, images: np.ndarray, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """Return what `attention_rollout` does, of a network that is prepared already; see there for the arguments.

    Args:
        rollout: From `trace_attention`.
        model: The network that it was made of.
        images: uint8 [n, height, width, 3].
        batch_size: Images at a time.
    """
    images = check_images(model, images)
    maps = np.zeros(images.shape[:3], "float32")
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        shares = share_attention(record_attention(rollout, model, images[rows]), rollout.grid, rollout.reads)
        maps[rows] = tf.image.resize(shares[..., None], images.shape[1:3], "bilinear")[..., 0]
    return normalise(maps)


def share_attention(attentions: Sequence[np.ndarray], grid: TokenGrid, reads: Sequence[str]) -> np.ndarray:
    """Return how much of what a head reads comes from each patch, float32 [n, rows, columns].

    Args:
        attentions: Of each layer, from the first, [n, tokens, tokens]; each row sums to 1. The last may have a single
            row: that of a query which pools the tokens.
        grid: How the tokens lie in the image.
        reads: Which tokens the head reads, "class" or "patches" or both; of a single row all is read.

    >>> looks = np.array([[[0.0, 1, 0], [0, 0, 1], [0, 0, 1]]])  # a class token and two patches
    >>> share_attention([looks], TokenGrid(extra=1, rows=1, columns=2), ["class"]).round(2).tolist()
    [[[0.5, 0.0]]]
    """
    flow = np.eye(attentions[0].shape[-1])
    for attention in attentions:
        mixed = attention.astype("float64")
        if mixed.shape[1] == mixed.shape[2]:
            mixed = (mixed + np.eye(mixed.shape[1])) / 2
        flow = mixed / mixed.sum(axis=2, keepdims=True) @ flow
    parts = {"class": flow[:, 0], "patches": flow[:, grid.extra :].mean(axis=1)} if flow.shape[1] > 1 else {}
    shares = np.mean([parts[name] for name in reads], axis=0) if parts else flow[:, 0]
    return shares[:, grid.extra :].reshape(-1, grid.rows, grid.columns).astype("float32")


def trace_attention(model: keras.Model) -> Rollout:
    """Find the attention of a network, and try it on one image.

    Args:
        model: As in `attention_rollout`.

    Raises:
        InputError: It has no attention, or one that is not of all tokens to all.
    """
    if any(layer.name.startswith(branch_prefix(0)) for layer in model.layers):
        raise InputError(f"{_NEEDS}. Received: model={model.name!r} with several backbones.")
    holders = [layer for layer in model.layers if any(map(_is_attention, layer._flatten_layers()))]
    if not holders:
        raise InputError(f"{_NEEDS}. Received: model={model.name!r}, which has no such attention.")
    found = tuple(part for layer in holders for part in layer._flatten_layers() if _is_attention(part))
    first = next((tensor for tensor in holders[0]._inbound_nodes[-1].input_tensors if len(tensor.shape) == 3), None)
    grid = None if first is None else find_grid(first)
    if grid is None:
        raise InputError(f"{_NEEDS}. Received: model={model.name!r}, whose tokens have no known place in the image.")
    rollout = Rollout(found, grid, _find_reads(model, grid))
    shapes = [each.shape[1:] for each in record_attention(rollout, model, np.zeros((1, *model.input_shape[1:])))]
    tokens = first.shape[1]
    if {*shapes[:-1]} - {(tokens, tokens)} or shapes[-1] not in ((tokens, tokens), (1, tokens)):
        raise InputError(f"{_NEEDS}. Received: model={model.name!r}, whose layers attend to {shapes} tokens.")
    return rollout


def record_attention(rollout: Rollout, model: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """Return the attention of each layer in the order of their calls, the mean of its heads [n, tokens, tokens].

    Args:
        rollout: From `trace_attention`.
        model: The network that it was made of.
        images: [n, height, width, 3].
    """
    scores = []

    def listen(layer):
        call = layer.call

        def call_and_record(*args, **kwargs):
            outputs, found = _call_with_scores(layer, call, args, kwargs)
            scores.append(np.asarray(keras.ops.mean(keras.ops.cast(found, "float32"), axis=1)))
            return outputs

        return call_and_record

    # Layers call their attention in their own code, so that it is heard where it is called: each gets a `call` of its
    # own, which hides that of its class as long as images pass through. Nothing is compiled, or it would not be called.
    for layer in rollout.layers:
        layer.call = listen(layer)
    try:
        model(tf.cast(images, "float32"), training=False)
    finally:
        for layer in rollout.layers:
            del layer.call
    return scores


def _find_reads(model, grid) -> tuple[str, ...]:
    names = {layer.name for layer in model.layers}
    if "pool_class" not in names:
        return ("patches",) if "pool_patches" in names or not grid.extra else ("class",)
    return ("class", "patches") if "pool_mean" in names else ("class",)


def _is_attention(layer) -> bool:
    return isinstance(layer, keras.layers.MultiHeadAttention) or (
        all(hasattr(layer, name) for name in ("query_dense", "key_dense", "num_heads", "head_dim"))
    )


def _call_with_scores(layer, call, args, kwargs) -> tuple:
    if isinstance(layer, keras.layers.MultiHeadAttention):
        outputs, scores = call(*args, **{**kwargs, "return_attention_scores": True})
        return (outputs, scores) if kwargs.get("return_attention_scores") else outputs, scores
    return call(*args, **kwargs), compute_scores(layer, *args, **kwargs)


def compute_scores(
    layer: keras.layers.Layer, inputs: tf.Tensor, position_embeddings=None, num_prefix_tokens: int = 0, **others
) -> tf.Tensor:
    """Return the scores [batch, heads, tokens, tokens] of an attention that gives none: DINOv3's of keras-hub.

    Args:
        layer: With `query_dense`, `key_dense`, `num_heads` and `head_dim`.
        inputs: Tokens [batch, tokens, channels].
        position_embeddings: Cosines and sines that turn queries and keys of patches.
        num_prefix_tokens: How many tokens before the patches are not turned.
        others: What else the layer is called with; it does not change the scores.
    """
    shape = (-1, inputs.shape[1], layer.num_heads, layer.head_dim)
    queries, keys = (keras.ops.reshape(dense(inputs), shape) for dense in (layer.query_dense, layer.key_dense))
    if position_embeddings is not None:
        queries, keys = layer._apply_rotary(queries, keys, *position_embeddings, num_prefix_tokens)
    return keras.ops.softmax(keras.ops.einsum("bqhd,bkhd->bhqk", queries, keys) * layer.head_dim**-0.5)
