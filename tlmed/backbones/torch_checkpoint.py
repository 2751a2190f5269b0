"""Read the tensors of an old PyTorch checkpoint without PyTorch, and without running anything in it.

The format is that of `torch.save` before version 1.6 (still written with
`_use_new_zipfile_serialization=False`): pickles of a magic number, a protocol version, a description of the
system, the object, and the list of its storages' keys; then each storage as a count and raw numbers.
A pickle can name any function and have it called. This reader knows four names and refuses all others.
"""

import collections
import math
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tlmed.errors import InputError
from tlmed.regular_files import open_regular

MAGIC = 0x1950A86A20F9469CFC6C  # this and the next are those of torch/serialization.py
PROTOCOL = 1001


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage, offset, shape, strides, requires_grad=False, backward_hooks=None, metadata=None):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


# The stand-ins describe tensors; the numbers come after the pickles.
_ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _RestrictedUnpickler(pickle.Unpickler):
    """Resolve the names in `_ALLOWED` and nothing else."""

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not part of a table of tensors")
        return _ALLOWED[module, name]

    def persistent_load(self, pid):
        kind, dtype, key, _location, count, view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or view is not None:
            raise pickle.UnpicklingError(f"it refers to {kind!r}, which is not a plain storage")
        return _Storage(key, dtype, count)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Read a state dict from an old-format PyTorch checkpoint.

    Args:
        path: The file.

    Returns:
        An array for each name, in the file's order; float32 or int64.

    Raises:
        InputError: The file is something else, is cut off, or names anything but tensors.
    """
    with open_regular(path) as file:
        try:
            return _read(file)
        except (
            pickle.UnpicklingError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            EOFError,
            IndexError,
        ) as error:
            raise InputError(
                "The weights must be a plain state dict in PyTorch's format before 1.6; "
                f"this file is refused: {error}. Received: path={str(path)!r}."
            ) from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    # Magic number, protocol version, description of the system.
    header = [_RestrictedUnpickler(file).load() for _ in range(3)]
    if header[:2] != [MAGIC, PROTOCOL] or not header[2]["little_endian"]:
        raise ValueError("it does not begin with PyTorch's magic number, protocol 1001 and little-endian numbers")
    table = _RestrictedUnpickler(file).load()
    if not isinstance(table, dict) or not all(isinstance(tensor, _Tensor) for tensor in table.values()):
        raise ValueError("its object is not a table of tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in table.values()}
    # The numbers come in the order of these keys, which is not that of the names.
    numbers = {key: _read_storage(file, storages[key]) for key in _RestrictedUnpickler(file).load()}
    return {name: _view(tensor, numbers[tensor.storage.key]) for name, tensor in table.items()}


def _read_storage(file, storage):
    count = int.from_bytes(file.read(8), "little")
    if count != storage.count:
        raise ValueError(f"a storage should hold {storage.count} numbers and says {count}")
    size = count * storage.dtype.itemsize
    # Before reading, so that a made-up count asks for no memory.
    if size > os.fstat(file.fileno()).st_size - file.tell():
        raise ValueError("it ends too early")
    return np.frombuffer(file.read(size), storage.dtype)


def _view(tensor, numbers):
    size = math.prod(tensor.shape)
    # Strides in numbers, not bytes: the product of the later axes.
    contiguous = tuple(math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape)))
    if tensor.strides != contiguous or not 0 <= tensor.offset <= numbers.size - size:
        raise ValueError("a tensor is not a contiguous part of its storage")
    return numbers[tensor.offset : tensor.offset + size].reshape(tensor.shape)
