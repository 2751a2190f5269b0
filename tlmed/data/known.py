"""What is known of image files that were decoded before: the digest of their pixels, so that it is not found again."""

from pathlib import Path

import PIL
from PIL import features

from tlmed.data.images import RULE
from tlmed.data.kept import KeptTable

FORMAT = 1


class KnownPixels:
    """A table from the SHA-256 of a file's content to that of its resized pixels, kept in a file.

    It holds for one image size, one rule of decoding and resizing, one version of Pillow and of its JPEG library.

    Args:
        folder: The cache directory. If it cannot be read or written, nothing is known, and every image is decoded; the
            store of features tells of a folder like that.
        image_size: Height and width in pixels.
    """

    def __init__(self, folder: Path, image_size: tuple[int, int]):
        height, width = image_size
        versions = f"pillow-{PIL.__version__}-jpeg-{features.version('libjpeg_turbo') or features.version('jpg')}"
        self.path = Path(folder) / f"pixels-{FORMAT}" / f"{height}x{width}-{RULE}-{versions}.txt"
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
