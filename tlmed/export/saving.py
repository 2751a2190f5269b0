"""Write an export to a file."""

from pathlib import Path

from tlmed.errors import InputError
from tlmed.rundir import write_text


def save(path: Path, text: str) -> None:
    """Write an export to a file, whole or not at all.

    Args:
        path: The file.
        text: Its content.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        write_text(path, text)
    except OSError as error:
        raise InputError(f"`--out` must be a file that can be written. Received: {path}: {error.strerror}.") from error
