"""LiteRT models whose numbers have 16 or 8 bits. With 8, what rounding would spoil stays in single precision."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tlmed.conversion.channel_equalizing import equalize
from tlmed.conversion.export_graph import Graph

# The error of rounding alone has a standard deviation of 1 / sqrt(12) = 0.29 steps. Where what a layer gives differs by
# this much more from what it should give, weights or sums are too coarse, too.
ROUGH = 0.45  # steps
_LOOKED_AT = 10  # images, on which errors are measured
_HEAD = "FULLY_CONNECTED"  # the last one gives the logits: with 256 steps, images would tie


def write_float16(graph: Graph, path: Path, images: np.ndarray) -> dict:
    """Write a LiteRT file with weights of 16 bits, which are computed with in single precision.

    Args:
        graph: What to write.
        path: Where.
        images: Not needed.

    Returns:
        What `model.json` says of it.
    """
    converter = _convert(graph)
    converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())
    return {}


def write_int8(graph: Graph, path: Path, images: np.ndarray) -> dict:
    """Write a LiteRT file with integers of 8 bits, for weights and for what layers give.

    The network is rewritten first (`equalize`). Ranges are measured on images. Then the error of each layer is measured
    on some of them (as in TensorFlow's guide to its quantization debugger), and those with an error of more than
    `ROUGH` steps stay in single precision, as does the head.

    Args:
        graph: What to write.
        path: Where.
        images: Training images of all classes, uint8 [n, height, width, 3].

    Returns:
        What `model.json` says of it.
    """
    converter = _convert(replace(graph, network=equalize(graph.network, images)))
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    spaced = images[:: -(-len(images) // _LOOKED_AT)]
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=lambda: ([image[None]] for image in spaced)
    )
    debugger.run()
    text = io.StringIO()
    debugger.layer_statistics_dump(text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    kept = list(find_rough(rows))
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
    path.write_bytes(debugger.get_nondebug_quantized_model())
    return {"calibrated_on": len(images), "layers": len(rows), "layers_in_float32": len(kept)}


def find_rough(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """Yield the layers that stay in single precision: the head, what comes after it, and those with large errors.

    Args:
        rows: What the debugger measured of each layer, in order.

    >>> row = {"op_name": "CONV_2D", "scale": "0.5"}
    >>> rows = [{**row, "tensor_name": "a", "mean_squared_error": "0.02"}]
    >>> rows += [{**row, "tensor_name": "b", "mean_squared_error": "0.09"}]
    >>> list(find_rough(rows))
    ['b']
    """
    heads = [number for number, row in enumerate(rows) if row["op_name"] == _HEAD]
    for number, row in enumerate(rows):
        error = float(row["mean_squared_error"]) ** 0.5 / float(row["scale"])
        if error > ROUGH or (heads and number >= heads[-1]):
            yield row["tensor_name"]


def _convert(graph: Graph) -> "tf.lite.TFLiteConverter":
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.trace(1)], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter
