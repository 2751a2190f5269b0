"""The index beside the store: facts about files that were read before, as tables of lines; none is found twice."""

import hashlib
import threading
from pathlib import Path

from tlmed.cache.folder import make_private, open_private
from tlmed.regular_files import read_regular

FORMAT = 1


class KeptTable:
    """A table from one word to another, kept as lines of a file.

    Every line has a checksum of its own: lines that were cut short, or that another process is writing, are not read.

    Args:
        path: The file. If it cannot be read or written, nothing is known, and what is added is forgotten; everything in
            the table can be found again.
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
            ) as file:  # begin with a line's end, because the last line may be cut short
                file.write("\n" + "".join(f"{line} {_check(line)}\n" for line in lines))
        except OSError:
            return

    def _read(self) -> dict[str, str]:
        try:
            text = read_regular(self.path).decode("ascii", errors="replace")
        except OSError:
            return {}
        lines = (line.rpartition(" ") for line in text.splitlines())
        # A line that was cut short has no check, or a wrong one.
        sound = (words.partition(" ") for words, _, check in lines if check and _check(words) == check)
        return {key: value for key, _, value in sound}


def open_pixels(folder: Path, rule: str) -> KeptTable:
    """Return the table of facts about the pixels of images, found by the digest of a file's content.

    Args:
        folder: The cache directory.
        rule: All that decides the pixels besides the content, as part of a file name.
    """
    return KeptTable(Path(folder) / f"pixels-{FORMAT}" / f"{rule}.txt")


def open_digests(folder: Path) -> KeptTable:
    """Return the table of the digests of files, found by place, size and time, which `--trust-mtime` trusts.

    Args:
        folder: The cache directory.
    """
    return KeptTable(Path(folder) / f"digests-{FORMAT}.txt")


def list_facts(folder: Path) -> dict[str, list[Path]]:
    """Return the files of all tables, in all formats, by what they record.

    Args:
        folder: The cache directory.
    """
    return {
        "pixels of images that were decoded": sorted(folder.glob("pixels-*/*.txt")),
        "digests of files, for --trust-mtime": sorted(folder.glob("digests-*.txt")),
    }


def _check(line: str) -> str:
    return hashlib.sha256(line.encode(errors="replace")).hexdigest()[:8]
