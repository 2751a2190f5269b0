"""Backbones that a user brings: a `keras.Model`, or a preset of keras-hub (`hub:PRESET`).

Such a backbone comes with its weights, which are called "own"; "none" draws them anew. A `keras.Model` takes raw RGB
images in 0..255, so that whatever preprocessing it needs is its own first layers.
"""

import functools
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from tlmed.backbones import graphs, hub_presets, preprocessing
from tlmed.backbones.applications import INPUT_NAME, fresh_names, unallocated
from tlmed.backbones.hub_presets import PREFIX
from tlmed.backbones.origins import Origin, WeightSource, describe
from tlmed.backbones.saved import NAMED
from tlmed.backbones.shared_folders import is_shared, resolve_shared
from tlmed.backbones.weights import resolve_run
from tlmed.errors import InputError
from tlmed.words import listed

WEIGHTS = ("own", "none")
_AS_GIVEN = "as the model has them"
GRAPH = "own"  # what a run records: the graph is the backbone's own, not a variant that tlmed draws
# Names of the layers that a head adds after a backbone. A user's layers of these names get a number appended.
HEAD_NAMES = (
    *(INPUT_NAME, preprocessing.LAYER_NAME, "pool", "pool_class", "pool_first", "pool_mean", "pool_patches"),
    *("pool_mean_patches", "dropout", "features", "conditions", "probabilities"),
    *(f"hidden{i}" for i in range(1, 10)),
)


def is_own(backbone) -> bool:
    """Return whether a backbone is a user's, and no name in `BACKBONES`.

    >>> is_own("hub:vit_base_patch16_224_imagenet"), is_own("VGG16")
    (True, False)
    """
    return isinstance(backbone, keras.Model) or (isinstance(backbone, str) and backbone.startswith(PREFIX))


def build(
    backbone: keras.Model | str,
    weights: str = "own",
    image_size: tuple[int, int] = (224, 224),
    branch: int | None = None,
) -> tuple[keras.Model, WeightSource]:
    """Build a feature extractor of a user's model or of a keras-hub preset.

    Args:
        backbone: A model on raw RGB images, or `hub:` and a preset of keras-hub: a name, a folder, or `hf:` and a
            folder in the layout of Hugging Face.
        weights: "own", "none" (random), or for a preset a finished run of it, `hf:` and a shared folder of it, or
            another preset of the same network.
        image_size: Height and width in pixels.
        branch: Which of several backbones it is, from 0; None for a single one.

    Returns:
        A model as `wrap` gives it, and the record of its weights. The SHA-256 of "own" is that of the numbers.

    Raises:
        InputError: It is not found or cannot be used.
    """
    origin = _resolve(backbone, weights, branch)
    affine = preprocessing.IDENTITY
    from_hub = isinstance(backbone, str)
    with fresh_names():
        if from_hub:
            backbone, affine = _read_preset(backbone, origin, image_size)
        # A preset without weights is random already.
        model = wrap(backbone, image_size, affine, with_weights=origin.name == "own" or from_hub, copied=not from_hub)
    if origin.load is not None:
        origin.load(model, origin.path)
    source = describe(origin)
    return model, replace(source, sha256=digest(model)) if origin.name == "own" else source


def locate(backbone: keras.Model | str, weights: str = "own", branch: int | None = None) -> str:
    """Say where the weights of a user's backbone would come from, without reading or downloading anything.

    Args:
        backbone: As in `build`.
        weights: As in `build`.
        branch: As in `build`.

    Raises:
        InputError: There is no such source, or keras-hub is missing.

    >>> net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    >>> locate(net)
    'own, as the model has them'
    """
    origin = _resolve(backbone, weights, branch)
    return f"{origin.name}, {origin.state}"


def _resolve(backbone, weights, branch) -> Origin:
    from_hub = isinstance(backbone, str)
    if from_hub and weights == backbone:
        weights = "own"
    folder = Path(weights.removeprefix("run:")).expanduser().absolute()
    if from_hub and is_shared(weights):
        hub_presets.import_hub(backbone)
        return resolve_shared(backbone, weights, _drawer(backbone), (GRAPH,), branch)
    if from_hub and weights.startswith(PREFIX):
        return Origin(weights, GRAPH, hub_presets.locate(weights.removeprefix(PREFIX)))
    is_run = from_hub and weights not in WEIGHTS and folder.is_dir()
    if weights not in WEIGHTS and not is_run:
        raise InputError(
            "`weights` must be 'own' (those that the backbone comes with), 'none' or, for a preset, a finished run of "
            f"it, hf: and a shared folder, or hub:PRESET, with a backbone of your own or of keras-hub. "
            f"Received: weights={weights!r}."
        )
    if from_hub:
        hub_presets.import_hub(backbone)
    if is_run:
        return resolve_run(backbone, folder, branch, graphs=(GRAPH,))
    if weights == "none":
        return Origin("none", GRAPH, "random, decided by the seed")
    return Origin("own", GRAPH, hub_presets.locate(backbone.removeprefix(PREFIX)) if from_hub else _AS_GIVEN)


@functools.cache
def _drawer(backbone):
    """Return what draws a preset without its weights, at an image size."""

    def draw(graph, image_size):
        model, affine = hub_presets.read_preset(backbone.removeprefix(PREFIX), False, image_size)
        return wrap(model, image_size, affine, copied=False)

    return draw


def _read_preset(backbone, origin, image_size) -> tuple[keras.Model, preprocessing.Affine]:
    model, affine = hub_presets.read_preset(backbone.removeprefix(PREFIX), origin.name == "own", image_size)
    if not origin.name.startswith(PREFIX):
        return model, affine
    given, affine = hub_presets.read_preset(origin.name.removeprefix(PREFIX), True, image_size)
    # By their order: names begin with that of the whole network, which is another one for each.
    pairs = list(zip(model.weights, given.weights, strict=False))
    faults = [f"{old.path} is {new.shape}, and {old.shape} is needed" for old, new in pairs if old.shape != new.shape]
    if type(model) is not type(given) or len(model.weights) != len(given.weights):
        faults = [f"they are a {type(given).__name__}'s of {len(given.weights)} arrays, not {len(model.weights)}"]
    if faults:
        raise InputError(
            f"`weights` must be of the same network as `backbone`, a {type(model).__name__}; {listed(faults, NAMED)}. "
            f"Received: backbone={backbone!r}, weights={origin.name!r}."
        )
    model.set_weights(given.get_weights())
    return model, affine


def wrap(
    model: keras.Model,
    image_size: tuple[int, int],
    affine: preprocessing.Affine = preprocessing.IDENTITY,
    with_weights: bool = True,
    copied: bool = True,
) -> keras.Model:
    """Turn any image backbone into a feature extractor on raw images.

    A functional model is drawn again, flat, with layers of its own: it can be cut into blocks, and the original stays
    as it is whatever is trained. Any other model is called once, as one layer, which is the user's own object. These
    are subclassed models, and functional ones with a layer that cannot be made again from its configuration (some of
    keras-hub's).

    Args:
        model: A model with one image input [batch, height, width, 3] and one output: a feature map of rank 4, tokens
            of rank 3 or a vector of rank 2.
        image_size: Height and width in pixels.
        affine: Preprocessing to put before it.
        with_weights: Whether the weights are copied; else they are drawn anew.
        copied: Whether a functional model's layers are made again. If not, they are used themselves, and the model
            itself no longer.

    Returns:
        A functional model from "images", raw RGB in 0..255 of shape (batch, height, width, 3).

    Raises:
        InputError: It is not such a model, or does not take images of that size.

    >>> net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3)])
    >>> wrap(net, (32, 48)).output_shape
    (None, 30, 46, 2)
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"`backbone` must be a keras.Model. Received: {type(model).__name__}.")
    if graphs.is_functional(model):
        _check_ends(model, image_size)
    images = keras.Input((*image_size, 3), name=INPUT_NAME)
    inputs = preprocessing.apply(affine, images)
    try:
        output = _draw(model, inputs, with_weights, copied)
    # Raised by Keras, or by the user's own `call`, for a tensor of the wrong shape.
    except (ValueError, TypeError, NotImplementedError) as error:
        # InputError is a ValueError too; `_draw` raises one that says more.
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"`backbone` must be a model that takes RGB images of `data.image_size`; Keras says: {_reason(error)}. "
            f"Received: model={model.name!r} at {image_size[0]},{image_size[1]}."
        ) from error
    if not isinstance(output, keras.KerasTensor) or len(output.shape) not in (2, 3, 4):
        given = f"shape {output.shape}" if isinstance(output, keras.KerasTensor) else type(output).__name__
        raise InputError(
            "`backbone` must give one output: a feature map (rank 4), tokens (rank 3) or a vector (rank 2). "
            f"Received: model={model.name!r} with {given}."
        )
    return keras.Model(images, output, name=model.name)


def check_reloads(model: keras.Model) -> None:
    """Check, before anything is trained, that a model can be loaded again after it is saved.

    Args:
        model: From `wrap`, or a classifier on top of it.

    Raises:
        InputError: Keras cannot make it again in safe mode from what it saves.

    >>> check_reloads(wrap(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)]), (8, 8)))
    """
    try:
        with unallocated(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model), safe_mode=True)
    # Raised by Keras for unknown classes and Lambda layers, and by a user's constructor that refuses `get_config`.
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        raise InputError(
            "`backbone` must be a model that Keras can save and load again in safe mode: no Lambda layers, and classes "
            "of your own with `get_config`, registered by keras.saving.register_keras_serializable; Keras says: "
            f"{_reason(error)}. Received: model={model.name!r}."
        ) from error


def _draw(model, inputs, with_weights, copied):
    reason = "a subclassed model"
    if graphs.is_functional(model):
        dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
        # Images are float32 here; a model may declare an integer input.
        inputs = inputs if dtype.startswith("float") else keras.ops.cast(inputs, dtype)
        if copied and type(model).__module__.startswith("keras_hub."):
            # The whole model can be made again where single layers cannot.
            model, copied = _clone(model, with_weights), False
        try:
            return graphs.redraw(model, inputs, taken=HEAD_NAMES, with_weights=with_weights, copied=copied)
        except graphs.CannotCopy as error:
            reason = f"a model with the layer {error}"
    if not with_weights:
        raise InputError(
            f"`weights` must be 'own' for {reason}, which cannot be drawn again. Received: model={model.name!r}."
        )
    return model(inputs)


def _clone(model, with_weights) -> keras.Model:
    clone = type(model).from_config(model.get_config())
    if with_weights:
        clone.set_weights(model.get_weights())
    return clone


def _reason(error: Exception) -> str:
    lines = str(error).strip().strip("'\"").splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".:")


def _check_ends(model, image_size):
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] not in (3, None):
        raise InputError(
            "`backbone` must have one input, RGB images [batch, height, width, 3]; of a model of images and text "
            f"take the image encoder. Received: model={model.name!r} with inputs {shapes}."
        )
    if len(model.outputs) != 1:
        raise InputError(
            f"`backbone` must give one output; cut it with keras.Model(model.input, ...). Received: "
            f"model={model.name!r} with {len(model.outputs)} outputs."
        )
    height, width = shapes[0][1:3]
    if height not in (None, image_size[0]) or width not in (None, image_size[1]):
        raise InputError(
            f"`data.image_size` must be {height or 'any'},{width or 'any'} for the backbone {model.name!r}. "
            f"Received: data.image_size={image_size[0]},{image_size[1]}."
        )


def register_layers(names: str | Sequence[str]) -> None:
    """Import keras-hub if a backbone is one of its presets, so that Keras knows its layers when a model is loaded.

    Args:
        names: A recipe's backbone, or several.

    Raises:
        InputError: keras-hub is needed and missing.

    >>> register_layers("MobileNetV2")
    """
    for name in [names] if isinstance(names, str) else names:
        if name.startswith(PREFIX):
            hub_presets.import_hub(name)


def digest(model: keras.Model) -> str:
    """Return the SHA-256 of a model's weights in their order, which identifies the numbers themselves."""
    found = hashlib.sha256()
    for value in model.get_weights():
        found.update(np.ascontiguousarray(value).tobytes())
    return found.hexdigest()
