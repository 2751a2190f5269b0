"""Download a public file to its place, with a limit of time, a bar, and a check of its hash."""

import errno
import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from tlmed.regular_files import open_regular
from tlmed.screen import Bar, wait_below
from tlmed.whole_files import atomic

# Without a limit, a network that drops packets would block the command for many minutes.
SECONDS_WITHOUT_DATA = 20
_ALGORITHMS = {32: "md5", 64: "sha256"}  # by the digits of a hash


class DownloadFailed(Exception):
    """A file could not be downloaded; the message is the reason."""


def download(url: str, path: Path, digest: str | None) -> Path:
    """Download a file, and check its hash.

    This is not left to `keras.utils.get_file`, which raises a bare `Exception`, knows no limit of time, and puts the
    file where all users of a machine can write, if the Keras home is read-only.

    Args:
        url: Where it is.
        path: Where it shall be; nothing half-written stays there.
        digest: Its MD5 or SHA-256 in hexadecimal; None: not known.

    Returns:
        The path.

    Raises:
        DownloadFailed: No network, no such file, another file than expected, or no place to write it.
        OSError: The disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=SECONDS_WITHOUT_DATA) as answer, atomic(path) as part:
            _store(answer, part, url, path.name)
            if not is_intact(part, digest):
                raise DownloadFailed(f"{url}: the hash of the file is not {digest}")
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is an answer, too, and holds the connection
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise  # a full disk is reported as such, not as a failed download
        raise DownloadFailed(f"{url}: {getattr(error, 'reason', None) or error}") from error
    return path


def is_intact(path: Path, digest: str | None) -> bool:
    """Tell whether a file has this MD5 or SHA-256; every file has, if none is known."""
    if digest is None:
        return True
    with open_regular(path) as file:
        return hashlib.file_digest(file, _ALGORITHMS[len(digest)]).hexdigest() == digest


def _store(answer: http.client.HTTPResponse, part: Path, url: str, name: str) -> None:
    size = int(answer.headers.get("Content-Length", 0))
    with part.open("wb") as target, wait_below(Bar(f"Downloading {name}", size or None)) as bar:
        bar.move(0)  # the speed counts from here
        while piece := answer.read(2**20):
            target.write(piece)
            bar.move(bar.done + len(piece))
    # `read` returns what it has when a connection breaks off: it raises nothing.
    if size and part.stat().st_size != size:
        raise DownloadFailed(f"{url}: {part.stat().st_size:,} of {size:,} bytes arrived")
