"""Where tlmed keeps what it may compute again: the user's cache directory, and how much may lie there."""

import os
import re
from pathlib import Path

import platformdirs

from tlmed.errors import InputError

FOLDER, LIMIT = "TLMED_CACHE_DIR", "TLMED_CACHE_LIMIT"
DEFAULT_LIMIT = "20GB"
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def cache_folder() -> Path:
    """Return the folder: `TLMED_CACHE_DIR`, or `tlmed` in the user's cache directory. It need not exist."""
    return Path(os.path.expanduser(os.environ.get(FOLDER) or platformdirs.user_cache_dir("tlmed")))


def cache_limit() -> int:
    """Return how many bytes the store of features may take: `TLMED_CACHE_LIMIT`, such as "5GB", or 20 GB.

    Raises:
        InputError: If the variable is no size.
    """
    return parse_size(os.environ.get(LIMIT) or DEFAULT_LIMIT)


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
