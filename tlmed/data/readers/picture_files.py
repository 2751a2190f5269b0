"""Pictures: PNG, JPEG, BMP, GIF and TIFF, as Pillow reads them, without what it would read wrongly."""

import contextlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
import PIL
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, features

from tlmed.data.file_facts import FileFacts
from tlmed.data.readers.picture_facts import describe_picture, describe_tiff
from tlmed.data.readers.plane import MOST_PIXELS, Plane, check_size
from tlmed.data.readers.reader import Reader
from tlmed.data.readers.tiff_numbers import are_numbers, read_numbers
from tlmed.data.readers.tiff_pages import TIFFS, read_tag, walk_tiff

_FORMATS = {  # by Pillow's name: how a file begins
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff(?!\xf7)",  # what is left out is JPEG-LS
    "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",  # with the lengths of its headers: text may begin with BM
    "GIF": rb"GIF8",
    "TIFF": rb"II[*+]\0|MM\0[*+]|II\0\*|MM\*\0",
}
# The 128 bytes before the mark of DICOM may be the header of a TIFF (PS3.10, 7.1); some CT scanners write it.
_FIRST_BYTES = re.compile(b"(?!.{128}DICM)(?:%b)" % b"|".join(_FORMATS.values()), re.DOTALL)
# Where the header of a PNG says how many bits a sample has, and of which colour type it is.
_PNG_BITS, _PNG_COLOURS = 24, 25
_GRAY, _RGB = 0, 2  # such colour types
_SCALES = {2: 85, 4: 17}  # factors by which Pillow scales gray samples of 2 and 4 bits in a PNG to 0..255
# Numbers in TIFF files: a tag and one value that Pillow does not name.
_PLANAR, _SEPARATE = 284, 2
_SEPARATED = 5  # the photometric interpretation of CMYK
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG markers that end the search: the rest is after them
_APP2 = 0xE2  # where the index of several pictures in one JPEG stands
PRINT = "{images} {hold} the colours of printing (CMYK): RGB is computed from them without their colour profile."
# Raised by Pillow for content that is no image of its format, or a damaged one. Warnings are raised only if the caller
# has turned warnings into errors.
_PILLOW_ERRORS = (
    *(OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError, OverflowError),
    *(ZeroDivisionError, struct.error, zlib.error, Warning),
)
# `check_size` refuses large images, with a reason, so Pillow need not warn of them on standard error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _name_version() -> str:
    # JPEG libraries, and versions of one, may decode some pixels differently.
    return f"pillow-{PIL.__version__}-jpeg-{features.version('libjpeg_turbo') or features.version('jpg')}"


def _read_plane(content: bytes, index: int) -> Plane:
    """Decode to 8 bits, which Pillow resizes without a copy, or to grayscale of more bits."""
    if content.startswith(TIFFS) and are_numbers(content, index):
        return read_numbers(content, index)
    with _opened(content) as image:
        if index:
            image.seek(index)
        # `open` reads the header only: an image that is too large is refused before its pixels take memory.
        check_size(image.height, image.width)
        bits = _count_bits(image, content)
        _check_kind(image, content, bits)
        image.load()
        _scale_transparency(image, content)
        # Pillow turns a TIFF while loading it and removes the orientation, so it is not turned twice.
        ImageOps.exif_transpose(image, in_place=True)
        is_deep = image.mode.startswith("I;16")
        return Plane(_take_samples(image, bits) if is_deep else _to_gray_or_rgb(image), bits)


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """Open an image, of which only the header is read; any fault in the block is a ValueError."""
    try:
        yield Image.open(io.BytesIO(content), formats=tuple(_FORMATS))
    except Image.UnidentifiedImageError:
        raise ValueError(_describe_damaged(content)) from None
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {MOST_PIXELS:,} pixels") from None
    except MemoryError:
        raise ValueError("there is not enough memory to decode it") from None
    except _PILLOW_ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _describe_damaged(content: bytes) -> str:
    name = next((name for name, start in _FORMATS.items() if re.match(start, content, re.DOTALL)), "picture")
    return (
        f"it is damaged, or a kind of {name} that is not read; save it with 8 or 16 bits, unsigned, as gray or RGB, in "
        "a usual compression"
    )


def _count_bits(image: Image.Image, content: bytes) -> int:
    if image.format == "PNG":
        return content[_PNG_BITS]
    return max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))) if image.format == "TIFF" else 8


def _may_be_deep(content: bytes) -> bool:
    if content.startswith(TIFFS) and are_numbers(content, 0):
        return True
    with _opened(content) as image:
        return _count_bits(image, content) > 8


def _check_kind(image: Image.Image, content: bytes, bits: int) -> None:
    """Refuse, by the header, images that Pillow would read wrongly."""
    # Pillow compares a transparent colour of 16 bits with colours of 8 bits, finds none and shows hidden pixels.
    if image.format == "PNG" and content[_PNG_COLOURS] == _RGB and "transparency" in image.info and bits > 8:
        raise ValueError("16-bit RGB with a transparent colour is not read; save it with an alpha channel")
    if image.format != "TIFF":
        return
    tags = image.tag_v2
    if tags.get(_PLANAR) == _SEPARATE and len(image.getbands()) > 1 and bits > 8:
        raise ValueError("16-bit colours in separate planes are not read; save them interleaved")
    if image.mode == "LAB":
        raise ValueError("its colours are CIE L*a*b*; save it as RGB")
    if image.info.get("compression") == "webp":  # Pillow's libtiff may lack it and then prints to standard error
        raise ValueError("WebP in TIFF is not read; save it in another compression")


def _scale_transparency(image: Image.Image, content: bytes) -> None:
    """Scale the transparent gray of a PNG of 2 or 4 bits, as Pillow scales its samples."""
    transparent = image.info.get("transparency")
    if image.format == "PNG" and content[_PNG_COLOURS] == _GRAY and isinstance(transparent, int):
        image.info["transparency"] = transparent * _SCALES.get(content[_PNG_BITS], 1)


def _to_gray_or_rgb(image: Image.Image) -> Image.Image:
    """Bring any mode of 8 bits or fewer to L or RGB. Grayscale stays L, which is a third of the work."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        # `convert("RGB")` would show the colours that transparency hides; a new image is black.
        opaque = Image.new("RGB", image.size)
        opaque.paste(image, mask=image.getchannel("A"))
        return opaque
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _take_samples(image: Image.Image, bits: int) -> np.ndarray:
    """Return grayscale of more than 8 bits as uint16 [height, width]."""
    samples = np.asarray(image).astype(np.uint16)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow leaves this encoding of TIFF as it is, for grayscale of more than 8 bits.
        white_is_zero = image.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == 0
        return (1 << bits) - 1 - samples if white_is_zero else samples
    if (transparent := image.info.get("transparency")) is not None:
        samples[samples == transparent] = 0
    return samples


def _count_planes(content: bytes) -> int:
    if content.startswith(TIFFS):
        return max(sum(1 for _ in walk_tiff(content)), 1)  # Pillow takes 0.1 ms for each page
    if not _may_hold_several(content):
        return 1
    with _opened(content) as image:
        return getattr(image, "n_frames", 1)


def _may_hold_several(content: bytes) -> bool:
    """Tell quickly whether Pillow is to be asked for the number of pictures or frames."""
    if content.startswith(b"\xff\xd8"):
        return _walk_jpeg(content)[0]
    if content.startswith(b"\x89PNG"):
        # An animated PNG has an `acTL` chunk before its first pixels.
        return b"acTL" in content[: max(content.find(b"IDAT"), 0)]
    return content.startswith(b"GIF")


def _walk_jpeg(content: bytes) -> tuple[bool, int]:
    """Walk the markers of a JPEG; return whether it has an index of several pictures, and how many components."""
    place, has_index = 2, False
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker, (length,) = content[place + 1], struct.unpack_from(">H", content, place + 2)
        has_index |= marker == _APP2 and content.startswith(b"MPF\0", place + 4)
        if marker in _START_OF_FRAME:
            # After marker (2), length (2), bits (1), height (2) and width (2): the number of components.
            return has_index, content[place + 9]
        place += 2 + length
    return has_index, 0


def _is_separated(content: bytes) -> bool:
    """Tell whether the first page of a TIFF has the colours of printing."""
    page = next(walk_tiff(content), range(0))
    return read_tag(content, page, ExifTags.Base.PhotometricInterpretation) == (_SEPARATED,)


def _find_remarks(content: bytes) -> frozenset[str]:
    try:
        if content.startswith(b"\xff\xd8"):
            is_print = _walk_jpeg(content)[1] == 4
        else:
            is_print = content.startswith(TIFFS) and _is_separated(content)
    except struct.error:
        raise ValueError("it is cut short") from None
    return frozenset([PRINT] if is_print else [])


def _find_facts(content: bytes) -> FileFacts:
    if content.startswith(TIFFS) and are_numbers(content, 0):
        return describe_tiff(content)  # Pillow opens only some of them
    with _opened(content) as image:
        return describe_picture(image, _count_bits(image, content))


PICTURES = Reader(
    name="picture",
    endings=(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff"),
    extra=None,
    owns=lambda head: _FIRST_BYTES.match(head) is not None,
    version=_name_version,
    count_planes=_count_planes,
    read_plane=_read_plane,
    remarks=_find_remarks,
    may_be_deep=_may_be_deep,
    facts=_find_facts,
)
