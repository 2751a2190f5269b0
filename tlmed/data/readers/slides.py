"""Slides and other large pictures, of which a rectangle is read without decoding the rest: TIFF in tiles.

Scanners of Aperio, Hamamatsu, Leica, Philips and Ventana write such files, and so does every program that writes a
pyramid. `tiffslide` reads them.
"""

import math
import os
import threading
import warnings
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlmed.data.readers.damage import DAMAGE, Unread, replace_reasons
from tlmed.data.readers.plane import Plane, check_size
from tlmed.data.readers.reader import name_library
from tlmed.data.readers.tiff_pages import has_all_pieces
from tlmed.regular_files import open_regular

if TYPE_CHECKING:
    import tiffslide

ENDINGS = (".svs", ".ndpi", ".scn", ".bif", ".qptiff")
_TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WIDEST = 20.0  # micrometres per pixel; above are resolutions of print, such as 72 dots per inch (353)
_SQUARE = 0.01  # how much the width and height of a pixel may differ, as a share
_BLOCK = 2**26  # pixels that are decoded together: a strip or tile of a file that is not made for reading parts
_EXACT = 1.01  # rounding of how much a level is smaller than the first
warnings.filterwarnings("ignore", module="tiffslide")


@dataclass(frozen=True, eq=False)
class Slide:
    """A slide that is open.

    Args:
        shape: Height and width of the first level, in pixels.
        mpp: Micrometres per pixel of the first level; None if the file does not say.
        family: The name of this family of files.
    """

    shape: tuple[int, int]
    mpp: float | None
    _slide: "tiffslide.TiffSlide" = field(repr=False)
    _levels: tuple[float, ...] = (1.0,)
    family: str = "slide"
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self, corner: tuple[int, int], side: int, shrink: float = 1.0) -> Plane:
        """Read a square from the smallest level that has enough detail.

        Args:
            corner: x and y of its upper left corner, in pixels of the first level.
            side: In the same pixels.
            shrink: How many of these pixels one of the result may stand for.

        Returns:
            uint8 [side, side] or [side, side, 3], smaller by up to `shrink`.

        Raises:
            ValueError: A short reason.
        """
        level = max(index for index, factor in enumerate(self._levels) if factor <= max(shrink * _EXACT, 1))
        size = max(round(side / self._levels[level]), 1)
        check_size(size, size)
        with self._lock, replace_reasons("it is damaged where a tile is read"):
            pixels = self._slide.read_region(corner, level, (size, size), as_array=True)
        return Plane(_take_gray_or_rgb(pixels))


def is_slide(file: Path, head: bytes) -> bool:
    """Tell a slide: a TIFF whose name says so, or one that is stored in tiles.

    Args:
        file: Its name counts.
        head: Its first bytes.
    """
    if head[:4] not in _TIFFS:
        return False
    return file.name.lower().endswith(ENDINGS) or _is_tiled(file)


def open_slide(file: Path) -> Slide:
    """Open a slide; no pixel is decoded.

    Raises:
        ValueError: A short reason.
        ImportError: The extra is not installed.
    """
    import imagecodecs  # noqa: F401  without it, tifffile decodes no JPEG, and says so only when a tile is read
    import tiffslide

    with replace_reasons("it is no slide that is read, or a damaged one"):
        stream = open_regular(file)
        try:
            slide = tiffslide.TiffSlide(stream, tifffile_options={"name": "slide"})  # it asks for one
            width, height = slide.dimensions
            _check_blocks(slide, os.fstat(stream.fileno()).st_size)
            opened = Slide((height, width), _find_mpp(slide.properties), slide, _find_levels(slide))
        except BaseException:
            stream.close()
            raise
    weakref.finalize(opened, stream.close)
    return opened


def _is_tiled(file: Path) -> bool:
    try:
        import tifffile
    except ImportError:
        return False
    try:
        with open_regular(file) as stream, tifffile.TiffFile(stream, name="slide") as content:
            return content.pages.first.is_tiled
    except DAMAGE:
        return False


def _check_blocks(slide, length: int) -> None:
    """Refuse a file whose pieces are too large, or of which some are missing, before any is decoded."""
    for level in slide.ts_tifffile.series[slide.properties["tiffslide.series-index"]].levels:
        page = level.pages[0]
        rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        if rows * columns > _BLOCK:
            raise Unread(f"more than {_BLOCK:,} pixels of it are stored as one piece: {rows:,} x {columns:,}")
        if page.dtype != np.uint8:
            raise Unread("its pixels have no 8 bits")
        if not has_all_pieces(page, length):
            raise Unread("it is damaged: pieces of it are missing")


def _find_mpp(facts) -> float | None:
    found = [facts.get(f"tiffslide.mpp-{axis}") for axis in "xy"]
    if None in found:
        return None
    width, height = map(float, found)
    if not all(math.isfinite(side) and 0 < side <= _WIDEST for side in (width, height)):
        return None
    if abs(width - height) > _SQUARE * width:
        raise Unread(f"its pixels are no squares: {width:.4g} x {height:.4g} micrometres")
    return width


def _find_levels(slide) -> tuple[float, ...]:
    """Return by how much each level is smaller than the first, up to the first one that is out of order."""
    levels = [1.0]
    for factor in slide.level_downsamples[1:]:
        if not math.isfinite(factor) or factor <= levels[-1]:
            break
        levels.append(float(factor))
    return tuple(levels)


def _take_gray_or_rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ValueError("its pixels are neither gray nor RGB of 8 bits")
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3])


def name_version() -> str:
    """Return the library that decides pixels of slides, as part of a file name, whether it is installed or not."""
    return name_library("imagecodecs")
