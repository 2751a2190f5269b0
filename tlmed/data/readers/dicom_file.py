"""The header of a DICOM file: what its pixels need and nothing else, with bounds on size and on what damage can do."""

import functools
import importlib
import io
import logging
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlmed.data.readers.damage import Unread, replace_reasons

if TYPE_CHECKING:
    from pydicom import Dataset

MOST_INFLATED = 2**29  # bytes of a deflated data set: more than any one image that is read here
_MARK = 128  # where the mark of a Part 10 file stands, after its preamble
_IMPLICIT, _EXPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_DIRECTORY = b"1.2.840.10008.1.3.10"  # the class of a DICOMDIR, which lists files and has no pixels
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_FEW = 3  # elements in a row that tell a file without preamble from other files
_FIRST_GROUPS = (0x0002, 0x0008)
_MOST_FIRST = 1024  # bytes of one of these elements
_FIRST_PIXELS, _LAST_PIXELS = 0x7FE00001, 0x7FE00010  # tags: from the offsets of frames to the pixels
_STUDY = 0x0020000D
# By keyword: what a header says of how and where an image was made, as `FileFacts.tags` calls it.
FACTS = {
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "model",
    "StationName": "station",
    "InstitutionName": "institution",
    "SoftwareVersions": "software",
    "StudyDate": "date",
    "Modality": "modality",
    "BodyPartExamined": "body part",
    "ViewPosition": "view",
    "Laterality": "laterality",
    "PatientPosition": "patient position",
    "PatientSex": "sex",
    "PatientAge": "age",
    "ProtocolName": "protocol",
    "ConvolutionKernel": "kernel",
    "KVP": "tube voltage",
    "SliceThickness": "slice thickness",
    "ContrastBolusAgent": "contrast agent",
    "SpecificCharacterSet": "character set",
    "PixelRepresentation": "sign",
    "RescaleSlope": "slope",
    "RescaleIntercept": "intercept",
    "WindowCenter": "window centre",
    "WindowWidth": "window width",
}
# What is asked of a header. Nothing else is kept in memory, except inside of functional groups.
_ASKED = (
    *FACTS,
    *("SOPClassUID", "NumberOfFrames"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPresentation"),
    *("ImageType", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(f"{kind}PixelPadding{part}" for kind in ("", "Float", "DoubleFloat") for part in ("Value", "RangeLimit")),
    *("PresentationLUTShape", "PresentationLUTSequence"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    "SegmentedRedPaletteColorLookupTableData",
    *("PixelSpacing", "ImagerPixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData", "FloatPixelData", "DoubleFloatPixelData"),
)
# Rows of the 16 overlays that a file may have, whether their bits lie with the pixels or apart.
_OVERLAYS = tuple((0x6000 + 2 * number) << 16 | 0x0010 for number in range(16))
# Elements of the file meta information (group 0002).
_MEDIA, _SYNTAX = {"SOPClassUID": 0x0002, "SOPInstanceUID": 0x0003}, 0x0010
_PATIENT = ("PatientID", "StudyInstanceUID")

_IMPORTING, _MODULES = threading.Lock(), ("pydicom.datadict", "pydicom.encaps", "pydicom.filereader", "pydicom.pixels")
_QUIET = ("ignore", None, re.compile("pydicom"), Warning, 0)  # as `warnings.filterwarnings` keeps it


@dataclass(frozen=True, eq=False)
class Header:
    """What a file says.

    Attributes:
        elements: Its data set, without most elements.
        syntax: The UID of its transfer syntax.
        little: Whether the lowest byte of a number comes first.
    """

    elements: "Dataset"
    syntax: str
    little: bool

    @property
    def has_overlays(self) -> bool:
        """Whether there are graphics to be drawn over the pixels."""
        return any(tag in self.elements for tag in _OVERLAYS)

    def get(self, keyword: str) -> object:
        """Return the value of an element; None if it is missing or empty."""
        return get(self.elements, keyword)


def get(elements: "Dataset", keyword: str) -> object:
    """Return the value of an element of a data set; None if it is missing or empty.

    Raises:
        Unread: If the value is damaged.
    """
    with only_reasons(f"{keyword} in its header is damaged"):
        value = elements.get(keyword)
        return None if value is None or value == "" or value == b"" or value == [] else value


@contextmanager
def only_reasons(reason: str) -> Iterator[None]:
    """Turn what pydicom and its plugins raise for damaged content into `Unread`, and ignore what they warn of.

    Args:
        reason: What to say instead.
    """
    _hush()
    try:
        with replace_reasons(reason):
            yield
    except _find_length_error():  # pydicom's own error for a value of a wrong length, which is no ValueError
        raise Unread(reason) from None


@functools.cache
def _find_length_error() -> type[Exception]:
    with _IMPORTING:
        return importlib.import_module("pydicom.errors").BytesLengthException


def _hush() -> None:
    """Let no warning and no log message of pydicom through."""
    logging.getLogger("pydicom").propagate = False
    # `catch_warnings` is no way: it changes the filters of all threads, and images are read by several.
    if warnings.filters[:1] != [_QUIET]:
        warnings.filterwarnings("ignore", module="pydicom")


def is_dicom(head: bytes) -> bool:
    r"""Tell a DICOM file by its first bytes.

    Args:
        head: At least 352 bytes, or all of a shorter file.

    Returns:
        Whether it has the mark of a Part 10 file, or begins like a data set: with several elements of the groups 0002
        and 0008, well-formed and in order. A DICOMDIR is none.

    >>> is_dicom(bytes(128) + b"DICM"), is_dicom(b"\x08\0\x05\0CS\x0a\0ISO_IR 100")
    (True, False)
    """
    if head[_MARK : _MARK + 4] == b"DICM":
        return _DIRECTORY not in head
    return any(_begins(head, order, explicit) for order in "<>" for explicit in (True, False))


def _begins(head: bytes, order: str, explicit: bool) -> bool:
    place, last = 0, -1
    for _ in range(_FEW):
        if len(head) < place + 12:
            return False
        group, number = struct.unpack_from(order + "HH", head, place)
        size, length = _measure(head, place, order, explicit)
        tag = group << 16 | number
        if group not in _FIRST_GROUPS or tag <= last or length > _MOST_FIRST or length % 2:
            return False
        place, last = place + size + length, tag
    return True


def _measure(content: bytes, place: int, order: str, explicit: bool) -> tuple[int, int]:
    """Return how many bytes there are before the value of the element at a place, and in it."""
    if not explicit:
        return 8, struct.unpack_from(order + "I", content, place + 4)[0]
    kind = content[place + 4 : place + 6]
    if kind in _LONG:
        return 12, struct.unpack_from(order + "I", content, place + 8)[0]
    # Two capital letters; anything else is no explicit element.
    known = kind.isalpha() and kind.isupper()
    return 8, struct.unpack_from(order + "H", content, place + 6)[0] if known else 2**32


def read_header(content: bytes, pixels: bool = True) -> Header:
    """Read what the pixels of a file need.

    Args:
        content: A DICOM file.
        pixels: Whether its pixel data are read, too, still encoded.

    Raises:
        Unread: It is damaged.
        ImportError: pydicom is not installed.
    """
    held = _holder.content is content
    if held and _holder.header is not None:
        return _holder.header
    last = _LAST_PIXELS if pixels or held else _FIRST_PIXELS - 1
    header = _read(content, (*_number(_ASKED), *_OVERLAYS), last)
    if held:
        _holder.header = header
    return header


class _Holder(threading.local):
    """What `holding` holds in this thread."""

    content: bytes | None = None
    header: Header | None = None


_holder = _Holder()


@contextmanager
def holding(content: bytes) -> Iterator[None]:
    """Let `read_header` parse a content once in the block and this thread, and return the same header each time.

    A parse takes as long as decoding pixels that are not compressed, and several questions are asked of each file.
    """
    _holder.content, _holder.header = content, None
    try:
        yield
    finally:
        _holder.content = _holder.header = None


def read_patient(content: bytes) -> tuple[str, str]:
    """Return the PatientID and the StudyInstanceUID of a file; "" for one that is missing.

    They tell which images belong together; who calls this lets neither of them into a file or a message.

    Raises:
        Unread: As for `read_header`.
    """
    header = _read(content, _number(_PATIENT), _STUDY)
    return tuple(str(header.get(keyword) or "").strip(" \0") for keyword in _PATIENT)


def read_elements(content: bytes, keywords: tuple[str, ...]) -> Header:
    """Read some elements of a file, and nothing else.

    Raises:
        Unread, ImportError: As for `read_header`.
    """
    tags = _number(keywords)
    return _read(content, tags, max(tags))


def read_meta(content: bytes) -> dict[str, str]:
    """Return which image the file meta information names: SOPClassUID and SOPInstanceUID, as far as it does.

    Raises:
        Unread: It is damaged.
    """
    with only_reasons("its file meta information is damaged"):
        meta, _ = _split_meta(content)
        found = {keyword: meta.get(number, b"").decode("ascii").strip(" \0") for keyword, number in _MEDIA.items()}
    return {keyword: uid for keyword, uid in found.items() if uid}


def get_text(content: bytes, keyword: str) -> str:
    """Return the value of one element of a file as text, several values with backslashes between; "" if it has none.

    Raises:
        Unread, ImportError: As for `read_header`.
    """
    return write_text(read_elements(content, (keyword,)).get(keyword))


def write_text(value: object) -> str:
    """Return the value of an element as text, several values with backslashes between; "" for None."""
    several = value if isinstance(value, MutableSequence) else ["" if value is None else value]
    return "\\".join(str(one).strip(" \0") for one in several)


def _read(content: bytes, tags: tuple[int, ...], last: int) -> Header:
    with only_reasons("its header is damaged"):
        syntax, start = _find_syntax(content)
        stream = io.BytesIO(content)
        stream.seek(start)
        if syntax == _DEFLATED:
            stream = io.BytesIO(_inflate(content[start:]))
        elements = _read_elements(stream, syntax, tags, last)
    return Header(elements, syntax, syntax != _BIG)


def _read_elements(stream: io.BytesIO, syntax: str, tags: tuple[int, ...], last: int) -> "Dataset":
    from pydicom.filereader import read_dataset

    return read_dataset(
        stream,
        is_implicit_VR=syntax == _IMPLICIT,
        is_little_endian=syntax != _BIG,
        stop_when=lambda tag, kind, length: tag > last,
        specific_tags=list(tags),
    )


@functools.cache
def _number(keywords: tuple[str, ...]) -> tuple[int, ...]:
    # Modules of pydicom import each other: without the lock, another thread may find one of them half made.
    with _IMPORTING:
        for name in _MODULES:
            importlib.import_module(name)
    from pydicom.datadict import tag_for_keyword

    return tuple(map(tag_for_keyword, keywords))


def _find_syntax(content: bytes) -> tuple[str, int]:
    """Return the transfer syntax of a file, and where its data set starts, whose first element may tell the syntax."""
    meta, place = _split_meta(content)
    syntax = meta.get(_SYNTAX, b"").decode("ascii").strip(" \0")
    return syntax or _guess_syntax(content[place : place + 12]), place


def _split_meta(content: bytes) -> tuple[dict[int, bytes], int]:
    """Return the values of the file meta information by the numbers of their elements, and where it ends.

    It is always in explicit VR, little endian (PS3.10, 7.1).
    """
    place, meta = _MARK + 4 if content[_MARK : _MARK + 4] == b"DICM" else 0, {}
    while content[place : place + 2] == b"\x02\0":
        size, length = _measure(content, place, "<", explicit=True)
        if length > len(content):
            raise Unread("its file meta information is damaged")
        number = int.from_bytes(content[place + 2 : place + 4], "little")
        meta[number] = content[place + size : place + size + length]
        place += size + length
    return meta, place


def _guess_syntax(head: bytes) -> str:
    if not (head[4:6].isalpha() and head[4:6].isupper()):
        return _IMPLICIT
    # The number of the first group is small: read in the wrong order, it is large.
    return _EXPLICIT if struct.unpack("<H", head[:2])[0] < 2**10 else _BIG


def _inflate(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = unpacker.decompress(packed, MOST_INFLATED)
    if unpacker.unconsumed_tail:
        raise Unread(f"its data set is deflated and has more than {MOST_INFLATED:,} bytes")
    if not unpacker.eof:
        raise Unread("its deflated data set is cut off")
    return plain
