"""Files that tlmed does not read: medical formats, archives and some pictures, with advice for each kind."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tlmed.regular_files import open_regular
from tlmed.words import count

HEAD = 1024  # bytes that tell what a file is: compressed, they hold more than the 348 of a NIfTI header


@dataclass(frozen=True)
class Kind:
    """A kind of files that is not read.

    Attributes:
        name: Of the format, as it is read after "it is".
        noun: What one file is called.
        endings: Of the names of such files, in lower case.
        start: A regular expression of the first bytes; None: only the name tells.
        cure: What to do with such a file.
        complaint: What is said before the cure, if anything.
    """

    name: str
    noun: str
    endings: tuple[str, ...]
    start: bytes | None
    cure: str
    complaint: str = ""

    @property
    def advice(self) -> str:
        """What is said of such files."""
        return f"{self.complaint}{self.cure}"


def _picture(name: str, endings: tuple[str, ...], start: bytes) -> Kind:
    return Kind(name, f"{name} file", endings, start, "convert it to PNG first", f"tlmed does not read {name}: ")


def _slide(endings: tuple[str, ...], converter: str, start: bytes | None = None) -> Kind:
    """Return a kind of slides that `readers.slides` does not read."""
    cure = f"write each as a TIFF in tiles first, with {converter}"
    return Kind("a slide", "slide", endings, start, cure, "tlmed does not read slides of this kind: ")


KINDS = (
    _picture("JPEG 2000", (".jp2", ".j2k", ".jpx", ".j2c"), rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    _picture("HEIC", (".heic", ".heif"), rb"....ftyp(heic|heix|mif1|msf1)"),
    _picture("AVIF", (".avif",), rb"....ftypavif"),
    _picture("WebP", (".webp",), rb"RIFF....WEBP"),
    _picture("JPEG XL", (".jxl",), rb"\0\0\0\x0cJXL |\xff\x0a"),
    _picture("JPEG-LS", (".jls",), rb"\xff\xd8\xff\xf7"),
    Kind(
        *("a DICOMDIR", "DICOMDIR", ("dicomdir",), rb".{128}DICM.{,200}1\.2\.840\.10008\.1\.3\.10"),
        "it lists DICOM files and is no image",
    ),
    Kind(
        *("half of a NIfTI or Analyze pair", "file of a NIfTI or Analyze pair", (".hdr", ".img"), None),
        *("save both as one .nii first", "tlmed does not read pairs of .hdr and .img: "),
    ),
    Kind(
        *("a volume", "volume", (".mha", ".mhd", ".nrrd"), rb"NRRD000"),
        *("convert it to NIfTI (.nii.gz) first", "tlmed does not read volumes of this format: "),
    ),
    # What OpenSlide reads and tiffslide does not; what Bio-Formats reads; and what neither does. A .vsi is a TIFF that
    # holds an overview only: the slide lies in .ets files beside it.
    _slide((".mrxs", ".svslide", ".vms", ".vmu"), "libvips or QuPath"),
    _slide((".czi", ".vsi", ".ets", ".zvi", ".lif", ".nd2", ".oir"), "Bio-Formats or QuPath", rb"ZISRAWFILE"),
    _slide((".isyntax", ".kfb", ".sdpc"), "the software of its scanner"),
    Kind(
        *("a raw photo", "raw photo", (".dng", ".nef", ".cr2", ".arw", ".orf", ".rw2", ".pef"), None),
        *("develop it to PNG or TIFF first", "tlmed does not read raw photos: "),
    ),
    Kind(
        *("a spreadsheet", "spreadsheet", (".xlsx", ".xlsm", ".xls", ".ods")),
        rb"\xd0\xcf\x11\xe0|PK\x03\x04.{26}(\[Content_Types|docProps/|_rels/|xl/|mimetypeapplication/vnd\.oasis)",
        *("save the sheet as CSV in UTF-8", "tlmed does not read spreadsheets: "),
    ),
    Kind("an archive", "archive", (".zip", ".tar", ".tar.gz", ".tgz", ".rar", ".7z"), rb"PK\x03\x04", "unzip it first"),
)


def find_kind(file: Path) -> Kind | None:
    """Return the kind of a file by its ending or, if that is unknown, by its first bytes; None if it is of none."""
    name = file.name.lower()
    if named := [kind for kind in KINDS if name.endswith(kind.endings)]:
        return named[0]
    return recognise(read_head(file))


def is_known_ending(name: str) -> bool:
    """Tell whether a name, in lower case, ends as those of a kind that is not read."""
    return any(name.endswith(kind.endings) for kind in KINDS)


def read_start(file: Path) -> bytes:
    """Return the first bytes of a file.

    Raises:
        OSError: It cannot be read.
    """
    with open_regular(file) as stream:
        return stream.read(HEAD)


def read_head(file: Path) -> bytes:
    """Return the first bytes of a file; none if it cannot be read."""
    try:
        return read_start(file)
    except OSError:
        return b""


def recognise(head: bytes) -> Kind | None:
    """Return the kind of a file by its first bytes; None if it is of no kind.

    >>> recognise(b"RIFF0000WEBP").advice
    'tlmed does not read WebP: convert it to PNG first'
    """
    return next((kind for kind in KINDS if kind.start and re.match(kind.start, head, re.DOTALL)), None)


def describe_others(files: Iterable[Path]) -> tuple[str, ...]:
    """Return a sentence for each known kind among files that are not read; none for other files."""
    kinds = Counter(kind for kind in map(find_kind, files) if kind)
    return tuple(f"{count(number, kind.noun)}: {kind.advice}." for kind, number in kinds.items())
