"""Let Ctrl-C and SIGTERM end a command in order: what is running is left by an exception that says why."""

import contextlib
import signal
from collections.abc import Callable, Iterator

from tlmed.errors import Interrupted, Terminated, TlmedError

_requests: list[TlmedError] = []
_savers: list[Callable[[], None] | None] = []


def listen() -> None:
    """Turn SIGINT and SIGTERM into exceptions in the main thread."""
    for number, handle in _HANDLERS.items():
        signal.signal(number, handle)


def _interrupt(number, frame):
    _stop(Interrupted("Stopped by Ctrl-C."))


def _terminate(number, frame):
    _stop(Terminated("Stopped by SIGTERM."))


_HANDLERS = {signal.SIGINT: _interrupt, signal.SIGTERM: _terminate}


def _stop(error: TlmedError):
    _requests.append(error)
    if _savers and len(_requests) == 1:
        return  # what runs looks for requests itself, and saves first
    raise error


def requested() -> TlmedError | None:
    """Return the request to stop, if there was one.

    The exception itself can get lost: TensorFlow turns what is raised inside its callbacks into errors of its own.
    """
    return _requests[0] if _requests else None


@contextlib.contextmanager
def saving(save: Callable[[], None] | None) -> Iterator[None]:
    """Inside the block, end only where `check` is called, and save before; a second request ends it at once.

    Args:
        save: Saves what is there. It is called where `check` is, so that all is of one moment. None: `check` does
            nothing, for what runs asks for `requested` itself.
    """
    _savers.append(save)
    try:
        yield
    finally:
        _savers.remove(save)


def check() -> None:
    """End here if that was asked for, and what runs saves first."""
    if _savers and _savers[-1] is not None and (stop := requested()):
        _savers[-1]()
        raise stop
