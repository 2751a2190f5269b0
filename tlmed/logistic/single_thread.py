"""Linear algebra on one thread: the same bits whatever the number of cores, and no waiting for a busy one."""

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController


def single_thread() -> AbstractContextManager:
    """Let NumPy's and SciPy's linear algebra use one thread inside the block.

    Products of a solver are so small that threads wait for each other longer than they compute: on two cores that
    other programs use too, a path of heads took 60 times as long with two threads.
    """
    return _controller().limit(limits=1)


@functools.cache
def _controller() -> ThreadpoolController:
    # Looking for the libraries that are loaded takes milliseconds; those of NumPy and SciPy stay.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()
