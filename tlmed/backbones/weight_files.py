"""Look into a file of weights before it is loaded: whether it can fit a network, and to which graph it belongs."""

import collections
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np
from keras.src.utils import naming

from tlmed.backbones import applications, preprocessing
from tlmed.backbones.applications import Application
from tlmed.backbones.weight_packages import PACKAGES

# Every graph that some weights belong to, by the name that is recorded with them.
GRAPHS: dict[str, Callable[[Application, tuple[int, int]], keras.Model]] = {
    "keras-imagenet": functools.partial(applications.draw, imagenet=True),
    "keras": functools.partial(applications.draw, imagenet=False),
    **{package.graph: package.draw for package in PACKAGES},
}


@dataclass(frozen=True)
class Outline:
    """What a variant of a backbone's graph holds.

    Attributes:
        arrays: For each layer, by the name that Keras's files give it, how many weights it has of each shape; integer
            weights are left out.
        kinds: How many layers of each class there are, without the input and the preprocessing that tlmed adds.
    """

    arrays: dict[str, collections.Counter]
    kinds: collections.Counter


@functools.lru_cache(maxsize=64)
def outline_graph(graph: str, application: Application, image_size: tuple[int, int]) -> Outline:
    """Return what a variant of a backbone's graph holds, without allocating it.

    Args:
        graph: A key of `GRAPHS`.
        application: The backbone.
        image_size: Height and width in pixels.

    Raises:
        InputError: The backbone refuses the image size.
    """
    with applications.unallocated():
        model = GRAPHS[graph](application, image_size)
    arrays, kinds, own = {}, collections.Counter(), collections.Counter()
    for layer in model.layers:
        kind = naming.to_snake_case(type(layer).__name__)
        shapes = (tuple(weight.shape) for weight in layer.weights if keras.backend.is_float_dtype(weight.dtype))
        # Files of Keras 3 name layers by class and number: conv2d, conv2d_1, ...
        arrays[f"{kind}_{kinds[kind]}" if kinds[kind] else kind] = collections.Counter(shapes)
        kinds[kind] += 1
        own[kind] += layer.name == preprocessing.LAYER_NAME or isinstance(layer, keras.layers.InputLayer)
    return Outline(arrays, kinds - own)


def find_misfit(path: Path, outline: Outline) -> str:
    """Say why a file cannot hold a network's weights, or return "".

    Only the shapes of arrays are compared, layer by layer if it is a file of Keras 3. No number is read.

    Args:
        path: A `.h5` or `.weights.h5` file.
        outline: Of the network.
    """
    needed = outline.arrays
    try:
        with h5py.File(path) as file:
            if isinstance(layers := file.get("layers"), h5py.Group):
                found = {name: _shapes(layers[name]) for name in layers if name in needed}
            else:
                needed, found = {"": _add(needed.values())}, {"": _shapes(file)}
    # Raised by h5py for a file that is cut off, empty or no HDF5, or whose inner tables are damaged.
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return f"it is no HDF5 file that can be read ({str(error).strip().splitlines()[0].rstrip('.')})"
    # The difference of two counters keeps positive counts only: more arrays than needed are no fault.
    lacking = _add(shapes - found.get(name, collections.Counter()) for name, shapes in needed.items())
    if not lacking:
        return ""
    shape, count = list(next(iter(lacking))), _add(needed.values()).total()
    return f"it lacks {lacking.total()} of {count} arrays, or has them at another place; one is of shape {shape}"


def find_graph(path: Path, application: Application, image_size: tuple[int, int]) -> str:
    """Return which variant of a backbone's graph, and so which preprocessing, a file's weights belong to.

    Weights that started from those of a package are recognised by their first kernel, unless it was trained. A file
    that names every layer is also recognised by the layers in which the variants differ. In all other cases the graph
    is that of Keras's own weights.

    Args:
        path: A file in which `find_misfit` finds nothing.
        application: The backbone.
        image_size: Height and width in pixels.

    Returns:
        A key of `GRAPHS`.
    """
    packages = [package for package in PACKAGES if package.backbone == application.name]
    with h5py.File(path) as file:
        # A first kernel reads RGB, so its third axis is 3.
        kernels = {_digest(array) for array in _arrays(file) if array.ndim == 4 and array.shape[2] == 3}
        layers = collections.Counter(_list_kinds(file))
    if known := [package.graph for package in packages if package.kernel in kernels]:
        return known[0]
    graphs = ("keras-imagenet", "keras", *(package.graph for package in packages))
    outlines = {graph: outline_graph(graph, application, image_size).kinds for graph in graphs}
    # Only classes whose number of layers differs between the variants can tell them apart.
    kinds = {kind for one in outlines.values() for kind in one if len({it[kind] for it in outlines.values()}) > 1}
    fitting = (graph for graph in graphs if all(outlines[graph][kind] == layers[kind] for kind in kinds))
    return next(fitting, graphs[0])


def _list_kinds(file) -> list[str]:
    """Return the class of each layer named in a file of Keras 3 or of a whole model; an empty list for other files.

    Older files of weights alone name layers too, but at that time Keras drew some networks with other layers.
    """
    if isinstance(file.get("layers"), h5py.Group):
        return [re.sub(r"_\d+$", "", name) for name in file["layers"]]
    try:
        layers = json.loads(file.attrs.get("model_config", "{}"))["config"]["layers"]
        return [naming.to_snake_case(layer["class_name"]) for layer in layers]
    except (ValueError, TypeError, KeyError):  # no configuration, or a damaged one
        return []


def _add(counters: Iterable[collections.Counter]) -> collections.Counter:
    return sum(counters, collections.Counter())


def _shapes(item) -> collections.Counter:
    return collections.Counter(array.shape for array in _arrays(item)) if isinstance(item, h5py.Group) else _add(())


def _arrays(group: h5py.Group) -> Iterator[h5py.Dataset]:
    found = []
    group.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    yield from found


def _digest(array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array[()], "float32").tobytes()).hexdigest()
