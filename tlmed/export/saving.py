"""Write an export to a file."""

from pathlib import Path

from tlmed.targets import check_targets, is_marked, make_mark, writing_out
from tlmed.whole_files import write_text

COMMENTS = {"requirements": "# {}\n", "card": "<!-- {} -->\n"}  # as each format writes them


def check_target(path: Path, force: bool = False) -> None:
    """Refuse a file that an export may not be written to; see `check_targets`."""
    check_targets("--out", {path: lambda file: is_marked(file, "export")}, force)


def save(path: Path, text: str, form: str, force: bool = False) -> None:
    """Write an export to a file, whole or not at all, with a last line that says what made it.

    Args:
        path: The file.
        text: Its content.
        form: Its format.
        force: Write over an earlier export.

    Raises:
        InputError: The file cannot be written, or exists and may not be written over.
    """
    check_target(path, force)
    with writing_out(path):
        write_text(path, text + COMMENTS[form].format(make_mark("export")))
