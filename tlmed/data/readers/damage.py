"""Damaged files: whatever a library raises for one becomes a short reason in our own words."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

# Raised for damaged content by pydicom and its plugins, and by tiffslide, tifffile, zarr and imagecodecs.
DAMAGE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, NotImplementedError, OSError),
    *(RuntimeError, TypeError, ValueError, struct.error, zlib.error),
)


class Unread(ValueError):
    """A reason why a file is not read, in our own words: it quotes nothing from the file."""


@contextmanager
def replace_reasons(reason: str) -> Iterator[None]:
    """Turn what libraries raise for damaged content into `Unread`.

    Their messages quote what the file says, which may name a patient, so all are dropped.

    Args:
        reason: What to say instead.
    """
    try:
        yield
    except Unread:
        raise
    except MemoryError:
        raise Unread("there is not enough memory to decode it") from None
    except DAMAGE:
        raise Unread(reason) from None
