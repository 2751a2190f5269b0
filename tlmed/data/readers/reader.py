"""What a family of image files has to say for itself, so that no other module need know it; `registry` lists all."""

from collections.abc import Callable
from dataclasses import dataclass

from tlmed.data.readers.plane import Plane


def _remark_nothing(content: bytes) -> frozenset[str]:
    return frozenset()


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
        remarks: Content to what of it is not used as it is stored, without decoding pixels: sentences with the fields
            `{images}` and `{hold}`, the same for all files that have it. Raises ValueError. Several planes are no such
            remark, because `count_planes` tells them.
        shown: By which rule of the format its values become gray, as reports say it after the name; "" for none.
    """

    name: str
    endings: tuple[str, ...]
    extra: str | None
    owns: Callable[[bytes], bool]
    version: Callable[[], str]
    count_planes: Callable[[bytes], int]
    read_plane: Callable[[bytes, int], Plane]
    patient: Callable[[bytes], tuple[str, str]] | None = None
    remarks: Callable[[bytes], frozenset[str]] = _remark_nothing
    shown: str = ""
