"""Read safetensors files: a table of names and shapes in JSON, then plain numbers, so that nothing in them can run.

The format is that of https://github.com/huggingface/safetensors: the length of the table in 8 bytes, the table, and the
numbers of all tensors, one after the other.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.regular_files import open_regular

SUFFIX = ".safetensors"
_LONGEST_TABLE = 100_000_000  # bytes; the limit of the reference reader
_NOTES = "__metadata__"  # the one entry of the table that is no tensor
_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.dtype("?"),
    "BF16": np.dtype("<u2"),  # the upper half of a float32, which NumPy has no name for
}


class Damaged(ValueError):
    """A file is no safetensors file, or cut off; the message says why."""


@dataclass(frozen=True)
class Stored:
    """A tensor in a file, not read yet.

    Attributes:
        path: The file.
        kind: The type of its numbers, as the format calls it.
        shape: Its sides.
        start: Where its numbers begin, in bytes from the beginning of the file.
    """

    path: Path
    kind: str
    shape: tuple[int, ...]
    start: int

    def read(self) -> np.ndarray:
        """Return its numbers, floats as float32."""
        dtype = _DTYPES[self.kind]
        with open_regular(self.path) as file:
            file.seek(self.start)
            found = np.frombuffer(file.read(math.prod(self.shape) * dtype.itemsize), dtype).reshape(self.shape)
        if self.kind == "BF16":
            return (found.astype("uint32") << 16).view("float32")
        return found.astype("float32") if dtype.kind == "f" else found


def list_tensors(path: Path) -> dict[str, Stored]:
    """Return the tensors of a file by name; no number is read.

    Args:
        path: The file.

    Raises:
        Damaged: It is no safetensors file, or does not hold what its table says.
        OSError: It cannot be opened.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_TABLE):
            raise Damaged("it is no safetensors file, or is cut off in its table")
        try:
            table = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise Damaged("it is no safetensors file: its table is no JSON") from None
    if not isinstance(table, dict):
        raise Damaged("it is no safetensors file: its table is no JSON object")
    first = 8 + length
    return {name: _read_entry(path, name, entry, first, size) for name, entry in table.items() if name != _NOTES}


def _read_entry(path, name, entry, first, size) -> Stored:
    try:
        kind, shape = entry["dtype"], tuple(entry["shape"])
        start, end = entry["data_offsets"]
        sound = all(isinstance(number, int) and number >= 0 for number in (*shape, start, end))
        needed = math.prod(shape) * _DTYPES[kind].itemsize
    except (KeyError, TypeError, ValueError):
        raise Damaged(f"it states the tensor {name!r} in a form that is not known") from None
    if not sound or end - start != needed:
        raise Damaged(f"it states other lengths than those of the tensor {name!r}")
    if first + end > size:
        raise Damaged(f"it is cut off before the end of the tensor {name!r}")
    return Stored(path, kind, shape, first + start)
