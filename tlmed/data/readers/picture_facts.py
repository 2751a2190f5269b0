"""Pictures: what a header says of how a file was made, to be compared with classes and shown to nobody."""

import contextlib
import hashlib
from collections.abc import Mapping

from PIL import ExifTags, Image

from tlmed.data.file_facts import FileFacts
from tlmed.data.readers.damage import DAMAGE
from tlmed.data.readers.tiff_pages import read_tag, walk_tiff

_GRAY, _PALETTE = ("1", "L", "LA", "La", "F"), ("P", "PA")
_EXIF = {  # by EXIF's number: what `FileFacts.tags` calls it
    ExifTags.Base.Make: "manufacturer",
    ExifTags.Base.Model: "model",
    ExifTags.Base.Software: "software",
    ExifTags.Base.DateTime: "date",
    ExifTags.Base.Orientation: "orientation",
    ExifTags.Base.Artist: "author",
    ExifTags.Base.HostComputer: "station",
    ExifTags.Base.ImageDescription: "description",
    ExifTags.Base.Compression: "compression",
    ExifTags.Base.PhotometricInterpretation: "photometric interpretation",
}
_INFO = {  # by Pillow's name for what a PNG, JPEG, GIF, BMP or TIFF says
    "Software": "software",
    "Author": "author",
    "Comment": "comment",
    "Description": "description",
    "comment": "comment",
    "dpi": "resolution",
    "compression": "compression",
    "gamma": "gamma",
    "srgb": "rendering intent",
    "interlace": "interlace",
    "jfif_version": "JFIF version",
    "adobe": "Adobe marker",
}
_MOST = 200  # characters of a value that are compared


def describe_picture(image: Image.Image, bits: int) -> FileFacts:
    """Return what a picture's header says besides its pixels, which are not decoded.

    Args:
        image: As Pillow opened it.
        bits: Per sample.
    """
    gray = image.mode in _GRAY or image.mode.startswith("I")
    colours = "gray" if gray else "palette" if image.mode in _PALETTE else "colour"
    return FileFacts(0, image.format or "", image.height, image.width, bits, colours, tags=_find_tags(image))


def _find_tags(image: Image.Image) -> Mapping[str, str]:
    found = {name: image.info[key] for key, name in _INFO.items() if key in image.info}
    if "icc_profile" in image.info:
        found["colour profile"] = _digest(image.info["icc_profile"] or b"")
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        found["transparency"] = "yes"
    if "exif" in image.info or image.format == "TIFF":
        with contextlib.suppress(*DAMAGE, SyntaxError):  # damaged EXIF data say nothing; the picture may be sound
            exif = image.getexif()
            found |= {name: exif[number] for number, name in _EXIF.items() if number in exif}
    if tables := getattr(image, "quantization", None):  # of a JPEG: they tell its quality and who wrote it
        found["quantisation"] = _digest(repr(sorted(tables.items())).encode())
        found["progressive"] = "yes" if image.info.get("progressive") else "no"
        found["sampling"] = getattr(image, "layer", "")
    texts = {name: str(value).strip(" \0")[:_MOST] for name, value in found.items()}
    return {name: text for name, text in texts.items() if text}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def describe_tiff(content: bytes) -> FileFacts:
    """Return what the first page of a TIFF says of its size, for those that Pillow does not open.

    Raises:
        ValueError: The file is cut short.
    """
    page = next(walk_tiff(content), range(0))
    numbers = (ExifTags.Base.ImageLength, ExifTags.Base.ImageWidth, ExifTags.Base.BitsPerSample)
    height, width, bits = (max(read_tag(content, page, number), default=0) for number in numbers)
    return FileFacts(0, "TIFF", height, width, bits, "gray")
