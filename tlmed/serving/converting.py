"""Networks of Keras as graphs of another engine, or run by Keras itself: what of serving needs TensorFlow."""

import tlmed.tensorflow_start

import contextlib
import json
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import keras
import numpy as np
import tensorflow as tf

from tlmed.backbones.graphs import find_unknown_code
from tlmed.errors import TlmedError
from tlmed.features.engines import OpenVino, TensorFlow
from tlmed.graph_runs import OPENVINO_ERRORS, OPSET, CannotConvert, import_openvino
from tlmed.inference.scorer import computing, load_scorer
from tlmed.rundir import RunDir
from tlmed.serving.graph_engines import MOST, ONNX_ERRORS, OPENVINO


class AnyNumber(TensorFlow):
    """Run the network as Keras does, for any number of images: one graph, traced once.

    Filling up to a fixed number would cost one image the time of all.
    """

    def __init__(self, network: keras.Model, batch_size: int):
        super().__init__(network, batch_size)
        self.step = 1

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Do what `Engine` does, with one clear line where it fails."""
        with computing():
            return super().__call__(images)

    def _compile(self):
        run = self._trace(None)
        return lambda images: [output.numpy() for output in run(tf.constant(images))]


def run_in_keras(network: keras.Model) -> AnyNumber:
    """Return a network, ready to run on uint8 [n, height, width, 3], n no more than `MOST`."""
    engine = AnyNumber(network, MOST)
    engine.prepare()
    return engine


def main() -> None:
    """Do `convert_runs` for the arguments, the engine and directories; what is printed goes to standard error."""
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine, *runs = sys.argv[1:]
    with contextlib.suppress(BrokenPipeError):  # nobody waits any more
        convert_runs(engine, runs, stream)


def convert_runs(engine: str, runs: Sequence[str], stream: BinaryIO) -> None:
    """Convert the networks of runs, one after another, and write what `tlmed.serving.conversions` reads.

    Args:
        engine: As for `convert_network`.
        runs: Their directories.
        stream: Where to write.
    """
    for run in runs:
        words, parts = _answer(RunDir(Path(run)), engine)
        stream.write(json.dumps(words).encode() + b"\n" + b"".join(parts))
        stream.flush()


def _answer(run, engine) -> tuple[dict, tuple[bytes, ...]]:
    """Return what is said of a network, and the parts of its graph; a fault of it is said, too."""
    try:
        scorer = load_scorer(run, compiled=False)
        parts = convert_network(scorer.joint, engine)
    except CannotConvert as error:
        return {"cannot": str(error)}, ()
    except TlmedError as error:
        return {"faults": error.faults, "exit_status": error.exit_status}, ()
    # Code of a user's own decides what is computed, and no digest of the file shows it.
    keeps = find_unknown_code(scorer.features) is None
    widths = [math.prod(output.shape[1:]) for output in keras.tree.flatten(scorer.joint.outputs)]
    return {"sizes": list(map(len, parts)), "widths": widths, "keeps": keeps}, parts


def convert_network(network: keras.Model, engine: str) -> tuple[bytes, ...]:
    """Return a network as a graph, in the parts that `tlmed.serving.graph_engines.load_graph` takes.

    Args:
        network: On raw images.
        engine: Which will run it, `OPENVINO` or `ONNX`.

    Raises:
        CannotConvert: It cannot be converted.
    """
    return _convert_openvino(network) if engine == OPENVINO else _convert_onnx(network)


def _convert_openvino(network) -> tuple[bytes, ...]:
    graph = OpenVino(network, MOST).convert()
    try:
        with tempfile.TemporaryDirectory() as folder:  # OpenVINO writes to files alone
            files = Path(folder, "graph.xml"), Path(folder, "graph.bin")
            import_openvino().serialize(graph, *files)
            return tuple(file.read_bytes() for file in files)
    except (OSError, *OPENVINO_ERRORS) as error:
        raise CannotConvert(f"no temporary files: {error}") from error


def _convert_onnx(network) -> tuple[bytes, ...]:
    try:
        return _write_onnx(network, "FALSE")  # "TRUE": it copies the graph before each step, for half a second
    except ONNX_ERRORS:  # then a step that fails is left out
        try:
            return _write_onnx(network, "TRUE")
        except ONNX_ERRORS as error:
            raise CannotConvert(str(error).strip().split("\n")[-1] or type(error).__name__) from error


def _write_onnx(network, copies: str) -> tuple[bytes, ...]:
    import tf2onnx
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    os.environ["TF2ONNX_CATCH_ERRORS"] = copies
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it asks NumPy whether it has what it once had
        patch_tf2onnx()  # as `keras.Model.export` does: tf2onnx 1.17 does not know NumPy 2
    values, dtype = [(weight, weight.numpy()) for weight in network.variables], network.inputs[0].dtype

    def run(images: tf.Tensor) -> list[tf.Tensor]:
        # Weights as constants of the graph: tf2onnx takes a second to make them of variables.
        with keras.StatelessScope(state_mapping=[(weight, tf.constant(value)) for weight, value in values]):
            return tf.nest.flatten(network(tf.cast(images, dtype), training=False))

    spec = tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name="images")
    traced = tf.function(run, autograph=False).get_concrete_function(spec)
    names = [traced.inputs[0].name], [output.name for output in traced.outputs]
    model, _ = tf2onnx.convert.from_graph_def(traced.graph.as_graph_def(), None, *names, opset=OPSET)
    return (model.SerializeToString(),)
