"""What an upload may be, and how one is refused: a status of HTTP with one sentence."""

import re
from dataclasses import dataclass, field

from tlmed.errors import one_line

MEGABYTE = 2**20
_LONGEST = 255  # characters of a file name
_UNSAFE = re.compile(r"[/\\<>\x00-\x1f\x7f]|^\.{1,2}$")


class Refused(Exception):
    """An upload cannot be answered.

    Attributes:
        status: Of HTTP.
        reason: One sentence.
        kind: A word for counting.
        headers: That the answer has.
    """

    def __init__(self, status: int, reason: str, kind: str, headers: dict[str, str] | None = None):
        super().__init__(reason)
        self.status, self.reason, self.kind, self.headers = status, one_line(reason), kind, headers or {}


class HungUp(Exception):
    """The client is gone: nobody reads an answer."""


@dataclass(frozen=True)
class UploadLimits:
    """What a client may send.

    Attributes:
        bytes: Of a file.
        idle: Seconds without a byte.
        whole: Seconds for all of it.
    """

    bytes: int = 64 * MEGABYTE
    idle: float = 10.0
    whole: float = 120.0


@dataclass(frozen=True)
class Upload:
    """A file that a client sent.

    Attributes:
        name: As the client calls it; "" if it gave no name.
        content: All of it.
    """

    name: str
    content: bytes = field(repr=False)


def check_name(name: str) -> str:
    r"""Return a file name, or refuse one that is none: it is shown and never used as a path.

    Raises:
        Refused: It has folders, marks of HTML, or characters that steer a terminal.

    >>> check_name("scan (3).png")
    'scan (3).png'
    >>> check_name("../../etc/passwd")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    Refused: A file name must be a name alone
    """
    if _UNSAFE.search(name) or len(name) > _LONGEST:
        raise Refused(
            400,
            "A file name must be a name alone: without / \\ < > and control characters, and of at most "
            f"{_LONGEST} characters. Received: {name[:60]!r}.",
            "name",
        )
    return name


def refuse_size(limits: UploadLimits) -> Refused:
    """Return what refuses a file with too many bytes."""
    most = f"{limits.bytes / MEGABYTE:g} MB"
    return Refused(413, f"A file must have at most {most} (`--most-megabytes`).", "bytes")
