"""The folder that reports are written to: whole or not at all, and only an earlier one of the same command goes."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlmed.errors import InputError
from tlmed.rundir import RunDir
from tlmed.targets import check_folder, check_targets, is_marked, writing_out
from tlmed.whole_files import atomic_folder

OPTION = "--dicom-sr"
_COMMAND = "predict"


def check_report_folder(folder: Path, sources: Sequence[str | Path], force: bool) -> None:
    """Refuse a folder that reports cannot be written to, before anything is computed; it is not made here.

    Args:
        folder: A new or empty one; or with `force` one that holds nothing but earlier reports.
        sources: The files and folders that images are read from.
        force: Whether earlier reports may be replaced.

    Raises:
        InputError: It is another one, in a run, or images would be read from it the next time.
    """
    place = Path(folder).resolve()
    for near in dict.fromkeys(source if source.is_dir() else source.parent for source in map(Path, sources)):
        if place.is_relative_to(near.resolve()) or near.resolve().is_relative_to(place):
            raise InputError(
                f"`{OPTION}` must be a folder apart from those of the images, because pictures in it would be read as "
                f"images the next time. Received: {folder}, with images in {near}."
            )
    if any(RunDir(near).exists for near in (place, *place.parents)):
        raise InputError(f"`{OPTION}` must not be in the directory of a run. Received: {folder}.")
    if place.is_dir():
        files = [path for path in place.rglob("*") if not path.is_dir() or path.is_symlink()]
        check_targets(OPTION, {file: _is_own for file in files}, force, sources)
    else:
        check_folder(place, ())


def _is_own(file: Path) -> bool:
    """Tell a report or one of its pictures: `predict --explain` leaves pictures with the same mark, as PNG."""
    return file.suffix in (".dcm", ".json") and is_marked(file, _COMMAND)


@contextlib.contextmanager
def writing_reports(folder: Path, sources: Sequence[str | Path], force: bool) -> Iterator[Path]:
    """Yield a new folder to write to, which takes the place of `folder` when the block ends without an error.

    Args:
        folder: As for `check_report_folder`.
        sources: Likewise.
        force: Likewise.

    Raises:
        InputError: As `check_report_folder`, or if it cannot be written to.
    """
    with writing_out(folder, OPTION), atomic_folder(folder) as part:
        yield part
        check_report_folder(folder, sources, force)  # again, because files may have appeared since
