"""Run a network on images as they arrive: by an engine that takes any number of them, compiled once."""

import tlmed.tensorflow_start

import importlib.metadata
import importlib.util
import warnings

import keras
import numpy as np
import tensorflow as tf

from tlmed.errors import InputError
from tlmed.features.engines import CannotConvert, Engine, OpenVino, TensorFlow

AUTO, KERAS, OPENVINO, ONNX = "auto", "keras", "openvino", "onnxruntime"
ENGINES = (AUTO, KERAS, OPENVINO, ONNX)
MOST = 16  # images that pass through a network together
# What an engine needs, and the extra that brings it; the first that is there is chosen where nobody asks.
_NEEDED = {OPENVINO: (("openvino",), "fast"), ONNX: (("onnxruntime", "onnx", "tf2onnx"), "export")}
_OPSET = 18  # the newest that tf2onnx writes
_ONNX_ERRORS = (RuntimeError, ValueError, TypeError, NotImplementedError, ImportError, AttributeError)


class AnyNumber(TensorFlow):
    """Run the network as Keras does, for any number of images: one graph, traced once.

    Filling up to a fixed number would cost one image the time of all.
    """

    def __init__(self, network: keras.Model, batch_size: int):
        super().__init__(network, batch_size)
        self.step = 1

    def _compile(self):
        run = self._trace(None)
        return lambda images: [output.numpy() for output in run(tf.constant(images))]


class OnnxRuntime(Engine):
    """Run the network in ONNX Runtime on the CPU, for any number of images."""

    name = ONNX

    def __init__(self, network: keras.Model, batch_size: int):
        super().__init__(network, batch_size)
        self.step, self.version = 1, importlib.metadata.version("onnxruntime")

    def _compile(self):
        try:
            import onnxruntime
            import tf2onnx
            from keras.src.export.tf2onnx_lib import patch_tf2onnx

            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # it asks NumPy whether it has what it once had
                patch_tf2onnx()  # as `keras.Model.export` does: tf2onnx 1.17 does not know NumPy 2
            network, dtype = self.prefix, self.prefix.inputs[0].dtype
            run = tf.function(lambda images: tf.nest.flatten(network(tf.cast(images, dtype), training=False)))
            spec = tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name="images")
            model, _ = tf2onnx.convert.from_function(run, input_signature=[spec], opset=_OPSET)
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            tried = session.run(None, {"images": np.zeros((2, *network.input_shape[1:]), np.uint8)})
        except _ONNX_ERRORS as error:
            raise CannotConvert(str(error).strip().split("\n")[-1] or type(error).__name__) from error
        shapes = [tuple(output.shape[1:]) for output in keras.tree.flatten(network.outputs)]
        if [output.shape[1:] for output in tried] != shapes:  # another order of outputs would mix features up
            raise CannotConvert(f"outputs {[output.shape[1:] for output in tried]} instead of {shapes}")
        return lambda images: session.run(None, {"images": images})


_ENGINES = {KERAS: AnyNumber, OPENVINO: OpenVino, ONNX: OnnxRuntime}


def choose_engine(wanted: str) -> str:
    """Return the engine that serves: the one asked for, or on a processor OpenVINO or ONNX Runtime if installed.

    Args:
        wanted: Of `ENGINES`.

    Raises:
        InputError: It is not installed.
    """
    if wanted == AUTO:
        found = () if tf.config.list_physical_devices("GPU") else _NEEDED
        return next((name for name in found if not _find_missing(name)), KERAS)
    if missing := _find_missing(wanted):
        raise InputError(
            f"`--engine {wanted}` needs an extra: pip install 'tlmed[{_NEEDED[wanted][1]}]'. "
            f"Received: no {', '.join(missing)}."
        )
    return wanted


def _find_missing(name: str) -> list[str]:
    return [package for package in _NEEDED.get(name, ((),))[0] if importlib.util.find_spec(package) is None]


def compile_network(network: keras.Model, wanted: str) -> Engine:
    """Return a network, ready to run on uint8 [n, height, width, 3], n no more than `MOST`.

    Args:
        network: On raw images.
        wanted: Of `ENGINES`. "auto" falls back to Keras where the engine cannot run the network; `name` of what is
            returned says which it is.

    Raises:
        InputError: The engine was asked for by name, and is not installed or cannot run the network.
    """
    name = choose_engine(wanted)
    try:
        engine = _ENGINES[name](network, MOST)
        engine.prepare()
        return engine
    except CannotConvert as error:
        if wanted != AUTO:
            raise InputError(
                f"`--engine {wanted}` must be able to run the network; `--engine keras` runs any. Received: {error}."
            ) from error
    engine = AnyNumber(network, MOST)
    engine.prepare()
    return engine
