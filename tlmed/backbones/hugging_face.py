"""Backbones from a folder in the layout of Hugging Face: `config.json`, safetensors, and how images are prepared.

keras-hub's converters draw the network and name the tensors. Files are read here, by the safetensors library, so that
nothing of them runs: every tensor is compared with the network before one is loaded, and all that do not fit are named.
"""

import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tlmed.backbones import preprocessing, timm_vit
from tlmed.backbones.hub_layers import REFUSALS, check_patches, state_size
from tlmed.backbones.saved import NAMED
from tlmed.errors import InputError, one_line
from tlmed.regular_files import LIMIT, open_regular
from tlmed.words import listed

PREFIX = "hf:"
CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
# Encoders of images that keras-hub converts, by `model_type`.
TYPES = ("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "swin")
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SUFFIX = ".safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_PARTS = ("vit.", "deit.")  # what keras-hub's names begin with, and those of a bare encoder's file do not
_LAYER = re.compile(r"(?:^|\.)(?:layers?|blocks)\.\d+\.")
_OTHERS = ("decoder", "classifier", "head", "pooler")


@dataclass(frozen=True)
class Preparation:
    """How images are prepared, as a file beside the weights states it: `(x * factor - mean) / deviation`.

    Attributes:
        file: The file's name.
        factor: What pixels in 0..255 are multiplied by.
        mean: Per channel (RGB).
        deviation: Per channel.
        size: Height and width of the images that the network was trained on; None if the file does not say it.
    """

    file: str
    factor: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    size: tuple[int, int] | None

    @property
    def affine(self) -> preprocessing.Affine:
        """The same as layers."""
        pairs = zip(self.mean, self.deviation, strict=True)
        return preprocessing.Affine(
            tuple(self.factor / each for each in self.deviation), tuple(-mean / each for mean, each in pairs)
        )

    def describe(self) -> dict:
        """Return what `plan.json` says of it."""
        size = None if self.size is None else list(self.size)
        mean, deviation = list(self.mean), list(self.deviation)
        return {"file": self.file, "rescale_factor": self.factor, "mean": mean, "std": deviation, "size": size}

    def say(self) -> str:
        """Return it in words."""
        mean, deviation = (", ".join(f"{each:g}" for each in values) for values in (self.mean, self.deviation))
        size = "" if self.size is None else f"; its images were {self.size[0]} x {self.size[1]}"
        return f"images are prepared as its {self.file} says: mean {mean}, deviation {deviation}{size}"


def read_backbone(folder: Path, with_weights: bool, image_size: tuple[int, int] | None = None) -> keras.Model:
    """Read a backbone from a folder.

    Args:
        folder: With `config.json` and safetensors.
        with_weights: Whether to load the weights; else they are random, and no file of weights is needed.
        image_size: Height and width in pixels, for networks that take any size; None: the folder's own.

    Raises:
        InputError: A file is missing or damaged, the network is of another kind, or tensors do not fit.
    """
    config = _read_json(folder, CONFIG)
    try:
        converter, arguments = _choose_converter(folder, config)
        kind = _find_class(converter)
        model = kind(**{**arguments, **state_size(kind, image_size)})
    except InputError:
        raise
    except (*REFUSALS, ArithmeticError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else one_line(str(error)).rstrip(".")
        raise _refuse(folder, f"have a {CONFIG} of a network that keras-hub draws; {missing}") from error
    check_patches(model, image_size)
    if with_weights:
        _load(model, converter, folder, config)
    return model


def _find_class(converter) -> type:
    if converter is timm_vit:
        from keras_hub.models import ViTBackbone

        return ViTBackbone
    return converter.backbone_cls


def read_preparation(folder: Path) -> Preparation:
    """Return how images are prepared for a folder's network.

    Args:
        folder: With `preprocessor_config.json`, or with a `config.json` of timm, which states it itself.

    Raises:
        InputError: There is no such file, or it does not state mean and deviation.
    """
    config = _read_json(folder, CONFIG)
    try:
        if "model_type" not in config:
            stated = config.get("pretrained_cfg", config)
            return Preparation(CONFIG, 1 / 255, *_read_moments(stated, "mean", "std"), _read_size(stated["input_size"]))
        return _read_processor(_read_json(folder, PREPROCESSOR))
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        name = PREPROCESSOR if "model_type" in config else CONFIG
        raise _refuse(folder, f"have a {name} that states mean, deviation and size of images ({error})") from error


def _read_processor(stated) -> Preparation:
    factor = float(stated.get("rescale_factor", 1 / 255)) if stated.get("do_rescale", True) else 1.0
    moments = (0.0,) * 3, (1.0,) * 3
    if stated.get("do_normalize", True):
        moments = _read_moments(stated, "image_mean", "image_std")
    size = stated.get("crop_size") if stated.get("do_center_crop") else stated.get("size")
    return Preparation(PREPROCESSOR, factor, *moments, None if size is None else _read_size(size))


def _read_moments(stated, *names) -> list[tuple[float, float, float]]:
    found = [tuple(float(value) for value in stated[name]) for name in names]
    if any(len(values) != 3 for values in found) or min(found[1]) <= 0:
        raise ValueError(f"{' and '.join(names)} must be three numbers each, the latter above 0")
    return found


def _read_size(size) -> tuple[int, int]:
    if isinstance(size, dict):
        size = [size["height"], size["width"]] if "height" in size else size["shortest_edge"]
    sides = [size, size] if isinstance(size, int) else list(size)[-2:]  # timm's begins with the channels
    return int(sides[0]), int(sides[1])


def _choose_converter(folder, config):
    if "model_type" not in config:
        if "architecture" in config:
            return timm_vit, timm_vit.convert_backbone_config(config)
        raise _refuse(folder, f"have a {CONFIG} with `model_type` (transformers) or `architecture` (timm)")
    kind = config["model_type"]
    if kind not in TYPES:
        raise _refuse(folder, f"have a {CONFIG} with a `model_type` of an image encoder, {', '.join(TYPES)}", kind)
    if config.get("hidden_act", "gelu") != "gelu":
        raise _refuse(folder, "have `hidden_act` 'gelu', which keras-hub draws", config["hidden_act"])
    if kind.startswith("dinov2") and config.get("layer_norm_eps", 1e-6) != 1e-6:
        raise _refuse(folder, "have `layer_norm_eps` 1e-6, which keras-hub draws", config["layer_norm_eps"])
    # keras-hub names its converters in this module only.
    from keras_hub.src.utils.transformers.preset_loader import TransformersPresetLoader

    converter = TransformersPresetLoader(str(folder), config).converter
    arguments = dict(converter.convert_backbone_config(config))
    if kind == "vit":  # left out by keras-hub 0.32, whose default is another one than that of transformers
        arguments["layer_norm_epsilon"] = config.get("layer_norm_eps", 1e-12)
    return converter, arguments


def _load(model, converter, folder, config):
    loader = _Loader(_list_all(folder))
    try:
        converter.convert_weights(model, loader, config)
    except REFUSALS as error:
        loader.faults.append(one_line(str(error)))
    if not loader.faults and (more := loader.list_unused_layers()):
        loader.faults.append(f"{CONFIG} has no place for {listed(more, NAMED)}")
    if loader.faults:
        count, shown = len(loader.faults), "; ".join(loader.faults[:NAMED])
        more = f"; and {count - NAMED} more" if count > NAMED else ""
        raise _refuse(folder, f"have weights that fit its {CONFIG}; {shown}{more}")
    loader.is_dry = False
    converter.convert_weights(model, loader, config)


class _Loader:
    """Gives keras-hub's converters their tensors; as long as it is dry, it only compares shapes."""

    def __init__(self, tensors: "dict[str, _Stored]"):
        self.tensors, self.is_dry, self.faults, self.used, self._prefix = tensors, True, [], set(), None

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def get_tensor(self, name: str) -> np.ndarray:
        key = self._find(name)
        if key is None:
            raise KeyError(f"{name} is missing")
        self.used.add(key)
        stored = self.tensors[key]
        # Zeros without memory of their own.
        return np.broadcast_to(np.float32(0), stored.shape) if self.is_dry else _read(stored, key)

    def port_weight(self, keras_variable, hf_weight_key, hook_fn=None):
        shape = list(keras_variable.shape)
        try:
            found = self.get_tensor(hf_weight_key)
            raw = list(found.shape)
            found = found if hook_fn is None else hook_fn(found, shape)
        except KeyError:
            self.faults.append(f"{hf_weight_key} is missing")
            return
        except (ValueError, IndexError):  # from NumPy, where the hook cannot bring it to that shape
            self.faults.append(f"{hf_weight_key} is {raw}, which does not become {shape}")
            return
        if list(found.shape) != shape:
            self.faults.append(f"{hf_weight_key} is {raw}, which does not become {shape}")
        elif not self.is_dry:
            keras_variable.assign(found)

    def list_unused_layers(self) -> list[str]:
        """Return tensors of layers that no variable took: the network is deeper than its configuration says."""
        rest = (key for key in self.tensors if key not in self.used and _LAYER.search(key))
        return [key for key in rest if not any(word in key for word in _OTHERS)]

    def _find(self, name) -> str | None:
        bare = next((name.removeprefix(part) for part in _PARTS if name.startswith(part)), name)
        for key in (name, bare, *(() if self._prefix is None else (self._prefix + bare,))):
            if key in self.tensors:
                return key
        if self._prefix is not None:
            return None
        # The encoder of a larger network: all of its names begin with the same words.
        found = min((key for key in self.tensors if key.endswith(f".{bare}")), key=len, default=None)
        if found is not None:
            self._prefix = found.removesuffix(bare)
        return found


@dataclass(frozen=True)
class _Stored:
    """A tensor that is not read yet: its file and its shape."""

    path: Path
    shape: tuple[int, ...]


def _list_all(folder) -> dict[str, _Stored]:
    """Return all tensors of a folder, from one file or from several with an index."""
    if importlib.util.find_spec("safetensors") is None:  # keras-hub does not bring it, the extra does
        raise _refuse(folder, "find safetensors installed: `pip install safetensors` or tlmed[hub]")
    from safetensors import SafetensorError

    try:
        if (folder / _INDEX).exists():
            names = set(_read_json(folder, _INDEX)["weight_map"].values())
            # A name with a path in it could lead out of the folder.
            if any(name != Path(name).name or not name.endswith(_SUFFIX) for name in names):
                raise TypeError(f"{_INDEX} names files that are no {_SUFFIX} beside it")
            return {key: it for name in sorted(names) for key, it in _list_tensors(folder / name).items()}
        if not (folder / _WEIGHTS).exists():
            raise _refuse(folder, _say_what_to_give(folder))
        return _list_tensors(folder / _WEIGHTS)
    except (SafetensorError, OSError, KeyError, AttributeError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else one_line(str(error))
        if isinstance(error, SafetensorError):
            reason = f"it is no safetensors file, or a damaged one ({reason})"
        raise _refuse(folder, f"have weights in {_WEIGHTS} that can be read; {reason}") from error


def _list_tensors(path) -> dict[str, _Stored]:
    """Return the tensors of a file by name; no number is read."""
    from safetensors import safe_open

    open_regular(path).close()  # the library would wait at a pipe
    with safe_open(path, "np") as file:
        return {name: _Stored(path, tuple(file.get_slice(name).get_shape())) for name in file.keys()}  # noqa: SIM118, it is no mapping


def _read(stored, name) -> np.ndarray:
    """Return a tensor as float32: files mostly have 16 bits."""
    from safetensors import safe_open

    with safe_open(stored.path, "np") as file:
        return file.get_tensor(name).astype("float32")


def _say_what_to_give(folder) -> str:
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLES)
    if not pickles:
        return f"hold {_WEIGHTS}"
    return (
        f"hold {_WEIGHTS}; {pickles[0]} is a pickle, which can run code when it is read: convert it to safetensors "
        "first (docs/weights.md says how)"
    )


def _read_json(folder, name) -> dict:
    try:
        with open_regular(folder / name, LIMIT) as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:
        raise _refuse(folder, f"have a {name} that is JSON") from error
    except OSError as error:
        raise _refuse(folder, f"have a {name} that can be read ({error.strerror})") from error
    if not isinstance(content, dict):
        raise _refuse(folder, f"have a {name} that is a JSON object")
    return content


def _refuse(folder, rule, received=None) -> InputError:
    found = "" if received is None else f" with {received!r}"
    return InputError(f"A folder in the layout of Hugging Face must {rule}. Received: hub:{PREFIX}{folder}{found}.")
