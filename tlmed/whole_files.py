"""Files that are written whole or not at all: text, JSON and tables."""

import contextlib
import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tlmed.regular_files import read_regular


@contextlib.contextmanager
def atomic(path: str | Path):
    """Yield a temporary path beside `path` to write to; it is renamed to `path` when the block ends without an error.

    After any error, such as a full disk or Ctrl-C, `path` is as it was before and nothing else stays.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic(Path(folder) / "note.txt") as part:
    ...         _ = part.write_text("done")
    ...     os.listdir(folder)
    ['note.txt']
    """
    path = Path(path)
    # In a folder of its own, so that the name keeps its suffix, by which Keras chooses the format.
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))  # a killed run's is removed by `RunDir.open`
    try:
        part = folder / path.name
        yield part
        os.replace(part, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path):
    """Yield a new folder beside `path` to write to; it becomes `path` when the block ends without an error.

    What was at `path` before is then gone. After any error it is as it was, and nothing else stays.

    >>> with tempfile.TemporaryDirectory() as place:
    ...     with atomic_folder(Path(place) / "notes") as part:
    ...         _ = (part / "a.txt").write_text("done")
    ...     os.listdir(place), os.listdir(Path(place) / "notes")
    (['notes'], ['a.txt'])
    """
    path = Path(path).resolve()
    near = next(parent for parent in path.parents if parent.is_dir())  # others are made when there is something in them
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=near))
    part, before = folder / "new", folder / "old"
    try:
        part.mkdir()
        yield part
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            os.replace(path, before)
        try:
            os.replace(part, path)
        except OSError:
            if before.exists():
                os.replace(before, path)
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content) -> None:
    """Write JSON with two spaces of indentation; NaN is an error, because other programs could not read it."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: str | Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    """Write a table, whole or not at all."""
    with atomic(path) as part:
        part.write_bytes(format_csv(header, rows).encode())


def format_csv(header: Iterable[str], rows: Iterable[Iterable]) -> str:
    """Return a table as text.

    >>> print(format_csv(["path", "split"], [("a, b.png", "train")]), end="")
    path,split
    "a, b.png",train
    """
    text = io.StringIO(newline="")
    plain, quoting = (csv.writer(text, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    for row in (header, *map(tuple, rows)):
        # Readers take a carriage return for the end of a line, and Python's writer does not quote it.
        (quoting if any("\r" in str(field) for field in row) else plain).writerow(row)
    return text.getvalue()


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Read a table as one dictionary a row."""
    return list(csv.DictReader(io.StringIO(read_regular(path).decode(), newline="")))
