"""A store of feature rows on disk, addressed by what they are made of, shared by all runs of a user.

    FOLDER/features-1/<key>/<name>.rows

A key names everything that decides the numbers, except the image: graph, weights, engine, versions (see `keys`). Each
file holds the rows of some images, found by the digest of their decoded pixels, and never changes: it is written under
another name and renamed when it is whole, so that readers and writers need no locks, whatever is killed when. It is
checked whenever it is opened (`row_files`): one that is damaged is deleted, and its rows are computed again. Turns only
save time: who computes has one, so that nobody else computes the same.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tlmed.cache.fact_tables import list_facts
from tlmed.cache.folder import make_private, open_private, show_size
from tlmed.cache.row_files import (
    DIGEST,
    FORMAT,
    Damaged,
    Entry,
    Rows,
    count_bytes,
    open_file,
    open_rows,
    pack_end,
    read_entry,
)
from tlmed.cache.turns import Turn, take_turn

SHELF = f"features-{FORMAT}"
SUFFIX = ".rows"
_LOOK_SECONDS = 0.1  # between two looks whether somebody else still computes
_OLD = 24 * 3600  # seconds after which a half-written file of another host counts as abandoned


def address(description: Mapping) -> str:
    """Return the key of a description, 64 hexadecimal digits.

    >>> address({"a": 1, "b": 2}) == address({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


class StoreError(Exception):
    """The store cannot be used; the message says why. Rows can always be computed instead."""


class Store:
    """Feature rows below a folder, up to a number of bytes.

    Args:
        folder: The cache directory.
        limit: The most that all files together may take, in bytes; the files not used for the longest time are
            deleted first.
    """

    def __init__(self, folder: Path, limit: int):
        self.folder, self.limit = Path(folder) / SHELF, limit
        self._kept: set[Path] = set()  # what this process reads from is not deleted to make room

    def holds(self, key: str) -> bool:
        """Tell whether there is a file of a key, of whichever images."""
        return any((self.folder / key).glob(f"*{SUFFIX}"))

    def take_turn(self, key: str) -> Turn | None:
        """Return the right to compute rows of a key; None where somebody else has it.

        Raises:
            StoreError: If the folder cannot be written to.
        """
        with _explained(self.folder):
            return take_turn(self.folder, key)

    def wait_for_turn(self, key: str) -> Turn:
        """Wait until nobody else computes rows of a key, and return the right to do so.

        Raises:
            StoreError: If the folder cannot be written to.
        """
        while (turn := self.take_turn(key)) is None:
            time.sleep(_LOOK_SECONDS)
        return turn

    def open(
        self, key: str, shape: Sequence[int], dtype: str, wanted: Collection[bytes] | None = None
    ) -> tuple[list[Rows], list[str]]:
        """Return the sound rows of a key, and a sentence for each file that was damaged and is deleted now.

        Args:
            key: What the rows are made of.
            shape: Of a row; a file with others is damaged.
            dtype: Of its numbers; the same.
            wanted: Digests of images; files that hold none of them are not read. None: all files are.

        Raises:
            StoreError: If the folder cannot be read.
        """
        found, notes = [], []
        with _explained(self.folder):
            for path in sorted((self.folder / key).glob(f"*{SUFFIX}")):
                try:
                    rows = open_rows(path, wanted, (tuple(shape), np.dtype(dtype)))
                except FileNotFoundError:  # another process has just deleted it
                    continue
                except Damaged as reason:
                    _delete(path)
                    notes.append(f"What was stored was damaged and is computed again ({reason}): {path}")
                    continue
                if rows is not None:
                    found.append(rows)
            self._use(*(rows.entry.path for rows in found))
        return found, notes

    @contextlib.contextmanager
    def create(
        self, key: str, about: Mapping, shape: Sequence[int], dtype: str, digests: Sequence[bytes]
    ) -> Iterator[Callable[[np.ndarray], None]]:
        """Yield a function that appends rows; the entry exists only after the block has ended without an error.

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
        packed = b"".join(digests)
        size = len(digests) * count_bytes(shape, dtype)
        words = {"format": FORMAT, "key": key, "about": dict(about), "shape": shape, "dtype": dtype.name}
        # Zeros stand for the hash, so that the length of the file is known before the first row is written.
        words |= {"count": len(digests), "sha256": "0" * 2 * DIGEST}
        description = json.dumps(words).encode()
        need = size + len(packed) + len(description) + len(pack_end(description))
        shelf, name = self.folder / key, hashlib.sha256(packed).hexdigest()[:32]  # 128 bits tell files apart
        part = self.folder / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.part"
        with _explained(self.folder):
            make_private(shelf)
            self._sweep()
            self.make_room(need, "the features")
            file = os.fdopen(open_private(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb")
        found = hashlib.sha256()

        def append(rows: np.ndarray) -> None:
            with np.errstate(over="ignore"):
                cast = np.ascontiguousarray(rows, dtype)
            # float16 ends at 65504. Infinity would spoil whatever is trained on the rows.
            if (np.isinf(cast) & np.isfinite(rows)).any():
                raise StoreError(f"features up to {np.abs(rows).max():.3g} do not fit into {dtype.name}")
            data = cast.tobytes()
            found.update(data)
            with _explained(self.folder):
                file.write(data)

        try:
            yield append
            with _explained(self.folder):
                if file.tell() != size:
                    raise ValueError("`digests` must be one for each row.")
                found.update(packed)
                text = json.dumps({**words, "sha256": found.hexdigest()}).encode()
                file.write(packed + text + pack_end(text))
                file.flush()
                os.fsync(file.fileno())  # else a crash could leave the name without the content
                file.close()
                make_private(shelf)  # another process may have emptied and removed it
                os.replace(part, shelf / f"{name}{SUFFIX}")
                self._use(shelf / f"{name}{SUFFIX}")
        finally:
            with contextlib.suppress(OSError):  # what could not be written cannot be flushed either
                file.close()
            part.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """Return all entries, the last used one first; what cannot be read is passed over (`verify` names it)."""
        entries = []
        for path in self._files():
            with contextlib.suppress(Damaged, FileNotFoundError), _explained(self.folder), open_file(path) as file:
                entries.append(read_entry(path, file))
        return sorted(entries, key=lambda entry: -entry.used)

    def verify(self) -> tuple[int, list[tuple[Path, str]]]:
        """Read every file, delete what is damaged, and return how many are sound and what is wrong with the others.

        Raises:
            StoreError: If files cannot be read or deleted.
        """
        sound, damaged = 0, []
        with _explained(self.folder):
            for path in self._files():
                try:
                    open_rows(path)
                    sound += 1
                except FileNotFoundError:
                    continue
                except Damaged as reason:
                    _delete(path)
                    damaged.append((path, str(reason)))
        return sound, damaged

    def clear(self) -> tuple[int, int]:
        """Delete everything, with older formats and facts about images; return how many files and bytes.

        Raises:
            StoreError: If something cannot be deleted.
        """
        folder = self.folder.parent
        shelves = [shelf for pattern in ("features-*", "pixels-*") for shelf in folder.glob(pattern)]
        with _explained(folder):
            files = {path for shelf in shelves for path in shelf.rglob("*") if path.is_file()}
            files.update(path for paths in list_facts(folder).values() for path in paths)
            size = sum(path.stat().st_size for path in files)
            for path in files:
                path.unlink(missing_ok=True)
            for shelf in shelves:
                shutil.rmtree(shelf)
        return len(files), size

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"*/*{SUFFIX}") if path.is_file())

    def _stats(self) -> list[tuple[float, int, Path]]:
        """Return when each file was last used, its size and its path, the longest unused first."""
        found = []
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        return sorted(found)

    def _use(self, *paths: Path) -> None:
        """Mark files as used now, each with a time later than all others, even if the clock was set back."""
        self._kept.update(paths)
        latest = max((used for used, _, _ in self._stats()), default=0.0)
        for path in paths:
            latest = max(time.time(), latest + 0.001)
            with contextlib.suppress(OSError):  # deleted meanwhile, or a cache that can only be read
                os.utime(path, (latest, latest))

    def make_room(self, need: int, what: str) -> None:
        """Delete the longest unused files until some bytes fit into the limit and into half of the free disk.

        Args:
            need: How many bytes.
            what: What takes them, for the message.

        Raises:
            StoreError: They would not fit if all were deleted that this process does not use; nothing is deleted then.
        """
        files = self._stats()
        others = [(size, path) for _, size, path in files if path not in self._kept]
        stay = sum(size for _, size, _ in files) - sum(size for size, _ in others)
        free = shutil.disk_usage(self.folder.parent).free
        for why, allowed in {
            f"the limit of the cache is {show_size(self.limit)}": self.limit - stay,
            f"half of what the disk has left is {show_size(free // 2)}": (free + sum(size for size, _ in others)) // 2,
        }.items():
            if need > allowed:
                raise StoreError(f"{what} take {show_size(need)}, and {why}")
        total = stay + sum(size for size, _ in others) + need
        for size, path in others:
            if total <= self.limit and need <= free // 2:
                return
            _delete(path)
            total, free = total - size, free + size

    def _sweep(self) -> None:
        """Delete what killed processes left half-written."""
        own = re.compile(rf"{re.escape(socket.gethostname())}-(\d+)-[0-9a-f]{{8}}\.part")
        for part in self.folder.glob("*.part"):
            found = own.fullmatch(part.name)
            with contextlib.suppress(FileNotFoundError):
                # Of processes on other hosts only the age is known: a container never returns under its host name.
                if not _is_alive(int(found[1])) if found else time.time() - part.stat().st_mtime > _OLD:
                    part.unlink()


def _delete(path: Path) -> None:
    """Delete a file, and its folder if that is empty now."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def _is_alive(process: int) -> bool:
    try:
        # Signal 0 changes nothing; it only tells whether the process exists.
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.strerror or error}: {folder}") from error
