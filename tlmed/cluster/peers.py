"""A process at the other end of a connection: sending to it, and when it was heard last."""

import contextlib
import queue
import select
import socket
import threading
import time

from tlmed.cluster.frames import Kind, pack_frame, send_frame


class Peer:
    """A process at the other end of a connection.

    Args:
        name: What messages call it.
        connection: The connection to it.
    """

    def __init__(self, name: str, connection: socket.socket):
        self.name = name
        self.connection = connection
        self.inbox: queue.SimpleQueue[tuple[Kind, bytes] | None] = queue.SimpleQueue()  # None: nothing more will come
        self.last_heard = time.monotonic()
        self.left = False
        self._sending = threading.Lock()

    def hear(self) -> None:
        """Note a sign of life."""
        self.last_heard = time.monotonic()

    def send(self, kind: Kind, payload: bytes) -> None:
        """Send a frame, however long that takes; raise an OSError if it cannot be sent."""
        with self._sending:
            send_frame(self.connection, kind, payload)

    def tell(self, kind: Kind, text: str, seconds: float) -> None:
        """Send a short frame if there is room for it within some seconds: the other side may have stopped reading."""
        if not self._sending.acquire(timeout=seconds):
            return
        try:
            room = select.poll()
            room.register(self.connection, select.POLLOUT)
            with contextlib.suppress(OSError):  # gone
                if room.poll(1000 * seconds):
                    self.connection.send(pack_frame(kind, text.encode()), socket.MSG_DONTWAIT)
        finally:
            self._sending.release()

    def beat(self) -> None:
        """Send a sign of life, unless another frame is being sent or waits, which is one already."""
        if self._sending.acquire(blocking=False):
            try:
                with contextlib.suppress(OSError):  # the thread that receives from it will notice
                    self.connection.send(bytes([Kind.BEAT]), socket.MSG_DONTWAIT)
            finally:
                self._sending.release()

    def hang_up(self, both_ways: bool = False) -> None:
        """Send no more, and by default receive until the other side sends no more either."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR if both_ways else socket.SHUT_WR)
