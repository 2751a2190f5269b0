"""Data: any source to a table of images, leak-free splits, and `tf.data` batches of uint8 pixels.

TensorFlow is loaded when batches are asked for, or a source that needs it; not for reading images.
"""

from tlmed.data.decode_and_resize import decode, resize
from tlmed.data.known_files import KnownPixels
from tlmed.data.orders import balanced_order, describe_sampling, epoch_order
from tlmed.data.pipeline import ImageSet, divide, load, read_files
from tlmed.data.readers import readable_endings
from tlmed.data.replica_shares import Share
from tlmed.data.sources import open_source
from tlmed.data.table import Table
from tlmed.data.units import join_units

EXTENSIONS = readable_endings()

__all__ = [
    "EXTENSIONS",
    "ImageSet",
    "KnownPixels",
    "Share",
    "Table",
    "balanced_order",
    "decode",
    "describe_sampling",
    "divide",
    "epoch_order",
    "join_units",
    "load",
    "open_source",
    "read_files",
    "resize",
]
