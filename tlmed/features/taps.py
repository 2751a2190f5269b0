"""Tap a network: pool the output of one of its blocks to a vector per image."""

from collections.abc import Sequence

import keras

from tlmed.backbones import Backbone
from tlmed.backbones.origins import branch_prefix
from tlmed.backbones.token_grids import find_grid
from tlmed.blocks import partition
from tlmed.errors import InputError, did_you_mean
from tlmed.frozen import batch_norms, whole
from tlmed.replicas import without_xla
from tlmed.sections.head import TOKEN_POOLINGS

# By rank: feature maps [batch, height, width, channels], and the tokens [batch, tokens, channels] of a transformer.
_LAYERS = {
    "avg": {4: keras.layers.GlobalAveragePooling2D, 3: keras.layers.GlobalAveragePooling1D},
    "max": {4: keras.layers.GlobalMaxPooling2D, 3: keras.layers.GlobalMaxPooling1D},
}
POOLINGS = (*_LAYERS, *TOKEN_POOLINGS)
LAST = "last"


def pool(outputs: keras.KerasTensor | Sequence[keras.KerasTensor], pooling: str = "avg") -> keras.KerasTensor:
    """Pool a network's output to a vector per image; of several outputs, one after the other.

    Args:
        outputs: One symbolic tensor or several: feature maps (rank 4) are pooled over height and width, tokens
            (rank 3) over the patches, vectors (rank 2) stay.
        pooling: "avg" or "max"; of tokens also "class", the class token alone, or "class+avg", the class token and the
            mean of the patches, one after the other (what DINOv2 is probed with). Class and register tokens are no
            patches, and left out of means and maxima.

    Returns:
        A symbolic tensor [batch, features]. The layers are named "pool", or "pool_1", "pool_2", ... and "features".

    Raises:
        InputError: If `pooling` is none of these, or asks for a class token that is not there.

    >>> pool([keras.Input((7, 7, 16)), keras.Input((50, 32)), keras.Input((8,))]).shape
    (None, 56)
    """
    if pooling not in POOLINGS:
        raise InputError(
            f"`pooling` must be 'avg', 'max', 'class' or 'class+avg'.{did_you_mean(pooling, POOLINGS)} "
            f"Received: pooling={pooling!r}."
        )
    outputs = [outputs] if isinstance(outputs, keras.KerasTensor) else list(outputs)
    if len(outputs) == 1:
        return _pool_one(outputs[0], pooling, "pool")
    parts = [_pool_one(output, pooling, f"pool_{i}") for i, output in enumerate(outputs, 1)]
    return keras.layers.Concatenate(name="features")(parts)


def _pool_one(output, pooling, name):
    grid = find_grid(output) if len(output.shape) == 3 else None
    if pooling in TOKEN_POOLINGS:
        if grid is None or not grid.extra:
            raise InputError(
                f"`pooling` must be 'avg' or 'max' for a backbone without a class token. Received: pooling={pooling!r}."
            )
        first = keras.layers.Cropping1D((0, output.shape[1] - 1), name=f"{name}_class")(output)
        first = keras.layers.Flatten(name=name if pooling == "class" else f"{name}_first")(first)
        if pooling == "class":
            return first
        return keras.layers.Concatenate(name=name)([first, _pool_one(output, "avg", f"{name}_mean")])
    if grid is not None and grid.extra:
        output = keras.layers.Cropping1D((grid.extra, 0), name=f"{name}_patches")(output)
    layer = _LAYERS[pooling].get(len(output.shape))
    return output if layer is None else layer(name=name)(output)


def feature_model(backbone: keras.Model, tap: str = LAST, pooling: str = "avg") -> keras.Model:
    """Return the model from raw images to the pooled features of one of its blocks; layers are shared, not copied.

    Args:
        backbone: A functional model on raw images; it may have several outputs, of several backbones.
        tap: A block's name, as `tlmed.blocks.partition` gives them ("block3"), or "last" for what the backbone gives.
        pooling: As in `pool`.

    Returns:
        A model from images [batch, height, width, 3] to features [batch, d].

    Raises:
        InputError: If there is no such block, or the backbone cannot be cut into blocks.

    >>> backbone = keras.applications.VGG16(weights=None, include_top=False)
    >>> feature_model(backbone, "block3").output_shape
    (None, 256)
    """
    return without_xla(keras.Model(backbone.inputs[0], pool(_find_outputs(backbone, tap), pooling), name="features"))


def _find_outputs(backbone, tap):
    if tap == LAST:
        return backbone.outputs
    try:
        outputs = {block.name: block.output for block in partition(backbone)}
    except ValueError as error:
        raise InputError(
            f"`tap` must be 'last' for a backbone that cannot be cut into blocks. Received: tap={tap!r}: {error}"
        ) from error
    if tap not in outputs:
        names = [*outputs, LAST]
        raise InputError(f"`tap` must be one of {', '.join(names)}.{did_you_mean(tap, names)} Received: tap={tap!r}.")
    return outputs[tap]


def random_norms(backbone: Backbone) -> list[keras.layers.BatchNormalization]:
    """Return the BatchNorm layers whose weights are random: their statistics do not come from images yet.

    Args:
        backbone: One backbone, or several side by side with weights of their own.
    """
    norms = batch_norms([whole(backbone.model)])
    random = [source.name == "none" for source in backbone.sources]
    if all(random) or not any(random):
        return norms if all(random) else []
    prefixes = tuple(branch_prefix(i) for i, drawn in enumerate(random) if drawn)
    return [norm for norm in norms if norm.name.startswith(prefixes)]
