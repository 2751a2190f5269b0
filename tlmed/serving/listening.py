"""Listen on a port until Ctrl-C or SIGTERM, and end cleanly: what was asked is answered, nothing new is taken."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tlmed.errors import InputError
from tlmed.serving.guarding import Guard

GRACE = 10  # seconds that requests under way have to be answered at the end
_BACKLOG = 512
_PATIENCE = 20.0  # seconds for the head of a request: a connection without one is closed
_IDLE = 75  # seconds between two requests: longer than most clients keep a connection, which else breaks as they send
_REST = 120.0  # seconds after an answer for the rest of the request, and for the head of the next one
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def open_socket(host: str, port: int) -> socket.socket:
    """Take a port, before anything is loaded.

    Args:
        host: A name or an address of this machine.
        port: 0 for any that is free.

    Raises:
        InputError: It is in use or not allowed, or the host is not of this machine.
    """
    taken = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(_BACKLOG)  # here, because two sockets may be bound to a port, and only one may listen
    except (OSError, UnicodeError) as error:
        if taken is not None:
            taken.close()
        reasons = {
            errno.EADDRINUSE: f"`--port` must be free, or 0 for any that is. Received: --port {port}, which is in use.",
            errno.EACCES: f"`--port` must be one that you may take, from 1024 on. Received: --port {port}.",
        }
        rule = f"`--host` must be a name or an address of this machine. Received: --host {host}: {error}."
        raise InputError(reasons.get(getattr(error, "errno", None), rule)) from error
    taken.setblocking(False)
    return taken


class _Patient(H11Protocol):
    """Close a connection whose client does not send in time what is due: a head, or the rest of a refused body.

    A body may be refused before its end. What comes of it after the answer, uvicorn throws away.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._due: asyncio.TimerHandle | None = None
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # it is our turn
            self._stop_watching()
        elif self._due is None:
            patience = _PATIENCE if self.cycle is None else _REST
            self._due = self.loop.call_later(patience, self.transport.close)

    def _stop_watching(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


class _Server(uvicorn.Server):
    """End on a signal without raising it again: ending is what was asked for."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]):
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(application: Guard, taken: socket.socket, started: Callable[[], None]) -> None:
    """Answer requests until Ctrl-C or SIGTERM; a second Ctrl-C ends at once.

    Args:
        application: From `make_application`.
        taken: From `open_socket`; it is closed at the end.
        started: Is called when the first request can be answered.
    """
    config = uvicorn.Config(
        application,
        http=_Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=GRACE,
    )
    _Server(config, started).run(sockets=[taken])
