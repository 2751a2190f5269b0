"""How the processes of a run find each other: the workers call the chief, which waits until all have called."""

import contextlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from tlmed.cluster.addresses import SECRET, Cluster, split_address
from tlmed.cluster.frames import FrameError, Kind, receive_exactly, receive_frame, send_frame
from tlmed.cluster.link import PATIENCE, Link, end_process
from tlmed.errors import InputError, RunFailed

MAGIC = b"tlmed link 2\n"  # both sides begin with it
CHALLENGE = 32  # random bytes by which each side makes the other prove that it knows the secret
HELLO_LIMIT = 2**16
ANSWER_SECONDS = 5.0  # within which a process of the run has sent its first bytes
MOST_STRANGERS = 64  # callers that may be connected before they have identified themselves
RETRY_SECONDS = 0.25


@dataclass(eq=False)
class _Caller:
    """A caller that has connected to the chief and is not identified yet."""

    connection: socket.socket
    challenge: bytes = field(default_factory=lambda: secrets.token_bytes(CHALLENGE))
    heard: bytearray = field(default_factory=bytearray)
    deadline: float = field(default_factory=lambda: time.monotonic() + ANSWER_SECONDS)

    def fileno(self) -> int:
        return self.connection.fileno()

    @property
    def name(self) -> str:
        try:
            host, port = self.connection.getpeername()[:2]
        except OSError:
            return "an address that is gone"
        return f"{host.removeprefix('::ffff:')} port {port}"


class _Refused(Exception):
    """This caller cannot be part of the run; the message says why."""


def join(
    cluster: Cluster,
    facts: dict[str, str],
    timeout: float,
    on_loss: Callable[[str], None] = end_process,
    patience: float = PATIENCE,
    secret: str = "",
    warn: Callable[[str], None] = lambda line: None,
) -> Link:
    """Wait until all processes of the cluster are there and agree, and return the link between them.

    The chief listens at its own address until all have joined. Call this after TensorFlow is imported, because the
    import can take longer than `patience`, and before its distribution strategy is made, which then listens there.

    A caller must prove that it knows the secret (HMAC-SHA256 of the other side's random challenge, both ways). One that
    does not is refused, and the chief goes on waiting: a stranger cannot end the run. Without a secret, workers cannot
    be told from strangers, so nothing that a caller says ends the run. Later messages are neither signed nor encrypted.

    Args:
        cluster: The processes, and which this one is.
        facts: What must be the same in all, by name.
        timeout: Seconds to wait for the others.
        on_loss: Takes the message, in a thread, when a process is lost; by default it ends this process, too.
        patience: Seconds without a sign of life after which a process is lost.
        secret: A text that only the processes of this run know; "" for none.
        warn: Takes a line when a caller is refused.

    Raises:
        InputError: In every process, if their facts differ or, with a secret, if their clusters differ or two have the
            same index; in one process, if it was refused or its port is in use.
        RunFailed: If not all have come in time.
    """
    key = secret.encode()
    if cluster.is_chief:
        connections = _accept_workers(cluster, timeout, key, warn)
    else:
        connections = {0: _reach_chief(cluster, timeout, key)}
    link = Link(cluster, connections, on_loss, patience)
    try:
        link.compare("versions and settings", facts)
    except BaseException as error:
        link.close(str(error) or type(error).__name__)
        raise
    return link


def _listen(cluster: Cluster) -> socket.socket:
    host, port = split_address(cluster.address)
    both = socket.has_dualstack_ipv6() and not cluster.is_local
    family = socket.AF_INET6 if both or (cluster.is_local and ":" in host) else socket.AF_INET
    try:
        # It sets SO_REUSEADDR, which its connections inherit, so TensorFlow can later listen at the same port.
        place = (host if cluster.is_local else "", port)
        return socket.create_server(place, family=family, backlog=128, dualstack_ipv6=both)
    except OSError as error:
        other = "a second chief" if cluster.is_chief else f"a second worker {cluster.index}"
        raise InputError(
            f"The port of each process must be free: another run or {other} may use it. "
            f"Received: {cluster.address} ({error.strerror})."
        ) from error


def _accept_workers(cluster, timeout, key, warn) -> dict[int, socket.socket]:
    """Return the connection of every worker, by its index."""
    callers: list[_Caller] = []
    joined: dict[int, _Caller] = {}
    try:
        with _listen(cluster) as listener:
            listener.setblocking(False)  # a caller may be gone before `accept`, which would then wait for another
            proofs = _answer_calls(listener, cluster, timeout, key, warn, callers, joined)
    except BaseException as error:
        told = error.faults if isinstance(error, (InputError, RunFailed)) else [f"{cluster.name(0)} ended: {error}"]
        for caller in callers:
            _refuse(caller, told, isinstance(error, InputError))
        raise
    for stranger in set(callers) - set(joined.values()):
        stranger.connection.close()
    for index, caller in joined.items():
        with contextlib.suppress(OSError):  # gone again: the link will find out
            send_frame(caller.connection, Kind.WELCOME, proofs[index])
    return {index: caller.connection for index, caller in joined.items()}


def _answer_calls(listener, cluster, timeout, key, warn, callers, joined) -> dict[int, bytes]:
    """Answer calls until all workers have joined; return the proof for each that the chief knows the secret."""
    deadline, proofs, refused = time.monotonic() + timeout, {}, []
    while missing := [cluster.name(i) for i in range(1, cluster.size) if i not in joined]:
        if time.monotonic() > deadline:
            also = f" Refused: {refused[-1]}" if refused else ""
            raise RunFailed(
                f"All workers must join within {timeout:g} s. Received: nothing from {', '.join(missing)}.{also}"
            )
        for ready in wait([listener, *callers], RETRY_SECONDS):
            if ready is listener:
                _accept(listener, callers, joined)
                continue
            try:
                if hello := _read_hello(ready):
                    index, proof = _admit(ready, hello, cluster, key, joined)
                    joined[index], proofs[index] = ready, proof
            except _Refused as error:
                refused.append(f"{ready.name}. {error}")
                warn(f"A caller was refused. {error} Received: a call from {ready.name}.")
                _refuse(ready, [str(error)], True)
                callers.remove(ready)
            except (OSError, EOFError, FrameError):
                _drop(ready, callers)
                for i in [i for i, caller in joined.items() if caller is ready]:
                    del joined[i]  # it may be started again
        waiting = [caller for caller in callers if caller not in joined.values()]
        late = [caller for caller in waiting if caller.deadline < time.monotonic()]
        # Too many strangers: the oldest go, so that workers can still connect.
        for stranger in late or waiting[: max(0, len(waiting) - MOST_STRANGERS)]:
            _drop(stranger, callers)
    return proofs


def _accept(listener, callers, joined) -> None:
    with contextlib.suppress(OSError):  # gone again
        connection, _ = listener.accept()
        connection.setblocking(True)  # otherwise the system decides whether `accept` gives one that blocks
        caller = _Caller(connection)
        callers.append(caller)
        connection.sendall(MAGIC + caller.challenge)


def _drop(caller, callers) -> None:
    callers.remove(caller)
    caller.connection.close()


def _read_hello(caller: _Caller) -> dict | None:
    """Return what a calling worker says of itself, or None until all of it has arrived."""
    data = caller.connection.recv(HELLO_LIMIT)
    if not data:
        raise EOFError("the connection was closed")
    caller.heard += data
    if len(caller.heard) > HELLO_LIMIT or not caller.heard.startswith(MAGIC[: len(caller.heard)]):
        raise FrameError("not a worker")
    line = caller.heard[len(MAGIC) :]
    if not line.endswith(b"\n"):
        return None
    try:
        hello = json.loads(line)
    except (ValueError, RecursionError) as error:  # brackets within brackets, ten thousand deep
        raise FrameError("not a worker") from error
    kinds = {"index": int, "workers": list, "challenge": str, "proof": str}
    if not isinstance(hello, dict) or any(type(hello.get(name)) is not kind for name, kind in kinds.items()):
        raise FrameError("not a worker")
    return hello


def prove(key: bytes, side: str, challenge: bytes, hello: dict) -> str:
    """Return the proof of knowing the secret, for this side, this challenge and this worker.

    Args:
        key: The secret.
        side: Who proves it, "chief" or "worker".
        challenge: The random bytes that the chief sent to the worker.
        hello: What the worker says of itself; its own challenge to the chief is in it.

    Returns:
        HMAC-SHA256 of all that, 64 hexadecimal digits.
    """
    # The side is part of it, so that a proof cannot be sent back as the other side's.
    words = [side, challenge.hex(), hello["index"], hello["workers"], hello["challenge"]]
    return hmac.new(key, json.dumps(words).encode(), "sha256").hexdigest()


def _admit(caller, hello, cluster, key, joined) -> tuple[int, bytes]:
    """Return the index of a worker, and the chief's proof for it.

    Raises:
        _Refused: If it cannot be part of the run.
        InputError: The same, if it knows the secret: it was meant to join, so the run cannot start.
    """
    index, workers = hello["index"], tuple(map(str, hello["workers"]))
    if not hmac.compare_digest(  # its time does not tell how much of a proof is right
        hello["proof"].encode(errors="replace"), prove(key, "worker", caller.challenge, hello).encode()
    ):
        raise _Refused(f"All workers must have the same secret in {SECRET}.")
    try:
        if workers != cluster.workers or not 0 < index < cluster.size:
            raise InputError(
                "All workers must have the same cluster. "
                f"Received: {', '.join(cluster.workers)} on {cluster.name(0)}, "
                f"{', '.join(workers)} on worker {index} (from {caller.name})."
            )
        if index in joined:
            raise InputError(
                "Each process must have an index of its own. "
                f"Received: {cluster.name(index)} from {joined[index].name} and from {caller.name}."
            )
    except InputError as error:
        if key:
            raise
        raise _Refused(str(error).partition(" Received: ")[0]) from error
    caller.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # short messages go out at once
    return index, prove(key, "chief", caller.challenge, hello).encode()


def _refuse(caller, faults, is_input: bool) -> None:
    """Tell a caller why it cannot be part of a run, and hang up."""
    payload = json.dumps({"input": is_input, "faults": list(faults)}).encode()
    with caller.connection, contextlib.suppress(OSError):
        send_frame(caller.connection, Kind.REFUSAL, payload)


def _reach_chief(cluster, timeout, key) -> socket.socket:
    """Return the connection to the chief, as soon as the chief says that all have joined."""
    _listen(cluster).close()  # a port in use is reported here, and not from deep inside TensorFlow
    deadline = time.monotonic() + timeout
    while True:
        try:
            return _call_chief(cluster, timeout, key)
        except (OSError, EOFError, FrameError) as error:
            if time.monotonic() > deadline:
                raise RunFailed(
                    f"The chief must answer within {timeout:g} s. Received: nothing from {cluster.name(0)} ({error})."
                ) from error
        time.sleep(RETRY_SECONDS)


def _call_chief(cluster, timeout, key) -> socket.socket:
    connection = socket.create_connection(split_address(cluster.workers[0]), ANSWER_SECONDS)
    try:
        if connection.getsockname() == connection.getpeername():
            raise FrameError("it called itself")  # TCP allows it at a free port
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(MAGIC)
        if receive_exactly(connection, len(MAGIC)) != MAGIC:
            raise FrameError("something else listens there")
        challenge = receive_exactly(connection, CHALLENGE)
        hello = {"index": cluster.index, "workers": cluster.workers, "challenge": secrets.token_hex(CHALLENGE)}
        hello["proof"] = prove(key, "worker", challenge, hello)
        connection.sendall(json.dumps(hello).encode() + b"\n")
        connection.settimeout(timeout + ANSWER_SECONDS)  # the chief has begun to wait by now, and says when it gives up
        kind, payload = receive_frame(connection)
        if kind is Kind.REFUSAL:
            raise _read_refusal(payload)
        if kind is not Kind.WELCOME or not hmac.compare_digest(payload, prove(key, "chief", challenge, hello).encode()):
            raise FrameError("something else listens there")
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def _read_refusal(payload: bytes) -> InputError | RunFailed | FrameError:
    """Return why the chief refuses this process."""
    try:
        refusal = json.loads(payload)
        return (InputError if refusal["input"] else RunFailed)([str(fault) for fault in refusal["faults"]])
    except (ValueError, RecursionError, TypeError, KeyError):
        return FrameError("something else listens there")
