"""Run a network on images as they arrive: by an engine that takes any number of them, compiled once."""

import tlmed.tensorflow_start

import importlib.util

import keras
import tensorflow as tf

from tlmed.errors import InputError
from tlmed.features.engines import CannotConvert, Engine, OpenVino, TensorFlow

AUTO, KERAS, OPENVINO = "auto", "keras", "openvino"
ENGINES = (AUTO, KERAS, OPENVINO)
MOST = 16  # images that pass through a network together


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


def choose_engine(wanted: str) -> str:
    """Return the engine that serves: OpenVINO where it is installed and there is no GPU, unless one is asked for.

    Args:
        wanted: Of `ENGINES`.

    Raises:
        InputError: It is not installed.
    """
    installed = importlib.util.find_spec("openvino") is not None
    if wanted == OPENVINO and not installed:
        raise InputError(
            "`--engine openvino` needs a package that is not installed: `pip install 'tlmed[fast]'`. "
            "Received: --engine openvino."
        )
    if wanted != AUTO:
        return wanted
    return OPENVINO if installed and not tf.config.list_physical_devices("GPU") else KERAS


def compile_network(network: keras.Model, wanted: str) -> Engine:
    """Return a network, ready to run on uint8 [n, height, width, 3], n no more than `MOST`.

    Args:
        network: On raw images.
        wanted: Of `ENGINES`. "auto" falls back to Keras where OpenVINO cannot run the network; the engine says which
            it is by its `name`.

    Raises:
        InputError: OpenVINO was asked for by name, and is not installed or cannot run the network.
    """
    if choose_engine(wanted) == OPENVINO:
        try:
            engine = OpenVino(network, MOST)
            engine.prepare()
            return engine
        except CannotConvert as error:
            if wanted == OPENVINO:
                raise InputError(
                    "`--engine openvino` must be able to run the network; `--engine keras` runs any. "
                    f"Received: {error}."
                ) from error
    engine = AnyNumber(network, MOST)
    engine.prepare()
    return engine
