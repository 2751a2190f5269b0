"""Export a run as a model for another runtime: written, run on the test images, compared, and only then kept."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from tlmed.conversion.conversion_check import TOLERANCE, check_agreement, expect_scores, measure_difference, run_tested
from tlmed.conversion.export_folder import check_export_folder, write_companions, writing_folder
from tlmed.conversion.export_graph import Graph
from tlmed.conversion.model_facts import describe_model
from tlmed.conversion.runtimes import Format
from tlmed.conversion.tested_images import Tested, read_tested
from tlmed.ensembles import join_networks
from tlmed.errors import RunFailed, TlmedError
from tlmed.inference.panel import Panel, open_panel
from tlmed.rundir import find_run
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.voice import SILENT, Voice
from tlmed.words import count

# What converters raise for what they cannot do; each has errors of its own, many of them plain Exceptions.
_NAMES = {"saved-model": "a SavedModel", "onnx": "ONNX", "litert": "LiteRT", "openvino": "OpenVINO", "keras": "Keras"}


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        folder: Where it is.
        facts: What its `model.json` says.
    """

    folder: Path
    facts: dict


def export_run(
    run: str | Path,
    form: Format,
    folder: Path,
    force: bool = False,
    source: str | None = None,
    voice: Voice = SILENT,
) -> Exported:
    """Write a run's model in a format, with `model.json` and `read_images.py`, whole or not at all.

    After writing, the model is run by its own runtime on the run's test images, as `read_images.py` reads them, and
    compared with what the run wrote down.

    Args:
        run: The directory of a run, a cross-validation or an ensemble; complete. Several networks become one graph.
        form: The format, of `tlmed.conversion.runtimes.FORMATS`.
        folder: Where to write; new or empty.
        force: Write over an earlier export.
        source: Where the run's images lie now; None: where they were.
        voice: Where to say what is done.

    Raises:
        InputError: A package is missing, the run is unfinished, its networks cannot be one, or its images are gone.
        CheckFailed: The model answers otherwise than the run.
        RunFailed: The converter cannot do it.
    """
    found = find_run(run, several=True)
    form.check_installed()
    check_export_folder(folder, force)
    panel = open_panel(found)
    with voice.busy("Loading the network"):
        graph = open_graph(panel, voice)
    facts = describe_model(panel, form)
    with voice.busy("Reading test images"):
        tested = read_tested(panel, facts, source)
    with writing_folder(folder, force) as part:
        with voice.busy(f"Converting to {_NAMES[form.name]}"), converting(form):
            form.write(graph, part / form.file)
        with voice.busy("Trying the model on test images"):
            facts = facts | {"agreement": _try(form, part, graph, tested, panel, facts)}
        write_companions(part, facts)
    return Exported(folder, facts)


def open_graph(panel: Panel, voice: Voice = SILENT) -> Graph:
    """Return the networks of a run as one graph with their temperature.

    Raises:
        InputError: As `join_networks`.
    """
    decision, several = panel.decision, read_task(panel.metrics) == MULTI_LABEL
    temperature = [it.temperature for it in decision.labels] if several else decision.temperature
    return Graph(join_networks(panel.run.path, voice), temperature, several)


@contextlib.contextmanager
def converting(form: Format) -> Iterator[None]:
    """Turn what a converter raises into one clear line, and keep its warnings from the user.

    Raises:
        RunFailed: It cannot convert the network.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (TlmedError, OSError):
        raise
    except (
        ValueError,
        TypeError,
        RuntimeError,
        NotImplementedError,
        AttributeError,
        KeyError,
        tf.errors.OpError,
    ) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise RunFailed(
            f"The network must be made of operations that {_NAMES[form.name]} has; another format may have them. "
            f"Received: {said[0]}."
        ) from error


def _try(form, part, graph, tested: Tested, panel, facts) -> dict:
    """Return what `model.json` says of the comparison, if the model passes."""
    with converting(form):
        answers = run_tested(form.open(part / form.file), tested, facts, form)
    difference = measure_difference(answers, expect_scores(graph, tested, panel.decision))
    check_agreement(form, difference, tested)
    return {
        "images": len(tested.paths),
        "read_by_reader": tested.alone,
        "largest_difference": difference,
        "tolerance": TOLERANCE,
    }


def describe_export(exported: Exported) -> list[str]:
    """Return what a user should know of an export, a sentence each."""
    facts = exported.facts
    found, form = facts["agreement"], facts["format"]
    images = count(found["images"], "test image")
    lines = [f"{facts['file']}: run on {images}, it differs from the run by up to {found['largest_difference']:.1e}."]
    if others := found["images"] - found["read_by_reader"]:
        lines.append(
            f"`read_images.py` does not read {others:,} of them, which are in a form that it does not know: read such "
            "images with `tlmed predict`."
        )
    if facts["input"]["shape"][0] == 1:
        lines.append(f"{_NAMES[form]} takes one image at a time.")
    if not facts["calibration"]["in_graph"]:
        lines.append("Calibrated probabilities are not in the graph: `calibrate` in `read_images.py` computes them.")
    return lines
