"""From stored pixels of a DICOM file to values with a meaning, and to what of them is to be shown (PS3.3, C.11)."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlmed.data.readers.damage import Unread
from tlmed.data.readers.dicom_file import Header, get, only_reasons
from tlmed.data.readers.dicom_pixels import Stored
from tlmed.data.readers.plane import count_odd
from tlmed.intensity import HOUNSFIELD, find_ends

if TYPE_CHECKING:
    from pydicom import Dataset

# X-ray angiography, fluoroscopy and biplane angiography: their Modality LUT leads back to the intensity of the X-rays
# and not to the display (PS3.3, C.8.7.1.1.2); dcmtk and Cornerstone leave it out, too.
_ANGIOGRAPHY = tuple(f"1.2.840.10008.5.1.4.1.1.12.{number}" for number in (1, 2, 3))
# CT, Enhanced CT, and Legacy Converted Enhanced CT.
_CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
_PIXEL_VALUES, _FRAME_WINDOW, _MEASURES = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "PixelMeasuresSequence",
)
_THRESHOLD = 1e-6  # how wide a window of no width is, as a part of where it stands: float32 tells its ends apart
_LUT = ("LUTDescriptor", "LUTData")
_PADDING = {  # by the element with the pixels
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
}
Voi = Callable[[np.ndarray], np.ndarray]
_MOST_TABLE = 2**16  # entries of a lookup table
_LARGEST = 1e30  # of a slope, intercept or window: more is damage, and float32 overflows at 3e38


def colour(pixels: np.ndarray, header: Header, stored: Stored) -> np.ndarray:
    """Look up the colours of a palette (PS3.3, C.7.6.3.1.5).

    Args:
        pixels: [height, width].
        header: The header.
        stored: How pixels are stored.

    Returns:
        uint8 or uint16 [height, width, 3], by the bits of the palette.

    Raises:
        Unread: The palette is missing or damaged, or a segmented one.
    """
    if header.get("SegmentedRedPaletteColorLookupTableData") is not None:
        raise Unread("its palette is segmented, which is not read")
    channels = []
    for name in ("Red", "Green", "Blue"):
        names = tuple(f"{name}PaletteColorLookupTable{part}" for part in ("Descriptor", "Data"))
        table, first, bits = _read_table(header.elements, names, header.little, stored.signed)
        if bits not in (8, 16):
            raise Unread("its palette has neither 8 nor 16 bits")
        channels.append(_look_up(pixels, table.astype(np.uint8 if bits == 8 else np.uint16), first))
    return np.stack(channels, axis=-1)


def give_meaning(
    pixels: np.ndarray, header: Header, stored: Stored, index: int
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Apply the Modality LUT or the rescaling of a frame (PS3.3, C.11.1).

    Args:
        pixels: Gray, [height, width].
        header: The header.
        stored: How pixels are stored.
        index: The frame.

    Returns:
        The values, in the units of the file (Hounsfield units in CT); and the lowest and the highest value that its
        bits can express: None for floating-point pixels.

    Raises:
        Unread: The header is damaged, or values are not finite.
    """
    if pixels.dtype.kind == "f":
        if count_odd(pixels):
            raise Unread("it holds values that are NaN, infinite or too large")
        return pixels, None
    whole = (-(2 ** (stored.bits - 1)), 2 ** (stored.bits - 1) - 1) if stored.signed else (0, 2**stored.bits - 1)
    if str(header.get("SOPClassUID")) in _ANGIOGRAPHY:
        return pixels, whole
    if items := header.get("ModalityLUTSequence"):
        return _apply_table(pixels, items, header, stored.signed)
    return _rescale(pixels, whole, find_group(header, _PIXEL_VALUES, index))


def find_padding(pixels: np.ndarray, header: Header, stored: Stored) -> np.ndarray | None:
    """Find the pixels that are no part of the image: of the padding value, or of a range (PS3.3, C.7.5.1.1.2).

    Args:
        pixels: Gray, as they are stored, [height, width].
        header: The header.
        stored: How they are stored.

    Returns:
        bool [height, width]; None if there are none.

    Raises:
        Unread: The value is damaged.
    """
    value, limit = (_take_first(header.elements, name) for name in _PADDING[stored.keyword])
    if value is None:
        return None
    low, high = sorted(_take_sign(end, stored) for end in (value, value if limit is None else limit))
    found = (pixels >= low) & (pixels <= high)
    return found if found.any() else None


def _take_sign(end: float, stored: Stored) -> float:
    """Return a number with the sign that pixels have: files hold -2000 as 63536 where the type of the element is wrong.

    The element has 16 bits, whatever the pixels have.
    """
    if stored.keyword != "PixelData" or (end >= 0 if not stored.signed else end < 2**15):
        return end
    return end - 2**16 if stored.signed else end + 2**16


def find_window(
    whole: tuple[float, float] | None, header: Header, index: int
) -> tuple[Voi | None, tuple[float, float] | None]:
    """Find the window of a frame, and its VOI LUT or sigmoid (PS3.3, C.11.2).

    A VOI LUT goes before a window. Of several LUTs or windows the first counts: the others are alternatives.

    Args:
        whole: The range of values with a meaning that the file's bits can express.
        header: The header.
        index: The frame.

    Returns:
        The VOI LUT or the sigmoid, None if there is none; and the lowest and highest of its results (or of values) to
        be shown, between which what is shown rises in a straight line. None: the header names none.

    Raises:
        Unread: The LUT or window is damaged, or of an unknown kind.
    """
    group = find_group(header, _FRAME_WINDOW, index)
    if items := get(group, "VOILUTSequence"):
        table, first, bits = _read_table(items[0], _LUT, header.little, whole is None or whole[0] < 0)
        return functools.partial(_look_up, table=table, first=first), (0, 2**bits - 1)
    center, width = (_take_first(group, name) for name in ("WindowCenter", "WindowWidth"))
    if center is None and width is None:
        return None, None
    if center is None or width is None:
        raise Unread("its window has no center or no width")
    return _find_function(center, width, str(get(group, "VOILUTFunction") or "LINEAR").strip().upper())


def find_unit(header: Header, index: int) -> str:
    """Return "HU" if values are Hounsfield units, "" if not, or if the header does not say so.

    Rescale Type names the unit. Without it, those of CT are Hounsfield units (PS3.3, C.8.2.1), except of a localizer,
    which shows a projection.

    Args:
        header: The header.
        index: The frame.
    """
    group = find_group(header, _PIXEL_VALUES, index)
    if any(get(group, name) is None for name in ("RescaleSlope", "RescaleIntercept")):
        return ""
    if kind := str(get(group, "RescaleType") or "").strip().upper():
        return HOUNSFIELD if kind == HOUNSFIELD else ""
    image_type = header.get("ImageType")
    parts = [image_type] if isinstance(image_type, str) else image_type or ()
    is_projection = "LOCALIZER" in [str(part).strip().upper() for part in parts]
    return HOUNSFIELD if str(header.get("SOPClassUID")) in _CT and not is_projection else ""


def count_windows(header: Header) -> int:
    """Return how many windows and VOI LUTs the first frame may be shown with.

    Raises:
        Unread: The header is damaged.
    """
    group = find_group(header, _FRAME_WINDOW, 0)
    center = get(group, "WindowCenter")
    windows = len(center) if isinstance(center, Sequence) and not isinstance(center, str) else int(center is not None)
    return windows + len(get(group, "VOILUTSequence") or ())


def _find_function(center: float, width: float, function: str) -> tuple[Voi | None, tuple[float, float]]:
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise Unread("its VOI LUT Function is neither LINEAR, LINEAR_EXACT nor SIGMOID")
    if function == "LINEAR":
        if width < 1:
            raise Unread("the width of its window is less than 1")
        low, high = find_ends(center, width)  # C.11.2.1.2.1; a width of 1 is a threshold
        return None, (low, max(high, low + max(abs(low), 1) * _THRESHOLD))
    if width <= 0:
        raise Unread("the width of its window is not above 0")
    if function == "LINEAR_EXACT":  # C.11.2.1.3.2
        return None, (center - width / 2, center + width / 2)
    return functools.partial(_apply_sigmoid, center=center, width=width), (0.0, 1.0)


def _apply_sigmoid(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """Apply the function of C.11.2.1.3.1, with an output from 0 to 1."""
    # More than 80 widths away nothing changes, and exp would overflow.
    steepness = np.clip(-4 * (values.astype(np.float64) - center) / width, -80, 80)
    return (1 / (1 + np.exp(steepness))).astype(np.float32)


def is_inverted(header: Header, stored: Stored) -> bool:
    """Tell whether the lowest value is white: by the Presentation LUT Shape, or else by MONOCHROME1.

    They say the same thing (PS3.3, C.7.6.1: INVERSE with MONOCHROME1, IDENTITY with MONOCHROME2). Where they do not,
    the last step of the display decides, as in dcmtk and dcm4che.

    Raises:
        Unread: There is another presentation LUT.
    """
    shape = str(header.get("PresentationLUTShape") or "").strip().upper()
    if shape not in ("", "IDENTITY", "INVERSE") or header.get("PresentationLUTSequence"):
        raise Unread("its presentation LUT is neither IDENTITY nor INVERSE")
    return shape == "INVERSE" if shape else stored.photometric == "MONOCHROME1"


def find_spacing(header: Header, index: int) -> tuple[float, float] | None:
    """Return the millimetres between rows, and between columns; None if the file states none, or a damaged one.

    Without PixelSpacing, which is that in the patient, the spacing of the detector's elements counts.
    """
    group = find_group(header, _MEASURES, index)
    for elements, name in ((group, "PixelSpacing"), (header.elements, "ImagerPixelSpacing")):
        with contextlib.suppress(Unread), only_reasons(""):
            rows, columns = map(float, get(elements, name))
            if 0 < rows < _LARGEST and 0 < columns < _LARGEST:
                return rows, columns
    return None


def find_group(header: Header, name: str, index: int) -> "Dataset":
    """Return what holds the elements of a functional group for a frame: the data set itself where there are none.

    Args:
        header: The header.
        name: The keyword of the group's sequence.
        index: The frame.

    Raises:
        Unread: There are fewer groups than frames.
    """
    per_frame, shared = header.get("PerFrameFunctionalGroupsSequence"), header.get("SharedFunctionalGroupsSequence")
    if per_frame and len(per_frame) <= index:
        raise Unread("its functional groups are fewer than its frames")
    for groups, place in ((per_frame, index), (shared, 0)):
        if groups and (items := get(groups[place], name)):
            return items[0]
    return header.elements


def _rescale(pixels: np.ndarray, whole: tuple[int, int], group: "Dataset") -> tuple[np.ndarray, tuple[float, float]]:
    slope, intercept = (_take_first(group, name) for name in ("RescaleSlope", "RescaleIntercept"))
    if slope is None and intercept is None:
        return pixels, whole
    if slope is None or intercept is None or slope == 0:
        raise Unread("its rescaling has no slope, a slope of 0, or no intercept")
    if (slope, intercept) == (1, 0):
        return pixels, whole
    ends = sorted(slope * end + intercept for end in whole)
    if max(map(abs, ends)) > _LARGEST:
        raise Unread("its rescaling leads to numbers that are too large")
    # float32 is exact for 24 bits.
    exact = np.float32 if pixels.itemsize <= 2 else np.float64
    values = pixels.astype(exact)
    values *= slope
    values += intercept
    return values.astype(np.float32, copy=False), tuple(ends)


def _take_first(elements: "Dataset", name: str) -> float | None:
    """Return the first of the numbers of an element; None if it has none."""
    value = get(elements, name)
    with only_reasons(f"{name} in its header is no number"):
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = value[0]
        number = None if value is None or value == "" else float(value)
    if number is not None and not abs(number) <= _LARGEST:  # NaN, too
        raise Unread(f"{name} in its header is not finite, or too large")
    return number


def _apply_table(values, items, header: Header, signed: bool) -> tuple[np.ndarray, tuple[float, float]]:
    """Look values up in the first of several LUTs; return its output and the range of that."""
    table, first, bits = _read_table(items[0], _LUT, header.little, signed)
    return _look_up(values, table, first), (0, 2**bits - 1)


def _read_table(elements: "Dataset", names: tuple[str, str], little: bool, signed: bool) -> tuple[np.ndarray, int, int]:
    """Read a lookup table.

    Args:
        elements: What holds it.
        names: Its descriptor and its data.
        little: The byte order of the file.
        signed: Whether input values may be negative.

    Returns:
        uint16 [entries]; the input value of the first entry; the bits of an entry.

    Raises:
        Unread: It is missing or damaged.
    """
    descriptor, data = (get(elements, name) for name in names)
    with only_reasons("its lookup table is damaged"):
        # The first and third number are unsigned, whatever the type says; the second has the sign of its input.
        count, first, bits = (int(number) & 0xFFFF for number in descriptor)
        count, first = count or _MOST_TABLE, first - 2**16 if signed and first >= 2**15 else first
        if isinstance(data, bytes):
            words = np.frombuffer(data + b"\0" * (len(data) % 2), "<u2" if little else ">u2")
        else:
            words = np.atleast_1d(np.array(data, np.int64)).astype(np.uint16)
        words = words.astype("<u2")
    # Entries of 8 bits may come in pairs, the first one in the low byte.
    paired = len(words) < count and bits <= 8
    table = words.view(np.uint8).astype(np.uint16) if paired else words
    if not 1 <= bits <= 16 or len(table) < count or table[:count].max() >= 2**bits:
        raise Unread("its lookup table is shorter than it says, or has other bits")
    return table[:count], first, bits


def _look_up(values: np.ndarray, table: np.ndarray, first: int) -> np.ndarray:
    """Values before the first or after the last entry get that entry."""
    exact = np.float32 if values.itemsize <= 2 else np.float64
    places = np.clip(values.astype(exact) - exact(first), 0, len(table) - 1)
    return table[np.rint(places).astype(np.int32)]
