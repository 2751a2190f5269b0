"""TIFF files of numbers that are no picture by themselves: floats, signed ones, and any of more than 16 bits.

Pillow reads some of them, and some wrongly; `tifffile` reads all.
"""

import io
import itertools
from typing import TYPE_CHECKING

import numpy as np

from tlmed.data.readers.bare_numbers import make_plane
from tlmed.data.readers.damage import Unread, replace_reasons
from tlmed.data.readers.plane import Plane, check_size
from tlmed.data.readers.reader import naming_extra
from tlmed.data.readers.tiff_pages import has_all_pieces, read_tag, walk_tiff

if TYPE_CHECKING:
    import tifffile

_BITS, _ORIENTATION, _SAMPLES, _FORMAT = 258, 274, 277, 339  # tags
_WHITE_IS_ZERO = 0
_SIGNED, _FLOAT, _COMPLEX = (2,), (3,), (5, 6)  # sample formats
_DEEPEST = 16  # bits of unsigned samples that make a picture
# By the tag Orientation: whether rows and columns change places, and then which axes are turned round.
_TURNS = {
    **{1: (False, ()), 2: (False, (1,)), 3: (False, (0, 1)), 4: (False, (0,))},
    **{5: (True, ()), 6: (True, (1,)), 7: (True, (0, 1)), 8: (True, (0,))},
}
_COLOURS = "its colours are floats, signed, or of more than 16 bits; save it with 8 or 16 bits, unsigned, or as gray"


def are_numbers(content: bytes, index: int) -> bool:
    """Tell whether the samples of a page are such numbers, by its tags.

    Args:
        content: Of a TIFF.
        index: The page, from 0.

    Raises:
        ValueError: The file is cut short.
    """
    page = next(itertools.islice(walk_tiff(content), index, None), range(0))
    formats = set(read_tag(content, page, _FORMAT))
    return bool(formats & {*_SIGNED, *_FLOAT, *_COMPLEX}) or max(read_tag(content, page, _BITS), default=1) > _DEEPEST


def read_numbers(content: bytes, index: int) -> Plane:
    """Read a page of gray numbers.

    Args:
        content: Of a TIFF for which `are_numbers` is true.
        index: The page, from 0.

    Raises:
        ValueError: A short reason.
        InputError: The extra is not installed.
    """
    with naming_extra("TIFF files of floats, signed or long numbers", "slides"):
        import imagecodecs  # noqa: F401  without it, tifffile decodes few compressions, and says so when it decodes
        import tifffile

    tags = next(itertools.islice(walk_tiff(content), index, None))
    if read_tag(content, tags, _SAMPLES) not in ((), (1,)):
        raise Unread(_COLOURS)
    with replace_reasons("it is damaged"), tifffile.TiffFile(io.BytesIO(content), name="numbers") as file:
        return _read(file.pages[index], len(content))


def _read(page: "tifffile.TiffPage", length: int) -> Plane:
    if page.dtype is None or len(page.shape) != 2:
        raise Unread("its numbers are of a type that is not read; save them as floats of 32 bits")
    check_size(*page.shape)
    if page.is_tiled:
        check_size(page.tilelength, page.tilewidth)  # a tile is decoded whole, even where most of it is no image
    if not has_all_pieces(page, length):
        raise Unread("it is damaged: pieces of it are missing")
    values = page.asarray()
    is_turned, axes = _TURNS.get(page.tags.valueof(_ORIENTATION, 1), _TURNS[1])
    values = np.flip(values.T if is_turned else values, axes)
    return make_plane(np.ascontiguousarray(values), page.photometric == _WHITE_IS_ZERO)
