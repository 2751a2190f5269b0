"""What the header of an image file shows that is not used as it is stored: further pages, and colours for printing."""

import io
import struct
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from tlmed.data.images import FORMATS, PILLOW_ERRORS
from tlmed.words import count, listed

NAMED = 3
PAGES, PRINT = "pages", "print"
_SENTENCES = {
    PAGES: "{images} {hold} several pages or frames: only the first one of each is used.",
    PRINT: "{images} {hold} the colours of printing (CMYK): RGB is computed from them without their colour profile.",
}
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG markers that end the search: the rest is after them
_APP2 = 0xE2  # where the index of several pictures in one JPEG stands


def find_extras(content: bytes | np.ndarray) -> frozenset[str]:
    """Return which of `PAGES` and `PRINT` an image has, without decoding it.

    Args:
        content: As for `decode`.

    >>> sorted(find_extras(np.zeros((2, 2), np.uint8)))
    []
    """
    if isinstance(content, np.ndarray):
        return frozenset()
    if content.startswith(b"\xff\xd8"):
        return frozenset(_find_in_jpeg(content))
    if content.startswith(b"\x89PNG"):
        # An animated PNG has an `acTL` chunk before its first pixels.
        return frozenset([PAGES] if b"acTL" in content[: max(content.find(b"IDAT"), 0)] else [])
    if not content.startswith((b"GIF8", b"II", b"MM")):
        return frozenset()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return frozenset([PAGES] * getattr(image, "is_animated", False) + [PRINT] * (image.mode == "CMYK"))
    except (Image.DecompressionBombError, *PILLOW_ERRORS):
        return frozenset()  # decoding the image names this fault


def _find_in_jpeg(content: bytes) -> Iterator[str]:
    """Walk the markers of a JPEG up to the one that says its size and components."""
    place = 2
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker, (length,) = content[place + 1], struct.unpack_from(">H", content, place + 2)
        if marker == _APP2 and content.startswith(b"MPF\0", place + 4):
            yield PAGES
        if marker in _START_OF_FRAME:
            # After marker (2), length (2), bits (1), height (2) and width (2): the number of components.
            if content[place + 9] == 4:
                yield PRINT
            return
        place += 2 + length


def describe_extras(paths: Sequence[str], extras: Sequence[frozenset[str]]) -> list[str]:
    """Return a sentence for each kind, with three names and a count; none if no image has it.

    Args:
        paths: Of the images.
        extras: What `find_extras` found for each.

    >>> describe_extras(["a.tif", "b.tif"], [frozenset(["pages"]), frozenset()])
    ['1 image (a.tif) holds several pages or frames: only the first one of each is used.']
    """
    found = []
    for kind, sentence in _SENTENCES.items():
        named = [path for path, has in zip(paths, extras, strict=True) if kind in has]
        if named:
            images = f"{count(len(named), 'image')} ({listed(named, NAMED)})"
            found.append(sentence.format(images=images, hold="holds" if len(named) == 1 else "hold"))
    return found
