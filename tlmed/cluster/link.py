"""The link between the processes of a run: one connection from every worker to the chief, watched from both ends."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from tlmed.cluster.addresses import Cluster
from tlmed.cluster.frames import PAYLOADS, FrameError, Kind, receive_frame
from tlmed.cluster.peers import Peer
from tlmed.errors import InputError, RunFailed

PATIENCE = 30.0  # seconds without a sign of life, after which a process counts as lost
BEAT_SECONDS = 1.0
GRACE_SECONDS = 5.0  # for a process to end by itself after another has ended with an error
FAREWELL_SECONDS = 2.0  # for the last messages to arrive
SHOWN_DIFFERENCES = 10
SHOWN_ERROR = 2000  # characters
STAY = "All workers must stay until the end."


def end_process(message: str) -> None:
    """Print the message and end this process at once, because its main thread may wait in TensorFlow forever."""
    with contextlib.suppress(OSError):
        os.write(2, f"Error: {' '.join(message.split())}\n".encode())  # `print` needs a lock
    os._exit(RunFailed.exit_status)


class Link:
    """The connection between the processes of a run; every process must make the same calls in the same order.

    Args:
        cluster: The processes, and which this one is.
        connections: At the chief, to every worker by index; at a worker, to the chief, which is 0.
        on_loss: Takes the message when a process is lost; it is called from a thread.
        patience: Seconds without a sign of life after which a process is lost.
    """

    def __init__(
        self,
        cluster: Cluster,
        connections: Mapping[int, socket.socket],
        on_loss: Callable[[str], None] = end_process,
        patience: float = PATIENCE,
    ):
        self.cluster = cluster
        self._on_loss = on_loss
        self._patience = patience
        self._peers = [Peer(cluster.name(i), connection) for i, connection in sorted(connections.items())]
        self._failure: str | None = None
        self._failing = threading.Lock()
        self._failed = threading.Event()
        self._closed = threading.Event()
        self._receivers = [threading.Thread(target=self._receive, args=(it,), daemon=True) for it in self._peers]
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        for thread in (*self._receivers, self._watcher):
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close(None if error is None else str(error) or kind.__name__)

    def share(self, payload: bytes | None = None) -> bytes:
        """Return the chief's bytes; the others pass none.

        Raises:
            RunFailed: If a process was lost or has left.
        """
        if not self.cluster.is_chief:
            return self._take(self._peers[0], Kind.SHARE)
        for peer in self._peers:
            self._send(peer, Kind.SHARE, payload)
        return payload

    def gather(self, payload: bytes) -> list[bytes] | None:
        """Return every process's bytes in the order of the index at the chief, and None elsewhere.

        Raises:
            RunFailed: If a process was lost or has left.
        """
        if self.cluster.is_chief:
            return [payload, *(self._take(peer, Kind.GATHER) for peer in self._peers)]
        self._send(self._peers[0], Kind.GATHER, payload)
        return None

    def barrier(self) -> None:
        """Wait until every process is here.

        Raises:
            RunFailed: If a process was lost or has left.
        """
        self.gather(b"")
        self.share(b"")

    def compare(self, what: str, facts: Mapping[str, str]) -> None:
        """Check that the facts are the same in every process; if not, the link is closed.

        Args:
            what: What they are, for the message.
            facts: Values by name.

        Raises:
            InputError: In every process, with the differences from the chief.
            RunFailed: If a process was lost or has left.
        """
        everyone = self.gather(json.dumps(dict(facts)).encode())
        faults = _differences(self.cluster, what, [json.loads(it) for it in everyone]) if everyone else []
        if faults := json.loads(self.share(json.dumps(faults).encode())):
            self.close()  # so that each process ends with this error, and not because another one ended
            raise InputError(faults)

    def cause(self, wait: float | None = None) -> str | None:
        """Return why the link has failed, or None if it has not.

        TensorFlow can notice a lost process sooner, but its message is worse.

        Args:
            wait: Seconds that the link has to find out; by default the most that it can need.
        """
        self._failed.wait(self._patience + 2 * FAREWELL_SECONDS if wait is None else wait)
        return self._failure

    def close(self, error: str | None = None) -> None:
        """Say goodbye; from now on the others do not count this process as lost.

        Args:
            error: Why the others cannot go on either: they have some seconds to end by themselves, and are then ended.
        """
        with self._failing:
            if self._closed.is_set():
                return
            self._closed.set()
        for peer in self._peers:
            peer.tell(Kind.GOODBYE, (error or "")[:SHOWN_ERROR], self._patience)
            peer.hang_up()
        self._wait_for_receivers()
        for peer in self._peers:
            peer.hang_up(both_ways=True)
        for thread in (*self._receivers, self._watcher):
            if thread is not threading.current_thread():
                thread.join()
        for peer in self._peers:
            peer.connection.close()

    def _send(self, peer, kind, payload):
        try:
            peer.send(kind, payload)
        except OSError as error:
            raise RunFailed(self._why(peer)) from error

    def _take(self, peer, kind) -> bytes:
        item = peer.inbox.get()
        if item is None:
            # Back again: every later call must see the end too.
            peer.inbox.put(None)
            raise RunFailed(self._why(peer))
        if item[0] is not kind:
            raise RunFailed(f"All workers must take the same steps. Received: {item[0].name} from {peer.name}.")
        return item[1]

    def _why(self, peer) -> str:
        if not peer.left and not self._closed.is_set():
            self._failed.wait(3 * FAREWELL_SECONDS)  # the link may be about to learn the reason
        return self._failure or f"{STAY} Received: {peer.name} has left."

    def _receive(self, peer):
        """Receive from a process until it sends no more."""
        try:
            while True:
                kind, payload = receive_frame(peer.connection, peer.hear)
                if kind in PAYLOADS:
                    peer.inbox.put((kind, payload))
                    continue
                text = payload.decode(errors="replace")
                if kind in (Kind.LOSS, Kind.END):
                    self._fail(text, kind)
                elif kind is Kind.GOODBYE:
                    peer.left = True
                    peer.inbox.put(None)
                    peer.hang_up()
                    if payload:
                        self._fail(f"{peer.name} ended: {text}", Kind.END)
        except (EOFError, OSError, FrameError):
            if not peer.left:
                self._lose(peer)
        finally:
            peer.inbox.put(None)  # whoever waits for it must wake up

    def _watch(self):
        """Send signs of life, and notice if those of the others stop."""
        while not self._closed.wait(min(BEAT_SECONDS, self._patience / 4)):  # several beats before patience ends
            for peer in self._peers:
                if not peer.left:
                    peer.beat()
                    if time.monotonic() - peer.last_heard > self._patience:
                        self._lose(peer)

    def _lose(self, peer):
        again = "The same commands again continue the run."
        self._fail(f"{STAY} Received: {peer.name} was lost. {again}", Kind.LOSS)

    def _fail(self, message, kind):
        """Tell the others, and end the process: at once, or after a while if another one ended by itself."""
        with self._failing:
            if self._closed.is_set() or self._failure:
                return
            self._failure = message
        for peer in self._peers:
            if self.cluster.is_chief and not peer.left:
                peer.tell(kind, message, FAREWELL_SECONDS)
            peer.hang_up()
        self._wait_for_receivers()  # the end of a process can discard what it has just sent
        if kind is Kind.LOSS:
            self._on_loss(message)
        self._failed.set()
        for peer in self._peers:
            peer.inbox.put(None)
        if kind is Kind.END and not self._closed.wait(GRACE_SECONDS):
            self._on_loss(message)

    def _wait_for_receivers(self):
        deadline = time.monotonic() + FAREWELL_SECONDS
        for thread in self._receivers:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))


def _differences(cluster: Cluster, what: str, everyone: Sequence[Mapping[str, str]]) -> list[str]:
    """Return how the processes differ from the first, as the lines of one message.

    >>> _differences(Cluster(("a:5000", "b:5000"), 0), "recipe", [{"seed": "1"}, {"seed": "2"}])
    ['All workers must have the same recipe. Received: seed=1 on worker 0 (a:5000), 2 on worker 1 (b:5000).']
    """
    chief = everyone[0]
    lines = [
        f"{key}={chief.get(key, 'nothing')} on {cluster.name(0)}, {facts.get(key, 'nothing')} on {cluster.name(i)}."
        for i, facts in enumerate(everyone)
        for key in {**chief, **facts}
        if facts.get(key) != chief.get(key)
    ]
    if not lines:
        return []
    more = len(lines) - SHOWN_DIFFERENCES
    first = f"All workers must have the same {what}. Received: {lines[0]}"
    return [first, *lines[1:SHOWN_DIFFERENCES], *([f"And {more} more."] if more > 0 else [])]
