"""LiteRT models whose numbers have 16 or 8 bits. With 8, what rounding would spoil stays in single precision."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tlmed.conversion.absorbed_constants import absorb_constants
from tlmed.conversion.export_graph import Graph

# The error of rounding alone has a standard deviation of 1 / sqrt(12) = 0.29 steps. Where what a layer gives differs by
# this much more from what it should give, weights or sums are too coarse, too.
ROUGH = 0.4  # steps
_LOOKED_AT = 10  # images, on which errors are measured
# The first layer is small, and colours that nearly cancel in it become large later; with 256 steps for the logits,
# which the last one gives, images would tie. To leave both is usual (Zhou et al., DoReFa-Net, 2016).
_STEM, _HEAD = "CONV_2D", "FULLY_CONNECTED"


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
    than `ROUGH` steps stay in single precision, as do the first and the last one.

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
    kept = list(find_rough(rows))
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
    path.write_bytes(debugger.get_nondebug_quantized_model())
    return {"calibrated_on": len(images), "layers": len(rows), "layers_in_float32": len(kept)}


def find_rough(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """Yield the layers that stay in single precision: all up to the stem, the head, and those with large errors.

    Args:
        rows: What the debugger measured of each layer, in order.

    >>> rows = [
    ...     {"tensor_name": name, "op_name": kind, "scale": "0.5", "mean_squared_error": error}
    ...     for name, kind, error in (("a", "MUL", "0"), ("b", "CONV_2D", "0.02"), ("c", "CONV_2D", "0.02"))
    ... ]
    >>> list(find_rough([*rows, {**rows[2], "tensor_name": "d", "mean_squared_error": "0.09"}]))
    ['a', 'b', 'd']
    """
    kinds = [row["op_name"] for row in rows]
    stem = kinds.index(_STEM) if _STEM in kinds else -1
    head = len(kinds) - 1 - kinds[::-1].index(_HEAD) if _HEAD in kinds else len(kinds)
    for number, row in enumerate(rows):
        error = float(row["mean_squared_error"]) ** 0.5 / float(row["scale"])
        if error > ROUGH or not stem < number < head:
            yield row["tensor_name"]


def _convert(graph: Graph) -> "tf.lite.TFLiteConverter":
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.trace(1)], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter
