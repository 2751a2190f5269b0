"""Open what somebody named: a regular file of bounded size, never a pipe that blocks or a device without end."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from tlmed.errors import InputError, did_you_mean

FORMS = "a folder, a table (.csv, .tsv, .txt), a MedMNIST .npz, medmnist:NAME or tfds:NAME"  # of data
LIMIT = 2**30  # bytes of an image, a table or a JSON file: they are held in memory whole
_CHUNK = 2**20
_KINDS = {
    stat.S_IFIFO: "it is a pipe and not a file",
    stat.S_IFCHR: "it is a device and not a file",
    stat.S_IFBLK: "it is a device and not a file",
    stat.S_IFSOCK: "it is a socket and not a file",
}


class NotRegular(OSError):
    """A path leads to a pipe, a device or a socket; `strerror` says to which."""


def open_regular(path: str | Path, limit: int | None = None) -> BinaryIO:
    """Open a regular file, or a link to one, for reading.

    Args:
        path: The file.
        limit: The most bytes that it may have; None: any number.

    Returns:
        The file, open; closing it is the caller's part.

    Raises:
        NotRegular: If it is something else.
        OSError: If it cannot be opened, is a folder, or is larger; `strerror` is a short reason.

    >>> open_regular("/dev/zero")
    Traceback (most recent call last):
    tlmed.regular_files.NotRegular: [Errno 22] it is a device and not a file: '/dev/zero'
    """
    # Without O_NONBLOCK, opening a pipe waits until somebody writes to it.
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotRegular(errno.EINVAL, _KINDS[stat.S_IFSOCK], str(path)) from None
        raise
    try:
        found = os.fstat(number)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if reason := _KINDS.get(stat.S_IFMT(found.st_mode)):
            raise NotRegular(errno.EINVAL, reason, str(path))
        if limit is not None and found.st_size > limit:
            raise _too_large(path, limit)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_regular(path: str | Path, limit: int = LIMIT) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file.
        limit: The most bytes that it may have.

    Raises:
        OSError: As for `open_regular`.
    """
    with open_regular(path, limit) as file:
        content = file.read(os.fstat(file.fileno()).st_size + 1)
        # It may have grown meanwhile, and files of /proc say that they are empty.
        while len(content) <= limit and (more := file.read(min(_CHUNK, limit + 1 - len(content)))):
            content += more
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a regular file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _too_large(path, limit) -> OSError:
    return OSError(errno.EINVAL, f"it is larger than {limit:,} bytes", str(path))


def check_exists(path: Path, name: str = "data", forms: str = FORMS) -> None:
    """Refuse a path that does not exist, and suggest the nearest name beside it.

    Args:
        path: The path.
        name: What the path was given as.
        forms: What it may be.

    Raises:
        InputError: There is no such file or folder.
    """
    if path.exists():
        return
    parent, missing = path.parent, path
    while not parent.is_dir() and parent != parent.parent:
        parent, missing = parent.parent, parent
    near = did_you_mean(missing.name, (entry.name for entry in parent.iterdir())) if parent.is_dir() else ""
    raise InputError(f"`{name}` must be {forms}, and exist.{near} Received: {name}={path}.")
