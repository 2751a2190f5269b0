"""How the processes of a run find each other: the workers call the chief, who waits until all have."""

import contextlib
import json
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import wait

from tlmed.cluster.addresses import Cluster, split_address
from tlmed.cluster.frames import FrameError, Kind, receive_exactly, receive_frame, send_frame
from tlmed.cluster.link import PATIENCE, Link, end_process
from tlmed.errors import InputError, RunFailed

MAGIC = b"tlmed link 1\n"  # both sides begin with it
HELLO_LIMIT = 2**16
ANSWER_SECONDS = 5.0  # within which a chief has said its magic words, if it is one
RETRY_SECONDS = 0.25


def join(
    cluster: Cluster,
    facts: dict[str, str],
    timeout: float,
    on_loss: Callable[[str], None] = end_process,
    patience: float = PATIENCE,
    what: str = "versions and settings",
) -> Link:
    """Wait until all processes of the cluster are there and agree, and return the link between them.

    The chief listens at its own address until all have come. Call this with TensorFlow imported, as that can hold a
    process up for longer than `patience`, and before its distribution strategy is made, which then listens there.

    Args:
        cluster: The processes, and which this one is.
        facts: What must be the same in all, by name.
        timeout: Seconds to wait for the others.
        on_loss: Takes the message, in a thread, when a process is lost; by default it ends this process, too.
        patience: Seconds without a sign of life after which a process is lost.
        what: What the facts are, for the message.

    Raises:
        InputError: In every process, if their facts or clusters differ or two have the same index; in this one, if its
            port is in use.
        RunFailed: If not all have come in time.
    """
    connections = _accept_workers(cluster, timeout) if cluster.is_chief else {0: _reach_chief(cluster, timeout)}
    link = Link(cluster, connections, on_loss, patience)
    try:
        link.compare(what, facts)
    except BaseException as error:
        link.close(str(error) or type(error).__name__)
        raise
    return link


def _listen(cluster: Cluster) -> socket.socket:
    _, port = split_address(cluster.address)
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        # It sets SO_REUSEADDR, which its connections inherit: TensorFlow can listen at the port beside them.
        return socket.create_server(("", port), family=family, backlog=128, dualstack_ipv6=both)
    except OSError as error:
        other = "a second chief" if cluster.is_chief else f"a second worker {cluster.index}"
        raise InputError(
            f"The port of each process must be free: another run or {other} may use it. "
            f"Received: {cluster.address} ({error.strerror})."
        ) from error


def _accept_workers(cluster, timeout) -> dict[int, socket.socket]:
    """Return the connection of every worker, by its index."""
    callers: dict[socket.socket, bytearray] = {}
    joined: dict[int, socket.socket] = {}
    try:
        with _listen(cluster) as listener:
            listener.setblocking(False)
            _answer_calls(listener, cluster, timeout, callers, joined)
    except BaseException as error:
        _refuse(callers, cluster, error)
        raise
    for stranger in set(callers) - set(joined.values()):
        stranger.close()
    for connection in joined.values():
        with contextlib.suppress(OSError):  # gone again: the link will find out
            send_frame(connection, Kind.WELCOME)
    return joined


def _answer_calls(listener, cluster, timeout, callers, joined):
    """Answer calls until all workers have joined; strangers are dropped when they say something else."""
    deadline = time.monotonic() + timeout
    while missing := [cluster.name(i) for i in range(1, cluster.size) if i not in joined]:
        if time.monotonic() > deadline:
            raise RunFailed(f"All workers must join within {timeout:g} s. Received: nothing from {', '.join(missing)}.")
        for ready in wait([listener, *callers], RETRY_SECONDS):
            if ready is listener:
                with contextlib.suppress(OSError):  # gone again
                    connection, _ = listener.accept()
                    callers[connection] = bytearray()
                    connection.sendall(MAGIC)
                continue
            try:
                if hello := _read_hello(ready, callers[ready]):
                    _admit(ready, *hello, cluster, joined)
            except (OSError, EOFError, FrameError):
                del callers[ready]
                ready.close()
                for i in [i for i, connection in joined.items() if connection is ready]:
                    del joined[i]  # it may be started again


def _read_hello(connection, heard: bytearray) -> tuple[int, tuple[str, ...]] | None:
    """Return the index and the cluster of a worker that calls, or None while not all of it has arrived."""
    data = connection.recv(HELLO_LIMIT)
    if not data:
        raise EOFError("the connection was closed")
    heard += data
    if len(heard) > HELLO_LIMIT or not heard.startswith(MAGIC[: len(heard)]):
        raise FrameError("not a worker")
    line = heard[len(MAGIC) :]
    if not line.endswith(b"\n"):
        return None
    try:
        hello = json.loads(line)
    except ValueError as error:
        raise FrameError("not a worker") from error
    if not isinstance(hello, dict) or type(hello.get("index")) is not int or not isinstance(hello.get("workers"), list):
        raise FrameError("not a worker")
    return hello["index"], tuple(map(str, hello["workers"]))


def _admit(connection, index, workers, cluster, joined):
    if workers != cluster.workers:
        raise InputError(
            "All workers must have the same cluster. "
            f"Received: {', '.join(cluster.workers)} on {cluster.name(0)}, "
            f"{', '.join(workers)} on worker {index} (from {_peer(connection)})."
        )
    if not 0 < index < cluster.size:
        raise FrameError("not a worker")
    if index in joined:
        raise InputError(
            "Each process must have an index of its own. "
            f"Received: {cluster.name(index)} from {_peer(joined[index])} and from {_peer(connection)}."
        )
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    joined[index] = connection


def _peer(connection) -> str:
    host, port = connection.getpeername()[:2]
    return f"{host.removeprefix('::ffff:')} port {port}"


def _refuse(callers, cluster, error):
    """Tell all who have called why there will be no run, and hang up."""
    told = error.faults if isinstance(error, (InputError, RunFailed)) else [f"{cluster.name(0)} ended: {error}"]
    payload = json.dumps({"input": isinstance(error, InputError), "faults": told}).encode()
    for connection in callers:
        with connection, contextlib.suppress(OSError):
            send_frame(connection, Kind.REFUSAL, payload)


def _reach_chief(cluster, timeout) -> socket.socket:
    """Return the connection to the chief, once it says that all are there."""
    _listen(cluster).close()  # to find out that the port is in use here, and not deep inside TensorFlow
    deadline = time.monotonic() + timeout
    while True:
        try:
            return _call_chief(cluster, timeout)
        except (OSError, EOFError, FrameError) as error:
            if time.monotonic() > deadline:
                raise RunFailed(
                    f"The chief must answer within {timeout:g} s. Received: nothing from {cluster.name(0)} ({error})."
                ) from error
        time.sleep(RETRY_SECONDS)


def _call_chief(cluster, timeout) -> socket.socket:
    connection = socket.create_connection(split_address(cluster.workers[0]), ANSWER_SECONDS)
    try:
        if connection.getsockname() == connection.getpeername():
            raise FrameError("it called itself")  # as TCP lets it where nobody listens at a port for outgoing calls
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = json.dumps({"index": cluster.index, "workers": cluster.workers}).encode()
        connection.sendall(MAGIC + hello + b"\n")
        if receive_exactly(connection, len(MAGIC)) != MAGIC:
            raise FrameError("something else listens there")
        connection.settimeout(timeout + ANSWER_SECONDS)  # the chief has begun to wait by now, and says when it gives up
        kind, payload = receive_frame(connection)
        if kind is not Kind.WELCOME:
            refusal = json.loads(payload)
            raise (InputError if refusal["input"] else RunFailed)(refusal["faults"])
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection
