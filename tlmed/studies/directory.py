"""The directory of a study: made, recognised, and kept for one study of one set of images."""

import contextlib
import fcntl
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlmed.errors import InputError
from tlmed.recipe import Cell, digest
from tlmed.run_files.owner_files import OWNERS
from tlmed.run_files.study_files import RUNS, STUDY_JSON, TOLD, is_study, read_study_json, write_study
from tlmed.words import listed

_LOCK = ".study.lock"
_NAMED = 3


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the system's lock on a file, which is made if it is not there, inside the block."""
    with file.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def one_at_a_time(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Let one process of this machine read and write the files of a study inside the block."""
    return locked(folder / _LOCK)


def open_directory(folder: Path, cells: Sequence[Cell], about: dict) -> str:
    """Make the directory of a study, or go on in it; more cells may come to those that are there.

    Args:
        folder: The directory.
        cells: The cells of the study.
        about: What else `study.json` says.

    Returns:
        Its identifier, by which directories on several machines are told apart; a shared one has one.

    Raises:
        InputError: If it cannot be made, holds something else, or a study of other recipes or images.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name != _LOCK]
    except OSError as error:
        raise InputError(f"`--out` must be a directory that can be made. Received: {folder}: {error}.") from error
    if others and not is_study(folder):
        raise InputError(f"`--out` must be a new or empty directory, or a study's. Received: {folder}.")
    with one_at_a_time(folder):
        now = {**about, "directory": uuid.uuid4().hex, "cells": {cell.name: digest(cell.recipe) for cell in cells}}
        if is_study(folder):
            there = read_study_json(folder)
            _compare(folder, there, now)
            now |= {name: there[name] for name in ("directory", TOLD) if name in there}
        write_study(folder, now)
    return now["directory"]


def discard(folder: Path, was_there: bool) -> None:
    """Remove the directory of a study that was refused before any of its cells began; one with a run stays.

    Args:
        folder: The directory.
        was_there: Whether it was there, empty, before the study.
    """
    kept = [folder / name for name in (RUNS, OWNERS)]  # what was trained, and who else works on it
    if any(path.is_dir() and any(path.iterdir()) for path in kept):
        return
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not was_there:
        folder.rmdir()


def _compare(folder: Path, there: dict, here: dict) -> None:
    """Refuse another study, and the same on other images; a study that has grown is the same."""
    if there.get("data") != here["data"]:
        raise InputError(
            "`--out` holds a study of other data; choose another directory. "
            f"Received: {folder / STUDY_JSON}: {there.get('data')!r} there, {here['data']!r} here."
        )
    if there.get("search") != here.get("search"):
        both = "search" in there and "search" in here
        differ = f"other {_name_parts(there['search'], here['search'])}" if both else "a search is another study"
        raise InputError(
            "`--out` holds another study; a search keeps its recipes and what it may choose, and only `--trials` may "
            f"grow. Received: {folder}: {differ}."
        )
    cells = there.get("cells", {})
    if gone := [name for name in cells if name not in here["cells"]]:
        raise InputError(
            "`--out` holds another study; a study may grow, but keeps the cells that it has. "
            f"Received: {folder}: without {listed(gone, _NAMED)}."
        )
    if changed := [name for name, known in cells.items() if here["cells"][name] != known]:
        raise InputError(
            "`--out` holds another study, whose recipes differ; choose another directory. "
            f"Received: {folder}: other fields in {listed(changed, _NAMED)}."
        )


def _name_parts(there: dict, here: dict) -> str:
    """Name the parts in which two searches differ."""
    return listed([name.replace("_", " ") for name in here if there.get(name) != here[name]], _NAMED)
