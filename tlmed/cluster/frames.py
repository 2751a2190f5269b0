"""What goes over a connection: typed frames, each with its length, and single bytes as signs of life."""

import enum
import socket
import struct
from collections.abc import Callable

CONTROL_LIMIT = 2**20
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


class FrameError(ValueError):
    """What was received is no frame: whoever sent it speaks something else."""


def send_frame(connection: socket.socket, kind: Kind, payload: bytes = b"") -> None:
    """Send a frame; the caller sees to it that no other thread sends at the same time."""
    connection.sendall(_head(kind, payload))
    if payload:  # whoever has the head of an empty frame has all of it, and may be gone
        connection.sendall(payload)


def pack_frame(kind: Kind, payload: bytes) -> bytes:
    """Return a frame, where it is short."""
    return _head(kind, payload) + payload


def _head(kind, payload):
    return bytes([kind]) + _LENGTH.pack(len(payload))


def receive_frame(connection: socket.socket, heard: Callable[[], None] = lambda: None) -> tuple[Kind, bytes]:
    """Return the next frame's kind and payload.

    Args:
        connection: Where to receive from.
        heard: Called whenever bytes arrive.

    Raises:
        FrameError: If it is of no known kind, or a frame of control that is larger than 1 MiB.
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
    if kind not in PAYLOADS and length > CONTROL_LIMIT:
        raise FrameError(f"{kind.name} of {length} bytes")
    return kind, receive_exactly(connection, length, heard)


def receive_exactly(connection: socket.socket, size: int, heard: Callable[[], None] = lambda: None) -> bytes:
    """Return that many bytes.

    Raises:
        EOFError: If the connection was closed before.
        OSError: If it broke, or its timeout passed.
    """
    buffer = bytearray(size)
    with memoryview(buffer) as view:
        done = 0
        while done < size:
            received = connection.recv_into(view[done:])
            if not received:
                raise EOFError("the connection was closed")
            heard()
            done += received
    return bytes(buffer)
