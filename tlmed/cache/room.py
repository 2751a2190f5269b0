"""Room for decoded pixels: in memory, or on disk if they do not fit there."""

import math
import os
import tempfile
import threading
import weakref
from dataclasses import dataclass

import numpy as np

from tlmed.cache.folder import LIMIT, cache_folder, cache_limit, make_private, show_size
from tlmed.cache.store import Store, StoreError

_held, _holding = [0], threading.Lock()  # bytes in files without a name, of this process


@dataclass(frozen=True)
class Room:
    """Where decoded pixels are kept.

    Args:
        size: How many bytes they take.
        place: "memory", "disk", or "" if they are kept nowhere.
        reason: Why they are not kept.
    """

    size: int
    place: str
    reason: str = ""

    def describe(self) -> str:
        """Return a sentence for a user.

        >>> Room(4_000_000, "memory").describe()
        'Pixels: 4.0 MB, kept in memory'
        """
        if self.place == "memory":
            return f"Pixels: {show_size(self.size)}, kept in memory"
        if self.place == "disk":
            return f"Pixels: {show_size(self.size)}, kept in a file without a name in {cache_folder()} until the end"
        return f"Pixels: not kept, because {self.reason}: each epoch that is fed with images decodes them again"


IN_MEMORY = Room(0, "memory")  # of pixels that somebody else keeps


def make_room(shape: tuple[int, ...], memory_bytes: int) -> tuple[np.ndarray | None, Room]:
    """Return an array for decoded pixels, in memory or in a file of the cache directory.

    The file has no name: it disappears with the array, even if the process is killed. All of it is reserved at once,
    because a disk that fills up later would end the process. It takes at most half of what is free, and counts against
    the limit of the cache: features that were not used for the longest time are deleted for it.

    Args:
        shape: Of the array, which is uint8.
        memory_bytes: The most that it may take in memory.

    Returns:
        The array, its values arbitrary; None if neither memory nor disk have room. And where it is.

    Raises:
        InputError: The limit of the cache is no size.
    """
    size = math.prod(shape)
    if size <= memory_bytes:
        return np.empty(shape, np.uint8), Room(size, "memory")
    folder = cache_folder()
    try:
        make_private(folder)
        Store(folder, limit_features()).make_room(size, "they")
        if not hasattr(os, "posix_fallocate"):
            return None, Room(size, "", f"they take {show_size(size)}, which this system cannot reserve on a disk")
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            pixels = np.memmap(file, np.uint8, "r+", shape=shape)
    except StoreError as error:
        return None, Room(size, "", f"{error} ({LIMIT})")
    except OSError as error:
        return None, Room(size, "", f"they take {show_size(size)}, and {folder} cannot hold them ({error.strerror})")
    _hold(size)
    weakref.finalize(pixels, _hold, -size)
    return np.asarray(pixels), Room(size, "disk")


def limit_features() -> int:
    """Return how many bytes features may take: the limit of the cache without the pixels that this process keeps there.

    Raises:
        InputError: The limit is no size.
    """
    return max(cache_limit() - _held[0], 0)


def _hold(size: int) -> None:
    with _holding:
        _held[0] += size
