"""Names and digests of samples that are parts of a file: planes of a volume, tiles of a slide; `file#plane=12`."""

import hashlib
import re

_PART = re.compile(r"#(plane=[0-9]+|views|x=[0-9]+,y=[0-9]+)$")


def join_part(file: str, part: str) -> str:
    """Return the path of a sample that is a part of a file.

    Args:
        file: The path of the file, or of the folder or first file of a series.
        part: "plane=12" (counted from 0), "views" (the three middle planes), or "x=1024,y=0" (the corner of a tile).

    >>> join_part("scan.nii.gz", "plane=12")
    'scan.nii.gz#plane=12'
    """
    return f"{file}#{part}"


def split_part(path: str) -> tuple[str, str]:
    """Return the file that a sample is from, and which part of it; "" for a sample that is the whole file.

    >>> split_part("scan.nii.gz#plane=12"), split_part("scan#2.png")
    (('scan.nii.gz', 'plane=12'), ('scan#2.png', ''))
    """
    found = _PART.search(path)
    return (path[: found.start()], found[1]) if found else (path, "")


def name_kind(path: str) -> str:
    """Return what kind of part of a file a sample is; "image" for a whole file.

    >>> [name_kind(path) for path in ("a.nii#plane=1", "a.svs#x=0,y=512", "a.png")]
    ['plane', 'tile', 'image']
    """
    part = split_part(path)[1]
    return "plane" if part.startswith("plane=") else "tile" if part.startswith("x=") else "image"


_HALF = 32  # hexadecimal digits: 128 bits tell files apart


def join_digest(file: str, name: str) -> str:
    """Return the digest of a part of a file: half of it tells the file, and half of it the part.

    Args:
        file: The SHA-256 of the file's content, in hexadecimal.
        name: What of the file it is, with all that decides its pixels.
    """
    return file[:_HALF] + hashlib.sha256(f"{file} {name}".encode()).hexdigest()[:_HALF]


def file_of(digest: str) -> str:
    """Return what the digests of a file and of all its parts have in common.

    >>> file_of(join_digest("a" * 64, "plane=1")) == file_of(join_digest("a" * 64, "views")) == file_of("a" * 64)
    True
    """
    return digest[:_HALF]
