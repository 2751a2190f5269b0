"""What a family of image files has to say for itself, so that no other module need know it; `registry` lists all."""

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tlmed.data.file_facts import FileFacts
from tlmed.data.readers.orientation import Slice
from tlmed.data.readers.plane import Plane
from tlmed.data.readers.stack import Stack
from tlmed.errors import InputError


def _remark_nothing(content: bytes) -> frozenset[str]:
    return frozenset()


def _find_no_fault(name: str) -> str:
    return ""


def _leave_open(content: bytes) -> bool:
    return True


@dataclass(frozen=True)
class Reader:
    """A family of files.

    Args:
        name: "picture", "DICOM" ...: what messages call it.
        endings: The endings that names of its files usually have, in lower case, with the dot.
        extra: The extra of tlmed that installs what it needs; None if nothing more is needed. Modules of the extra are
            imported in the functions below, never when tlmed starts.
        owns: The first bytes of a file (at most `kinds.HEAD`) to whether it is of this family. The name does not
            decide.
        version: What of the installed libraries decides pixels, as part of a file name: "pillow-11.3.0". It is asked
            even where the extra is not installed.
        count_planes: Content to the number of its planes, without decoding pixels. Raises ValueError.
        read_plane: Content and index to a plane. Raises ValueError with a short reason, and nothing else.
        patient: Content to the patient's ID and the study's, each "" if none is named. None: the family names no
            patients. No text of it may reach a file or a message.
        label: Content and the name of an element of its header to its value, "" if it has none. None: there are no
            headers to take classes from.
        label_fault: The name of an element to why it must not give classes; "" if it may.
        remarks: Content to what of it is not used as it is stored, without decoding pixels: sentences with the fields
            `{images}` and `{hold}`, the same for all files that have it. Raises ValueError. Several planes are no such
            remark, because `count_planes` tells them.
        shown: By which rule of the format its values become gray, as reports say it after the name; "" for none.
        open_stack: Content to its planes, by the header alone. None: its planes are only counted and read.
        slice: Content to its place in a series of files that are planes of one volume, None if it is in none. None: the
            family has no such series.
        holding: Content to a context in which its header is parsed once for all questions, in one thread. None: each
            question parses it.
        may_be_deep: Content to whether it may have more than 8 bits, as far as its header tells. Raises ValueError.
        facts: Content to what it says besides pixels, by its header alone; its size in bytes is added elsewhere.
            Raises ValueError. None: nothing is known.
    """

    name: str
    endings: tuple[str, ...]
    extra: str | None
    owns: Callable[[bytes], bool]
    version: Callable[[], str]
    count_planes: Callable[[bytes], int]
    read_plane: Callable[[bytes, int], Plane]
    patient: Callable[[bytes], tuple[str, str]] | None = None
    label: Callable[[bytes, str], str] | None = None
    label_fault: Callable[[str], str] = _find_no_fault
    remarks: Callable[[bytes], frozenset[str]] = _remark_nothing
    shown: str = ""
    open_stack: Callable[[bytes], Stack] | None = None
    slice: Callable[[bytes], Slice | None] | None = None
    holding: Callable[[bytes], AbstractContextManager[None]] | None = None
    may_be_deep: Callable[[bytes], bool] = _leave_open
    facts: Callable[[bytes], FileFacts] | None = None


def name_library(name: str) -> str:
    """Return a library and its version as part of a file name, whether it is installed or not.

    >>> name_library("no-such-library")
    'no-such-library-none'
    """
    try:
        return f"{name}-{importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{name}-none"


@contextlib.contextmanager
def naming_extra(what: str, extra: str | None) -> Iterator[None]:
    """Say how to install what some files need, if that is missing.

    Args:
        what: The files.
        extra: That installs it; None if none does.

    Raises:
        InputError: It is missing.
    """
    try:
        yield
    except ImportError as error:
        if extra is None:
            raise
        raise InputError(f"{what} are read by an extra: pip install '.[{extra}]'. Received: {error}.") from error
