"""Room for decoded pixels: in memory, or on disk if they do not fit there."""

import math
import os
import shutil
import tempfile

import numpy as np

from tlmed.cache.folder import cache_folder, make_private


def make_room(shape: tuple[int, ...], memory_bytes: int) -> np.ndarray | None:
    """Return an array for decoded pixels, in memory or in a file of the cache directory, or None.

    The file has no name: it disappears with the array, even if the process is killed. All of it is reserved at once,
    because a disk that fills up later would end the process. It takes at most half of what is free.

    Args:
        shape: Of the array, which is uint8.
        memory_bytes: The most that it may take in memory.

    Returns:
        The array, its values arbitrary; None if neither memory nor disk have room.
    """
    size = math.prod(shape)
    if size <= memory_bytes:
        return np.empty(shape, np.uint8)
    folder = cache_folder()
    try:
        make_private(folder)
        if size > shutil.disk_usage(folder).free // 2 or not hasattr(os, "posix_fallocate"):
            return None
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return np.asarray(np.memmap(file, np.uint8, "r+", shape=shape))
    except OSError:
        return None  # the cache directory cannot be written: images are decoded whenever they are needed
