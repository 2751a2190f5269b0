"""Keras's own weight files: in its cache, or downloaded into it."""

import errno
import http.client
import os
import urllib.request
from pathlib import Path

from keras.src.backend import config
from keras.src.utils import file_utils

from tlmed.backbones.applications import KerasFile
from tlmed.screen import Bar, wait_below
from tlmed.whole_files import atomic

# Without a limit, a network that drops packets would block the command for many minutes.
SECONDS_WITHOUT_DATA = 20


class DownloadFailed(Exception):
    """A weight file could not be downloaded; the message is the reason."""


def expected_path(file: KerasFile) -> Path:
    """Return where Keras keeps the file, whether it is there or not."""
    return Path(os.path.expanduser(config.keras_home())) / file.subfolder / file.name


def cached(file: KerasFile) -> Path | None:
    """Return the path of an intact copy in the Keras cache, None if there is none.

    A copy that fails Keras's own hash is no copy: Keras would fetch it again.
    """
    path = expected_path(file)
    if not path.is_file():
        return None
    intact = file.hash is None or file_utils.validate_file(str(path), file.hash)
    return path if intact else None


def download(file: KerasFile) -> Path:
    """Download a file to where keras.applications would, and check its hash.

    This is not left to `keras.utils.get_file`, which raises a bare `Exception`, knows no limit of time, and puts the
    file where all users of a machine can write, if the Keras home is read-only.

    Raises:
        DownloadFailed: No network, no such file, another file than expected, or no place to write it.
        OSError: The disk is full.
    """
    path = expected_path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(file.origin, timeout=SECONDS_WITHOUT_DATA) as answer, atomic(path) as part:
            _store(answer, part, file)
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise  # a full disk is reported as such, not as a failed download
        raise DownloadFailed(f"{file.origin}: {getattr(error, 'reason', None) or error}") from error
    return path


def _store(answer: http.client.HTTPResponse, part: Path, file: KerasFile) -> None:
    size = int(answer.headers.get("Content-Length", 0))
    with part.open("wb") as target, wait_below(Bar(f"Downloading {file.name}", size or None)) as bar:
        bar.move(0)  # the speed counts from here
        while piece := answer.read(2**20):
            target.write(piece)
            bar.move(bar.done + len(piece))
    # `read` returns what it has when a connection breaks off: it raises nothing.
    if size and part.stat().st_size != size:
        raise DownloadFailed(f"{file.origin}: {part.stat().st_size:,} of {size:,} bytes arrived")
    if file.hash is not None and not file_utils.validate_file(str(part), file.hash):
        raise DownloadFailed(f"{file.origin}: the hash of the file is not {file.hash}")
