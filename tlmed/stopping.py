"""Let Ctrl-C and SIGTERM end a command cleanly, by an exception that says why."""

import contextlib
import signal
from collections.abc import Callable, Iterator

from tlmed.errors import Interrupted, Terminated, TlmedError

# What to raise, and not an exception that was raised: it would keep all that was alive there until Python ends.
_requests: list[tuple[type[TlmedError], str]] = []
_savers: list[Callable[[], None] | None] = []


def listen() -> None:
    """Turn SIGINT and SIGTERM into exceptions in the main thread."""
    for number, handle in _HANDLERS.items():
        signal.signal(number, handle)


def end() -> None:
    """Let a further SIGINT or SIGTERM end the process at once: what it was asked to save is saved.

    An exception that is raised while Python cleans up would end nothing, and be printed with a traceback.
    """
    for number in _HANDLERS:
        signal.signal(number, signal.SIG_DFL)


def _interrupt(number, frame):
    _stop(Interrupted, "Stopped by Ctrl-C.")


def _terminate(number, frame):
    _stop(Terminated, "Stopped by SIGTERM.")


_HANDLERS = {signal.SIGINT: _interrupt, signal.SIGTERM: _terminate}


def _stop(kind: type[TlmedError], message: str):
    _requests.append((kind, message))
    if _savers and len(_requests) == 1:
        return  # the running code calls `check`, which saves first
    raise kind(message)


def requested() -> TlmedError | None:
    """Return the request to stop, if there was one.

    The exception itself can get lost: TensorFlow turns what is raised inside its callbacks into errors of its own.
    """
    if not _requests:
        return None
    kind, message = _requests[0]
    return kind(message)


@contextlib.contextmanager
def saving(save: Callable[[], None] | None) -> Iterator[None]:
    """Inside the block, end only where `check` is called, and save before; a second request ends it at once.

    Args:
        save: Saves the present state. It is called inside `check`, so that all parts of the state are of one moment.
            None: `check` does nothing, because the running code asks `requested` itself.
    """
    _savers.append(save)
    try:
        yield
    finally:
        _savers.remove(save)


def check() -> None:
    """End here if a stop was requested, after the running code has saved."""
    if _savers and _savers[-1] is not None and (stop := requested()):
        _savers[-1]()
        raise stop
