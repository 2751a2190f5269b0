"""A sample that is a part of a file, such as a plane of a volume, as a row of a table gives it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tlmed.data.file_facts import FileFacts
from tlmed.data.readers.plane import Plane
from tlmed.part_names import join_digest


def _remark_nothing() -> frozenset[str]:
    return frozenset()


def _know_nothing() -> FileFacts:
    return FileFacts()


@dataclass(frozen=True, eq=False)
class Part:
    """A sample that is a part of a file, or of a series of files. Nothing is read or decoded before it is asked for.

    Copies of a file have the same samples, and two parts of a file are never copies of each other, even if both are
    black.

    Args:
        name: What of the file it is, with all that decides its pixels: "axial plane=12 repeat".
        digest_file: Returns the SHA-256 of the file's content in hexadecimal. Raises OSError and ValueError.
        read: Returns what is shown: one plane, gray or RGB; or three gray planes, as red, green and blue, which may
            have different sizes. Raises OSError, and ValueError with a short reason.
        family: Returns the name of the family of files that it was read as, as `name_format` does.
        remarks: Returns what of the file is not used as it is stored, as `Reader.remarks` does.
        summaries: Returns what `summarise` does of each plane of the file or series. Raises as `read` does. None: the
            planes that are shown are all that there is.
        facts: Returns what the file says besides its pixels; of a series, its first one that is shown.
    """

    name: str
    digest_file: Callable[[], str]
    read: Callable[[], tuple[Plane, ...]]
    family: Callable[[], str]
    remarks: Callable[[], frozenset[str]] = field(default=_remark_nothing)
    summaries: Callable[[], list[np.ndarray]] | None = None
    facts: Callable[[], FileFacts] = field(default=_know_nothing)

    @property
    def digest(self) -> str:
        """The digest of the file and of the part's name, 64 hexadecimal digits (`join_digest`)."""
        return join_digest(self.digest_file(), self.name)


Content = bytes | np.ndarray | Part  # of a sample: of a file, whole; decoded pixels; or a part


def digest_content(content: Content) -> str:
    """Return the digest of a sample's content, in hexadecimal: of a file's bytes, or of pixels, or of a part.

    >>> digest_content(b"")[:8]
    'e3b0c442'
    """
    if isinstance(content, Part):
        return content.digest
    return digest_pixels(content).hex() if isinstance(content, np.ndarray) else hashlib.sha256(content).hexdigest()


def digest_pixels(pixels: np.ndarray) -> bytes:
    """Return the SHA-256 of an array's type, shape and values, because the same bytes can be different images."""
    found = hashlib.sha256(f"{pixels.dtype} {pixels.shape} ".encode())
    found.update(np.ascontiguousarray(pixels))
    return found.digest()
