"""LiteRT models whose numbers have 16 or 8 bits. With 8, what rounding would spoil stays in single precision."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tlmed.conversion.absorbed_constants import absorb_constants
from tlmed.conversion.export_graph import Graph
from tlmed.conversion.litert_graph import drop_roundings, find_ends, list_operations, widen_constants

# The error of rounding alone has a standard deviation of 1 / sqrt(12) = 0.29 steps. Where what a layer gives differs by
# this much more from what it should give, weights or sums are too coarse, too.
ROUGH = 0.4  # steps
_LOOKED_AT = 10  # images, on which errors are measured


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

    The network is rewritten first (`absorb_constants`). Ranges are measured on images. Then the error of each layer is
    measured on some of them (as in TensorFlow's guide to its quantization debugger), and those with an error of more
    than `ROUGH` steps stay in single precision, as do the first one, the last one and all that is computed after it:
    the probabilities of classes then sum to 1, and decide by costs and between grades, as those of the run do.

    Args:
        graph: What to write.
        path: Where.
        images: Training images of all classes, uint8 [n, height, width, 3].

    Returns:
        What `model.json` says of it.
    """
    converter = _convert(replace(graph, network=absorb_constants(graph.network, images)))
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    spaced = images[:: -(-len(images) // _LOOKED_AT)]
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=lambda: ([image[None]] for image in spaced)
    )
    debugger.run()
    text = io.StringIO()
    debugger.layer_statistics_dump(text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    kept = list(find_rough(rows, find_ends(list_operations(debugger.calibrated_model))))
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
    path.write_bytes(widen_constants(drop_roundings(debugger.get_nondebug_quantized_model())))
    return {"calibrated_on": len(images), "layers": len(rows), "layers_in_float32": len(kept)}


def find_rough(rows: Sequence[dict[str, str]], ends: Collection[str]) -> Iterator[str]:
    """Yield the layers that stay in single precision: those at the ends, and those with large errors.

    The first layer is small, and colours that nearly cancel in it become large later; with 256 steps for the logits,
    which the last one gives, images would tie. To leave both is usual (Zhou et al., DoReFa-Net, 2016).

    Args:
        rows: What the debugger measured of each layer.
        ends: The layers at the ends.

    >>> errors = {"a": "0.02", "b": "0.02", "c": "0.09"}
    >>> rows = [{"tensor_name": name, "scale": "0.5", "mean_squared_error": error} for name, error in errors.items()]
    >>> list(find_rough(rows, ends=["b"]))
    ['b', 'c']
    """
    for row in rows:
        error = float(row["mean_squared_error"]) ** 0.5 / float(row["scale"])
        if error > ROUGH or row["tensor_name"] in ends:
            yield row["tensor_name"]


def _convert(graph: Graph) -> "tf.lite.TFLiteConverter":
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.trace(1)], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter
