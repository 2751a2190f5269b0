"""Layers of keras-hub as a saved model needs them: with their complete configuration, their true shapes and weights."""

import contextlib
import copy
import functools
import inspect
import operator
import warnings

import keras

from tlmed.errors import InputError

# What Keras, or a layer's own code, raises where that code cannot run on symbolic tensors.
REFUSALS = (ValueError, TypeError, AttributeError, NotImplementedError, KeyError, IndexError)
_RESIZABLE = ("DINOV2Backbone", "DINOV3Backbone")
# Arguments of a block that only the layers inside still know, by the block's class in keras-hub.
_TOLD_BY_PARTS = {
    "HierarchicalTransformerEncoder": {
        "sr_ratio": "attn.sr_ratio",
        "drop_prob": "drop_prop",
        "layer_norm_epsilon": "norm1.epsilon",
    },
    "SwinTransformerBlock": {
        "window_size": "attn.win_h",  # the block's own is smaller where the image is
        "qkv_bias": "attn.qkv_bias",
        "dropout_rate": "attn.proj_drop_rate",
        "attention_dropout": "attn.attn_drop_rate",
        "drop_path": "drop_path.drop_prob",
    },
}


def state_size(kind: type, image_size: tuple[int, int] | None) -> dict[str, tuple[int, int, int]]:
    """Return the arguments that draw a network of keras-hub for images of a size; none where its size is fixed.

    Position embeddings of DINOv2 are interpolated, those of DINOv3 are computed.

    Args:
        kind: The network's class.
        image_size: Height and width in pixels; None: as the network states it.

    Raises:
        InputError: keras-hub draws it for square images only.
    """
    if image_size is None or kind.__name__ not in _RESIZABLE:
        return {}
    if kind.__name__ == "DINOV2Backbone" and image_size[0] != image_size[1]:
        raise InputError(
            "`data.image_size` must be square for a DINOV2Backbone of keras-hub. "
            f"Received: data.image_size={image_size[0]},{image_size[1]}."
        )
    return {"image_shape": (*image_size, 3)}


def check_patches(model: keras.Model, image_size: tuple[int, int] | None) -> None:
    """Check that whole patches cover an image, because keras-hub leaves out the rest in silence.

    Args:
        model: A network that `state_size` gave a size.
        image_size: Height and width in pixels; None: as the network states it.

    Raises:
        InputError: They do not.
    """
    if image_size is None or type(model).__name__ not in _RESIZABLE:
        return
    if any(side % model.patch_size for side in image_size):
        raise InputError(
            f"`data.image_size` must be multiples of {model.patch_size}, the patch of {type(model).__name__}. "
            f"Received: data.image_size={image_size[0]},{image_size[1]}."
        )


def adopt(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a layer to use in place of one of a model of keras-hub: mostly the same, with its complete configuration.

    The embeddings of DINOv2 and DINOv3 are made again without the token that masks patches in pretraining, which has no
    gradient here. DINOv2's also keeps the position embeddings of the size that it was trained on beside those of the
    images' size, and saves only the former, interpolated back. That loses digits, and all that was trained where the
    changes add up to less than 0. So it is made for the images' size, where saving is exact.
    """
    if type(layer).__name__ not in ("DINOV2Embedding", "DINOV3Embedding"):
        return state_config(layer)
    config, kept = complete_config(layer) | {"use_mask_token": False}, {}
    if hasattr(layer, "position_embedding_shape"):
        config["position_embedding_shape"] = layer.image_shape
        kept = {id(layer.position_embeddings): layer.interpolated_position_embeddings}
    new = type(layer).from_config(config)
    new.build(layer.input.shape)
    masks = [layer.mask_token] if layer.use_mask_token else []
    weights = [weight for weight in layer.weights if not any(weight is mask for mask in masks)]
    new.set_weights([kept.get(id(weight), weight).numpy() for weight in weights])
    new._is_interpolated_position_embeddings_updated = functools.partial(bool, 1)
    return state_config(new)


def call_truly(layer, args: tuple, kwargs: dict):
    """Call a layer on symbolic tensors, and give tokens of patches their true number.

    keras-hub's `compute_output_shape` states a wrong one for SigLIP, and for DINOv3 where images are not square.
    """
    output = layer(*args, **kwargs)
    if not _is_of_hub(layer) or not isinstance(output, keras.KerasTensor) or len(output.shape) != 3:
        return output
    if len(args) != 1 or len(args[0].shape) != 4:
        return output
    shape = keras.src.backend.compute_output_spec(layer.call, *args, **kwargs).shape
    right = None in shape[1:] or tuple(shape[1:]) == tuple(output.shape[1:])
    return output if right else keras.ops.reshape(output, (-1, *shape[1:]))


def state_config(layer):
    """Return a layer that gives its complete configuration, so that a model that contains it loads again."""
    if _is_of_hub(layer) and can_be_made_again(layer):
        layer.get_config = functools.partial(copy.deepcopy, complete_config(layer))
        if type(layer).build is keras.layers.Layer.build:
            # Keras would call the `build` of every layer, which builds nothing inside, and then take it for built.
            layer.get_build_config = _state_nothing
    return layer


def complete_config(layer: keras.layers.Layer) -> dict:
    """Return the configuration of a layer, with all that its constructor takes and nothing else.

    Some layers of keras-hub name values in `get_config` that their constructor refuses, because it derives them, and
    leave out arguments, which then silently become the default.
    """
    if not _is_of_hub(layer):
        return layer.get_config()
    config = _read_config(layer)
    taken = inspect.signature(type(layer).__init__).parameters
    known = {*taken, *inspect.signature(keras.layers.Layer.__init__).parameters, "name", "dtype", "trainable"}
    kept = {name: _find_attribute(layer, name, f"_{name}") for name in taken if name not in config}
    parts = {name: _find_attribute(layer, path) for name, path in _TOLD_BY_PARTS.get(type(layer).__name__, {}).items()}
    found = {name: value for name, value in (kept | parts).items() if isinstance(value, bool | int | float | str)}
    return {key: value for key, value in config.items() if key in known} | found


def _state_nothing() -> None:
    """Return no shapes to build a layer for: it is then built when it is called."""


def _is_of_hub(layer) -> bool:
    return type(layer).__module__.startswith("keras_hub.")


def can_be_made_again(layer: keras.layers.Layer) -> bool:
    """Return whether a layer's class makes it again from its configuration, as a saved model needs it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = complete_config(layer)
            keras.saving.serialize_keras_object(config)  # some hold layers, which Keras refuses to write
            type(layer).from_config(config)
    except REFUSALS:
        return False
    return True


def _read_config(layer) -> dict:
    kind = vars(layer).get("norm_layer")
    if not isinstance(kind, type):
        return layer.get_config()
    # A class, which Keras does not write; but it reads one by the name that it has in `keras.layers`.
    layer.norm_layer = None
    try:
        config = layer.get_config()
    finally:
        layer.norm_layer = kind
    named = {"module": "keras.layers", "class_name": "function", "registered_name": kind.__name__}
    return {**config, "norm_layer": {**named, "config": kind.__name__}}


def _find_attribute(layer, *paths):
    for path in paths:
        with contextlib.suppress(AttributeError):
            return operator.attrgetter(path)(layer)
    return None
