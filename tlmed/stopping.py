"""Let Ctrl-C and SIGTERM end a command in order: what is running is left by an exception that says why."""

import signal

from tlmed.errors import Interrupted, Terminated, TlmedError

_requests: list[TlmedError] = []


def listen() -> None:
    """Turn SIGINT and SIGTERM into exceptions in the main thread."""
    signal.signal(signal.SIGINT, lambda number, frame: _stop(Interrupted("Stopped by Ctrl-C.")))
    signal.signal(signal.SIGTERM, lambda number, frame: _stop(Terminated("Stopped by SIGTERM.")))


def _stop(error: TlmedError):
    _requests.append(error)
    raise error


def requested() -> TlmedError | None:
    """Return the request to stop, if there was one.

    The exception itself can get lost: TensorFlow turns what is raised inside its callbacks into errors of its own.
    """
    return _requests[0] if _requests else None
