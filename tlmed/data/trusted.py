"""Digests of files that are taken from an earlier look where size and time of change are the same, if a user asks."""

import hashlib
from pathlib import Path

from tlmed.data.kept import KeptTable


class TrustedDigests:
    """A table from a file's place, size and time to its SHA-256, kept in the cache directory.

    A file that was changed within its size, and given its old time back, is not noticed: that is what a user trusts in.

    Args:
        folder: The cache directory. If it cannot be read or written, nothing is known, and every file is read.
    """

    def __init__(self, folder: Path):
        self._table = KeptTable(Path(folder) / "digests-1.txt")

    def get(self, file: Path) -> str | None:
        """Return the SHA-256 of a file, 64 hexadecimal digits, None where it is not known."""
        return self._table.get(_describe(file))

    def add(self, file: Path, digest: str) -> None:
        """Note the digest of a file as it is now."""
        self._table.add(_describe(file), digest)

    def save(self) -> None:
        """Append what is new to the file."""
        self._table.save()


def _describe(file: Path) -> str:
    """Return, as one word, where a file lies, its size and when it was changed."""
    found = file.stat()
    words = f"{file.resolve()} {found.st_size} {found.st_mtime_ns}"
    return hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest()
