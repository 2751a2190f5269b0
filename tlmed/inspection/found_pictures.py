"""Pictures of the images that findings name; a page has room for a number of them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tlmed.data import ImageSet
from tlmed.label_vectors import write_labels
from tlmed.pages.figures import Picture, embed

EACH = 4  # pictures of a finding
MOST = 240  # pictures of a page: about 4 MB
_SIDE = 160  # pixels of a picture at most
_SMALL = 112  # a smaller one is enlarged, pixel by pixel


class Album:
    """Give pictures of images by their paths, as the network gets them, until the page is full.

    Args:
        images: The images.
    """

    def __init__(self, images: ImageSet):
        self.images, self.left = images, MOST
        self._rows = {path: row for row, path in enumerate(images.table.paths)}

    def show(self, files: Sequence[str], caption: str = "") -> list[Picture]:
        """Return pictures of the first of some files; none of those that cannot be read, or if the page is full.

        Args:
            files: Paths of images.
            caption: Below each of them; "" for its path, label, split and group.

        Raises:
            RunFailed: An image changed while it was read.
        """
        rows = [self._rows[path] for path in files if path in self._rows][: min(EACH, self.left)]
        self.left -= len(rows)
        pixels = self.images.pixels.take(np.array(rows, np.int64)) if rows else ()
        return [self._draw(row, image, caption) for row, image in zip(rows, pixels, strict=True)]

    def _draw(self, row: int, image: np.ndarray, caption: str) -> Picture:
        drawn = Image.fromarray(image)
        if (factor := _SMALL // max(drawn.size)) > 1:
            drawn = drawn.resize((drawn.width * factor, drawn.height * factor), Image.Resampling.NEAREST)
        said = caption or self._describe(row)
        return embed(drawn, said, said, _SIDE)

    def _describe(self, row: int) -> str:
        table = self.images.table
        (label,) = write_labels(table.labels[[row]], table.classes)
        owner = f", {table.groups[row]}" if table.groups is not None and table.groups[row] else ""
        return f"{table.paths[row]}: {label}, {self.images.splits[row]}{owner}"
