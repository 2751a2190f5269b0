"""Files that tlmed does not read: medical formats, archives and some pictures, with advice for each kind."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tlmed.regular_files import open_regular
from tlmed.words import count

_PICTURES = {  # pictures in formats that are not read
    **dict.fromkeys((".jp2", ".j2k", ".jpx", ".j2c"), "JPEG 2000"),
    **dict.fromkeys((".heic", ".heif"), "HEIC"),
    **{".webp": "WebP", ".jxl": "JPEG XL", ".avif": "AVIF"},
}
_ENDINGS = {
    **_PICTURES,
    **dict.fromkeys((".dcm", ".dicom", ".ima"), "DICOM"),
    **dict.fromkeys((".nii", ".nii.gz"), "NIfTI"),
    **dict.fromkeys((".mha", ".mhd", ".nrrd"), "volume"),
    **dict.fromkeys((".svs", ".svslide", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".czi", ".qptiff"), "slide"),
    **dict.fromkeys((".zip", ".tar", ".tar.gz", ".tgz", ".rar", ".7z"), "archive"),
}
CURES = {
    **{kind: f"tlmed does not read {kind}: convert it to PNG first" for kind in _PICTURES.values()},
    "DICOM": "tlmed does not read DICOM yet: convert it to PNG or TIFF first",
    "NIfTI": "tlmed does not read NIfTI yet: write its slices as PNG or TIFF first",
    "volume": "tlmed does not read volumes yet: write their slices as PNG or TIFF first",
    "slide": "tlmed does not read slides yet: write tiles of them as PNG or TIFF first",
    "archive": "unzip it first",
}
NOUNS = {kind: f"{kind} file" for kind in ("DICOM", "NIfTI", *_PICTURES.values())}
NOUNS |= {name: name for name in ("volume", "slide", "archive")}
_HEAD = 352  # bytes: the header of a NIfTI file, which is longer than the preamble of DICOM


def name_kind(file: Path) -> str | None:
    """Return the kind of a file, a key of `CURES`, by its ending or, if that is unknown, by its first bytes."""
    name = file.name.lower()
    for ending, kind in _ENDINGS.items():
        if name.endswith(ending):
            return kind
    try:
        with open_regular(file) as stream:
            head = stream.read(_HEAD)
    except OSError:
        return None
    # DICOM has a preamble of 128 bytes before its mark; NIfTI has its mark at the end of its header.
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return "NIfTI"
    return "archive" if head[:4] == b"PK\x03\x04" else None


def describe_others(files: Iterable[Path]) -> tuple[str, ...]:
    """Return a sentence for each known kind among files that are not read; none for other files."""
    kinds = Counter(kind for kind in map(name_kind, files) if kind)
    return tuple(f"{count(number, NOUNS[kind])}: {CURES[kind]}." for kind, number in kinds.items())
