"""Read what a client sends, within limits of bytes and time, into memory and nowhere else."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tlmed.serving.file_forms import AROUND, open_sink
from tlmed.serving.refusals import HungUp, Refused, Upload, UploadLimits, refuse_size

DRAINED = 2**30  # bytes of a refused body that are read and thrown away, so that the client gets to read the answer
_GLANCE = 0.05  # seconds: on a starved machine the time may be up before what came in it was looked at
PAUSE = 0.5  # seconds without a byte of it: the client waits for the answer
Receive = Callable[[], Awaitable[Mapping]]


@dataclass
class Allowance:
    """How much may be in use, of all clients together: bytes of uploads in memory, or images under way.

    Attributes:
        most: As much as may be.
        held: As much as is.
    """

    most: int
    held: int = 0

    @contextlib.contextmanager
    def lease(self) -> Iterator[Callable[[int], None]]:
        """Give a function that counts what a client uses until the end of the block; it refuses what is too much."""
        taken = 0

        def take(amount: int) -> None:
            nonlocal taken
            if self.held + amount > self.most:
                raise Refused(503, "Too many images at a time: try again in a second.", "busy", {"Retry-After": "1"})
            self.held += amount
            taken += amount

        try:
            yield take
        finally:
            self.held -= taken


async def read_upload(
    headers: Mapping[str, str], receive: Receive, limits: UploadLimits, take: Callable[[int], None]
) -> Upload:
    """Read the file that a request carries: the body itself, or the field `file` of a form.

    A refused body is not read: the reason is sent at once, and the server throws away what still comes. Only if the
    connection ends with the answer, the body is read first, up to `DRAINED`: a client that sends before it reads, as
    most do, would find the connection broken in place of the reason.

    Args:
        headers: By names in lower case.
        receive: Of ASGI.
        limits: What may come.
        take: From `Allowance.lease`.

    Raises:
        Refused: It is too large, too slow, empty, no form, or has a name that is none.
        HungUp: The client is gone.
    """
    body = _Body(receive, limits)
    try:
        sink = open_sink(headers, limits)
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > limits.bytes + AROUND:
            raise refuse_size(limits)
        async for chunk in body:
            take(len(chunk))
            sink.write(chunk)
        return sink.finish()
    except Refused:
        # Who asks first whether to send (`Expect: 100-continue`) is told no.
        if "close" in headers.get("connection", "").lower() and "expect" not in headers:
            await body.drain()
        raise


class _Body:
    """The chunks of a body, with a limit of time."""

    def __init__(self, receive: Receive, limits: UploadLimits):
        self._receive, self._limits, self._ended = receive, limits, False
        self._until = time.monotonic() + limits.whole

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        left = self._until - time.monotonic()
        message = await self._wait(min(self._limits.idle, left))
        if message is None and left > self._limits.idle:
            message = await self._wait(_GLANCE)
        if message is None:
            self._ended = True  # nothing is waited for any more
            raise Refused(
                408,
                f"An upload must not pause for more than {self._limits.idle:g} seconds, nor take more than "
                f"{self._limits.whole:g}.",
                "slow",
                {"Connection": "close"},
            )
        if message["type"] == "http.disconnect":
            raise HungUp
        self._ended = not message.get("more_body", False)
        return message.get("body", b"")

    async def _wait(self, seconds: float) -> Mapping | None:
        """Return what comes next; None if nothing comes in time."""
        try:
            return await asyncio.wait_for(self._receive(), max(seconds, 0.001))
        except TimeoutError:
            return None

    async def drain(self) -> None:
        """Throw away what is left, up to `DRAINED`."""
        left = DRAINED
        self._limits = replace(self._limits, idle=min(self._limits.idle, PAUSE))
        try:
            async for chunk in self:
                left -= len(chunk)
                if left < 0:
                    return
        except Refused:  # too slow
            return
