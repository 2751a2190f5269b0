"""Encoded image to RGB pixels, and RGB pixels to the size a model takes: one rule for each, used everywhere.

Everything is unsigned 8 bit, from the file to the model's input; nothing here makes floats.
"""

import io
import re
import struct
import warnings
import zlib

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF")
MOST_PIXELS = 100_000_000  # each takes 4 bytes in Pillow, and some steps hold two copies
LONGEST_SIDE = 65_535  # that of the largest JPEG; Pillow keeps a table for each row
_PNG, _TIFFS = b"\x89PNG\r\n\x1a\n", (b"II", b"MM")
# Where the header of a PNG says how many bits a sample has, and of which colour type it is.
_PNG_BITS, _PNG_COLOURS = 24, 25
_GRAY, _RGB = 0, 2  # such colour types
_SCALES = {2: 85, 4: 17}  # factors by which Pillow scales gray samples of 2 and 4 bits in a PNG to 0..255
# Numbers in TIFF files: two tags and one value that Pillow does not name.
_SAMPLE_FORMAT, _PLANAR, _SEPARATE = 339, 284, 2
_SIGNED_OR_FLOAT = {2, 3, 5, 6}  # values of the sample format: signed, float, complex signed, complex float
_FIRST_BYTES = {  # of formats that are often called .png or .jpg by mistake
    "WebP": rb"RIFF....WEBP",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\x00\x00\x00\x0cJXL |\xff\x0a",
    "HEIC or AVIF": rb"....ftyp(heic|heix|mif1|msf1|avif)",
    "JPEG-LS": rb"\xff\xd8\xff\xf7",
}
_WELL_KNOWN = {
    "PNG": _PNG,
    "JPEG": b"\xff\xd8\xff",
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "GIF": b"GIF8",
    "BMP": b"BM",
}
NO_RANGE = "32-bit, signed or floating-point samples have no defined range; save it with 8 or 16 bits, unsigned"
# Values of an image before it is resized. levels: from the lowest to the highest value, 1..256, if it has more than
# 8 bits, else 0. brightest: the highest value. used: how many different values the channel with most of them has.
TONES = np.dtype([("levels", "u2"), ("brightest", "u1"), ("used", "u2")])
RULE = "rgb-bilinear-2"  # names what `decode_resized` does; the number rises with every change that moves a pixel
# Raised by Pillow for content that is no image of its format, or a damaged one. Warnings are raised only if the caller
# has turned warnings into errors.
PILLOW_ERRORS = (
    *(OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError, OverflowError),
    *(ZeroDivisionError, struct.error, zlib.error, Warning),
)
# This module refuses large images itself, with a reason, so Pillow need not warn of them on standard error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode(content: bytes | np.ndarray) -> np.ndarray:
    """Decode an image to RGB by one rule for every format.

    Grayscale is repeated to three channels and palettes are looked up. Transparency is composited over
    black. Samples of 16 bit keep their high byte (`value // 256`), whatever range they use; 1 bit becomes
    0 and 255. CMYK is converted. The orientation that EXIF records is applied. Of several frames or pages
    the first counts. Colour profiles and gamma are not applied. Samples without a defined range (32-bit or signed
    integers, floats) are refused, and so is an image of more than `MOST_PIXELS`, or with a side longer than
    `LONGEST_SIDE`: by what its header says, before it is decoded.

    Args:
        content: The content of a PNG, JPEG, BMP, GIF or TIFF file; or pixels that are decoded already, uint8
            or uint16, [height, width], [height, width, 1] or [height, width, 3].

    Returns:
        uint8 [height, width, 3], 0..255.

    Raises:
        ValueError: The content is no such image, or a damaged one; the message is a short reason.

    >>> decode(np.array([[0, 255, 65535]], np.uint16)).tolist()
    [[[0, 0, 0], [0, 0, 0], [255, 255, 255]]]
    """
    if isinstance(content, np.ndarray):
        return _repeat(content)
    return _repeat(np.array(_open(content)[0]))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image by antialiased bilinear interpolation, rounded to 8 bit.

    A triangle filter, widened by the scale where the image shrinks, is applied in each direction
    (Pillow's BILINEAR; `tf.image.resize(antialias=True)` agrees within 1). The aspect ratio is not kept.
    This is the one rule for training, evaluation and prediction: another one moves a model's features by
    several percent.

    Args:
        image: uint8 [height, width, 3].
        size: Height and width in pixels.

    Returns:
        uint8 [size[0], size[1], 3].

    >>> resize(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), (1, 1)).tolist()
    [[[128, 128, 128]]]
    """
    return np.array(_resize(Image.fromarray(image), size))


def decode_resized(content: bytes | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return `resize(decode(content), size)`, without the copies in between.

    Args:
        content: As for `decode`.
        size: Height and width in pixels.

    Returns:
        uint8 [size[0], size[1], 3].

    Raises:
        ValueError: As for `decode`.
    """
    return decode_measured(content, size)[0]


def decode_measured(content: bytes | np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what `decode_resized` does, and what values the image holds.

    Args:
        content: As for `decode`.
        size: Height and width in pixels.

    Returns:
        uint8 [size[0], size[1], 3]; and `TONES` [], of the image before it is resized.

    Raises:
        ValueError: As for `decode`.

    >>> decode_measured(np.array([[0, 4095]], np.uint16), (1, 1))[1].tolist()
    (16, 15, 2)
    """
    if isinstance(content, np.ndarray):
        image, deep = Image.fromarray(decode(content)), content.dtype == np.uint16
    else:
        image, deep = _open(content)
    return _repeat(np.asarray(_resize(image, size))), _measure(image, deep)


def _measure(image: Image.Image, deep: bool) -> np.ndarray:
    # Pillow joins the histograms of all channels, 256 numbers each, in one list.
    held = np.reshape(image.histogram(), (-1, 256)) > 0  # by channel
    values = np.flatnonzero(held.any(axis=0))
    levels = values[-1] - values[0] + 1 if deep else 0
    return np.array((levels, values[-1], held.sum(axis=1).max()), TONES)


def _is_deep(image: Image.Image, content: bytes) -> bool:
    if image.format == "PNG":
        return content[_PNG_BITS] > 8
    return image.format == "TIFF" and max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))) > 8


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _repeat(pixels: np.ndarray) -> np.ndarray:
    """Return decoded pixels as uint8 RGB."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels of type {pixels.dtype} have no defined range")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(f"pixels of shape {list(pixels.shape)} are neither grayscale nor RGB")
    _check_size(*pixels.shape[:2])
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _open(content: bytes) -> tuple[Image.Image, bool]:
    """Decode to a Pillow image in mode L or RGB, and tell if it had more than 8 bits; any fault is a ValueError."""
    if not content:
        raise ValueError("the file is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        # `open` reads the header only: an image that is too large is refused before its pixels take memory.
        _check_size(image.height, image.width)
        deep = _is_deep(image, content)
        _check_kind(image, content)
        image.load()
        _scale_transparency(image, content)
        # Pillow turns a TIFF while loading it and removes the orientation, so it is not turned twice.
        ImageOps.exif_transpose(image, in_place=True)
        return _to_8_bit(image), deep
    except Image.UnidentifiedImageError:
        raise ValueError(_describe_unread(content)) from None
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {MOST_PIXELS:,} pixels") from None
    except MemoryError:
        raise ValueError("there is not enough memory to decode it") from None
    except PILLOW_ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _describe_unread(content: bytes) -> str:
    """Say what content is that Pillow does not read."""
    for name, pattern in _FIRST_BYTES.items():
        if re.match(pattern, content, re.DOTALL):
            return f"it is {name}, whatever its name says; save it as PNG"
    for name, start in _WELL_KNOWN.items():
        if content.startswith(start):
            return (
                f"it is damaged, or a kind of {name} that is not read; save it with 8 or 16 bits, unsigned, as gray "
                "or RGB, in a usual compression"
            )
    return "it is no readable PNG, JPEG, BMP, GIF or TIFF image"


def _check_kind(image: Image.Image, content: bytes) -> None:
    """Refuse, by the header, images that Pillow would read wrongly."""
    # Pillow compares a transparent colour of 16 bits with colours of 8 bits, finds none and shows hidden pixels.
    is_rgb_png = image.format == "PNG" and content[_PNG_COLOURS] == _RGB
    if is_rgb_png and "transparency" in image.info and _is_deep(image, content):
        raise ValueError("16-bit RGB with a transparent colour is not read; save it with an alpha channel")
    if image.format != "TIFF":
        return
    tags = image.tag_v2
    if _SIGNED_OR_FLOAT & set(np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)).tolist()):
        raise ValueError(NO_RANGE)  # Pillow reads signed 8-bit samples as unsigned
    if tags.get(_PLANAR) == _SEPARATE and len(image.getbands()) > 1 and _is_deep(image, content):
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


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise ValueError(f"it has more than {MOST_PIXELS:,} pixels: {height:,} x {width:,}")
    if max(height, width) > LONGEST_SIDE:
        raise ValueError(f"it has a side of more than {LONGEST_SIDE:,} pixels: {height:,} x {width:,}")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Bring any mode with a defined range to L or RGB. Grayscale stays L, which is a third of the work."""
    if image.mode in ("I", "F"):
        raise ValueError(NO_RANGE)
    if image.mode.startswith("I;16"):
        return _high_byte(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        # `convert("RGB")` would show the colours that transparency hides; a new image is black.
        opaque = Image.new("RGB", image.size)
        opaque.paste(image, mask=image.getchannel("A"))
        return opaque
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    """Keep the high byte of 16-bit grayscale, which is what Pillow itself does for 16-bit RGB."""
    samples = np.asarray(image)
    transparent = image.info.get("transparency")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        samples = _tiff_samples(image, samples)
    pixels = (samples >> 8).astype(np.uint8)
    if transparent is not None:
        pixels[samples == transparent] = 0
    return Image.fromarray(pixels)


def _tiff_samples(image: TiffImagePlugin.TiffImageFile, samples: np.ndarray) -> np.ndarray:
    """Undo two TIFF encodings that Pillow leaves in grayscale of more than 8 bits."""
    bits = image.tag_v2.get(ExifTags.Base.BitsPerSample, (16,))[0]
    samples = samples.astype(np.uint16) << (16 - bits)  # 12-bit samples lie in the low bits
    white_is_zero = image.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == 0
    return 65535 - samples if white_is_zero else samples
