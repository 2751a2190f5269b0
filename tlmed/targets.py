"""Files that a command may write to: one rule for every option that writes, and marks that show own files."""

import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tlmed.errors import InputError
from tlmed.regular_files import open_regular, read_regular
from tlmed.rundir import OWN, RunDir
from tlmed.words import listed

_LARGEST_MARKED = 2**28  # bytes; no page or table that tlmed marks comes near
_LONGEST_HEADER = 2**22  # characters
_NAMED = 3  # files that a sentence names; it counts the others


def check_folder(folder: str | Path, names: Iterable[str], make: bool = True) -> None:
    """Refuse a folder that files cannot be written to, before their content is computed.

    Args:
        folder: It is not made here.
        names: The files.
        make: Whether it may be missing, because it will be made.

    Raises:
        InputError: If it is no folder, may not be written to, or has a folder of one of those names.
    """
    folder = Path(folder)
    near = next(part for part in (folder, *folder.parents) if part.exists())
    if near != folder and not make:
        raise InputError(f"`--out` must be in a folder that exists. Received: {folder}.")
    if not near.is_dir() or not os.access(near, os.W_OK):
        raise InputError(
            f"`--out` must be a folder that can be made and written to. Received: {folder}, where {near} is "
            f"{'a folder that may not be written to' if near.is_dir() else 'a file'}."
        )
    if taken := [str(folder / name) for name in names if (folder / name).is_dir()]:
        raise InputError(f"`--out` must not have folders where files go. Received: {', '.join(taken)}.")


def check_targets(
    option: str,
    targets: Mapping[Path, Callable[[Path], bool]],
    force: bool | None = None,
    inputs: Iterable[str | Path] = (),
) -> None:
    """Refuse to write over anything but what the same command made earlier: the rule of every option that writes.

    An input of the command and a file of a run are never written over. What else exists is written over with `--force`
    only, and only if the command knows it for its own: by a mark in it, the header of a table, or a checksum.

    Args:
        option: What the files were given as, for the error.
        targets: Files that will be written, each with what tells the command's own earlier file from any other.
        force: Whether `--force` was given; None for a command without it.
        inputs: What the command reads.

    Raises:
        InputError: With every file that may not be written.
    """
    read = {_identify(Path(path)) for path in inputs if os.path.exists(path)}
    broken: dict[str, list[str]] = {}
    for path, is_own in targets.items():
        if rule := _find_broken_rule(path, is_own, force, read):
            broken.setdefault(rule, []).append(str(path))
    if broken:
        raise InputError(
            [f"`{option}` must {rule}. Received: {listed(paths, _NAMED)}." for rule, paths in broken.items()]
        )


def check_new_folder(folder: Path, is_own: Callable[[Path], bool], force: bool = False) -> None:
    """Refuse a folder that a command cannot fill: it must be new or empty, or with `--force` its own.

    Args:
        folder: It is not made here.
        is_own: What tells a file that the command made from any other.
        force: Whether `--force` was given.

    Raises:
        InputError: It is a file or of a run, cannot be made or written to, or holds something.
    """
    check_folder(folder, ())
    check_folder(folder.resolve().parent, ())  # where it is written before it gets its name
    if is_of_run(folder):
        raise InputError(f"`--out` must not be in the directory of a run. Received: {folder}.")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if not found:
        return
    if not force:
        raise InputError(
            "`--out` must be a new or empty folder; --force writes over one that the same command made. "
            f"Received: {folder}, which holds {listed((path.name for path in found), _NAMED)}."
        )
    if other := [path.name for path in found if path.is_symlink() or not path.is_file() or not is_own(path)]:
        raise InputError(
            "`--out` must be a new or empty folder, or with --force one that holds nothing but what the same command "
            f"wrote. Received: {folder} with {listed(other, _NAMED)}."
        )


def _find_broken_rule(path: Path, is_own, force, read) -> str:
    """Return the rule that writing to a path would break; "" if it may be written."""
    if path.exists() and _identify(path) in read:
        return "not be what the command reads"
    if is_of_run(path):
        return "not be a file of a run"
    if not os.path.lexists(path):
        return ""
    if path.is_dir():
        return "be a file, which a folder is not"
    if force is None:
        return "be a new file; nothing is written over"
    if not force:
        return "be a new file; --force writes over those that the same command made"
    ours = path.is_file() and not path.is_symlink() and is_own(path)
    return "" if ours else "be a new file, or with --force one that the same command made and that is as it was made"


def _identify(path: Path) -> tuple[int, int]:
    """Return device and number of a file, which are the same for all of its names."""
    found = path.stat()
    return found.st_dev, found.st_ino


def is_of_run(path: Path) -> bool:
    """Tell whether a path belongs to a run's own files; what a user has put into its directory does not."""
    return any(
        place.relative_to(folder).parts[0] in OWN and RunDir(folder).exists
        for place in (Path(os.path.abspath(path)), path.resolve())
        for folder in place.parents
    )


@contextlib.contextmanager
def writing_out(path: str | Path, option: str = "--out") -> Iterator[None]:
    """Turn errors of the block, which writes what a user asked for, into one clear line.

    Raises:
        InputError: That the option's place cannot be written to, and why.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"`{option}` must be where files can be written. Received: {path}: {why}.") from error


def make_mark(command: str) -> str:
    """Return the words by which a command knows a file that it made.

    >>> make_mark("export")
    'Made by tlmed export.'
    """
    return f"Made by tlmed {command}."


def is_marked(path: Path, command: str) -> bool:
    """Tell whether a file holds the mark of a command."""
    return path.stat().st_size < _LARGEST_MARKED and make_mark(command).encode() in read_regular(path)


def read_header(path: Path) -> list[str]:
    """Return the names of a table's columns; none where the file is no table."""
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8", newline="") as file:
            return next(csv.reader([file.readline(_LONGEST_HEADER)]), [])
    except (UnicodeDecodeError, csv.Error):
        return []
