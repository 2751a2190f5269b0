"""A run as a model for other runtimes: ONNX, LiteRT, OpenVINO, TensorFlow or plain Keras, with all that it needs."""

import tlmed.tensorflow_start

from tlmed.conversion.exporting import Exported, describe_export, export_run
from tlmed.conversion.runtimes import FORMATS, Format

__all__ = ["FORMATS", "Exported", "Format", "describe_export", "export_run"]
