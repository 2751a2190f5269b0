"""The folder of an exported model: written whole or not at all, and written over only if the same command made it."""

import inspect
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tlmed.conversion import reference_reader
from tlmed.errors import InputError
from tlmed.regular_files import sha256
from tlmed.targets import check_folder, is_of_run, writing_out
from tlmed.whole_files import atomic_folder, write_json

FACTS, READER = "model.json", "read_images.py"


def check_export_folder(folder: Path, force: bool = False) -> None:
    """Refuse a folder that a model may not be written to: it must be new or empty, or made by this command.

    Args:
        folder: The folder.
        force: Whether an earlier export may be replaced.

    Raises:
        InputError: It is a file, holds something else, or is a part of a run.
    """
    check_folder(folder.parent, ())
    if is_of_run(folder):
        raise InputError(f"`--out` must not be a part of a run. Received: {folder}.")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"`--out` must be a new or empty directory. Received: {folder}, a file or a link.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not force:
        raise InputError(
            "`--out` must be a new or empty directory; --force writes over one that the same command made. "
            f"Received: {folder}, which is not empty."
        )
    if not _is_ours(folder):
        raise InputError(
            "`--out` must be a new or empty directory, or with --force one that the same command made and that is as "
            f"it was made. Received: {folder}."
        )


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder holds an earlier export, as it was written, and nothing else."""
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        said = dict(facts["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    found = list_files(folder)
    return set(found) == {*said, FACTS} and all(sha256(folder / name) == digest for name, digest in said.items())


def list_files(folder: Path) -> list[str]:
    """Return the files of a folder and of those in it, by their paths in it, sorted; not what Python keeps there."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.as_posix() for path in found if "__pycache__" not in path.parts)


@contextmanager
def writing_folder(folder: Path, force: bool = False) -> Iterator[Path]:
    """Yield a folder beside `folder` to write to; it takes the place of `folder` when the block ends without an error.

    After any error `folder` is as it was before, and nothing else stays.

    Args:
        folder: The folder.
        force: As for `check_export_folder`, which is asked before the block and after it.

    Raises:
        InputError: As `check_export_folder`, or something cannot be written.
    """
    check_export_folder(folder, force)
    with ExitStack() as stack:
        with writing_out(folder):
            part = stack.enter_context(atomic_folder(folder))
        yield part  # what goes wrong in the block is no fault of the folder
        check_export_folder(folder, force)
        with writing_out(folder):
            stack.close()


def write_companions(folder: Path, facts: dict) -> None:
    """Write what travels with a model: the reader, and last `model.json`, with the digests of all other files."""
    (folder / READER).write_text(inspect.getsource(reference_reader), "utf-8")
    write_json(folder / FACTS, {**facts, "sha256": {name: sha256(folder / name) for name in list_files(folder)}})
