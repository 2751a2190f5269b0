"""What lies below a folder: files, what is hidden, links, and folders that cannot be read."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tlmed.errors import InputError
from tlmed.words import count, listed

_NAMED = 3  # links that a sentence names; it counts the others


def list_visible(folder: Path) -> list[Path]:
    """Return what lies directly in a folder and is not hidden."""
    return [entry for entry in folder.iterdir() if not _is_hidden(entry)]


def visible_files(root: Path) -> Iterator[Path]:
    """Yield every file below a folder that is not hidden, sorted, links to files included.

    Args:
        root: The folder. Links to folders below it are not followed, so that no endless loop can arise.
    """
    for entry in sorted(list_visible(root)):
        if not entry.is_dir():
            yield entry
        elif not entry.is_symlink():
            yield from visible_files(entry)


def find_unfollowed(root: Path) -> Iterator[str]:
    """Yield the links to folders that `visible_files` does not follow, relative to the folder."""
    for entry in sorted(list_visible(root)):
        if entry.is_dir():
            below = [""] if entry.is_symlink() else (f"/{name}" for name in find_unfollowed(entry))
            yield from (f"{entry.name}{name}" for name in below)


def describe_unfollowed(links: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence that names links to folders whose files are not used; none if there are no such links."""
    if not (links := sorted(links)):
        return ()
    return (
        f"Not followed: {count(len(links), 'link')} to {'a folder' if len(links) == 1 else 'folders'} "
        f"({listed(map(repr, links), _NAMED)}). The files there are not used.",
    )


def describe_links_out(root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence that names files which lie elsewhere, and are read through links; none if there are none.

    Args:
        root: The folder of the data.
        paths: Of its files, relative to it.
    """
    inside, outside = os.path.realpath(root), {}

    def leads_out(path: str) -> bool:
        return os.path.commonpath([inside, os.path.realpath(path)]) != inside

    def lies_out(path: str) -> bool:
        folder, file = os.path.dirname(path), os.path.join(root, path)
        if folder not in outside:  # one question for all files of a folder
            outside[folder] = leads_out(os.path.join(root, folder))
        return leads_out(file) if os.path.islink(file) else outside[folder]

    if not (found := sorted(filter(lies_out, paths))):
        return ()
    return (
        f"{count(len(found), 'file')} ({listed(found, _NAMED)}) {'lies' if len(found) == 1 else 'lie'} outside of the "
        "folder of the data, and links lead there: a copy of the folder may lack them.",
    )


def find_hidden(root: Path) -> Iterator[str]:
    """Yield the hidden files and folders below a folder, relative to it, folders with a slash at the end.

    What lies in hidden folders is not looked at.

    Args:
        root: The folder. Links to folders below it are not followed.
    """
    yield from list_hidden(root, "")
    for entry in sorted(list_visible(root)):
        if entry.is_dir() and not entry.is_symlink():
            yield from (f"{entry.name}/{name}" for name in find_hidden(entry))


def list_hidden(folder: Path, prefix: str) -> list[str]:
    """Return the hidden files and folders that lie directly in a folder."""
    hidden = filter(_is_hidden, folder.iterdir())
    return sorted(f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}" for entry in hidden)


def _is_hidden(entry: Path) -> bool:
    return entry.name.startswith(".")


@contextlib.contextmanager
def naming_unreadable(source: object) -> Iterator[None]:
    """Turn what the system says of a folder that cannot be read into an error of the input.

    Args:
        source: What somebody gave.

    Raises:
        InputError: It names the folder.
    """
    try:
        yield
    except OSError as error:
        where = f"'{error.filename}' ({error.strerror})" if error.filename is not None else str(error)
        raise InputError(f"Every folder of the data must be readable. Received: data={source}: {where}.") from error
