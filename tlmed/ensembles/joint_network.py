"""One Keras model of several networks that answer together."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from tlmed.errors import InputError
from tlmed.inference.panel import Panel, open_panel
from tlmed.inference.scorer import load_model
from tlmed.inference.trained_runs import Trained
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import find_run
from tlmed.targets import check_targets, make_mark, writing_out
from tlmed.voice import SILENT, Voice
from tlmed.whole_files import atomic

SUFFIX = ".keras"
_COMMAND = "export"  # which marks the files that it made


def join_networks(run: str | Path, voice: Voice = SILENT) -> keras.Model:
    """Return one model that answers as the networks of an ensemble or a cross-validation do together.

    All networks are loaded. Those with a weight of 0 are left out. Of a single run it is the run's own network.

    Args:
        run: The directory of an ensemble, a cross-validation or a run; complete.
        voice: Where to say of which files nobody can tell whether they were changed, as without a lock.

    Returns:
        A model of standard layers from raw RGB images, float [batch, height, width, 3], 0..255, at the size of the
        recipes, to the weighted mean of the networks' probabilities, float [batch, k].

    Raises:
        InputError: If a member is a hybrid or reads images in another way than the others, one is gone, or a file was
            changed.
    """
    panel = open_panel(find_run(run, several=True))
    asked = np.flatnonzero(panel.weights)
    members = [panel.members[number] for number in asked]
    _check_alike(panel, members)
    for sentence in panel.check_intact():
        voice.warn(sentence)
    networks = [load_model(member.run) for member in members]
    return networks[0] if len(networks) == 1 else _average(networks, panel.weights[asked])


def _check_alike(panel: Panel, members: Sequence[Trained]) -> None:
    """Refuse members that cannot stand on one input: the model takes images that one rule has made."""
    faults, rule = [], members[0].rule
    for member in members:
        if "classifier" in METRICS_JSON.read(member.run):
            faults.append(f"{member.run.path}, a hybrid, whose classifier is no network")
        elif member.rule != rule:
            own = [said for said in member.rule.describe() if said not in rule.describe()]
            faults.append(f"{member.run.path}, which reads images in another way than {members[0].run.path}: {own[0]}")
    if faults:
        must = "One Keras model needs members that are networks and read images in one way (size, shape, window)."
        raise InputError([f"{must} Received: {fault.rstrip('.')}." for fault in faults])


def _average(networks: Sequence[keras.Model], weights: np.ndarray) -> keras.Model:
    """Return the weighted mean of networks as one graph of standard layers, which plain Keras loads in safe mode."""
    first = networks[0].inputs[0]
    images = keras.Input(first.shape[1:], dtype=first.dtype, name="images")
    parts = []
    for number, (network, weight) in enumerate(zip(networks, weights / weights.sum(), strict=True), 1):
        # A model of its own for each: the layers of two networks of one backbone have the same names.
        member = keras.Model(network.inputs[0], network.outputs[0], name=f"member{number}")
        parts.append(keras.layers.Rescaling(float(weight), name=f"weight{number}")(member(images)))
    return keras.Model(images, keras.layers.Add(name="probabilities")(parts), name="ensemble")


def check_network_target(path: Path, force: bool = False) -> None:
    """Refuse a file that a model may not be written to.

    Raises:
        InputError: Its name does not end with `.keras`, or see `check_targets`.
    """
    if path.suffix != SUFFIX:
        raise InputError(f"`--out` must end with `{SUFFIX}` for `--format keras`. Received: {path}.")
    check_targets("--out", {path: _is_ours}, force)


def write_network(path: Path, model: keras.Model, force: bool = False) -> None:
    """Write a model to a `.keras` file, whole or not at all.

    Args:
        path: The file.
        model: From `join_networks`.
        force: Write over an earlier export.

    Raises:
        InputError: The file cannot be written, or exists and may not be written over.
    """
    check_network_target(path, force)
    with writing_out(path), atomic(path) as part:
        model.save(part)
        with zipfile.ZipFile(part, "a") as archive:
            archive.comment = make_mark(_COMMAND).encode()


def _is_ours(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == make_mark(_COMMAND).encode()
    except zipfile.BadZipFile:
        return False
