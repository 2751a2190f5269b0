"""A run as a model for other runtimes: ONNX, LiteRT, OpenVINO, TensorFlow or plain Keras, with all that it needs."""

import tlmed.tensorflow_start

from tlmed.conversion.exporting import MOST_LOSS, Exported, Request, describe_export, export_run
from tlmed.conversion.runtimes import FORMATS, Format

__all__ = ["FORMATS", "MOST_LOSS", "Exported", "Format", "Request", "describe_export", "export_run"]
