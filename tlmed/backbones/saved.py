"""Read a network that tlmed saved, without running code of the file or allocating more than the file holds.

A `.keras` file is an archive of a configuration, which Keras turns into layers, and of their weights. The configuration
may ask for more numbers than any machine has, so the layers are first drawn without memory for their weights.
"""

import contextlib
import json
import math
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tlmed.backbones.applications import unallocated
from tlmed.backbones.graphs import find_foreign, is_functional
from tlmed.errors import InputError, summarise
from tlmed.regular_files import open_regular
from tlmed.words import listed

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# Raised by Keras, h5py and zipfile for a damaged or foreign file. Keras follows the configuration without checking it:
# a missing key, a wrong type or an unknown name raises whatever Python raises at that place.
_READ_ERRORS = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, IndexError, ValueError, TypeError, AttributeError),
    *(ImportError, NotImplementedError, RuntimeError, ArithmeticError, AssertionError, MemoryError, StopIteration),
    *(tf.errors.OpError, UserWarning),  # the warnings that `load_network` turns into errors
)
NAMED = 3  # weights that an error names; it counts the others
_NO_DRAFT = "create a variable while in a stateless scope"  # Keras's words for a user's layers that cannot be drawn so


def load_network(path: Path, compile: bool = False) -> keras.Model:
    """Load a network from a `.keras` file that tlmed saved.

    Args:
        path: The file.
        compile: Whether to compile it as it was saved.

    Raises:
        InputError: It is missing or damaged, would run code, needs more memory for weights than the file has, is no
            graph from one batch of RGB images to one output, or holds weights that are not finite.
    """
    with _reading(path), warnings.catch_warnings():
        _check_size(path)
        # Keras goes on with random weights for a layer whose place in the file is missing, and warns.
        warnings.filterwarnings("error", message="Skipping nested container|Skipping variable")
        model = keras.saving.load_model(path, compile=compile, safe_mode=True)
        _check_graph(model, path)
    check_finite(model, path)
    return model


def draw_network(path: Path) -> keras.Model:
    """Draw the layers of a `.keras` file in safe mode, without memory for their weights and without reading any.

    Args:
        path: The file.

    Raises:
        InputError: It is missing or damaged, would run code, has a layer that Keras does not know, or is no graph from
            one batch of RGB images to one output.
    """
    with _reading(path):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(_CONFIG))
        if foreign := next(find_foreign(config["config"]), None):
            raise _not_ours(path, f"it has {foreign!r}, which is no layer or function of Keras")
        model = _draw(config, path)
        _check_graph(model, path)
    return model


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what Keras raises for a damaged or foreign file into one clear line.

    Raises:
        InputError: The file is missing, or cannot be read.
    """
    try:
        open_regular(path).close()  # refuses a pipe, which would be waited for
        yield
    except InputError:
        raise
    except _READ_ERRORS as error:
        raise _not_ours(path, summarise(error)) from error


def _not_ours(path, why) -> InputError:
    return InputError(f"`{path.name}` must be a model that tlmed saved. Received: {path}: {why}.")


def _check_size(path) -> None:
    """Draw the layers without memory for their weights; refuse them if they need more bytes than the file holds."""
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(_WEIGHTS).file_size
        config = json.loads(archive.read(_CONFIG))
    if not isinstance(config, dict):
        raise _not_ours(path, "its configuration is no table of fields")
    try:
        model = _draw(config, path)
    except ValueError as error:
        if _NO_DRAFT in str(error):  # then only loading itself can tell
            return
        raise
    needed = sum(math.prod(weight.shape) * tf.as_dtype(weight.dtype).size for weight in model.weights)
    if needed > size:
        raise _not_ours(path, f"its layers need {needed:,} bytes of weights, and it holds {size:,}")


def _draw(config, path) -> keras.Model:
    # Drawing needs no optimiser, loss or metrics.
    config["compile_config"] = None
    with unallocated():
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise _not_ours(path, f"it holds a {type(model).__name__}")
    return model


def _check_graph(model, path) -> None:
    if not is_functional(model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise _not_ours(path, "it is no graph of one input and one output")
    given, found = model.inputs[0].shape, model.outputs[0].shape
    if len(given) != 4 or given[3] != 3 or len(found) != 2 or found[1] is None:
        shapes = f"it takes {_show(given)} and gives {_show(found)}"
        raise _not_ours(path, f"{shapes}, not images [batch, height, width, 3] and a vector")


def _show(shape) -> str:
    return f"[{', '.join('any' if side is None else str(side) for side in shape)}]"


def check_finite(model: keras.Model, path: Path | str) -> None:
    """Refuse weights that are not all finite, because the output of a network is meaningless then.

    Args:
        model: The network.
        path: Where its weights are from, for the error.

    Raises:
        InputError: With the names of the weights that hold NaN or infinity.
    """
    found = [weight.path for weight in model.weights if not _is_finite(weight)]
    if found:
        raise InputError(
            f"Weights must be finite numbers. Received: {path}, with NaN or infinity in {listed(found, NAMED)}."
        )


def _is_finite(weight) -> bool:
    return not keras.backend.is_float_dtype(weight.dtype) or bool(np.isfinite(keras.ops.convert_to_numpy(weight)).all())
