"""Keras's own weight files: in its cache, or downloaded into it."""

import contextlib
import errno
import http.client
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from keras.src.backend import config
from keras.src.utils import file_utils

from tlmed.backbones.applications import KerasFile

# Without a limit a network that swallows packets would hold the command for many minutes.
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
    """Download a file as keras.applications does, its hash checked by Keras.

    Raises:
        DownloadFailed: No network, no such file, or another file than expected.
        OSError: The disk is full.
    """
    with _narrow_errors(), contextlib.redirect_stdout(sys.stderr):
        try:
            path = file_utils.get_file(file.name, file.origin, cache_subdir=file.subfolder, file_hash=file.hash)
        except ValueError as error:
            raise DownloadFailed(f"{file.origin}: {error}") from error
    return Path(path)


@contextlib.contextmanager
def _narrow_errors() -> Iterator[None]:
    """Give failed downloads a type of their own, and a limit of patience.

    `get_file` turns them into a bare `Exception`, which nobody can catch without catching everything else.
    It still removes what was half written.
    """
    retrieve, patience = file_utils.urlretrieve, socket.getdefaulttimeout()

    def urlretrieve(url, *args):
        try:
            return retrieve(url, *args)
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise  # a full disk is no fault of what the user asked for
            raise DownloadFailed(f"{url}: {getattr(error, 'reason', None) or error}") from error

    file_utils.urlretrieve = urlretrieve
    socket.setdefaulttimeout(SECONDS_WITHOUT_DATA)
    try:
        yield
    finally:
        file_utils.urlretrieve = retrieve
        socket.setdefaulttimeout(patience)
