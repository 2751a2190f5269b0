"""The formats that a run's model can be given in, and who writes each."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tlmed.conversion.absorbed_constants import absorb_constants
from tlmed.conversion.export_graph import IMAGES, Graph
from tlmed.conversion.format_runs import (
    OPENVINO_SETTINGS,
    Run,
    open_keras,
    open_litert,
    open_onnx,
    open_openvino,
    open_saved_model,
)
from tlmed.conversion.hybrid_graph import join_classifier
from tlmed.conversion.litert_graph import widen_constants
from tlmed.conversion.short_numbers import write_float16, write_int8
from tlmed.errors import InputError
from tlmed.graph_runs import OPSET, import_openvino
from tlmed.rundir import RunDir
from tlmed.words import join_names

EXTRA = "export"
INT8, FLOAT16 = QUANTIZED = ("int8", "float16")


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: What `--format` calls it.
        file: The name of what is written: a file, or a folder.
        packages: What writes it and runs it, by the names of modules, besides TensorFlow.
        write: Writes a graph to a path.
        open: Returns what runs a file over images, uint8 [n, height, width, 3]; it gives the outputs by name.
        dtype: Of the images that it takes.
        batch: How many images a call takes; None: any number.
        calibrates: Whether calibrated probabilities come out of it; if not, `read_images.py` computes them.
        shorter: How its numbers may be shorter, of `QUANTIZED`: what writes such a graph to a path, given some training
            images, and returns what `model.json` says of it.
        write_hybrid: Writes a graph of features with the classifier of a run, whose scores have a temperature; None: it
            has no such classifiers.
        settings: What its runtime must be told to compute as the run does.
    """

    name: str
    file: str
    packages: tuple[str, ...]
    write: Callable[[Graph, Path], None]
    open: Callable[[Path], Run]
    dtype: str = "uint8"
    batch: int | None = None
    calibrates: bool = True
    shorter: Mapping[str, Callable[[Graph, Path, np.ndarray], dict]] = field(default_factory=dict)
    write_hybrid: Callable[[Graph, Path, RunDir, float], None] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def check_possible(self, quantize: str | None = None) -> None:
        """Refuse a format whose packages are missing, or that has no such numbers.

        Args:
            quantize: One of `QUANTIZED`, or None.

        Raises:
            InputError: With their names.
        """
        if quantize is not None and quantize not in self.shorter:
            able = [form.name for form in FORMATS.values() if quantize in form.shorter]
            raise InputError(
                f"`--quantize {quantize}` goes with --format {' or '.join(able)}. Received: --format {self.name}."
            )
        missing = [name for name in self.packages if importlib.util.find_spec(name.partition(".")[0]) is None]
        if missing:
            raise InputError(
                f"`--format {self.name}` needs an extra: pip install 'tlmed[{EXTRA}]'. "
                f"Received: an installation without {join_names(missing)}."
            )


def _write_saved_model(graph: Graph, path: Path) -> None:
    module = tf.Module()
    module.network = graph.network
    spec = tf.TensorSpec((None, *graph.size, 3), tf.uint8, name=IMAGES)
    module.serve = tf.function(graph.run, input_signature=[spec])
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})


def _write_onnx(graph: Graph, path: Path) -> None:
    _save_onnx(_make_onnx(graph), path)


def _write_onnx_hybrid(graph: Graph, path: Path, run: RunDir, temperature: float) -> None:
    _save_onnx(join_classifier(_make_onnx(graph), run, temperature, OPSET), path)


def _save_onnx(model, path: Path) -> None:
    import onnx

    onnx.checker.check_model(model)
    onnx.save(model, path)


def _make_onnx(graph: Graph):
    import tf2onnx
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    patch_tf2onnx()  # as `keras.Model.export` does: tf2onnx 1.17 does not know NumPy 2
    spec = tf.TensorSpec((None, *graph.size, 3), tf.uint8, name=IMAGES)
    model, _ = tf2onnx.convert.from_function(tf.function(graph.run), input_signature=[spec], opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def _write_litert(graph: Graph, path: Path) -> None:
    made = tf.lite.TFLiteConverter.from_concrete_functions([graph.trace(1)], tf.Module()).convert()
    path.write_bytes(widen_constants(made))


def _write_openvino(graph: Graph, path: Path, is_short: bool = False) -> None:
    openvino = import_openvino()
    model = openvino.convert_model(graph.trace(None))
    openvino.save_model(model, path, compress_to_fp16=is_short)


def _write_openvino_float16(graph: Graph, path: Path, images: np.ndarray) -> dict:
    _write_openvino(replace(graph, network=absorb_constants(graph.network, images)), path, is_short=True)
    return {}


def _write_keras(graph: Graph, path: Path) -> None:
    graph.network.save(path)


FORMATS = {
    form.name: form
    for form in (
        Format("saved-model", "saved_model", (), _write_saved_model, open_saved_model),
        Format(
            *("onnx", "model.onnx", ("tf2onnx", "onnx", "onnxruntime", "skl2onnx"), _write_onnx, open_onnx),
            write_hybrid=_write_onnx_hybrid,
        ),
        Format(
            *("litert", "model.tflite", ("ai_edge_litert",), _write_litert, open_litert),
            batch=1,
            shorter={INT8: write_int8, FLOAT16: write_float16},
        ),
        Format(
            *("openvino", "model.xml", ("openvino",), _write_openvino, open_openvino),
            shorter={FLOAT16: _write_openvino_float16},
            settings=OPENVINO_SETTINGS,
        ),
        Format("keras", "model.keras", (), _write_keras, open_keras, dtype="float32", calibrates=False),
    )
}
