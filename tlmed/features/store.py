"""A store of feature rows on disk, addressed by what they are made of, shared by all runs of a user.

    FOLDER/features-1/<key>/<name>.rows

A key names everything that decides the numbers but the image: graph, weights, engine, versions (see `keys`). Each
file holds the rows of some images, found by the digest of their decoded pixels, and never changes: it is written under
another name and renamed when it is whole, so that readers and writers need no locks, whatever is killed when. A file is

    rows | SHA-256 of each image's pixels | description (JSON) | its length, its SHA-256, magic

and the description holds the SHA-256 of what stands before it. It is checked whenever a file is opened: one that does
not agree is deleted, and its rows are computed again.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.cachedir import show_size

FORMAT = 1
SHELF = f"features-{FORMAT}"
SUFFIX = ".rows"
DIGEST = 32  # bytes of a SHA-256
_MAGIC = b"tlmed-rows\x00" + bytes([FORMAT])
_TAIL = struct.Struct(f"<Q{DIGEST}s{len(_MAGIC)}s")
_CHUNK = 1 << 24


class StoreError(Exception):
    """The store cannot be used; the message says why. Rows can always be computed instead."""


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

    def rows(self) -> np.ndarray:
        """Return the rows, [count, *shape], mapped into memory and not read before they are used."""
        return np.memmap(self.path, self.dtype, "r", shape=(self.count, *self.shape))

    def digests(self) -> list[bytes]:
        """Return the digest of each row's image."""
        with self.path.open("rb") as file:
            file.seek(self.count * _row_bytes(self.shape, self.dtype))
            packed = file.read(self.count * DIGEST)
        return [packed[i : i + DIGEST] for i in range(0, len(packed), DIGEST)]


class Store:
    """Feature rows below a folder, up to a number of bytes.

    Args:
        folder: The cache directory.
        limit: The most that all files together may take, in bytes; what was not used for longest goes first.
    """

    def __init__(self, folder: Path, limit: int):
        self.folder, self.limit = Path(folder) / SHELF, limit
        self._kept: set[Path] = set()  # what this process reads from is not deleted to make room

    def open(self, key: str) -> tuple[list[Entry], list[str]]:
        """Return the sound entries of a key, and a sentence for each that was damaged and is deleted now.

        Raises:
            StoreError: If the folder cannot be read.
        """
        entries, notes = [], []
        with _explained(self.folder):
            for path in sorted((self.folder / key).glob(f"*{SUFFIX}")):
                try:
                    entry = _read(path, check=True)
                    if entry.key != key:
                        raise Damaged("it was made in another way than its folder says")
                except FileNotFoundError:  # another process has just deleted it
                    continue
                except Damaged as reason:
                    path.unlink(missing_ok=True)
                    notes.append(f"Stored features were damaged and are computed again ({reason}): {path}")
                    continue
                self._use(path)
                entries.append(entry)
        return entries, notes

    @contextlib.contextmanager
    def create(
        self, key: str, about: Mapping, shape: Sequence[int], dtype: str, digests: Sequence[bytes]
    ) -> Iterator[Callable[[np.ndarray], None]]:
        """Give a function that appends rows; the entry exists when the block ends well, and not before.

        Args:
            key: What the rows are made of.
            about: The same for people.
            shape: Of a row.
            dtype: Of its numbers.
            digests: The SHA-256 of each image's pixels, in the order of the rows.

        Raises:
            StoreError: If the rows cannot be written; nothing of them stays.
        """
        shape, dtype = tuple(shape), np.dtype(dtype)
        need = len(digests) * (_row_bytes(shape, dtype) + DIGEST)
        shelf, name = self.folder / key, hashlib.sha256(b"".join(digests)).hexdigest()[:32]
        part = self.folder / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.part"
        with _explained(self.folder):
            shelf.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self._make_room(need)
            file = part.open("xb")
        try:
            found = hashlib.sha256()

            def append(rows: np.ndarray) -> None:
                data = np.ascontiguousarray(rows, dtype).tobytes()
                found.update(data)
                with _explained(self.folder):
                    file.write(data)

            with file:
                yield append
                with _explained(self.folder):
                    if file.tell() != len(digests) * _row_bytes(shape, dtype):
                        raise ValueError("`digests` must be one for each row.")
                    packed = b"".join(digests)
                    found.update(packed)
                    words = {"format": FORMAT, "key": key, "about": dict(about), "shape": shape, "dtype": dtype.name}
                    words |= {"count": len(digests), "sha256": found.hexdigest()}
                    text = json.dumps(words).encode()
                    file.write(packed + text + _TAIL.pack(len(text), hashlib.sha256(text).digest(), _MAGIC))
                    file.flush()
                    os.fsync(file.fileno())
            with _explained(self.folder):
                os.replace(part, shelf / f"{name}{SUFFIX}")
                self._use(shelf / f"{name}{SUFFIX}")
        finally:
            part.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """Return all entries, the last used one first; what cannot be read is passed over (`verify` names it)."""
        entries = []
        for path in self._files():
            with contextlib.suppress(Damaged, FileNotFoundError):
                entries.append(_read(path, check=False))
        return sorted(entries, key=lambda entry: -entry.used)

    def verify(self) -> tuple[int, list[tuple[Path, str]]]:
        """Read every file, delete what is damaged, and return how many are sound and what is wrong with the others."""
        sound, damaged = 0, []
        for path in self._files():
            try:
                _read(path, check=True)
                sound += 1
            except FileNotFoundError:
                continue
            except Damaged as reason:
                path.unlink(missing_ok=True)
                damaged.append((path, str(reason)))
        return sound, damaged

    def clear(self) -> tuple[int, int]:
        """Delete everything, of older formats too, and return how many files and bytes that was."""
        files = [path for shelf in self.folder.parent.glob("features-*") for path in shelf.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        for shelf in self.folder.parent.glob("features-*"):
            shutil.rmtree(shelf)
        return len(files), size

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*/*{SUFFIX}"))

    def _use(self, path: Path) -> None:
        """Note that a file is used now: later than all others, whatever the clock says."""
        self._kept.add(path)
        latest = max((other.stat().st_mtime for other in _existing(self._files())), default=0.0)
        stamp = max(time.time(), latest + 0.001)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, (stamp, stamp))

    def _make_room(self, need: int) -> None:
        if need > self.limit:
            raise StoreError(
                f"the features take {show_size(need)}, and the limit of the cache is {show_size(self.limit)}"
            )
        files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in _existing(self._files()))
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total + need <= self.limit:
                return
            if path not in self._kept:
                path.unlink(missing_ok=True)
                total -= size

    def _sweep(self) -> None:
        """Delete what killed processes of this machine left half-written."""
        host = socket.gethostname()
        for part in self.folder.glob(f"{host}-*.part"):
            if not _is_alive(int(part.name.removeprefix(f"{host}-").split("-")[0])):
                part.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _existing(paths) -> list[Path]:
    return [path for path in paths if path.exists()]


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.strerror or error}: {folder}") from error


def _row_bytes(shape, dtype) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _read(path: Path, check: bool) -> Entry:
    """Return what a file says of itself, once that is true: with `check`, of every byte."""
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        if stat.st_size < _TAIL.size:
            raise Damaged("it is too short")
        file.seek(-_TAIL.size, os.SEEK_END)
        length, digest, magic = _TAIL.unpack(file.read(_TAIL.size))
        if magic != _MAGIC or length > stat.st_size - _TAIL.size:
            raise Damaged("its end is not that of such a file")
        body = stat.st_size - _TAIL.size - length
        file.seek(body)
        text = file.read(length)
        if hashlib.sha256(text).digest() != digest:
            raise Damaged("its description is not what was written")
        words = json.loads(text)
        shape, dtype, count = tuple(words["shape"]), np.dtype(words["dtype"]), words["count"]
        if words["format"] != FORMAT or body != count * (_row_bytes(shape, dtype) + DIGEST):
            raise Damaged("its length is not what it says")
        if check and _digest(file, body) != words["sha256"]:
            raise Damaged("its numbers are not what was written")
    return Entry(
        *(path, words["key"], words["about"], shape, dtype, count, stat.st_size, stat.st_mtime, words["sha256"])
    )


def _digest(file, size: int) -> str:
    found = hashlib.sha256()
    file.seek(0)
    while size and (data := file.read(min(size, _CHUNK))):
        found.update(data)
        size -= len(data)
    return found.hexdigest()
