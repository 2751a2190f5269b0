"""How much memory a process can hold, and has held."""

import math
import os
import resource
import sys

import tensorflow as tf


def memory_limit() -> float:
    """Return the bytes that this process can hold: infinite on a GPU, whose allocator reports by itself what it lacks.

    On a CPU TensorFlow crashes where an allocation fails, so that what cannot work must be known before.
    """
    if tf.config.list_physical_devices("GPU"):
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return physical if limit == resource.RLIM_INFINITY else min(limit, physical)


def peak_memory_mb() -> int:
    """Return the most memory that this process has held, in megabytes (2**20 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)
