"""A table that is kept in a file, to which several processes may add."""

import hashlib
import threading
from pathlib import Path

from tlmed.cache import make_private, open_private
from tlmed.regular_files import read_regular


class KeptTable:
    """A table from one word to another, kept as lines of a file.

    Every line has a checksum of its own: lines that were cut short, or that another process is writing, are not read.

    Args:
        path: The file. If it cannot be read or written, nothing is known, and what is added is forgotten: what the
            table is for can be found again.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock, self._new, self._words = threading.Lock(), [], self._read()

    def get(self, key: str) -> str | None:
        """Return the word that stands for another."""
        return self._words.get(key)

    def add(self, key: str, value: str) -> None:
        """Note a word for another, both without spaces."""
        with self._lock:
            self._words[key] = value
            self._new.append(f"{key} {value}")

    def save(self) -> None:
        """Append what is new to the file."""
        with self._lock:
            lines, self._new = self._new, []
        if not lines or (self.path.exists() and not self.path.is_file()):
            return
        try:
            make_private(self.path.parent)
            with open(
                self.path, "a", encoding="ascii", opener=open_private
            ) as file:  # begins with a line's end: the last may be cut short
                file.write("\n" + "".join(f"{line} {_check(line)}\n" for line in lines))
        except OSError:
            return

    def _read(self) -> dict[str, str]:
        try:
            text = read_regular(self.path).decode("ascii", errors="replace")
        except OSError:
            return {}
        lines = (line.rpartition(" ") for line in text.splitlines())
        sound = (words.partition(" ") for words, _, check in lines if check and _check(words) == check)
        return {key: value for key, _, value in sound}


def _check(line: str) -> str:
    return hashlib.sha256(line.encode(errors="replace")).hexdigest()[:8]
