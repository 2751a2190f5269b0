"""What is known of image files that were decoded before: the digest of their pixels, so that it is not found again."""

import hashlib
import threading
from pathlib import Path

import PIL
from PIL import features

from tlmed.data.images import RULE

FORMAT = 1


class KnownPixels:
    """A table from the SHA-256 of a file's content to that of its resized pixels, kept in a file.

    It holds for one image size, one rule of decoding and resizing, one version of Pillow and of its JPEG library. Every
    line has a checksum of its own: lines that were cut short, or that another process is writing, are not read.

    Args:
        folder: The cache directory. If it cannot be read or written, nothing is known, and every image is decoded.
        image_size: Height and width in pixels.
    """

    def __init__(self, folder: Path, image_size: tuple[int, int]):
        height, width = image_size
        versions = f"pillow-{PIL.__version__}-jpeg-{features.version('libjpeg_turbo') or features.version('jpg')}"
        self.path = Path(folder) / f"pixels-{FORMAT}" / f"{height}x{width}-{RULE}-{versions}.txt"
        self._lock, self._new = threading.Lock(), []
        self._known = self._read()

    def get(self, content: str) -> bytes | None:
        """Return the SHA-256 of the pixels, 32 bytes, for that of a content, 64 hexadecimal digits."""
        return self._known.get(content)

    def add(self, content: str, pixels: bytes) -> None:
        """Note the digest of a content's pixels."""
        with self._lock:
            self._known[content] = pixels
            self._new.append(f"{content} {pixels.hex()}")

    def save(self) -> None:
        """Append what is new to the file."""
        with self._lock:
            lines, self._new = self._new, []
        if not lines:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="ascii") as file:  # begins with a line's end: the last may be cut short
                file.write("\n" + "".join(f"{line} {checksum(line)}\n" for line in lines))
        except OSError:
            return  # the same files are decoded again next time; the store of features tells of a folder like that

    def _read(self) -> dict[str, bytes]:
        try:
            text = self.path.read_text(encoding="ascii", errors="replace")
        except OSError:
            return {}
        found = {}
        for line in text.splitlines():
            words, _, check = line.rpartition(" ")
            if check and checksum(words) == check:
                content, _, pixels = words.partition(" ")
                found[content] = bytes.fromhex(pixels)
        return found


def checksum(line: str) -> str:
    """Return a short checksum of a line: of a kept table, those that are whole are read."""
    return hashlib.sha256(line.encode(errors="replace")).hexdigest()[:8]
