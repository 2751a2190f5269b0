"""The cache directory: where it is, how much it may hold, and who can write to it."""

import contextlib
import errno
import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import platformdirs

from tlmed.errors import InputError

FOLDER, LIMIT = "TLMED_CACHE_DIR", "TLMED_CACHE_LIMIT"
# Room for what VGG16 gives for 50,000 images of 224 pixels before its last block: 14 x 14 x 512 numbers of four bytes.
DEFAULT_LIMIT = "20GB"
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


_chosen: ContextVar[Path | None] = ContextVar("chosen", default=None)


@contextlib.contextmanager
def caching_in(folder: Path) -> Iterator[None]:
    """Use another cache folder inside the block; other threads are not affected."""
    token = _chosen.set(folder)
    try:
        yield
    finally:
        _chosen.reset(token)


def cache_folder() -> Path:
    """Return the folder: that of `caching_in`, `TLMED_CACHE_DIR`, or `tlmed` in the user's cache directory.

    It need not exist.
    """
    if (chosen := _chosen.get()) is not None:
        return chosen
    return Path(os.path.expanduser(os.environ.get(FOLDER) or platformdirs.user_cache_dir("tlmed")))


def cache_limit() -> int:
    """Return how many bytes the store of features may take: `TLMED_CACHE_LIMIT`, such as "5GB", or 20 GB.

    Raises:
        InputError: If the variable is no size.
    """
    return parse_size(os.environ.get(LIMIT) or DEFAULT_LIMIT)


def make_private(folder: Path) -> None:
    """Make a folder and its missing parents so that nobody else can write to them, because their content is trusted."""
    if folder.is_dir():
        return
    # One by one: `mkdir(parents=True)` makes the parents with the default mode.
    make_private(folder.parent)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)  # another process may make it at the same time
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


def open_private(path: str | Path, flags: int) -> int:
    """Open a file for `open(..., opener=open_private)`; a new one is for its owner alone."""
    return os.open(path, flags, 0o600)


def find_writers(folder: Path) -> str:
    """Say whether others can write to the cache directory; return "" if nobody can.

    Hashes show damage but not intent: whoever can write there can change the features that a run gets.

    Args:
        folder: The cache directory.
    """
    # The folder, its shelves, the keys on them and their files.
    for place in (folder, *sorted(folder.glob("*")), *sorted(folder.glob("*-*/*")), *sorted(folder.glob("*-*/*/*"))):
        try:
            found = place.stat()
        except OSError:
            continue
        # Root (0) can write everywhere anyway.
        foreign = found.st_uid not in (os.getuid(), 0)
        if foreign or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            how = "belongs to another user" if foreign else "can be written to by other users"
            return (
                f"Runs trust what the cache holds, and {place} {how}: keep others out "
                f"(chmod -R go-w {shlex.quote(str(folder))}), or set {FOLDER} to a folder of your own."
            )
    return ""


def parse_size(text: str) -> int:
    """Return a size in bytes.

    >>> parse_size("1.5 GB"), parse_size("200")
    (1500000000, 200)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    if not found:
        raise InputError(f"`{LIMIT}` must be a size such as '20GB' or '500MB'. Received: {LIMIT}={text!r}.")
    return int(float(found[1]) * _UNITS[f"{found[2]}B"])


def show_size(size: int) -> str:
    """Return a size for people.

    >>> show_size(3_996_000), show_size(12)
    ('4.0 MB', '12 B')
    """
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.1f} {unit}"
    return f"{size} B"
