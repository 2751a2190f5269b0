"""Engines that run a frozen network over images: TensorFlow, or OpenVINO, which is faster on a CPU."""

import abc
import importlib.metadata
import importlib.util
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tlmed.errors import InputError
from tlmed.graph_runs import OPENVINO_ERRORS, CannotConvert, compile_graph, import_openvino, raise_stop, run_rows

SHARE_PIXELS = 224 * 224  # pixels, of one image or several, that one core computes at a time


class Engine(abc.ABC):
    """Run a network over batches of images of one size. Batches are always full, so rows do not depend on others.

    An engine whose rows do not depend on how many there are may take fewer images: a multiple of its step.

    Args:
        prefix: A functional network on raw images; its weights are read when the engine is first called.
        batch_size: Images per call.

    Attributes:
        name: Of the engine.
        version: Of the library.
        precision: Of the arithmetic, "float32" or "bfloat16".
        share: Images that are computed together; divides the batch size.
        step: A call is filled up to a multiple of this number of images.
        calls: How many batches were computed.
    """

    name = ""
    version = ""
    precision = "float32"

    def __init__(self, prefix: keras.Model, batch_size: int):
        self.prefix, self.batch_size, self.share, self.step, self.calls = prefix, batch_size, batch_size, batch_size, 0
        self._run: Callable[[np.ndarray], list[np.ndarray]] | None = None

    def prepare(self) -> None:
        """Convert or compile the network, which takes seconds; the first call does it otherwise.

        Raises:
            CannotConvert: If the engine cannot run it.
        """
        if self._run is None:
            self._run = self._compile()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the features of some images, one row each; in a row, several outputs follow one another.

        Args:
            images: uint8 [b, height, width, 3], b no more than the batch size.

        Returns:
            float32 [b, values].
        """
        self.prepare()
        self.calls += 1
        return run_rows(self._run, images, self.step)

    @abc.abstractmethod
    def _compile(self) -> Callable[[np.ndarray], list[np.ndarray]]:
        """Return what runs a full batch of images, uint8, and gives the network's outputs, one array each."""

    def _trace(self, images: int | None):
        """Return the network as a TensorFlow function of so many images, None for any, uint8; it gives a flat list."""
        prefix, dtype = self.prefix, self.prefix.inputs[0].dtype
        spec = tf.TensorSpec((images, *prefix.input_shape[1:]), tf.uint8)
        run = tf.function(
            lambda images: tf.nest.flatten(prefix(tf.cast(images, dtype), training=False)), input_signature=[spec]
        )
        return run.get_concrete_function()


class TensorFlow(Engine):
    """Run the network as Keras does."""

    name, version = "tensorflow", tf.__version__

    def _compile(self):
        run = self._trace(self.batch_size)
        return lambda images: [output.numpy() for output in run(tf.constant(images))]


class OpenVino(Engine):
    """Run the network in OpenVINO on the CPU.

    A batch is computed in shares, each by one core: activations of few images stay in its cache. On two cores
    MobileNetV2 at 224 px ran 1.8 times as fast one by one as in batches of 32, bit for bit the same; for VGG16 and
    ResNet50 it made no difference.

    Args:
        prefix: As for `Engine`.
        batch_size: As for `Engine`.
        precision: "float32", or "bfloat16", which is fast on processors with AMX.
    """

    name = "openvino"

    def __init__(self, prefix: keras.Model, batch_size: int, precision: str = "float32"):
        super().__init__(prefix, batch_size)
        self.precision = precision
        room = max(1, SHARE_PIXELS // math.prod(prefix.input_shape[1:3]))
        self.share = max(size for size in range(1, min(room, batch_size) + 1) if batch_size % size == 0)
        self.step = self.share
        try:
            self.version = importlib.metadata.version("openvino")
        except importlib.metadata.PackageNotFoundError as error:
            raise CannotConvert("it is installed without its version") from error

    @staticmethod
    def load() -> None:
        """Import the library, which takes a while; `prepare` reports what is wrong with it."""
        try:
            import_openvino()
        except OPENVINO_ERRORS as error:
            raise_stop(error)

    def _compile(self):
        graph = self.convert()
        try:
            run = compile_graph(graph, self.precision)
        except OPENVINO_ERRORS as error:
            raise _refuse(error) from error
        shapes = tuple(tuple(output.shape[1:]) for output in keras.tree.flatten(self.prefix.outputs))
        # Rows are written into arrays of these shapes: another order of outputs would mix features up.
        if run.shapes != shapes:
            raise CannotConvert(f"outputs {list(run.shapes)} instead of {list(shapes)}")
        return run

    def convert(self):
        """Return the network as a graph of OpenVINO that takes a share of images.

        Raises:
            CannotConvert: OpenVINO cannot do it.
        """
        try:
            return import_openvino().convert_model(self._trace_fixed(self.share))
        except OPENVINO_ERRORS as error:
            raise _refuse(error) from error

    def _trace_fixed(self, images: int):
        """Return the same function with the present weights as constants, which convert faster than variables."""
        values = [(weight, tf.constant(weight.numpy())) for weight in self.prefix.variables]
        with keras.StatelessScope(state_mapping=values):
            return self._trace(images)


def _refuse(error: Exception) -> CannotConvert:
    raise_stop(error)
    return CannotConvert(str(error).strip().split("\n")[-1] or type(error).__name__)


def choose_engine(wanted: str, precision: str) -> str:
    """Return the engine that a recipe gets here, by fixed facts only, so that the choice is the same every day.

    Args:
        wanted: "auto", or an engine's name. "auto" is TensorFlow in float32, so that features kept in the cache are
            those computed without it: training amplifies the last digits. For bfloat16 it is OpenVINO, on a CPU.
        precision: "float32" or "bfloat16"; the latter is OpenVINO's.

    Raises:
        InputError: If the engine is not installed, or knows no such precision.
    """
    installed = importlib.util.find_spec("openvino") is not None
    if wanted == "openvino" and not installed:
        raise InputError("`engine` must be installed: `pip install openvino` brings it. Received: engine='openvino'.")
    fast = installed and precision != "float32" and not tf.config.list_physical_devices("GPU")
    chosen = ("openvino" if fast else "tensorflow") if wanted == "auto" else wanted
    if chosen == "tensorflow" and precision != "float32":
        raise InputError(
            "`engine_precision` must be 'float32' for TensorFlow; bfloat16 needs OpenVINO (`pip install openvino`). "
            f"Received: engine_precision={precision!r} with engine={wanted!r}."
        )
    return chosen


def make_engine(name: str, prefix: keras.Model, batch_size: int, precision: str = "float32") -> Engine:
    """Return an engine for a network.

    Args:
        name: "tensorflow" or "openvino", from `choose_engine`.
        prefix: A functional network on raw images.
        batch_size: Images per call.
        precision: Of OpenVINO's arithmetic, "float32" or "bfloat16".

    Raises:
        CannotConvert: If OpenVINO is installed without its version.
    """
    return TensorFlow(prefix, batch_size) if name == "tensorflow" else OpenVino(prefix, batch_size, precision)
