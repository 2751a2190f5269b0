"""A file of feature rows: how it is laid out, and how it is read without trusting it.

    rows | SHA-256 of each image's pixels | description (JSON) | its length, its SHA-256, magic

The description holds the SHA-256 of the bytes before it. It is checked whenever a file is opened.
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tlmed.regular_files import NotRegular, open_regular

FORMAT = 1
DTYPES = ("float32", "float16", "uint8")  # in which rows may be stored
DIGEST = 32  # bytes of a SHA-256
_LONGEST = 1 << 20  # bytes of a description, which has one or two thousand
_MAGIC = b"tlmed-rows\x00" + bytes([FORMAT])
# At the end, because the description holds a hash that is known only when all rows are written.
# The rows come first, so that they can be mapped into memory as they are.
_TAIL = struct.Struct(f"<Q{DIGEST}s{len(_MAGIC)}s")
_CHUNK = 1 << 24  # bytes hashed at a time, so that a large file is never in memory as a whole


class Damaged(Exception):
    """A file of the store is not what it says it is; the message says in what."""


@dataclass(frozen=True)
class Entry:
    """A file of the store: rows of some images, all made in the same way.

    Attributes:
        path: The file.
        key: What the rows are made of.
        about: The same for people.
        shape: Of a row.
        dtype: Of its numbers.
        count: Rows.
        size: Bytes of the file.
        used: When it was last used, in seconds since the epoch.
        sha256: Of rows and digests.
    """

    path: Path
    key: str
    about: Mapping
    shape: tuple[int, ...]
    dtype: np.dtype
    count: int
    size: int
    used: float
    sha256: str


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Rows:
    """The rows of an entry. They can be read even when their file has been deleted meanwhile.

    Attributes:
        entry: What the file says of itself.
        values: [count, *shape], mapped into memory and not read before they are used.
        digests: The SHA-256 of each row's image.
    """

    entry: Entry
    values: np.ndarray
    digests: tuple[bytes, ...]


def count_bytes(shape: Sequence[int], dtype: np.dtype) -> int:
    """Return how many bytes a row has."""
    return math.prod(shape) * dtype.itemsize


def open_rows(
    path: Path, wanted: Collection[bytes] | None = None, expected: tuple[tuple[int, ...], np.dtype] | None = None
) -> Rows | None:
    """Return a file's rows, once every byte of it is what was written; None if it holds nothing that is wanted.

    Args:
        path: The file; its folder is named after the key.
        wanted: SHA-256 of images, 32 bytes each; None: all that the file holds.
        expected: Shape and type of a row; None: whatever the file says.

    Raises:
        Damaged: If the file is not what it says, or what its folder stands for.
        FileNotFoundError: If it is gone.
    """
    with open_file(path) as file:
        entry = read_entry(path, file)
        if expected is not None and (entry.shape, entry.dtype) != expected:
            raise Damaged("its rows are not of the shape and type that its folder stands for")
        size = entry.count * count_bytes(entry.shape, entry.dtype)
        file.seek(size)
        packed = file.read(entry.count * DIGEST)
        digests = tuple(packed[i : i + DIGEST] for i in range(0, len(packed), DIGEST))
        # Before the hash: a file that holds nothing wanted is not read through.
        if wanted is not None and not any(digest in wanted for digest in digests):
            return None
        if _digest(file, size + entry.count * DIGEST) != entry.sha256:
            raise Damaged("its numbers are not what was written")
        if entry.key != path.parent.name:
            raise Damaged("it was made in another way than its folder says")
        values = np.memmap(file, entry.dtype, "r", shape=(entry.count, *entry.shape))
    return Rows(entry, values, digests)


def read_entry(path: Path, file: BinaryIO) -> Entry:
    """Return what an open file says of itself, without looking at its numbers.

    Raises:
        Damaged: If its end is not as `pack_end` writes it, or its length is not what it says.
    """
    stat = os.fstat(file.fileno())
    if stat.st_size < _TAIL.size:
        raise Damaged("it is too short")
    file.seek(-_TAIL.size, os.SEEK_END)
    length, digest, magic = _TAIL.unpack(file.read(_TAIL.size))
    # The length is not trusted before it is known to lie inside the file.
    if magic != _MAGIC or length > min(stat.st_size - _TAIL.size, _LONGEST):
        raise Damaged("its end is not that of a file of rows")
    body = stat.st_size - _TAIL.size - length
    file.seek(body)
    text = file.read(length)
    if hashlib.sha256(text).digest() != digest:
        raise Damaged("its description is not what was written")
    words = _parse(text)
    shape, dtype, count = tuple(words["shape"]), np.dtype(words["dtype"]), words["count"]
    if words["format"] != FORMAT or body != count * (count_bytes(shape, dtype) + DIGEST):
        raise Damaged("its length is not what it says")
    return Entry(
        *(path, words["key"], words["about"], shape, dtype, count, stat.st_size, stat.st_mtime, words["sha256"])
    )


def _parse(text: bytes) -> dict:
    """Return a description, once each of its fields is of the kind that is written.

    Raises:
        Damaged: If one is not. With another type of number, bytes could be read as anything, even as memory addresses.
    """
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        words = None
    sound = (
        isinstance(words, dict)
        and all(isinstance(words.get(name), str) for name in ("key", "sha256"))
        and isinstance(words.get("about"), dict)
        and words.get("dtype") in DTYPES
        and isinstance(words.get("shape"), list)
        and all(_is_amount(number) for number in (*words["shape"], words.get("count")))
    )
    if not sound:
        raise Damaged(f"its description is not that of rows of {' or '.join(DTYPES)}")
    return words


def _is_amount(value) -> bool:
    # Not `isinstance`, which takes True for a number.
    return type(value) is int and value > 0


def open_file(path: Path) -> BinaryIO:
    """Open a file of rows; what is no regular file is damaged."""
    try:
        return open_regular(path)
    except NotRegular as error:
        raise Damaged(error.strerror) from error


def pack_end(description: bytes) -> bytes:
    """Return the bytes that follow a description: its length, its SHA-256, and the mark of a file of rows."""
    return _TAIL.pack(len(description), hashlib.sha256(description).digest(), _MAGIC)


def _digest(file, size: int) -> str:
    found = hashlib.sha256()
    file.seek(0)
    while size and (data := file.read(min(size, _CHUNK))):
        found.update(data)
        size -= len(data)
    return found.hexdigest()
