"""The directories of a TIFF, read without decoding: where its pages are, and what their tags hold."""

import contextlib
import logging
import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tifffile

TIFFS = (b"II", b"MM")
_FORMS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # of the types that hold whole numbers
_LOG = logging.getLogger("tifffile")
# It quotes what the file says, which may name a patient. Without a handler Python prints what does not propagate.
_LOG.propagate = False
_LOG.addHandler(logging.NullHandler())
_MOST_VALUES = 64  # of a tag that is asked for here: a value for each sample of a pixel


def walk_tiff(content: bytes) -> Iterator[range]:
    """Yield, for each page of a TIFF, where the entries of its directory begin; a file that is cut short ends it."""
    order, is_big = _find_order(content), _is_big(content)
    count, size, offset, place = ("Q", 20, "Q", 8) if is_big else ("H", 12, "I", 4)
    seen = {0}  # the last directory names 0 as the next one
    with contextlib.suppress(struct.error, OverflowError):
        while (place := struct.unpack_from(order + offset, content, place)[0]) not in seen:
            seen.add(place)
            (entries,) = struct.unpack_from(order + count, content, place)
            begin = place + struct.calcsize(order + count)
            place = begin + entries * size
            yield range(begin, place, size)


def read_tag(content: bytes, page: range, number: int) -> tuple[int, ...]:
    """Return the whole numbers of a tag; none if the page has no such tag, or one that holds no such numbers.

    Args:
        content: Of a TIFF.
        page: From `walk_tiff`.
        number: Of the tag.

    Raises:
        ValueError: The file is cut short.
    """
    order, (count_form, room) = _find_order(content), (("Q", 8) if _is_big(content) else ("I", 4))
    try:
        for entry in page:
            tag, kind = struct.unpack_from(order + "HH", content, entry)
            if tag != number:
                continue
            (count,) = struct.unpack_from(order + count_form, content, entry + 4)
            if kind not in _FORMS or count > _MOST_VALUES:
                return ()
            form, place = f"{order}{count}{_FORMS[kind]}", entry + 4 + room
            if struct.calcsize(form) > room:
                (place,) = struct.unpack_from(order + count_form, content, place)
            return struct.unpack_from(form, content, place)
    except (struct.error, OverflowError):
        raise ValueError("it is cut short") from None
    return ()


def has_all_pieces(page: "tifffile.TiffPage", length: int) -> bool:
    """Tell whether all strips or tiles of a page are in the file; tifffile takes missing ones for black ones.

    Args:
        page: As tifffile reads it.
        length: Of the file, in bytes.
    """
    ends = [start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
    return len(ends) == math.prod(page.chunked) and max(ends) <= length


def _find_order(content: bytes) -> str:
    return "<" if content.startswith(b"II") else ">"


def _is_big(content: bytes) -> bool:
    return b"+" in content[2:4]  # + is 43, of files above 4 GB
