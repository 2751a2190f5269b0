"""Write an export to a file."""

from pathlib import Path

from tlmed.rundir import write_text, writing_out


def save(path: Path, text: str) -> None:
    """Write an export to a file, whole or not at all.

    Args:
        path: The file.
        text: Its content.

    Raises:
        InputError: The file cannot be written.
    """
    with writing_out(path):
        write_text(path, text)
