"""DICOM: one frame of a file, by its standard's rules from stored pixels to what is shown (PS3.3, C.11; PS3.4, N.2).

The order is: decode, Modality LUT or rescaling, VOI LUT or window, and inversion last. Of a header
leave this family pixels, their spacing and their window, and what `dicom_facts` lists, to be compared and never shown;
reasons for refusing a file quote nothing from it.

- Overlays are not drawn, whether they have elements of their own or lie in bits of the pixels that are not used.
- Pixels with the Pixel Padding Value go through the same steps as others, but count in no range that is measured. The
  standard says that they are no part of the image and not how to show them; dcmtk does the same, and windows mostly
  show them black, as they show air.
- Neither presentation states nor ICC profiles nor pixel aspect ratios are applied.
"""

import numpy as np

from tlmed.columns import is_missing
from tlmed.data.readers.damage import Unread
from tlmed.data.readers.dicom_facts import read_facts
from tlmed.data.readers.dicom_file import Header, holding, is_dicom, only_reasons, read_header, read_patient
from tlmed.data.readers.dicom_labels import find_label_fault, read_label
from tlmed.data.readers.dicom_pixels import PALETTE, Stored, count_frames, decode, describe
from tlmed.data.readers.dicom_places import find_places, find_slice
from tlmed.data.readers.dicom_values import (
    colour,
    count_windows,
    find_padding,
    find_spacing,
    find_unit,
    find_window,
    give_meaning,
    is_inverted,
)
from tlmed.data.readers.orientation import arrange, stack_planes
from tlmed.data.readers.plane import Plane
from tlmed.data.readers.reader import Reader, name_library
from tlmed.data.readers.stack import CHOOSE, Stack

ENDINGS = (".dcm", ".dicom", ".ima")  # many files of an archive have none
_BYTE = 8  # bits
_LIBRARIES = ("pydicom", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg")
_SEVERAL = (
    "{images} {hold} several windows or VOI LUTs: the first is used, a LUT before a window, unless a window is set."
)
_SHOWN = "by the first VOI LUT or window of each file; without one, 8 bits or fewer as stored"
_DRAWN = "{images} {hold} overlays: they are not drawn."


def count_planes(content: bytes) -> int:
    """Return how many frames a file has, by its header; no pixel is decoded.

    Args:
        content: A DICOM file.

    Raises:
        ValueError: The header is damaged.
    """
    return count_frames(read_header(content, pixels=False))


def read_plane(content: bytes, index: int = 0) -> Plane:
    """Read one frame.

    Args:
        content: A DICOM file.
        index: Which frame, from 0.

    Returns:
        Values in the units of the file, before a VOI LUT, with this and the window. Without a window of their own, gray
        pixels of at most 8 bits are shown in the whole range of their bits; others have no window.

    Raises:
        ValueError: A short reason, without anything from the header.
    """
    header = read_header(content)
    return _read_frame(header, describe(header), index)


def _read_frame(header: Header, stored: Stored, index: int) -> Plane:
    if not 0 <= index < stored.frames:
        raise Unread(f"it has {stored.frames:,} frames, and not a frame {index + 1:,}")
    if header.get("PixelPresentation") in ("COLOR", "MIXED"):
        raise Unread("its gray pixels are coloured by a supplemental palette, which is not read")
    pixels = decode(header, stored, index)
    spacing = find_spacing(header, index)
    with only_reasons("its pixels cannot be shown by what its header says"):
        if stored.photometric == PALETTE:
            return _make_rgb(colour(pixels, header, stored), spacing)
        if stored.samples > 1:
            return _make_rgb(_fill(pixels, stored), spacing)
        values, whole = give_meaning(pixels, header, stored, index)
        voi, window = find_window(whole, header, index)
        if window is None and stored.bits <= _BYTE and not _is_byte(values, whole):
            window = whole
        whole = whole if stored.bits > _BYTE else None
        unit = find_unit(header, index)
        padding = find_padding(pixels, header, stored)
        return Plane(values, stored.bits, window, is_inverted(header, stored), spacing, unit, whole, voi, padding)


def _read_only_plane(content: bytes, index: int) -> Plane:
    """Read the plane of a file that has one: the others have to wait."""
    header = read_header(content)
    frames = count_frames(header)
    if frames > 1:
        raise Unread(f"it has {frames:,} frames; {CHOOSE}")
    return _read_frame(header, describe(header), index)


def open_stack(content: bytes) -> Stack:
    """Open the frames of a file: as planes of a volume where the header says where each lies in the patient.

    Raises:
        ValueError: A short reason, without anything from the header.
    """
    header = read_header(content)
    stored = describe(header)
    places = find_places(header, stored.frames)
    if places is None:
        return Stack({"axial": stored.frames}, lambda axis, index: _read_frame(header, stored, index), oriented=False)
    found = arrange(places)
    if found.find_repeated():
        raise Unread("several of its frames lie at the same place: it holds several volumes, such as phases or echoes")
    return stack_planes(found, stored.shape, lambda index: _read_frame(header, stored, index))


def _make_rgb(pixels: np.ndarray, spacing: tuple[float, float] | None) -> Plane:
    return Plane(np.ascontiguousarray(pixels), _BYTE * pixels.itemsize, None, False, spacing)


def _fill(pixels: np.ndarray, stored: Stored) -> np.ndarray:
    """Move colours of 9 to 15 bits, or fewer than 8, to the highest bits."""
    return pixels << (stored.allocated - stored.bits)


def _is_byte(values: np.ndarray, whole: tuple[float, float]) -> bool:
    return values.dtype == np.uint8 and whole == (0, 255)


def _name_version() -> str:
    return "-".join(map(name_library, _LIBRARIES))


def _find_remarks(content: bytes) -> frozenset[str]:
    header = read_header(content, pixels=False)
    return frozenset([_DRAWN] * header.has_overlays + [_SEVERAL] * (count_windows(header) > 1))


def _find_patient(content: bytes) -> tuple[str, str]:
    """Return the PatientID and the study: images of one study are of one patient."""
    patient, study = read_patient(content)
    return "" if is_missing(patient) else patient, study


DICOM = Reader(
    name="DICOM",
    endings=ENDINGS,
    extra="dicom",
    owns=is_dicom,
    version=_name_version,
    count_planes=count_planes,
    read_plane=_read_only_plane,
    patient=_find_patient,
    label=read_label,
    label_fault=find_label_fault,
    remarks=_find_remarks,
    open_stack=open_stack,
    slice=find_slice,
    holding=holding,
    shown=_SHOWN,
    facts=read_facts,
)
