"""Facts about image files that were read before, in the index beside the store of features."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tlmed.cache import open_digests, open_pixels
from tlmed.data.decode_and_resize import PixelRule, as_rule
from tlmed.data.readers import name_versions


class KnownPixels:
    """Facts about images, by the SHA-256 of a file's content: the SHA-256 of its resized pixels, and others by name.

    They hold for one image size and shape, one rule of decoding and resizing, and one version of each library that
    decodes. Those that depend on what is black and white have names that say it.

    Args:
        folder: The cache directory. If it cannot be read or written, nothing is known, and every image is decoded; the
            store of features tells of a folder like that.
        rule: The rule of pixels, or height and width.
        watch: Told of each image that is decoded for the first time: the SHA-256 of its resized pixels, and these.
            Threads that decode call it at the same time.
    """

    def __init__(
        self,
        folder: Path,
        rule: PixelRule | tuple[int, int],
        watch: Callable[[bytes, np.ndarray], None] = lambda digest, pixels: None,
    ):
        self.watch = watch
        self._table = open_pixels(folder, f"{as_rule(rule).key}-{name_versions()}")
        self.path = self._table.path

    def get(self, content: str, what: str = "") -> bytes | None:
        """Return a fact about a content, given its digest in hexadecimal; None if it is not known.

        Args:
            content: 64 digits.
            what: The name of the fact; "": the SHA-256 of its pixels, 32 bytes.
        """
        found = self._table.get(_name_fact(content, what))
        return None if found is None else bytes.fromhex(found)

    def add(self, content: str, fact: bytes, what: str = "") -> None:
        """Note a fact about a content."""
        self._table.add(_name_fact(content, what), fact.hex())

    def save(self) -> None:
        """Append what is new to the file."""
        self._table.save()


def recall(known: KnownPixels | None, content: str, what: str, find: Callable[[], bytes]) -> bytes:
    """Return a fact about a content: as it is known, or as it is found now, and then known.

    Args:
        known: The facts; None: it is found in any case.
        content: The SHA-256 of the content, in hexadecimal.
        what: The name of the fact.
        find: Finds it.
    """
    fact = known.get(content, what) if known is not None else None
    if fact is None:
        fact = find()
        if known is not None:
            known.add(content, fact, what)
    return fact


class TrustedDigests:
    """A table from a file's place, size and time to its SHA-256, kept in the cache directory.

    A file that was changed at the same size and got its old time back is not noticed: the user trusts that none is.

    Args:
        folder: The cache directory. If it cannot be read or written, nothing is known, and every file is read.
    """

    def __init__(self, folder: Path):
        self._table = open_digests(folder)

    def get(self, file: Path) -> str | None:
        """Return the SHA-256 of a file, 64 hexadecimal digits, None if it is not known."""
        return self._table.get(_describe(file))

    def add(self, file: Path, digest: str) -> None:
        """Note the digest of a file as it is now."""
        self._table.add(_describe(file), digest)

    def save(self) -> None:
        """Append what is new to the file."""
        self._table.save()


def _name_fact(content: str, what: str) -> str:
    return hashlib.sha256(f"{content} {what}".encode()).hexdigest() if what else content


def _describe(file: Path) -> str:
    """Return a file's path, size and time of change as one word."""
    found = file.stat()
    words = f"{file.resolve()} {found.st_size} {found.st_mtime_ns}"
    return hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest()
