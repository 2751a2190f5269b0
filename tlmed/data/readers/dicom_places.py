"""Where frames of DICOM files lie in the patient, and which series a file belongs to."""

from tlmed.data.readers.damage import Unread
from tlmed.data.readers.dicom_file import Header, get, only_reasons, read_elements
from tlmed.data.readers.dicom_pixels import count_frames
from tlmed.data.readers.dicom_values import find_group, find_spacing
from tlmed.data.readers.orientation import Place, Slice

_POSITION, _ORIENTATION = "ImagePositionPatient", "ImageOrientationPatient"
_ASKED = ("NumberOfFrames", "SeriesInstanceUID", _POSITION, _ORIENTATION, "Rows", "Columns", "PixelSpacing")
_FARTHEST = 1e6  # millimetres: a kilometre


def find_slice(content: bytes) -> Slice | None:
    """Return which series a file belongs to; None if it names none, or has several frames.

    Raises:
        Unread: Its header is damaged.
    """
    header = read_elements(content, _ASKED)
    series = str(header.get("SeriesInstanceUID") or "").strip(" \0")
    if not series or count_frames(header) > 1:
        return None
    return Slice(series, _find_place(header, 0))


def find_places(header: Header, frames: int) -> list[Place] | None:
    """Return where each frame of a file lies; None if the file does not say it, or they all lie at one place.

    Args:
        header: The header of the file.
        frames: How many frames it has.

    Raises:
        Unread: It is damaged.
    """
    places = [_find_place(header, index) for index in range(frames)]
    if None in places or (frames > 1 and len({place.position for place in places}) == 1):
        return None
    return places


def _find_place(header: Header, index: int) -> Place | None:
    position = get(find_group(header, "PlanePositionSequence", index), _POSITION)
    across = get(find_group(header, "PlaneOrientationSequence", index), _ORIENTATION)
    if position is None or across is None:
        return None
    with only_reasons("its position or orientation is damaged"):
        place, cosines = tuple(map(float, position)), tuple(map(float, across))
        shape = int(header.get("Rows")), int(header.get("Columns"))
        if len(place) != 3 or len(cosines) != 6:
            raise ValueError
    if not all(abs(number) <= _FARTHEST for number in (*place, *cosines)):  # NaN, too
        raise Unread("its position or orientation is damaged")
    return Place(cosines, place, shape, find_spacing(header, index))
