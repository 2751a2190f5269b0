"""Folders that a table names in the place of files: each is one volume, a series of DICOM files."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from tlmed.data.kinds import describe_others
from tlmed.data.readers import is_image
from tlmed.data.table import describe_skipped
from tlmed.data.table_rows import Row
from tlmed.data.walking import find_hidden, naming_unreadable, visible_files
from tlmed.plain_cells import RULE, is_plain
from tlmed.words import listed

RULE_OF_FOLDERS = "A path of a folder must name one that holds the files of a DICOM series"
_NAMED = 3


@dataclass(frozen=True)
class ListedFolder:
    """What lies below a folder, in any depth; paths are relative to that of the table.

    Attributes:
        images: Image files, sorted.
        others: Other files, sorted.
        hidden: Files and folders whose names begin with a dot.
    """

    images: tuple[str, ...]
    others: tuple[str, ...]
    hidden: tuple[str, ...]

    def find_faults(self) -> Iterator[tuple[str, str]]:
        """Yield rule and received words for what makes the folder useless."""
        if not self.images:
            yield f"{RULE_OF_FOLDERS}.", describe_skipped(self.others, self.hidden) or "no file"
        elif odd := [path for path in self.images if not is_plain(path)]:
            yield f"A path {RULE}.", listed(map(ascii, odd), _NAMED)


def open_folders(source: Path, rows: Iterable[Row]) -> dict[str, ListedFolder]:
    """Look into the folders that a table names.

    Args:
        source: The table.
        rows: Its rows.

    Returns:
        By path, as the row writes it.

    Raises:
        InputError: One cannot be read.
    """
    root = source.parent
    with naming_unreadable(source):
        return {row.path: _look_into(root, row.path) for row in rows if row.path and (root / row.path).is_dir()}


def _look_into(root: Path, path: str) -> ListedFolder:
    folder, images, others = root / path, [], []
    for file in visible_files(folder):
        (images if is_image(file) else others).append(
            posixpath.normpath(f"{path}/{file.relative_to(folder).as_posix()}")
        )
    hidden = [posixpath.normpath(f"{path}/{name}") for name in find_hidden(folder)]
    return ListedFolder(tuple(images), tuple(others), tuple(hidden))


def find_nested(rows: Iterable[Row], folders: Mapping[str, ListedFolder]) -> list[str]:
    """Return the rows whose path lies in a folder that another row names, with their lines."""
    above = {posixpath.normpath(path) for path in folders}
    return [
        f"'{row.path}' (line {row.line})"
        for row in rows
        if any(str(parent) in above for parent in PurePosixPath(posixpath.normpath(row.path)).parents)
    ]


def take_files(rows: Sequence[Row], folders: Mapping[str, ListedFolder]) -> list[Row]:
    """Return a row for each image file: those of a folder have what the row of the folder says."""
    return [
        replace(row, path=path, folder=posixpath.normpath(row.path)) if row.path in folders else row
        for row in rows
        for path in (folders[row.path].images if row.path in folders else (row.path,))
    ]


def describe_rest(root: Path, folders: Mapping[str, ListedFolder]) -> tuple[str, ...]:
    """Return a sentence for each known kind among the files of folders that are no images."""
    return describe_others(root / path for folder in folders.values() for path in folder.others)
