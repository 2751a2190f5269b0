"""DICOM: what a header says of how and where an image was made, to be compared with classes and shown to nobody."""

import contextlib

from tlmed.data.file_facts import FileFacts
from tlmed.data.readers.damage import Unread
from tlmed.data.readers.dicom_file import FACTS, Header, only_reasons, read_header, write_text
from tlmed.data.readers.dicom_values import find_spacing

_COLOURS = {"MONOCHROME1": "inverted", "MONOCHROME2": "gray", "PALETTE COLOR": "palette"}


def read_facts(content: bytes) -> FileFacts:
    """Return what a file says besides its pixels; values that are missing or damaged are left out.

    Args:
        content: A DICOM file. Within `holding`, its header is parsed no further time.

    Raises:
        Unread: The header is damaged as a whole.
    """
    header = read_header(content, pixels=False)
    photometric = write_text(header.get("PhotometricInterpretation")).upper()
    tags = {name: text for keyword, name in FACTS.items() if (text := _find_text(header, keyword))}
    spacing = None
    with contextlib.suppress(Unread):  # fewer functional groups than frames: decoding says so
        spacing = find_spacing(header, 0)
    return FileFacts(
        0,
        "DICOM",
        _find_number(header, "Rows"),
        _find_number(header, "Columns"),
        _find_number(header, "BitsStored"),
        _COLOURS.get(photometric, "colour"),
        spacing,
        {**tags, "transfer syntax": header.syntax, "image type": _find_text(header, "ImageType")},
    )


def _find_text(header: Header, keyword: str) -> str:
    with contextlib.suppress(Unread), only_reasons(""):
        return write_text(header.get(keyword))
    return ""


def _find_number(header: Header, keyword: str) -> int:
    with contextlib.suppress(Unread), only_reasons(""):
        return max(int(header.get(keyword) or 0), 0)
    return 0
