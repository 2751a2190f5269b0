"""The directory of a run: the names of its files, who may write there, and whether it is complete."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tlmed.errors import InputError
from tlmed.regular_files import read_regular
from tlmed.whole_files import write_text
from tlmed.words import listed

NETWORK = "model.keras"
NOVELTY = "novelty.sealed"  # what a run knows of its training images, to tell others from them
FILES = (
    "recipe.py",
    "recipe.json",
    "environment.json",
    "splits.csv",
    "check.json",
    "plan.json",
    "freeze.json",
    "degrees.csv",
    "history.csv",
    "strengths.csv",
    "search.csv",
    NETWORK,
    "classifier.skops",
    NOVELTY,
    "novelty.json",
    "predictions.csv",
    "pooled.csv",
    "metrics.json",
    "examples.json",
    "timing.json",
    "report.html",
    "lock.json",
)
EXAMPLES = "examples"  # the folder of the pictures that `examples.json` names
FOLDS = "folds"  # the folder of a cross-validation's runs; their table is `folds.csv`
ENSEMBLE = "ensemble.json"  # the file that tells an ensemble from a run, and names its members
WORKER = "tlmed-worker-"  # begins the name of the folder where a worker that is not the chief writes: it is no run
_FOLDERS = (FOLDS, EXAMPLES, "tensorboard", "progress")
OWN = {*FILES, f"{FOLDS}.csv", "UNFINISHED", ENSEMBLE, *_FOLDERS}  # names in the directory that belong to the run
_PROGRESS = ("start", "status.json", "*.phase", "*.weights")  # beside the lock and the checkpoints
_PICTURE = re.compile(r"(right|wrong|uncertain)-\d+\.png")
_LOOK_SECONDS = 1.0  # for which a starting run waits, because `is_running` holds the lock for a moment
_NAMED = 3  # files that a sentence names; it counts the others


@dataclass(frozen=True)
class RunDir:
    """The files of one run. A run is complete exactly when the marker `UNFINISHED` is gone.

    Attributes:
        path: The directory.
    """

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def marker(self) -> Path:
        """Say in words, while the run is not complete, how far it got."""
        return self / "UNFINISHED"

    @property
    def progress(self) -> Path:
        """Hold what a stopped run continues from: finished phases, and checkpoints of the one that was running."""
        return self / "progress"

    @property
    def exists(self) -> bool:
        """Tell whether a run was started here: a file of one of its names alone does not make a directory a run."""
        first = ENSEMBLE if self.is_ensemble else "recipe.json"
        return self.marker.exists() or all((self / name).exists() for name in (first, "metrics.json"))

    @property
    def is_ensemble(self) -> bool:
        """Tell whether `tlmed ensemble` wrote here: several runs that answer together."""
        return (self / ENSEMBLE).exists()

    @property
    def complete(self) -> bool:
        """Tell whether a run was finished here."""
        return (self / "metrics.json").exists() and not self.marker.exists()

    @property
    def folds(self) -> tuple["RunDir", ...]:
        """Return the runs of a cross-validation's folds that were begun here, in order; of any other run nothing."""
        paths = (self / FOLDS).iterdir() if (self / FOLDS).is_dir() else ()
        runs = [RunDir(path) for path in paths if path.name.isdecimal()]
        return tuple(sorted((run for run in runs if run.exists), key=lambda run: int(run.path.name)))

    def json(self, name: str) -> dict:
        """Read one of the run's JSON files.

        Raises:
            InputError: If it is missing, or holds no JSON object.
        """
        try:
            content = json.loads(read_regular(self / name))
            fault = "" if isinstance(content, dict) else f"a {type(content).__name__}"
        except (OSError, ValueError, RecursionError) as error:
            fault = f"{type(error).__name__}: {error}"
        if fault:
            raise InputError(
                f"RUN must have all its files, readable: `{name}` must be JSON in UTF-8 and must hold a JSON object. "
                f"Received: {self / name}: {fault}."
            )
        return content

    @contextlib.contextmanager
    def open(self, fresh: bool = False) -> Iterator[None]:
        """Make the directory, and keep other processes from writing to it inside the block.

        What an earlier process was just writing when it was killed is removed.

        Args:
            fresh: Remove what a run wrote here before.

        Raises:
            InputError: If the directory cannot be made, holds files that are not a run's, or has another writer.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"`--out` must be a directory that can be made. Received: {self.path}: {error}."
            ) from error
        if self.is_ensemble or (not self.exists and self._name_obstacles()):
            raise InputError(f"`--out` must be a new or empty directory, or a run's. Received: {self.path}.")
        self._check_kinds()
        with self._locked():
            for part in self.path.rglob(".writing-*"):
                # In a fold another process may be writing.
                if part.relative_to(self.path).parts[0] != FOLDS and _find_kind(part) == "folder":
                    shutil.rmtree(part)
            if fresh:
                self._clear()
            yield

    def _name_obstacles(self) -> set[str]:
        """Return the files that keep a run from beginning here; other files may lie beside the run of a fold."""
        names = {path.name for path in self.path.iterdir()} - {self.progress.name, FOLDS}
        is_fold = self.path.name.isdecimal() and self.path.parent.name == FOLDS
        return names & OWN if is_fold and RunDir(self.path.parent.parent).exists else names

    def _check_kinds(self) -> None:
        """Refuse links, folders instead of files and files instead of folders: writing would end elsewhere or fail."""
        checkpoints = self.progress / "checkpoints"
        wanted = {self / name: "folder" if name in _FOLDERS else "file" for name in OWN}
        for folder in (self.progress, checkpoints):
            if _find_kind(folder) == "folder":
                wanted |= dict.fromkeys(folder.iterdir(), "file")
        wanted[checkpoints] = "folder"
        faults = [
            f"{path}, a {kind}"
            for path, want in wanted.items()
            if (kind := _find_kind(path)) not in (None, want) and not path.name.startswith(".writing-")
        ]
        if faults:
            raise InputError(
                "A run's directory must hold files where a run has files, folders where it has folders, and no links. "
                f"Received: {listed(sorted(faults), _NAMED)}."
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the directory for this process; a process that only looks at the lock holds it for a moment."""
        end = time.monotonic() + _LOOK_SECONDS
        while (number := self._try_lock()) is None:
            if time.monotonic() > end:
                raise InputError(
                    "`--out` must be a directory that no other process writes to. "
                    f"Received: {self.path}, where one is training."
                )
            time.sleep(_LOOK_SECONDS / 20)
        try:
            yield
        finally:
            os.close(number)

    def _try_lock(self) -> int | None:
        """Return the descriptor that holds the lock, or None where another process has it or has just removed it."""
        # A run that ends removes the file and its folder, perhaps just now.
        with contextlib.suppress(BlockingIOError, FileNotFoundError), contextlib.ExitStack() as stack:
            self.progress.mkdir(exist_ok=True)
            # O_NOFOLLOW: a link would put the lock somewhere else.
            number = os.open(self.guard, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            stack.callback(os.close, number)
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever opened the file before it was removed could lock it, and the next one would lock a new file.
            if os.path.samestat(os.fstat(number), self.guard.lstat()):
                stack.pop_all()
                return number
        return None

    @property
    def guard(self) -> Path:
        """The file that the writing process locks; the system unlocks it when the process ends, however it ends."""
        return self.progress / "lock"

    @property
    def is_running(self) -> bool:
        """Tell whether a process writes here."""
        if _find_kind(self.guard) != "file":
            return False
        with self.guard.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def mark(self, words: str) -> None:
        """Note how far the run got."""
        write_text(self.marker, words + "\n")

    def finish(self) -> None:
        """Declare the run complete: the last step of a run.

        The marker goes first: a run that is killed after that is complete, and the next call removes what is left.
        """
        self.marker.unlink(missing_ok=True)
        self._clear_progress()
        with contextlib.suppress(OSError):  # what is not ours stays
            self.guard.unlink()
            self.progress.rmdir()

    def _clear(self) -> None:
        """Remove what a run wrote here, and nothing else."""
        with contextlib.ExitStack() as stack:
            folds = self.folds
            for fold in folds:  # all before anything is removed: one of them may be refused
                stack.enter_context(fold.open())
            self.mark("Starting over.")  # if this is interrupted, the rest still counts as a run
            for file in self._list_pictures():
                file.unlink(missing_ok=True)
            for file in (self / "tensorboard").rglob("events.out.tfevents.*"):
                file.unlink()
            for name in (*FILES, f"{FOLDS}.csv"):
                (self / name).unlink(missing_ok=True)
            for name in ("tensorboard", EXAMPLES):
                _remove_empty(self / name)
            for fold in folds:
                fold._clear()
                fold.finish()
                with contextlib.suppress(OSError):  # what is not ours stays
                    fold.path.rmdir()
            self._clear_progress()
            self.marker.unlink(missing_ok=True)

    def _clear_progress(self) -> None:
        """Remove what a run continues from, but not the lock."""
        checkpoints = self.progress / "checkpoints"
        for folder, patterns in ((self.progress, _PROGRESS), (checkpoints, ("*.checkpoint",))):
            if _find_kind(folder) != "folder":
                continue  # the target of a link does not belong to the run
            for path in (path for pattern in patterns for path in folder.glob(pattern)):
                if _find_kind(path) == "file":
                    path.unlink()
        with contextlib.suppress(OSError):
            checkpoints.rmdir()

    def _list_pictures(self) -> set[Path]:
        """Return the pictures that `examples.json` names, and those with names of that form that it lacks."""
        folder = self / EXAMPLES
        try:
            names = {Path(entry["file"]).name for entry in self.json("examples.json")["examples"]}
        except (InputError, KeyError, TypeError):  # missing or damaged: the names alone tell
            names = set()
        found = folder.iterdir() if folder.is_dir() else ()
        return {path for path in found if path.is_file() and (path.name in names or _PICTURE.fullmatch(path.name))}


def _find_kind(path: Path) -> str | None:
    """Return what is at a path: a file, a folder, a link, something else; None for nothing."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return kinds.get(stat.S_IFMT(mode), "device or pipe")


def _remove_empty(folder: Path) -> None:
    """Remove a folder and those in it, except where something lies."""
    for path, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def find_run(path: str | Path, complete: bool = True, several: bool = False) -> RunDir:
    """Return the directory of a run.

    Args:
        path: Where it is.
        complete: Whether it has to be complete, and one network's.
        several: Whether it may be complete and have several networks: a cross-validation, or an ensemble.

    Raises:
        InputError: If there is none at `path`, or it is unfinished or of several networks and should not be.
    """
    run = RunDir(Path(path))
    if not run.exists:
        raise InputError(f"RUN must be the directory of a run, as `tlmed train` makes it. Received: {str(path)!r}.")
    if complete and not run.complete:
        raise InputError(f"RUN must be complete; the same `tlmed train` command continues it. Received: {str(path)!r}.")
    if complete and not several:
        check_single(run)
    return run


def check_single(run: RunDir) -> None:
    """Refuse a cross-validation or an ensemble where the run of one network is wanted.

    Raises:
        InputError: With the directories of its folds or members.
    """
    if folds := run.folds:
        names = _name_runs([str(fold.path) for fold in folds])
        raise InputError(
            f"RUN must be the run of one network; of a cross-validation give one of its folds: {names}. "
            f"Received: {str(run.path)!r}, a cross-validation of {len(folds)} folds."
        )
    if run.is_ensemble:
        raise InputError(
            f"RUN must be the run of one network; give one of the members that `{ENSEMBLE}` names. "
            f"Received: {str(run.path)!r}, an ensemble."
        )


def _name_runs(paths) -> str:
    """Name all of a few runs; of many the first two, and the last."""
    few = len(paths) < 4
    return ", ".join(paths if few else paths[:2]) + ("" if few else f" to {paths[-1]}")
