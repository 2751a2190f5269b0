"""Run a network from its graph alone, in OpenVINO on the CPU. It needs no TensorFlow."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlmed import stopping

if TYPE_CHECKING:
    import openvino

# OpenVINO's frontend and CPU plugin raise RuntimeError for whatever they cannot do. The other errors come from an
# installation without its libraries, or from an old one.
OPENVINO_ERRORS = (RuntimeError, ValueError, TypeError, NotImplementedError, ImportError, AttributeError)
OPSET = 18  # of graphs in ONNX: the newest that tf2onnx writes
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class CannotConvert(Exception):
    """An engine cannot run a network; the message says why."""


def run_rows(run: Callable[[np.ndarray], list], images: np.ndarray, step: int) -> np.ndarray:
    """Return the outputs of a network, one row for each image; in a row, several outputs follow one another.

    Args:
        run: Images to outputs [n, ...].
        images: uint8 [n, height, width, 3].
        step: It takes a multiple of this number of images.

    Returns:
        float32 [n, values].
    """
    missing = -len(images) % step
    padded = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)]) if missing else images
    outputs = [np.asarray(output).reshape(len(padded), -1) for output in run(padded)]
    joined = np.concatenate(outputs, axis=1) if len(outputs) > 1 else outputs[0]
    return joined[: len(images)].astype("float32", copy=False)


@dataclass(frozen=True, eq=False)
class SharedRun:
    """A compiled graph, and a queue of calls to it.

    Attributes:
        queue: Of calls: each core computes one of its own.
        share: Images of a call.
        size: Height and width of an image.
        shapes: Of each output, for an image.
    """

    queue: "openvino.AsyncInferQueue"
    share: int
    size: tuple[int, int]
    shapes: tuple[tuple[int, ...], ...]

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Return the outputs, float32 [n, ...] each, of n images, uint8; n is a multiple of the share."""
        outputs = [np.empty((len(images), *shape), "float32") for shape in self.shapes]

        def keep(request, start):
            for number, output in enumerate(outputs):
                # Copied: requests are used again.
                output[start : start + self.share] = request.get_output_tensor(number).data

        self.queue.set_callback(keep)
        for start in range(0, len(images), self.share):
            self.queue.start_async(images[start : start + self.share], start)
        self.queue.wait_all()
        return outputs


def compile_graph(graph: "openvino.Model", precision: str = "float32") -> SharedRun:
    """Compile a graph that takes a fixed number of images, uint8 [share, height, width, 3], and run it once.

    Args:
        graph: Of OpenVINO.
        precision: Of the arithmetic, "float32" or "bfloat16".
    """
    openvino = import_openvino()
    settings = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "PERFORMANCE_HINT": "THROUGHPUT",  # each core computes a share of its own
    }
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    queue = openvino.AsyncInferQueue(compiled)
    share, *size, _ = taken = tuple(compiled.inputs[0].get_partial_shape().to_shape())
    # One run, because some faults show only when the network runs.
    compiled(np.zeros(taken, "uint8"))
    shapes = tuple(tuple(output.get_partial_shape().to_shape())[1:] for output in compiled.outputs)
    return SharedRun(queue, share, tuple(size), shapes)


def import_openvino():
    """Import OpenVINO, but not `openvino-telemetry`, by which it would report every conversion to a server.

    We hide `openvino_telemetry` from OpenVINO; it then works without it.
    """
    # None in `sys.modules` makes the import fail as if the package were missing.
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def raise_stop(error: BaseException) -> None:
    """Raise a request to stop that another library has turned into an error of its own, if there was one."""
    if stop := stopping.requested():
        raise stop from error
    seen = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        seen = seen.__cause__ or seen.__context__
