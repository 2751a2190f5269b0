"""Draw the graph of a functional model once more, with layers of its own, on another tensor."""

from collections.abc import Callable, Iterable, Iterator

import keras

from tlmed.backbones.composites import call_open, is_composite
from tlmed.backbones.hub_layers import adopt, call_truly, complete_config, state_config

NORMALISATIONS = (  # papers do not count them among the layers
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
)
_KNOWN_CODE = ("keras", "keras_hub")  # the version of these packages tells what their code does


class CannotCopy(Exception):
    """A layer cannot be made again from its own configuration; the message names it."""


def redraw(
    model: keras.Model,
    tensor: keras.KerasTensor,
    rename: Callable[[str], str] = str,
    taken: Iterable[str] = (),
    with_weights: bool = True,
    copied: bool = True,
) -> keras.KerasTensor:
    """Draw a functional model again, flat, so that the original stays as it is.

    `keras.models.clone_model` starts from inputs only; this starts from any tensor. Functional models inside the model
    are dissolved into their layers, and so are composite layers, so that a cut can be made between them.

    Args:
        model: A functional model with one input and one output.
        tensor: What it is drawn on.
        rename: Gives a layer's new name, from the old one.
        taken: Names to avoid; a number is appended where a name is taken, here or by another layer.
        with_weights: Whether to copy the weights; else they are drawn anew.
        copied: Whether layers are made again. If not, the model's own are used, and the model itself no longer.

    Returns:
        The output.

    Raises:
        CannotCopy: A layer cannot be made again from its configuration.
        ValueError: A layer refuses the tensor.

    >>> net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="conv")])
    >>> images = keras.Input((16, 16, 3))
    >>> keras.Model(images, redraw(net, images, rename="my_{}".format)).layers[-1].name
    'my_conv'
    """
    copies, names, composites = {}, set(taken), []

    def copy(operation):
        if is_nested(operation):
            return operation
        # By identity: an operation that is called several times shares its weights, and so does its copy.
        if id(operation) not in copies:
            name = _free_name(rename(operation.name), names)
            copies[id(operation)] = operation, _copy(operation, name) if copied else _take_over(operation, name)
            if is_composite(operation):  # asked of the original, which is built
                composites.append(copies[id(operation)][1])
        return copies[id(operation)][1]

    def call(operation, *args, **kwargs):
        if is_nested(operation):
            return _run(operation, args[0], copy, call)
        if operation not in composites:
            return call_truly(operation, args, kwargs)
        composites.remove(operation)  # a second use would give the layers inside other names
        return call_open(operation, args, kwargs, lambda name: _free_name(name, names))

    output = _run(model, tensor, copy, call)
    if with_weights and copied:
        for old, new in copies.values():
            if getattr(old, "weights", ()):
                new.set_weights(old.get_weights())
    return output


def is_counted(operation) -> bool:
    """Return whether an operation is a layer that papers count: with weights, and no normalisation."""
    return bool(getattr(operation, "weights", ())) and not isinstance(operation, NORMALISATIONS)


def find_unknown_code(model: keras.Model) -> str | None:
    """Return the name of a layer, function or class that is neither Keras's nor keras-hub's; None if there is none.

    Such code decides what a network computes, and the network's configuration does not show it.

    >>> find_unknown_code(keras.Sequential([keras.layers.Dense(1, activation="relu")])) is None
    True
    """
    layers = [part for layer in model.layers for part in layer._flatten_layers()]
    own = [type(layer).__name__ for layer in layers if not _is_known(type(layer).__module__)]
    found = own or list(find_foreign(keras.saving.serialize_keras_object(model)))
    return found[0] if found else None


def find_foreign(config: object) -> Iterator[str]:
    """Yield the names of functions and classes in a configuration whose code is neither Keras's nor keras-hub's.

    >>> list(find_foreign({"class_name": "Mine", "module": "me", "config": {}}))
    ['Mine']
    """
    if isinstance(config, list | tuple):
        for part in config:
            yield from find_foreign(part)
    elif isinstance(config, dict):
        kind = config.get("class_name")
        if kind in ("function", "__lambda__"):
            yield config["config"] if kind == "function" else "a lambda"
        # Keras leaves the module out for what is registered by a user, and for its own marks such as `__tuple__`.
        elif kind and not kind.startswith("__") and not _is_known(config.get("module") or ""):
            yield kind
        yield from find_foreign(list(config.values()))


def _is_known(module: str) -> bool:
    return module.split(".")[0] in _KNOWN_CODE


def is_functional(model) -> bool:
    """Return whether a model is a graph of layers, drawn already: functional, or sequential with a known input."""
    return isinstance(model, keras.Model) and bool(getattr(model, "inputs", None)) and bool(model.outputs)


def is_nested(operation) -> bool:
    """Return whether an operation is a functional model that can be dissolved: one way in, one out, called once."""
    return (
        is_functional(operation)
        and len(operation.inputs) == len(operation.outputs) == 1
        and len(operation._inbound_nodes) == 1
    )


def _run(model, tensor, copy, call):
    # A sequential model has no `_run_through_graph`; a functional one on the same tensors has.
    plain = keras.Model(model.inputs[0], model.outputs[0])
    return plain._run_through_graph(tensor, operation_fn=copy, call_fn=call)


def _copy(operation, name: str):
    try:
        return state_config(type(operation).from_config({**complete_config(operation), "name": name}))
    # Raised by a user's `get_config`, or by a constructor that does not accept what `get_config` returned.
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise CannotCopy(f"{type(operation).__name__} {operation.name!r}") from error


def _take_over(operation, name: str):
    operation = adopt(operation)
    operation.name = name
    # Else `layer.output` would be the tensor of the graph that it comes from.
    operation._inbound_nodes.clear()
    return operation


def _free_name(name: str, names: set[str]) -> str:
    free, count = name, 0
    while free in names:
        count += 1
        free = f"{name}_{count}"
    names.add(free)
    return free
