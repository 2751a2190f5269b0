"""Weights from a folder that `tlmed export --format hub` wrote, of which nothing is known but what it holds.

Nothing in it runs: the network is drawn in Keras's safe mode, and compared layer by layer with the graph that tlmed
draws for the backbone, before a weight is read.
"""

import functools
import json
import re
from collections.abc import Callable, Collection
from pathlib import Path

import keras

from tlmed.backbones.applications import INPUT_NAME, fresh_names, unallocated
from tlmed.backbones.graphs import redraw
from tlmed.backbones.origins import Origin, branch_prefix, load_run
from tlmed.backbones.saved import draw_network
from tlmed.errors import InputError, one_line
from tlmed.regular_files import open_regular, read_regular, sha256
from tlmed.run_files.shared_files import MODEL, SHARED_JSON, Shared
from tlmed.rundir import RunDir
from tlmed.words import count, listed

PREFIX = "hf:"
_NAMED = 3  # layers that an error names; it counts the others
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")  # how the Hub names a network: OWNER/NAME
_POINTER = b"version https://git-lfs"  # begins a file whose content git has not fetched
# What of a layer's configuration changes nothing of what it gives: how it is drawn, trained and computed.
_WITHOUT_EFFECT = re.compile(
    r"trainable|dtype|build_config|shared_object_id|registered_name|seed|.*_(initializer|regularizer|constraint)"
)
Draw = Callable[[str, tuple[int, int]], keras.Model]


def is_shared(weights: str) -> bool:
    """Tell whether weights are to come from a shared folder.

    >>> is_shared("hf:my_network/"), is_shared("hub:hf:rad-dino/"), is_shared("runs/a")
    (True, False, False)
    """
    return weights.startswith(PREFIX)


def resolve_shared(name: str, weights: str, draw: Draw, graphs: Collection[str], branch: int | None = None) -> Origin:
    """Find the weights of a backbone in a shared folder.

    Args:
        name: The backbone's.
        weights: `hf:` and the folder.
        draw: Draws a variant of the backbone's graph at an image size; the same object for the same backbone.
        graphs: The variants that it can draw.
        branch: Which of several backbones it is, from 0; None for a single one.

    Raises:
        InputError: There is no such folder, a file of it is missing or damaged, it is of another backbone or of several
            networks, or its layers are not those of the backbone.
    """
    folder = Path(weights.removeprefix(PREFIX)).expanduser().absolute()
    content = _read(folder, weights)
    network, size = content["network"], tuple(content["images"]["size"])
    if network["members"] != 1:
        raise _refuse(weights, "hold one network", f"of {count(network['members'], 'network')} that answer together")
    found, prefix = network["backbones"], ""
    number = 0
    if branch is not None and len(found) > 1:
        number, prefix = branch, branch_prefix(branch)
    names = [one["name"] for one in found]
    if number >= len(found) or _last_part(names[number]) != _last_part(name) or (branch is None and len(found) > 1):
        raise _refuse(weights, f"be of the same backbone, {name}", f"of {listed(map(repr, names), _NAMED)}")
    graph = found[number]["graph"]
    if graph not in graphs:
        raise _refuse(weights, f"have a graph that tlmed draws, one of {', '.join(graphs)}", f"with {graph!r}")
    path = _find_model(folder, weights, network["sha256"])
    if fault := _find_difference(path, network["sha256"], draw, graph, size, prefix):
        raise _refuse(weights, f"hold the layers of {name}", f"where {fault}")
    load = functools.partial(load_run, prefix=prefix)
    licence = found[number].get("licence")
    return Origin(f"{PREFIX}{folder}", graph, "a shared folder", path, load=load, licence=licence)


def _last_part(backbone) -> list[str]:
    """Return what is left of a backbone's name where the folder of a preset may lie elsewhere."""
    return [part for part in re.split(r"[:/\\]", backbone) if part][-1:]


def _refuse(weights, rule, received) -> InputError:
    return InputError(f"`weights` of the form {PREFIX}DIR must {rule}. Received: weights={weights!r}, {received}.")


def _read(folder, weights) -> Shared:
    if not folder.is_dir():
        given = weights.removeprefix(PREFIX)
        fetch = f"; `hf download {given} --local-dir DIR` fetches it" if _REPOSITORY.fullmatch(given) else ""
        what = "a file" if folder.exists() else "which does not exist"
        raise _refuse(weights, f"lead to a folder, as `tlmed export --format hub` writes it{fetch}", what)
    name = SHARED_JSON.name
    if not (folder / name).exists():
        what = "which is empty" if not any(folder.iterdir()) else f"which has no {name}"
        what = "a run's directory, which goes without `hf:`" if RunDir(folder).exists else what
        raise _refuse(weights, "lead to a folder that `tlmed export --format hub` wrote", what)
    try:
        content = json.loads(read_regular(folder / name))
        fault = SHARED_JSON.find_fault(content)
    except (OSError, ValueError, RecursionError):
        fault = "it is no readable JSON"
    if fault:
        said = f"whose {name} is damaged or another program's: {fault}"
        raise _refuse(weights, "lead to a folder that `tlmed export --format hub` wrote", said)
    return content


def _find_model(folder, weights, digest) -> Path:
    path = folder / MODEL
    if not path.is_file():
        raise _refuse(weights, "lead to a folder with the network", f"without {MODEL}")
    with open_regular(path) as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise _refuse(
                weights, "hold the network itself (`git lfs pull`)", f"whose {MODEL} is a pointer of git to it"
            )
    if sha256(path) != digest:
        raise _refuse(
            weights, "be as it was written; download it again", f"whose {MODEL} is not that of {SHARED_JSON.name}"
        )
    return path


@functools.lru_cache(maxsize=8)
def _find_difference(path: Path, sha256: str, draw: Draw, graph: str, size: tuple[int, int], prefix: str) -> str:
    """Return how a network's layers differ from a backbone's; "" where they give the same for the same weights."""
    with fresh_names(), unallocated():
        wanted = draw(graph, size)
        if prefix:
            wanted = _add_prefix(wanted, prefix)
    found = _list_layers(draw_network(path))
    faults = [
        fault for name, layer in _list_layers(wanted).items() if (fault := _compare(name, layer, found.get(name)))
    ]
    return listed(faults, _NAMED)


def _add_prefix(model, prefix) -> keras.Model:
    """Return a backbone as it stands beside others, as `tlmed.backbones.stand_side_by_side` draws it."""
    images = keras.Input(model.input_shape[1:], name=INPUT_NAME)
    entrance = keras.layers.Identity(name=f"{prefix}entrance")(images)
    return keras.Model(images, redraw(model, entrance, rename=f"{prefix}{{}}".format, with_weights=False))


def _list_layers(model) -> dict[str, dict]:
    """Return of each layer by its name the class, the settings and what it reads."""
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    return {layer["name"]: _strip(layer) for layer in config["config"]["layers"]}


def _strip(part):
    if isinstance(part, dict):
        return {name: _strip(value) for name, value in part.items() if not _WITHOUT_EFFECT.fullmatch(name)}
    return [_strip(value) for value in part] if isinstance(part, list) else part


def _compare(name, wanted, found) -> str:
    if found is None:
        return f"it has no layer {name!r}"
    if found["class_name"] != wanted["class_name"]:
        return f"{name!r} is a {one_line(str(found['class_name']))}, not a {wanted['class_name']}"
    # Both are what layers say of themselves, defaults too; some of keras-hub say less after they were loaded.
    settings = wanted["config"].keys() & found["config"].keys()
    if differ := sorted(one for one in settings if wanted["config"][one] != found["config"][one]):
        return f"{name!r} has another {differ[0]}"
    rest = ({key: value for key, value in layer.items() if key != "config"} for layer in (wanted, found))
    return "" if next(rest) == next(rest) else f"{name!r} is another layer, or reads others"
