"""Whether code that comes with a data set may be run: only if a user allows it, for a command or a block."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextlib.contextmanager
def trusting() -> Iterator[None]:
    """Let the block download and run the Python code of data sets of TFDS's community.

    It is no field of a recipe, so that no lock and no recipe of somebody else can ask for it.
    """
    token = _trusted.set(True)
    try:
        yield
    finally:
        _trusted.reset(token)


def is_trusting() -> bool:
    """Tell whether code that comes with data may be run here.

    >>> with trusting():
    ...     inside = is_trusting()
    >>> inside, is_trusting()
    (True, False)
    """
    return _trusted.get()
