"""Export a run as a model for another runtime: written, run on the test images, compared, and only then kept."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from tlmed.conversion.conversion_check import TOLERANCE, check_agreement, expect_scores, measure_difference, run_tested
from tlmed.conversion.export_folder import check_export_folder, write_companions, writing_folder
from tlmed.conversion.export_graph import SCORES, Graph
from tlmed.conversion.hybrid_graph import check_hybrid, is_hybrid
from tlmed.conversion.model_facts import describe_model
from tlmed.conversion.quantization_loss import check_loss, choose_images, describe_loss, measure_loss
from tlmed.conversion.runtimes import Format
from tlmed.conversion.tested_images import Tested, read_tested
from tlmed.ensembles import join_networks
from tlmed.errors import InputError, RunFailed, TlmedError
from tlmed.failures import writing
from tlmed.inference.panel import Panel, open_panel
from tlmed.inference.scorer import load_model
from tlmed.quiet import quiet_stderr
from tlmed.rundir import find_run
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.voice import SILENT, Voice
from tlmed.words import count

MOST_LOSS = 0.005  # of the AUC
# Raised by converters for what they cannot do; TensorFlow Lite's own error is an Exception that it does not export.
_CONVERTER_ERRORS = (
    *(ValueError, TypeError, RuntimeError, NotImplementedError, AttributeError, KeyError, IndexError),
    *(tf.errors.OpError, ConverterError),
)
_NAMES = {"saved-model": "a SavedModel", "onnx": "ONNX", "litert": "LiteRT", "openvino": "OpenVINO", "keras": "Keras"}


@dataclass(frozen=True)
class Request:
    """How a model is to be written.

    Attributes:
        form: The format, of `tlmed.conversion.runtimes.FORMATS`.
        quantize: "int8" or "float16": numbers of fewer bits; None: single precision.
        most: How much of the AUC these may cost on test images.
        source: Where the run's images lie now; None: where they were.
    """

    form: Format
    quantize: str | None = None
    most: float = MOST_LOSS
    source: str | None = None


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        folder: Where it is.
        facts: What its `model.json` says.
    """

    folder: Path
    facts: dict


def export_run(run: str | Path, request: Request, folder: Path, force: bool = False, voice: Voice = SILENT) -> Exported:
    """Write a run's model in a format, with `model.json` and `read_images.py`, whole or not at all.

    After writing, the model is run by its own runtime on the run's test images, as `read_images.py` reads them, and
    compared with what the run wrote down. With shorter numbers, the AUC is compared.

    Args:
        run: The directory of a run, a cross-validation or an ensemble; complete. Several networks become one graph.
        request: How it is written.
        folder: Where to write; new or empty.
        force: Write over an earlier export.
        voice: Where to say what is done.

    Raises:
        InputError: A package is missing, the run is unfinished, its networks cannot be one, or less than half of its
            test images are as they were.
        CheckFailed: The model answers otherwise than the run, or shorter numbers cost too much.
        RunFailed: The converter cannot do it.
    """
    form, found = request.form, find_run(run, several=True)
    form.check_possible(request.quantize)
    check_export_folder(folder, force)
    _check_kind(found, request)
    panel = open_panel(found)
    with voice.busy("Loading the network"):
        graph = open_graph(panel, voice)
    facts = describe_model(panel, form)
    with voice.busy("Reading test images"):
        tested = read_tested(panel, facts, request.source)
    for sentence in tested.notes:
        voice.warn(sentence)
    with writing(folder), writing_folder(folder, force) as part:
        with voice.busy(f"Converting to {_NAMES[form.name]}"), converting(form):
            if graph.temperature is None:
                form.write_hybrid(graph, part / form.file, found, panel.decision.temperature)
            elif request.quantize is None:
                form.write(graph, part / form.file)
            else:
                images = choose_images(panel, request.source)
                facts["quantized"] = {"to": request.quantize}
                facts["quantized"] |= form.shorter[request.quantize](graph, part / form.file, images)
        with voice.busy("Trying the model on test images"):
            facts |= _try(request, part, graph, tested, panel, facts)
        write_companions(part, facts)
    return Exported(folder, facts)


def _check_kind(run, request) -> None:
    """Refuse a hybrid where only networks can be written."""
    if not is_hybrid(run):
        return
    check_hybrid(run)
    if request.form.write_hybrid is None or request.quantize is not None:
        raise InputError(
            "A hybrid, whose last part is a classifier of scikit-learn, must go to --format onnx, without --quantize. "
            f"Received: {run.path} with --format {request.form.name}."
        )


def open_graph(panel: Panel, voice: Voice = SILENT) -> Graph:
    """Return the networks of a run as one graph with their temperature; of a hybrid its network, without one.

    Raises:
        InputError: As `join_networks`.
    """
    if is_hybrid(panel.run):
        for sentence in panel.check_intact():
            voice.warn(sentence)
        return Graph(load_model(panel.run), None)
    decision, several = panel.decision, read_task(panel.metrics) == MULTI_LABEL
    temperature = [it.temperature for it in decision.labels] if several else decision.temperature
    return Graph(join_networks(panel.run.path, voice), temperature, several)


@contextlib.contextmanager
def converting(form: Format) -> Iterator[None]:
    """Turn what a converter raises into one clear line, and keep its warnings and logs from the user.

    Raises:
        RunFailed: It cannot convert the network.
    """
    failed = None
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (TlmedError, OSError):
            raise
        except _CONVERTER_ERRORS as error:
            failed = error
    if failed is not None:
        said = str(failed).strip().splitlines() or [type(failed).__name__]
        raise RunFailed(
            f"The network must be made of operations that {_NAMES[form.name]} has; another format may have them. "
            f"Received: {said[0]}."
        ) from failed


def _try(request, part, graph, tested: Tested, panel, facts) -> dict:
    """Return what `model.json` says of the comparison, if the model passes."""
    form = request.form
    with converting(form):
        answers = run_tested(form.open(part / form.file), tested, facts, form)
    expected = expect_scores(graph, tested, panel.decision)
    difference = measure_difference(answers, expected)
    found = {"images": len(tested.paths), "left_out": tested.left_out, "read_by_reader": tested.alone}
    found["largest_difference"] = difference
    if request.quantize is None:
        check_agreement(form, difference, tested)
        return {"agreement": {**found, "tolerance": TOLERANCE}}
    loss = measure_loss(panel, tested, expected[SCORES], answers[SCORES])
    check_loss(loss, request.most, request.quantize)
    return {"agreement": found, "auc_loss": {**loss, "most": request.most}}


def describe_export(exported: Exported) -> list[str]:
    """Return what a user should know of an export, a sentence each."""
    facts = exported.facts
    found, form = facts["agreement"], facts["format"]
    images = count(found["images"], "test image")
    lines = [f"{facts['file']}: run on {images}, it differs from the run by up to {found['largest_difference']:.1e}."]
    if "auc_loss" in facts:
        lines += describe_loss(facts["auc_loss"], facts["auc_loss"]["most"])
    if others := found["images"] - found["read_by_reader"]:
        lines.append(
            f"`read_images.py` does not read {others:,} of them, which are in a form that it does not know: read such "
            "images with `tlmed predict`."
        )
    if facts["input"]["shape"][0] == 1:
        lines.append(f"{_NAMES[form]} takes one image at a time.")
    if settings := facts.get("runtime_settings"):
        told = ", ".join(f"{name}={value}" for name, value in settings.items())
        lines.append(f"Tell {_NAMES[form]} {told}: else some processors compute in shorter numbers, and scores move.")
    if not facts["calibration"]["in_graph"]:
        lines.append("Calibrated probabilities are not in the graph: `calibrate` in `read_images.py` computes them.")
    return lines
