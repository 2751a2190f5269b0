"""Backbones of keras-hub: a preset by its name, a folder that keras-hub wrote, or one in Hugging Face's layout."""

import importlib.util
import json
import types
from pathlib import Path
from urllib.parse import urlsplit

import keras
import numpy as np

from tlmed.backbones import hugging_face, preprocessing
from tlmed.backbones.hub_layers import check_patches, state_size
from tlmed.errors import InputError, did_you_mean

PREFIX = "hub:"
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_SCHEME = "kaggle://"  # where keras-hub publishes its presets
_ERRORS = (ValueError, TypeError, OSError, KeyError, ImportError, AttributeError)


def is_published(backbone: str) -> bool:
    """Return whether a backbone is a preset that keras-hub itself names, and no folder or place of somebody else.

    >>> is_published("hub:vit_base_patch16_224_imagenet"), is_published("hub:hf://me/net"), is_published("own:mine")
    (True, False, False)
    """
    preset = backbone.removeprefix(PREFIX)
    if preset == backbone or preset.startswith(hugging_face.PREFIX):
        return False
    return not {"/", "\\"} & set(preset) and not Path(preset).is_dir()


def find_folder(preset: str) -> Path | None:
    """Return the folder in Hugging Face's layout that a preset names, as `hf:PATH` or by its path; None if it is none.

    Args:
        preset: What follows `hub:`.

    Raises:
        InputError: `hf:PATH` leads to no folder.

    >>> find_folder("vit_base_patch16_224_imagenet") is None
    True
    """
    path = Path(preset.removeprefix(hugging_face.PREFIX)).expanduser()
    if preset.startswith(hugging_face.PREFIX) and not preset.startswith("hf://"):
        if not path.is_dir():
            raise InputError(
                f"hub:{hugging_face.PREFIX}PATH must lead to a folder with config.json and model.safetensors. "
                f"Received: {PREFIX}{preset}, {'no folder' if path.exists() else 'which does not exist'}."
            )
        return path
    try:
        config = json.loads((path / _CONFIG).read_text())
    except (OSError, ValueError):  # no folder, or one that keras-hub is to judge
        return None
    return path if isinstance(config, dict) and "model_type" in config and "registered_name" not in config else None


def locate(preset: str) -> str:
    """Say how a preset's weights are there, without reading or downloading any.

    Args:
        preset: What follows `hub:`.

    Raises:
        InputError: keras-hub is missing, or a folder is not complete.
    """
    hub = import_hub(preset)
    if folder := find_folder(preset):
        return f"found; {hugging_face.read_preparation(folder).say()}"
    if Path(preset).expanduser().is_dir():
        return "found"
    return "cached" if _find_lacking(hub, preset) == () else "from the cache of keras-hub or to be downloaded"


def describe_preparation(backbone: str) -> dict | None:
    """Return what a folder in Hugging Face's layout states of how images are prepared, for `plan.json`.

    Args:
        backbone: A recipe's; of all others nothing is known, None.

    Raises:
        InputError: The folder does not state it.
    """
    if not backbone.startswith(PREFIX):
        return None
    folder = find_folder(backbone.removeprefix(PREFIX))
    return None if folder is None else hugging_face.read_preparation(folder).describe()


def read_preset(
    preset: str, with_weights: bool = True, image_size: tuple[int, int] | None = None
) -> tuple[keras.Model, preprocessing.Affine]:
    """Read a backbone of keras-hub and the preprocessing that its preset states.

    Presets are read by keras-hub in Keras's safe mode: code in them is refused. What the preset's image converter does
    to the values of pixels is found by probing it. A preset without one gets raw pixels in 0..255, which is right for
    backbones that rescale within. A folder in Hugging Face's layout is read by `tlmed.backbones.hugging_face`.

    Args:
        preset: A name that keras-hub knows, a folder that `save_to_preset` wrote, or `hf:PATH`.
        with_weights: Whether to read the weights too.
        image_size: Height and width in pixels, for networks that take any size; None: the preset's own.

    Returns:
        The backbone and its preprocessing.

    Raises:
        InputError: keras-hub is missing, or there is no such preset of an image backbone.
    """
    hub = import_hub(preset)
    if folder := find_folder(preset):
        affine = hugging_face.read_preparation(folder).affine
        return find_image_encoder(hugging_face.read_backbone(folder, with_weights, image_size)), affine
    place = str(folder) if (folder := Path(preset).expanduser()).is_dir() else preset
    try:
        model = _read(hub, place, with_weights, image_size)
    except InputError:
        raise
    except _kaggle_errors() as error:
        raise _refuse(hub, preset, error) from error
    check_patches(model, image_size)
    return find_image_encoder(model), _find_preprocessing(hub, place)


def find_image_encoder(model: keras.Model) -> keras.Model:
    """Return the part of a backbone of keras-hub that encodes images, with its last feature map as the only output.

    Args:
        model: A backbone; of one for images and text, such as CLIP's, the vision encoder is taken.
    """
    encoder = getattr(model, "vision_encoder", model)
    if not isinstance(encoder.output, dict):
        return encoder
    return keras.Model(encoder.inputs[0], list(encoder.output.values())[-1], name=encoder.name)  # the deepest stage


def import_hub(preset: str) -> types.ModuleType:
    """Return keras-hub, imported.

    Args:
        preset: What follows `hub:`, for the error.

    Raises:
        InputError: It is not installed.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise InputError(
            "`backbone` of the form hub:PRESET must find keras-hub installed: `pip install keras-hub` or tlmed[hub]. "
            f"Received: backbone='{PREFIX}{preset.removeprefix(PREFIX)}'."
        )
    import keras_hub

    return keras_hub


def _read(hub, place, with_weights, image_size) -> keras.Model:
    # Only this function of keras-hub tells a preset's class before it is drawn.
    from keras_hub.src.utils.preset_utils import get_preset_loader

    options = state_size(get_preset_loader(place).check_backbone_class(), image_size)
    return hub.models.Backbone.from_preset(place, load_weights=with_weights, **options)


def _find_preprocessing(hub, place) -> preprocessing.Affine:
    try:
        converter = hub.layers.ImageConverter.from_preset(place, image_size=None)  # images are resized already
    except (FileNotFoundError, ValueError):  # the preset has no converter, or there is none for this backbone
        return preprocessing.IDENTITY
    # The converter works in float32, so it is affine only up to rounding.
    return preprocessing.infer(
        lambda images, data_format: np.asarray(converter(images.astype("float32"))), tolerance=1e-4
    )


def _kaggle_errors() -> tuple[type[Exception], ...]:
    """Return what keras-hub raises for a preset that it cannot read or download; kagglehub has errors of its own."""
    if importlib.util.find_spec("kagglehub") is None:
        return _ERRORS
    from kagglehub import exceptions

    own = ("BackendError", "CredentialError", "DataCorruptionError", "NotFoundError", "UnauthenticatedError")
    return (*_ERRORS, *(kind for name in own if (kind := getattr(exceptions, name, None))))


def _find_lacking(hub, preset) -> tuple[Path, ...] | None:
    """Return the files of a preset that kagglehub's cache lacks; None if the preset has no version that it keeps."""
    handle = hub.models.Backbone.presets.get(preset, {}).get("kaggle_handle", preset)
    if not handle.startswith(_SCHEME) or importlib.util.find_spec("kagglehub") is None:
        return None
    from kagglehub.cache import Cache
    from kagglehub.handle import parse_model_handle

    try:
        model = parse_model_handle(handle.removeprefix(_SCHEME))
    except ValueError:
        return None
    if not model.is_versioned():
        return None
    cache = Cache()
    lacking = [name for name in (_CONFIG, _WEIGHTS) if cache.load_from_cache(model, name) is None]
    return tuple(Path(cache.get_path(model, name)) for name in lacking)


def _refuse(hub, preset, error) -> InputError:
    received = f"Received: backbone='{PREFIX}{preset}'."
    if lacking := _find_lacking(hub, preset):
        return InputError(
            f"No preset {preset!r} of keras-hub found. Tried: the cache of kagglehub (no file {lacking[0]}); a "
            f"download ({_say_reason(error)}). Instead, `backbone` can be: hub: and a folder that keras-hub's "
            f"`save_to_preset` wrote; hub:{hugging_face.PREFIX} and a folder with config.json and model.safetensors. "
            f"{received}"
        )
    near = did_you_mean(preset, hub.models.Backbone.presets) if is_published(PREFIX + preset) else ""
    return InputError(
        f"`backbone` must be a preset that keras-hub can read: a name or a folder; it says: {_say_reason(error)}."
        f"{near} {received}"
    )


def _say_reason(error) -> str:
    # Errors of `requests`, which kagglehub downloads with, hold the request, and the answer if there was one.
    url = getattr(getattr(error, "request", None), "url", None)
    if isinstance(error, OSError) and url:
        answer = getattr(error, "response", None)
        host = urlsplit(url).hostname
        return f"{host} cannot be reached" if answer is None else f"{host} answers {answer.status_code}"
    lines = str(error).strip().strip("'\"").splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".:")
