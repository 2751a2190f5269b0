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
from tlmed.in_domain import IN_DOMAIN
from tlmed.words import join_names

# Every graph that some weights belong to, by the name that is recorded with them.
GRAPHS: dict[str, Callable[[Application, tuple[int, int]], keras.Model]] = {
    "keras-imagenet": functools.partial(applications.draw, imagenet=True),
    "keras": functools.partial(applications.draw, imagenet=False),
    **{package.graph: package.draw for package in PACKAGES},
    **{
        entry.name: functools.partial(
            applications.draw, imagenet=False, affine=preprocessing.Affine(entry.scale, entry.offset, entry.flip)
        )
        for entry in IN_DOMAIN
    },
}
_NAMED = 10  # layers in one message; the others are counted


@dataclass(frozen=True)
class Outline:
    """What a variant of a backbone's graph holds.

    Attributes:
        arrays: For each layer, by the name that Keras's files give it, how many weights it has of each shape; integer
            weights are left out.
        kinds: How many layers of each class there are, without the input and the preprocessing that tlmed adds.
        names: The name of each layer in the network, by the name that Keras's files give it.
    """

    arrays: dict[str, collections.Counter]
    kinds: collections.Counter
    names: dict[str, str]


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
    arrays, kinds, own, names = {}, collections.Counter(), collections.Counter(), {}
    for layer in model.layers:
        kind = naming.to_snake_case(type(layer).__name__)
        shapes = (tuple(weight.shape) for weight in layer.weights if keras.backend.is_float_dtype(weight.dtype))
        # Files of Keras 3 name layers by class and number: conv2d, conv2d_1, ...
        key = f"{kind}_{kinds[kind]}" if kinds[kind] else kind
        arrays[key], names[key] = collections.Counter(shapes), layer.name
        kinds[kind] += 1
        own[kind] += layer.name == preprocessing.LAYER_NAME or isinstance(layer, keras.layers.InputLayer)
    return Outline(arrays, kinds - own, names)


def find_misfit(path: Path, outline: Outline) -> str:
    """Say why a file cannot hold a network's weights, layer by layer, or return "".

    Only the shapes of arrays are compared. No number is read.

    Args:
        path: A `.h5` or `.weights.h5` file.
        outline: Of the network.
    """
    try:
        with h5py.File(path) as file:
            return _compare(file, outline)
    # Raised by h5py for a file that is cut off, empty or no HDF5, or whose inner tables are damaged.
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return f"it is no HDF5 file that can be read ({str(error).strip().splitlines()[0].rstrip('.')})"


def _compare(file, outline) -> str:
    if isinstance(layers := file.get("layers"), h5py.Group):
        return _say_layers({name: _shapes(layers[name]) for name in layers}, outline)
    legacy = file.get("model_weights", file)  # a whole model, or weights alone
    if "layer_names" not in legacy.attrs:
        return _say_arrays(_shapes(file), outline)
    names = [name.decode() if isinstance(name, bytes) else name for name in legacy.attrs["layer_names"]]
    found = [(name, shapes) for name in names if (shapes := _shapes(legacy[name]))]
    weighted = [key for key, shapes in outline.arrays.items() if shapes]
    # Keras gives the layers of such a file to those of the network in order, whatever their names are.
    if len(found) == len(weighted):
        return _say_layers({key: shapes for key, (_, shapes) in zip(weighted, found, strict=True)}, outline)
    by_name = dict(found)
    said = _say_layers({key: by_name.get(name, _add(())) for key, name in outline.names.items()}, outline)
    more = f"it has {len(found)} layers with weights, and {len(weighted)} are needed"
    return f"{more}; {said}" if said else more


def _say_layers(found, outline) -> str:
    faults = []
    for key, needed in outline.arrays.items():
        has = found.get(key, collections.Counter())
        # The difference of two counters keeps positive counts only: more arrays than needed are no fault.
        if lacking := needed - has:
            faults.append(f"{outline.names[key]} needs {_name_shapes(lacking)} and has {_name_shapes(has - needed)}")
    if not faults:
        return ""
    shown = "; ".join(faults[:_NAMED]) + f"; and {len(faults) - _NAMED} more" * (len(faults) > _NAMED)
    weighted = sum(map(bool, outline.arrays.values()))
    return f"it does not fit in {len(faults)} of {weighted} layers with weights: {shown}"


def _say_arrays(found, outline) -> str:
    needed = _add(outline.arrays.values())
    if not (lacking := needed - found):
        return ""
    shape = list(next(iter(lacking)))
    return f"it names no layers and lacks {lacking.total()} of {needed.total()} arrays; one is of shape {shape}"


def _name_shapes(shapes) -> str:
    named = [f"{count} x {list(shape)}" if count > 1 else str(list(shape)) for shape, count in shapes.items()]
    return join_names(named) if named else "nothing"


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
