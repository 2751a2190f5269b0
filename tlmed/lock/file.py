"""The file of a lock: written whole, and refused if it was changed since."""

from dataclasses import dataclass, field
from pathlib import Path

from tlmed.errors import InputError
from tlmed.intact import CHECKSUM, checksum, read_verified, refuse_lock
from tlmed.intact import LOCK as NAME
from tlmed.lock.lock_json import make_lock
from tlmed.lock.printable import show
from tlmed.lock.shape import MOST_FAULTS, find_shape_faults
from tlmed.recipe import Recipe, from_json
from tlmed.rundir import RunDir, check_single
from tlmed.whole_files import write_json
from tlmed.words import listed


@dataclass(frozen=True)
class Lock:
    """A lock that was read.

    Attributes:
        path: The file.
        recipe: The resolved recipe.
        content: All that the file holds, as `make_lock` gives it.
    """

    path: Path
    recipe: Recipe
    content: dict = field(repr=False)  # it has a line for every image

    @property
    def run(self) -> RunDir | None:
        """The run that the file lies in, if it lies in one."""
        run = RunDir(self.path.parent)
        return run if self.path.name == NAME and run.exists else None

    @property
    def name(self) -> str:
        """What to call it: the file's name, or in a run the directory's."""
        return name_lock(self.path)


def write_lock(run: RunDir) -> None:
    """Write a run's `lock.json`, with a checksum of its own."""
    content = make_lock(run)
    write_json(run / NAME, {**content, CHECKSUM: checksum(content)})


def read_lock(path: str | Path) -> Lock:
    """Read a lock, given by its file or by the directory of its run.

    Raises:
        InputError: If the file is missing, has a newer or an older format, was edited, or is no lock.
    """
    path = find_lock(Path(path))
    content = read_verified(path)
    if faults := list(find_shape_faults(content)):
        raise refuse_lock(path, f"where {listed(map(show, faults), MOST_FAULTS)}")
    try:
        recipe = from_json(content["recipe"]["resolved"])
    except InputError as error:
        raise InputError([f"In {path}: {fault}" for fault in error.faults]) from error
    return Lock(path, recipe, content)


def find_lock(path: Path) -> Path:
    """Return the file of a lock, given by itself or by the directory of its run.

    Raises:
        InputError: If the directory holds none.
    """
    if not path.is_dir():
        return path
    if (path / NAME).exists():
        return path / NAME
    run = RunDir(path)
    check_single(run)  # the folds of a cross-validation have a lock each
    kind = "an unfinished run" if run.marker.exists() else "a run of an older version" if run.exists else "a directory"
    raise InputError(
        f"RUN must be a complete run that holds {NAME}, as `tlmed train` writes it. "
        f"Received: {str(path)!r}, {kind} without one."
    )


def name_lock(path: Path) -> str:
    """Return what to call a lock: by its file's name, or by the directory of its run.

    >>> name_lock(Path("locks/mine.json")), name_lock(Path("runs/v1.2/lock.json"))
    ('mine', 'v1.2')
    """
    if path.is_dir() or path.name == NAME:
        return (path if path.is_dir() else path.parent).resolve().name
    return path.stem
