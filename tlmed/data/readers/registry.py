"""The registry of readers: which family reads a file, by what the file holds.

A family that is added has a module beside this one and a place in `READERS`; all other modules ask the functions below.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlmed.data.file_facts import FileFacts
from tlmed.data.kinds import HEAD, is_known_ending, read_start, recognise
from tlmed.data.readers import slides
from tlmed.data.readers.arrays import ARRAY_FILES, ARRAYS
from tlmed.data.readers.dicom import DICOM
from tlmed.data.readers.nifti import NIFTI
from tlmed.data.readers.orientation import Slice
from tlmed.data.readers.picture_files import PICTURES
from tlmed.data.readers.plane import Plane
from tlmed.data.readers.reader import Reader, naming_extra
from tlmed.data.readers.stack import Stack
from tlmed.errors import InputError
from tlmed.intensity import AUTO, FILE, FULL, Intensity
from tlmed.regular_files import NotRegular

# The first one that owns a content reads it. Arrays come first: all others compare bytes.
READERS: tuple[Reader, ...] = (ARRAYS, PICTURES, DICOM, NIFTI, ARRAY_FILES)


def find_reader(content: bytes | np.ndarray) -> Reader | None:
    r"""Return the reader of a content, by its first bytes; None if no family knows them.

    Args:
        content: Of a file, whole or only the first `HEAD` bytes; or pixels that are decoded already.

    >>> find_reader(b"\xff\xd8\xff\xe0").name
    'picture'
    """
    head = content[:HEAD]
    return next((reader for reader in READERS if reader.owns(head)), None)


def name_format(content: bytes | np.ndarray) -> str:
    """Return the name of the family that reads a content; "" if none does.

    >>> name_format(b"GIF8")
    'picture'
    """
    reader = find_reader(content)
    return "" if reader is None else reader.name


def describe_formats(names: Sequence[str], intensity: Intensity | None = None) -> dict[str, dict]:
    """Return for each family how many `images` it read and by which rule they are `shown`, "" for none.

    Args:
        names: The family of every image.
        intensity: What a recipe came to. A family's own rule, as DICOM has windows, holds where it asks for nothing;
            so it does if None.

    >>> describe_formats(["picture", "picture"])
    {'picture': {'images': 2, 'shown': ''}}
    >>> describe_formats(["DICOM"], Intensity("window", -1350.0, 149.0, "HU"))
    {'DICOM': {'images': 1, 'shown': 'at -1,350 to 149 Hounsfield units, as the recipe asks'}}
    """
    shown = {reader.name: reader.shown for reader in READERS}
    if intensity is not None and intensity.kind != AUTO:
        asked = f"{'by' if intensity.kind in (FULL, FILE) else 'at'} {intensity.describe()}, as the recipe asks"
        shown = {name: asked if rule else "" for name, rule in shown.items()}
    return {name: {"images": images, "shown": shown.get(name, "")} for name, images in sorted(Counter(names).items())}


def read_plane(content: bytes | np.ndarray, index: int = 0) -> Plane:
    """Return a plane of an image file, with the meaning that its format gives to its numbers.

    Args:
        content: Of a file; or pixels that are decoded already, uint8 or uint16, [height, width],
            [height, width, 1] or [height, width, 3].
        index: Which plane.

    Raises:
        ValueError: The content is no image that is read, or a damaged one; the message is a short reason.
        InputError: It is read by an extra that is not installed.
    """
    reader = find_reader(content)
    if reader is None:
        raise ValueError(_describe_unread(content))
    with _using(reader):
        return reader.read_plane(content, index)


def count_planes(content: bytes | np.ndarray) -> int:
    """Return how many planes an image file has, without decoding them; 0 if it is not read.

    Raises:
        ValueError, InputError: As for `read_plane`.
    """
    reader = find_reader(content)
    if reader is None:
        return 0
    with _using(reader):
        return reader.count_planes(content)


def may_be_deep(content: bytes | np.ndarray) -> bool:
    """Tell, without decoding pixels, whether an image may have more than 8 bits.

    Raises:
        ValueError, InputError: As for `read_plane`.
    """
    reader = find_reader(content)
    if reader is None:
        return True  # reading names the fault
    with _using(reader):
        return reader.may_be_deep(content)


def open_stack(content: bytes | np.ndarray) -> Stack:
    """Open the planes of an image file, by its header.

    Raises:
        ValueError, InputError: As for `read_plane`.
    """
    reader = find_reader(content)
    if reader is None:
        raise ValueError(_describe_unread(content))
    with _using(reader):
        if reader.open_stack is not None:
            return reader.open_stack(content)
        return Stack({"axial": reader.count_planes(content)}, lambda axis, index: read_plane(content, index), False)


def find_slice(content: bytes | np.ndarray) -> Slice | None:
    """Return the place of a file in a series of files that are planes of one volume; None if it is in none.

    Who calls this lets the name of the series into no file and no message.

    Raises:
        ValueError, InputError: As for `read_plane`.
    """
    reader = find_reader(content)
    if reader is None or reader.slice is None:
        return None
    with _using(reader):
        return reader.slice(content)


def holding(content: object) -> AbstractContextManager[None]:
    """Return a context in which the header of an image file is parsed once, in one thread, for all that is asked here.

    Args:
        content: As for `read_plane`; of anything else nothing is held.
    """
    reader = find_reader(content) if isinstance(content, bytes) else None
    return contextlib.nullcontext() if reader is None or reader.holding is None else reader.holding(content)


def find_remarks(content: bytes | np.ndarray) -> frozenset[str]:
    """Return what of an image file is not used as it is stored, as its reader says it (`Reader.remarks`).

    Raises:
        ValueError, InputError: As for `read_plane`.
    """
    reader = find_reader(content)
    if reader is None:
        return frozenset()
    with _using(reader):
        return reader.remarks(content)


def read_facts(content: bytes | np.ndarray) -> FileFacts:
    """Return what an image file says besides its pixels, by its header; of a damaged header only how long the file is.

    Raises:
        InputError: It is read by an extra that is not installed.
    """
    length = len(content) if isinstance(content, bytes) else 0
    reader = find_reader(content)
    if reader is None or reader.facts is None:
        return FileFacts(length)
    try:
        with _using(reader):
            return replace(reader.facts(content), bytes=length)
    except InputError:
        raise
    except ValueError:
        return FileFacts(length, reader.name)  # reading the image names the fault


def names_patients(head: bytes) -> bool:
    """Tell by a file's first bytes whether it is an image of a family that names its patients."""
    reader = find_reader(head)
    return reader is not None and reader.patient is not None


def find_patient(content: bytes) -> tuple[str, str]:
    """Return the IDs of patient and study of a file for which `names_patients` is true, each "" if none is named.

    Who calls this lets no text of it into a file or a message.

    Raises:
        ValueError, InputError: As for `read_plane`.
    """
    reader = find_reader(content)
    with _using(reader):
        return reader.patient(content)


def find_label_fault(name: str) -> str:
    """Return why no header may give classes by an element of this name; "" if one may.

    Raises:
        InputError: A family needs an extra that is not installed.
    """
    faults = []
    for reader in (reader for reader in READERS if reader.label is not None):
        with _using(reader):
            faults.append(reader.label_fault(name))
    return "; ".join(faults) if all(faults) else ""


def find_label(content: bytes, name: str) -> str | None:
    """Return the value of an element of a header, "" if it has none; None for a file without a header.

    Args:
        content: Of a file.
        name: Of an element for which `find_label_fault` finds nothing.

    Raises:
        ValueError, InputError: As for `read_plane`.
    """
    reader = find_reader(content)
    if reader is None or reader.label is None:
        return None
    with _using(reader):
        return reader.label(content, name)


def readable_endings() -> tuple[str, ...]:
    """Return the endings that names of readable files usually have, in lower case, with the dot.

    >>> ".tiff" in readable_endings()
    True
    """
    return (*(ending for reader in READERS for ending in reader.endings), *slides.ENDINGS)


def describe_endings() -> str:
    """Return these endings, to be read by a person."""
    return ", ".join(readable_endings())


def has_usual_ending(name: str) -> bool:
    """Tell whether a name ends as those of image files do, in any case.

    >>> has_usual_ending("scan 01.TIFF"), has_usual_ending("1.2.840.10008")
    (True, False)
    """
    return name.lower().endswith(readable_endings())


def is_image(file: Path) -> bool:
    """Tell an image file by its usual ending or, if its ending says nothing else, by its first bytes.

    Args:
        file: Its name is enough if it ends as usual. A copy or an unfinished download (`x.png.bak`, `x.jpg_original`)
            is no image, whatever it holds: it would count twice. A file that cannot be read may be one: reading it as
            an image names the reason.
    """
    name = file.name.lower()
    if has_usual_ending(name):
        return True
    copy = rf"({'|'.join(map(re.escape, readable_endings()))})[^a-z0-9]"
    if is_known_ending(name) or re.search(copy, name):
        return False
    try:
        return find_reader(read_start(file)) is not None
    except (NotRegular, IsADirectoryError):
        return False
    except FileNotFoundError:
        return file.is_symlink()
    except OSError:
        return True


def name_versions() -> str:
    """Return what of the installed libraries decides pixels, as part of a file name."""
    return "-".join(filter(None, (*(reader.version() for reader in READERS), slides.name_version())))


def _using(reader: Reader) -> contextlib.AbstractContextManager[None]:
    return naming_extra(f"{reader.name} files", reader.extra)


def _describe_unread(content: bytes) -> str:
    """Say what a content is that no reader owns."""
    if not content:
        return "the file is empty"
    if kind := recognise(content[:HEAD]):
        return f"it is {kind.name}, whatever its name says; {kind.cure}"
    *names, last = (reader.name for reader in READERS if reader.endings)
    return f"it is no readable {', '.join(names)} or {last}"
