"""From the values of a plane to 8 bits: by the window of the file, or by the one that a recipe or a run names."""

import numpy as np
from PIL import Image, ImageOps

from tlmed.data.readers.plane import Plane
from tlmed.intensity import AUTO, FILE, FULL, HOUNSFIELD, PERCENTILE, Intensity, say_ends

BYTE = 8  # bits
_ASKED, _ALL_BITS, _OWN, _AS_STORED = "asked", "all bits", "own", "as stored"  # by what a plane is shown
_UNITS = {HOUNSFIELD: "Hounsfield units"}


def needs_range(plane: Plane, intensity: Intensity) -> bool:
    """Tell whether a plane is shown by a range that is measured on training images."""
    if not plane.is_gray or plane.bits <= BYTE:
        return False
    return intensity.kind == PERCENTILE or (intensity.kind == AUTO and plane.window is None)


def has_own_range(plane: Plane) -> bool:
    """Tell whether a file itself says what of a plane is black and white: by a window, or because all its bits count.

    >>> has_own_range(Plane(np.zeros((1, 1), np.uint16), 16)), has_own_range(Plane(np.zeros((1, 1), np.float32), 32))
    (True, False)
    """
    if plane.window is not None or isinstance(plane.values, Image.Image):
        return True
    return plane.whole is None and plane.values.dtype in (np.uint8, np.uint16)


def show(plane: Plane, intensity: Intensity) -> Image.Image | np.ndarray:
    """Bring a plane to 8 bits, gray or RGB: a Pillow image of mode L or RGB, or uint8 with two or three axes.

    Args:
        plane: The plane.
        intensity: What is black and what is white; not open.

    Raises:
        ValueError: This is not known for it, or not in its unit; the message is a short reason.
    """
    if intensity.unit not in ("", plane.unit):
        raise ValueError(f"its values are not in {_UNITS[intensity.unit]} by what it says, and the window is")
    shown = _show_upright(plane, intensity)
    if not plane.inverted:
        return shown
    return ImageOps.invert(shown) if isinstance(shown, Image.Image) else 255 - shown


def say_shown(plane: Plane, intensity: Intensity) -> str:
    """Return in words which values of a plane are shown; "" for values of 8 bits that stay as they are.

    Args:
        plane: As for `show`.
        intensity: As for `show`.

    >>> say_shown(Plane(np.zeros((1, 1)), 12, window=(-160, 239), unit="HU"), Intensity())
    "-160 to 239 Hounsfield units, the file's own window"
    """
    way, unit = _choose(plane, intensity), f" {_UNITS[plane.unit]}" if plane.unit else ""
    if way == _ASKED:
        return f"{say_ends(intensity.low, intensity.high)}{unit}"
    if way == _ALL_BITS:
        return f"all {plane.bits} bits"
    if way == _OWN:
        before = f", after its VOI LUT: {say_ends(*plane.window)}" if plane.voi is not None else ""
        return f"the file's own window{before}" if before else f"{say_ends(*plane.window)}{unit}, the file's own window"
    return f"the highest {BYTE} of {plane.bits} bits" if plane.bits > BYTE else ""


def _choose(plane: Plane, intensity: Intensity) -> str:
    """Return by what a plane is shown."""
    if intensity.kind == FILE and plane.is_gray:
        return _ASKED
    is_deep = plane.is_gray and plane.bits > BYTE
    if intensity.unit or (is_deep and intensity.low is not None and not (intensity.kind == AUTO and plane.window)):
        return _ASKED
    if is_deep and intensity.kind == FULL:
        return _ALL_BITS
    return _AS_STORED if plane.window is None else _OWN


def _show_upright(plane: Plane, intensity: Intensity) -> Image.Image | np.ndarray:
    values, way = plane.values, _choose(plane, intensity)
    if way == _ASKED:
        return _stretch(values, intensity.low, intensity.high)
    if way == _ALL_BITS:
        return _show_all_bits(plane)
    if way == _OWN:
        return _stretch(np.asarray(values if plane.voi is None else plane.voi(values)), *plane.window)
    if isinstance(values, Image.Image):
        return values
    if not has_own_range(plane):
        raise ValueError(f"it has {plane.bits} bits and names no window, so what is to be black or white is not known")
    return _keep_high_bits(values, plane.bits)


def _show_all_bits(plane: Plane) -> np.ndarray:
    kind = plane.values.dtype
    if plane.whole is not None:
        return _stretch(plane.values, *plane.whole)
    if kind == np.uint16:
        return _keep_high_bits(plane.values, plane.bits)
    if kind.kind not in "iu":
        raise ValueError("its numbers are floats, which have no range of bits to be shown")
    return _stretch(plane.values, np.iinfo(kind).min, np.iinfo(kind).max)


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map `low` and `high` to 0 and 255, and what is beyond them to the same."""
    shares = np.subtract(values, low, dtype=np.result_type(values, np.float32)) * (255 / (high - low))
    return np.rint(np.clip(shares, 0, 255)).astype(np.uint8)


def _keep_high_bits(values: np.ndarray, bits: int) -> np.ndarray:
    return (values >> (bits - BYTE)).astype(np.uint8) if values.dtype == np.uint16 else values
