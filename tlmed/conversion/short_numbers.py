"""LiteRT models whose numbers have 16 or 8 bits. With 8, what rounding would spoil stays in single precision."""

import csv
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tlmed.conversion.absorbed_constants import absorb_constants
from tlmed.conversion.export_graph import SCORES, Graph
from tlmed.conversion.format_runs import BATCH_SIZE, open_litert
from tlmed.conversion.litert_graph import drop_roundings, find_ends, list_operations, widen_constants

# The error of rounding alone has a standard deviation of 1 / sqrt(12) = 0.29 steps. Where what a layer gives differs by
# this much more from what it should give, weights or sums are too coarse, too.
ROUGH = 0.4  # steps
# Rounding such a layer makes the scores worse if their error grows by more than this.
WORSE = 1.05
_MEASURED_ON, _COMPARED_ON = 10, 40  # images: for the errors of layers, and for those of scores
_LEAST = 1e-6  # scores below are all alike: nothing is decided by them


def write_float16(graph: Graph, path: Path, images: np.ndarray) -> dict:
    """Write a LiteRT file with weights of 16 bits, which are computed with in single precision.

    The network is rewritten first (`absorb_constants`).

    Args:
        graph: What to write.
        path: Where.
        images: Training images, uint8 [n, height, width, 3].

    Returns:
        What `model.json` says of it.
    """
    converter = _convert(replace(graph, network=absorb_constants(graph.network, images)))
    converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())
    return {}


def write_int8(graph: Graph, path: Path, images: np.ndarray) -> dict:
    """Write a LiteRT file with integers of 8 bits, for weights and for what layers give.

    The network is rewritten first (`absorb_constants`). Ranges are measured on images. The first layer stays in single
    precision, as do the last one and all that is computed after it: the probabilities of classes then sum to 1, and
    decide by costs and between grades, as those of the run do. So do the layers that need it: of those whose error is
    more than `ROUGH` steps (as in TensorFlow's guide to its quantization debugger), the ones without which scores
    would be worse (`find_needed`).

    Args:
        graph: What to write.
        path: Where.
        images: Training images of all classes, uint8 [n, height, width, 3].

    Returns:
        What `model.json` says of it: operations are layers, and what stands between them, such as sums.
    """
    converter = _convert(replace(graph, network=absorb_constants(graph.network, images)))
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=lambda: ([image[None]] for image in _space(images, _MEASURED_ON))
    )
    debugger.run()
    text = io.StringIO()
    debugger.layer_statistics_dump(text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    ends = find_ends(list_operations(debugger.calibrated_model))
    compared = _space(images, _COMPARED_ON)
    logs = _take_logs(graph.network.predict(compared.astype("float32"), batch_size=BATCH_SIZE, verbose=0))

    def write(kept: Collection[str]) -> None:
        denied = [row["tensor_name"] for row in rows if row["tensor_name"] in ends.union(kept)]
        debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=denied)
        path.write_bytes(widen_constants(drop_roundings(debugger.get_nondebug_quantized_model())))

    def measure(kept: Collection[str]) -> float:
        write(kept)
        return float(np.sqrt(np.mean((_take_logs(open_litert(path)(compared)[SCORES]) - logs) ** 2)))

    needed = find_needed(find_rough(rows, ends), measure)
    write(needed)
    at_ends = sum(row["tensor_name"] in ends for row in rows)
    return {"calibrated_on": len(images), "operations": len(rows), "operations_in_float32": at_ends + len(needed)}


def find_rough(rows: Sequence[dict[str, str]], ends: Collection[str]) -> list[str]:
    """Return the layers with large errors, without those at the ends, which stay in single precision anyway.

    The first layer is small, and colours that nearly cancel in it become large later; with 256 steps for the logits,
    which the last one gives, images would tie. To leave both is usual (Zhou et al., DoReFa-Net, 2016).

    Args:
        rows: What the debugger measured of each layer.
        ends: The layers at the ends.

    >>> errors = {"a": "0.02", "b": "0.09", "c": "0.3"}
    >>> rows = [{"tensor_name": name, "scale": "0.5", "mean_squared_error": error} for name, error in errors.items()]
    >>> find_rough(rows, ends=["b"])
    ['c']
    """
    errors = {row["tensor_name"]: float(row["mean_squared_error"]) ** 0.5 / float(row["scale"]) for row in rows}
    return [name for name, error in errors.items() if error > ROUGH and name not in ends]


def find_needed(rough: Sequence[str], measure: Callable[[Collection[str]], float]) -> list[str]:
    """Return the layers without whose single precision scores would be further from what they should be.

    A large error of a layer may come from a few of its numbers, of which later ones make nothing. So layers are rounded
    all together; where that makes scores worse than all of them in single precision, each half of them; and so on.

    Args:
        rough: The layers.
        measure: Returns the error of scores if only some of them stay in single precision.

    >>> find_needed(["a", "b", "c", "d"], lambda kept: 0.1 if "c" in kept else 0.2)
    ['c']
    """
    most = WORSE * measure(rough) if rough else 0.0

    def release(kept: list[str], group: Sequence[str]) -> list[str]:
        rest = [name for name in kept if name not in group]
        if not group or measure(rest) <= most:
            return rest
        if len(group) == 1:
            return kept
        middle = len(group) // 2
        return release(release(kept, group[:middle]), group[middle:])

    return release(list(rough), rough)


def _space(images: np.ndarray, most: int) -> np.ndarray:
    """Return at most some images, evenly spaced."""
    return images[:: -(-len(images) // most)]


def _take_logs(scores: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(scores, _LEAST))


def _convert(graph: Graph) -> "tf.lite.TFLiteConverter":
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.trace(1)], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter
