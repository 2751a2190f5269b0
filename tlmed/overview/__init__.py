"""A first look at images, before training: one page with pictures, counts, sizes, intensities and what is wrong."""

from pathlib import Path

from tlmed import targets, whole_files
from tlmed.overview.first_page import Look, make_overview_page

__all__ = ["PAGE", "Look", "check_target", "make_overview_page", "write_overview"]

PAGE = "data.html"
_COMMAND = "data show"


def check_target(folder: Path, force: bool = False) -> None:
    """Refuse a folder where the page cannot be written, or holds a file of its name; see `targets.check_targets`.

    Raises:
        InputError: What is to be done.
    """
    targets.check_folder(folder, [PAGE])
    targets.check_targets("--out", {folder / PAGE: lambda file: targets.is_marked(file, _COMMAND)}, force)


def write_overview(folder: Path, look: Look, force: bool = False) -> Path:
    """Write the page into a folder, which is made if it is missing.

    Args:
        folder: Where to.
        look: What it shows.
        force: Write over an earlier page.

    Returns:
        Its path.

    Raises:
        InputError: If it cannot be written there.
        RunFailed: If an image changed while it was read.
    """
    check_target(folder, force)
    page = f"{make_overview_page(look)}<!-- {targets.make_mark(_COMMAND)} -->\n"
    with targets.writing_out(folder):
        folder.mkdir(parents=True, exist_ok=True)
        whole_files.write_text(folder / PAGE, page)
    return folder / PAGE
