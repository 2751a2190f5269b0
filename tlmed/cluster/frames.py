"""The messages of a connection: typed frames, each with its length, and single bytes as signs of life."""

import enum
import socket
import struct
from collections.abc import Callable

CONTROL_LIMIT = 2**20  # bytes of a frame without a payload of the run
GATHER_LIMIT = 2**26  # facts and small tables of a worker
SHARE_LIMIT = 2**33  # the state that a run continues from: weights and optimizer states of the largest networks
CHUNK = 2**24  # bytes of memory that are reserved at a time for announced content
_LENGTH = struct.Struct(">Q")


class Kind(enum.IntEnum):
    """What a frame is."""

    BEAT = 1  # a byte without a length, as one byte is sent whole or not at all
    WELCOME = 2
    REFUSAL = 3
    SHARE = 4
    GATHER = 5
    LOSS = 6
    END = 7
    GOODBYE = 8


PAYLOADS = (Kind.SHARE, Kind.GATHER)
LIMITS = {**dict.fromkeys(Kind, CONTROL_LIMIT), Kind.GATHER: GATHER_LIMIT, Kind.SHARE: SHARE_LIMIT}


class FrameError(ValueError):
    """What was received is no frame: the sender does not use this protocol."""


def send_frame(connection: socket.socket, kind: Kind, payload: bytes = b"") -> None:
    """Send a frame; the caller must ensure that no other thread sends at the same time."""
    connection.sendall(_head(kind, payload))
    if payload:  # the head alone is a whole empty frame, after which the receiver may be gone
        connection.sendall(payload)


def pack_frame(kind: Kind, payload: bytes) -> bytes:
    """Return a short frame as bytes."""
    return _head(kind, payload) + payload


def _head(kind, payload):
    return bytes([kind]) + _LENGTH.pack(len(payload))


def receive_frame(connection: socket.socket, heard: Callable[[], None] = lambda: None) -> tuple[Kind, bytes]:
    """Return the next frame's kind and payload.

    Args:
        connection: Where to receive from.
        heard: Called whenever bytes arrive.

    Raises:
        FrameError: If it is of no known kind, or larger than frames of its kind may be (`LIMITS`).
        EOFError: If the connection was closed.
        OSError: If it broke, or its timeout passed.
    """
    byte = receive_exactly(connection, 1, heard)
    try:
        kind = Kind(byte[0])
    except ValueError as error:
        raise FrameError(f"{byte!r} is no kind of frame") from error
    if kind is Kind.BEAT:
        return kind, b""
    (length,) = _LENGTH.unpack(receive_exactly(connection, _LENGTH.size, heard))
    if length > LIMITS[kind]:
        raise FrameError(f"{kind.name} of {length} bytes")
    return kind, receive_exactly(connection, length, heard)


def receive_exactly(connection: socket.socket, size: int, heard: Callable[[], None] = lambda: None) -> bytes:
    """Return that many bytes; memory is taken as they arrive, and not for what was only announced.

    Raises:
        EOFError: If the connection was closed before.
        OSError: If it broke, or its timeout passed.
    """
    buffer = bytearray()
    while len(buffer) < size:
        done = len(buffer)
        buffer += bytes(min(size - done, CHUNK))
        with memoryview(buffer) as view:  # released before the buffer grows, which a view forbids
            while done < len(buffer):
                received = connection.recv_into(view[done:])
                if not received:
                    raise EOFError("the connection was closed")
                heard()
                done += received
    return bytes(buffer)
