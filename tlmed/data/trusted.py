"""Digests of files that are taken from an earlier look where size and time of change are the same, if a user asks."""

import hashlib
from pathlib import Path

from tlmed.data.known import checksum


class TrustedDigests:
    """A table from a file's place, size and time to its SHA-256, kept in the cache directory.

    A file that was changed within its size, and given its old time back, is not noticed: that is what a user trusts in.

    Args:
        folder: The cache directory. If it cannot be read or written, nothing is known.
    """

    def __init__(self, folder: Path):
        self.path = Path(folder) / "digests-1.txt"
        self._known, self._new = self._read(), []

    def get(self, file: Path) -> str | None:
        """Return the SHA-256 of a file, 64 hexadecimal digits, None where it is not known."""
        return self._known.get(_describe(file))

    def add(self, file: Path, digest: str) -> None:
        """Note the digest of a file as it is now."""
        self._known[_describe(file)] = digest
        self._new.append(f"{_describe(file)} {digest}")

    def save(self) -> None:
        """Append what is new to the file; every line has a checksum, as another process may be writing too."""
        if not self._new:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="ascii") as stream:
                stream.write("\n" + "".join(f"{line} {checksum(line)}\n" for line in self._new))
        except OSError:
            return  # it is read again next time
        self._new = []

    def _read(self) -> dict[str, str]:
        try:
            text = self.path.read_text(encoding="ascii", errors="replace")
        except OSError:
            return {}
        lines = (line.rpartition(" ") for line in text.splitlines())
        sound = (words.rpartition(" ") for words, _, check in lines if check and checksum(words) == check)
        return {described: digest for described, _, digest in sound}


def _describe(file: Path) -> str:
    """Return, as one word, where a file lies, its size and when it was changed."""
    found = file.stat()
    words = f"{file.resolve()} {found.st_size} {found.st_mtime_ns}"
    return hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest()
