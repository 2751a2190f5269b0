"""What runs a model in each format over images: its own runtime."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tlmed.conversion.export_graph import IMAGES, SCORES
from tlmed.graph_runs import import_openvino

BATCH_SIZE = 32
# A file cannot ask for it, and processors that can compute in bfloat16 do so by default.
OPENVINO_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}
Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # images, uint8 [n, height, width, 3], to outputs by name


def _in_batches(run: Callable[[np.ndarray], Mapping[str, np.ndarray]], size: int = BATCH_SIZE) -> Run:
    """Return a function that runs images in batches of some size, the last one as it is."""

    def run_all(images: np.ndarray) -> dict[str, np.ndarray]:
        parts = [run(images[start : start + size]) for start in range(0, len(images), size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return run_all


def open_saved_model(path: Path) -> Run:
    """Return what runs a SavedModel, in TensorFlow."""
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    return _in_batches(lambda images: {n: out.numpy() for n, out in serve(**{IMAGES: tf.constant(images)}).items()})


def open_onnx(path: Path) -> Run:
    """Return what runs an ONNX file, in ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return _in_batches(lambda images: dict(zip(names, session.run(names, {IMAGES: images}), strict=True)))


def open_litert(path: Path, threads: int | None = None) -> Run:
    """Return what runs a LiteRT file, one image after another.

    Args:
        path: The file.
        threads: How many compute; None: one for each core that this process may use.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads or len(os.sched_getaffinity(0)))
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    return _in_batches(lambda images: {name: out.copy() for name, out in runner(**{IMAGES: images}).items()}, 1)


def open_openvino(path: Path) -> Run:
    """Return what runs a file of OpenVINO."""
    openvino = import_openvino()
    model = openvino.Core().compile_model(path, "CPU", OPENVINO_SETTINGS)
    names = [output.get_any_name() for output in model.outputs]
    return _in_batches(lambda images: dict(zip(names, model(images).values(), strict=True)))


def open_keras(path: Path) -> Run:
    """Return what runs a Keras file, which can run no code of its own."""
    network = keras.saving.load_model(path, safe_mode=True, compile=False)
    return _in_batches(lambda images: {SCORES: np.asarray(network(images.astype("float32"), training=False))})
