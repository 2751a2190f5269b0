"""Pictures that are part of a page: figures and photographs, each with a text that says what it shows."""

import base64
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from tlmed.errors import InputError

DPI = 150
BROAD = 600  # pixels; a phone scrolls pictures of this width or more, because they would be illegible if shrunk
PHOTO_SIDE = 640  # the largest width of a photograph in a page, in pixels
_NO_GLYPH = r"Glyph \d+ .*missing from font"  # the beginning of Matplotlib's warning about it
_SEE_TEXT = "Names in letters that the picture's font does not have stand in its text alternative."


@dataclass(frozen=True)
class Picture:
    """A picture that is part of a page.

    Attributes:
        kind: Of the file: "png" or "jpeg".
        data: The file in base64.
        width: In pixels, as it is shown.
        alt: What it shows, in words.
        caption: What stands below it.
    """

    kind: str
    data: str
    width: int
    alt: str
    caption: str

    @property
    def broad(self) -> bool:
        """Whether it is too broad for a phone."""
        return self.width >= BROAD


def draw(figure: Figure, alt: str, caption: str) -> Picture:
    """Return a figure as a picture of at most 256 colours, which makes its file much smaller.

    Where its font lacks letters of a name, boxes stand in their place, and the caption says where to find the name.
    """
    drawn, file = io.BytesIO(), io.BytesIO()
    if _save(figure, drawn):
        caption = f"{caption}. {_SEE_TEXT}"
    with Image.open(drawn) as image:
        # Without dithering, plain areas stay plain and take few bytes.
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    # 96 pixels of a web page are an inch; the file has DPI of them, to be sharp on fine screens.
    return Picture("png", _encode(file), round(96 * figure.get_figwidth()), alt, caption)


def _save(figure, file) -> bool:
    """Write a figure as a PNG, and tell whether its font lacks letters; Matplotlib's other warnings are passed on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", _NO_GLYPH, UserWarning)
        # Without the version of Matplotlib in it, so that the same figure gives the same bytes.
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    others = [each for each in caught if not re.match(_NO_GLYPH, str(each.message))]
    for each in others:
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return len(others) < len(caught)


def photo(path: Path, alt: str, caption: str) -> Picture:
    """Return an image file as a JPEG of at most 640 pixels in width.

    Raises:
        InputError: If it is missing or no image.
    """
    try:
        with Image.open(path) as image:
            image = image.convert("RGB")
    except OSError as error:
        raise InputError(f"A picture in a page must be an image file. Received: {path}: {error}.") from error
    return embed(image, alt, caption, PHOTO_SIDE)


def embed(image: Image.Image, alt: str, caption: str, side: int) -> Picture:
    """Return an image as a JPEG.

    Args:
        image: Of mode L or RGB.
        alt: What it shows, in words.
        caption: What stands below it.
        side: The largest width and height, in pixels; a larger one is shrunk.
    """
    image, file = image.copy(), io.BytesIO()
    image.thumbnail((side, side))
    image.save(file, "JPEG", quality=85)
    return Picture("jpeg", _encode(file), image.width, alt, caption)


def _encode(file) -> str:
    return base64.b64encode(file.getvalue()).decode("ascii")
