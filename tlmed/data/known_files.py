"""The index of image files that were read before, beside the store of features: facts that need no second look."""

import hashlib
import threading
from pathlib import Path

from tlmed.cache import make_private, open_private
from tlmed.data.pixel_rule import RULE
from tlmed.data.readers import name_versions
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


class KnownPixels:
    """A table from the SHA-256 of a file's content to that of its resized pixels, kept in a file.

    It holds for one image size, one rule of decoding and resizing, and one version of each library that decodes.

    Args:
        folder: The cache directory. If it cannot be read or written, nothing is known, and every image is decoded; the
            store of features tells of a folder like that.
        image_size: Height and width in pixels.
    """

    def __init__(self, folder: Path, image_size: tuple[int, int]):
        height, width = image_size
        self.path = Path(folder) / f"pixels-{FORMAT}" / f"{height}x{width}-{RULE}-{name_versions()}.txt"
        self._table = KeptTable(self.path)

    def get(self, content: str) -> bytes | None:
        """Return the SHA-256 of the pixels, 32 bytes, for that of a content, 64 hexadecimal digits."""
        found = self._table.get(content)
        return None if found is None else bytes.fromhex(found)

    def add(self, content: str, pixels: bytes) -> None:
        """Note the digest of a content's pixels."""
        self._table.add(content, pixels.hex())

    def save(self) -> None:
        """Append what is new to the file."""
        self._table.save()


class TrustedDigests:
    """A table from a file's place, size and time to its SHA-256, kept in the cache directory.

    A file that was changed at the same size and got its old time back is not noticed: the user trusts that none is.

    Args:
        folder: The cache directory. If it cannot be read or written, nothing is known, and every file is read.
    """

    def __init__(self, folder: Path):
        self._table = KeptTable(Path(folder) / "digests-1.txt")

    def get(self, file: Path) -> str | None:
        """Return the SHA-256 of a file, 64 hexadecimal digits, None if it is not known."""
        return self._table.get(_describe(file))

    def add(self, file: Path, digest: str) -> None:
        """Note the digest of a file as it is now."""
        self._table.add(_describe(file), digest)

    def save(self) -> None:
        """Append what is new to the file."""
        self._table.save()


def _check(line: str) -> str:
    return hashlib.sha256(line.encode(errors="replace")).hexdigest()[:8]


def _describe(file: Path) -> str:
    """Return a file's path, size and time of change as one word."""
    found = file.stat()
    words = f"{file.resolve()} {found.st_size} {found.st_mtime_ns}"
    return hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest()
