"""Networks as graphs of OpenVINO or ONNX: which engine serves, and how a graph is run. It needs no TensorFlow."""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.errors import InputError
from tlmed.graph_runs import OPENVINO_ERRORS, CannotConvert, compile_graph, import_openvino, raise_stop, run_rows

AUTO, KERAS, OPENVINO, ONNX = "auto", "keras", "openvino", "onnxruntime"
ENGINES = (AUTO, KERAS, OPENVINO, ONNX)
MOST = 16  # images that pass through a network together
# What an engine needs, and the extra that brings it; the first that is there is chosen where nobody asks.
NEEDED = {OPENVINO: (("openvino",), "fast"), ONNX: (("onnxruntime", "onnx", "tf2onnx"), "export")}
ONNX_ERRORS = (
    *(RuntimeError, ValueError, TypeError, NotImplementedError, ImportError, AttributeError, LookupError),
    AssertionError,
)
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")  # of NVIDIA, AMD, and Windows for its Linux


@dataclass(frozen=True, eq=False)
class GraphEngine:
    """A graph, ready to run on any number of images.

    Attributes:
        name: Of the engine.
        run: Images, a multiple of `step` of them, to outputs.
        step: As `run_rows` takes it.
        size: Height and width of an image.
        widths: How many values each output has for an image.
    """

    name: str
    run: Callable[[np.ndarray], list[np.ndarray]]
    step: int
    size: tuple[int, int]
    widths: tuple[int, ...]

    @property
    def version(self) -> str:
        """Of the library."""
        return importlib.metadata.version(self.name)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the outputs, float32 [n, values], of uint8 [n, height, width, 3]."""
        return run_rows(self.run, images, self.step)


def load_graph(name: str, parts: tuple[bytes, ...]) -> GraphEngine:
    """Return a graph, ready to run.

    Args:
        name: Of the engine, `OPENVINO` or `ONNX`.
        parts: What OpenVINO writes as two files, the graph and its weights; or a model of ONNX.

    Raises:
        CannotConvert: The engine cannot run it.
    """
    try:
        return _load_openvino(*parts) if name == OPENVINO else _load_onnx(*parts)
    except (*OPENVINO_ERRORS, *ONNX_ERRORS) as error:
        raise_stop(error)
        raise CannotConvert(str(error).strip().split("\n")[-1] or type(error).__name__) from error


def _load_openvino(graph: bytes, weights: bytes) -> GraphEngine:
    run = compile_graph(import_openvino().Core().read_model(graph, weights))
    return GraphEngine(OPENVINO, run, run.share, run.size, tuple(int(np.prod(shape)) for shape in run.shapes))


def _load_onnx(model: bytes) -> GraphEngine:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    height, width = taken.shape[1:3]
    tried = session.run(None, {taken.name: np.zeros((2, height, width, 3), np.uint8)})
    widths = tuple(int(np.prod(output.shape[1:])) for output in tried)
    return GraphEngine(ONNX, lambda images: session.run(None, {taken.name: images}), 1, (height, width), widths)


def choose_engine(wanted: str) -> str:
    """Return the engine that serves: the one asked for, or on a processor OpenVINO or ONNX Runtime if installed.

    Args:
        wanted: Of `ENGINES`.

    Raises:
        InputError: It is not installed.
    """
    if wanted == AUTO:
        found = () if _has_gpu() else NEEDED
        return next((name for name in found if not _find_missing(name)), KERAS)
    if missing := _find_missing(wanted):
        raise InputError(
            f"`--engine {wanted}` needs an extra: pip install 'tlmed[{NEEDED[wanted][1]}]'. "
            f"Received: no {', '.join(missing)}."
        )
    return wanted


def _find_missing(name: str) -> list[str]:
    return [package for package in NEEDED.get(name, ((),))[0] if importlib.util.find_spec(package) is None]


def _has_gpu() -> bool:
    """Tell whether TensorFlow computes on a GPU; where no driver is, it need not be asked, which takes seconds."""
    if sys.platform == "linux" and not any(Path(driver).exists() for driver in _GPU_DRIVERS):
        return False
    from tlmed.environment.description import has_gpu

    return has_gpu()
