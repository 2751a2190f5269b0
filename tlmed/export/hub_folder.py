"""A finished run as a folder that can be shared: what `huggingface_hub.upload_folder` takes as it is."""

import tlmed.tensorflow_start

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras

from tlmed.ensembles import join_networks
from tlmed.export.card_facts import CardFacts, read_card_facts
from tlmed.export.joint_card import write_card
from tlmed.export.saving import COMMENTS
from tlmed.export.shared_facts import clean_metrics, describe_shared
from tlmed.export.traces import list_names, read_texts, refuse_traces
from tlmed.inference.panel import Panel, open_panel
from tlmed.inference.scorer import load_model
from tlmed.regular_files import sha256
from tlmed.run_files import METRICS_JSON
from tlmed.run_files.shared_files import CLASSIFIER, MODEL, SHARED_JSON
from tlmed.rundir import find_run
from tlmed.targets import check_new_folder, make_mark, writing_out
from tlmed.voice import SILENT, Voice
from tlmed.whole_files import atomic_folder, write_json, write_text

CARD = "README.md"
_FILES = (CARD, MODEL, CLASSIFIER, SHARED_JSON.name, METRICS_JSON.name)


def check_hub_target(folder: Path, force: bool = False) -> None:
    """Refuse a folder that a shared network may not be written to.

    Raises:
        InputError: See `tlmed.targets.check_new_folder`.
    """
    ours = SHARED_JSON.name
    is_ours = (folder / ours).is_file() and make_mark("export") in (folder / ours).read_text("utf-8", "replace")
    check_new_folder(folder, lambda path: is_ours and path.name in _FILES, force)


def write_hub_folder(run: str | Path, folder: Path, force: bool = False, voice: Voice = SILENT) -> None:
    """Write a folder with a run's network, its model card, how images are prepared, and its scores.

    No path, file name, group, host or user is in any of its files: what could hold one is left out, and what is written
    is searched for those of the run.

    Args:
        run: A finished run, a cross-validation or an ensemble; of several networks one is made.
        folder: A new or empty folder, which is made if it is missing; whole or not at all.
        force: Write over an earlier one.
        voice: Where to say of which files nobody can tell whether they were changed.

    Raises:
        InputError: If the folder cannot be written, a file of the run cannot be read or was changed, several networks
            cannot be joined, or a name of the run would be in a file.
    """
    check_hub_target(folder, force)
    run = find_run(run, several=True)
    panel = open_panel(run)
    members = [member for member, weight in zip(panel.members, panel.weights, strict=True) if weight]
    contents = [read_card_facts(member.run) for member in members]
    # First, because it needs the least time and reads everything else that the folder needs.
    card = write_card(run, shared=True) + COMMENTS["card"].format(make_mark("export"))
    network = _read_network(panel, contents, voice)
    with writing_out(folder), atomic_folder(folder) as part:
        _write_network(part / MODEL, network)
        if contents[0].is_hybrid:
            shutil.copyfile(members[0].run / CLASSIFIER, part / CLASSIFIER)
        write_json(part / SHARED_JSON.name, describe_shared(panel, contents, sha256(part / MODEL)))
        write_json(part / METRICS_JSON.name, clean_metrics(METRICS_JSON.read(run)))
        write_text(part / CARD, card)
        names = [list_names(member.run.path, content) for member, content in zip(members, contents, strict=True)]
        refuse_traces({path.name: read_texts(path) for path in sorted(part.iterdir())}, set().union(*names))


def _read_network(panel: Panel, contents: Sequence[CardFacts], voice) -> keras.Model:
    if not (panel.is_single and contents[0].is_hybrid):
        return join_networks(panel.run.path, voice)
    for sentence in panel.check_intact():
        voice.warn(sentence)
    return load_model(panel.run)


def _write_network(path: Path, network: keras.Model) -> None:
    # Without the optimizer and the loss that it was trained with: they double the file and need their own classes.
    keras.Model(network.inputs, network.outputs, name=network.name).save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = make_mark("export").encode()
