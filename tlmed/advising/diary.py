"""The diary of an advice: what it was asked for, how long it has worked, and what it has seen."""

import contextlib
import fcntl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tlmed
from tlmed.advising.request import Request
from tlmed.errors import InputError
from tlmed.run_files.advice_files import STATE_JSON, is_complete_advice, read_advice_json, read_state, write_state
from tlmed.source_forms import FOLDER, find_form
from tlmed.words import join_names

# What ends at a time that is noted, besides each attempt.
LOOK, DECISION_MADE, ANSWER = PARTS = ("look", "decision", "answer")
_LOCK = ".advice.lock"
_WORDS = {"source": "data", "recipe": "settings", "networks": "backbones", "given": "settings"}


@dataclass
class Diary:
    """What is known of an advice, and written down at once.

    Attributes:
        folder: The directory of the advice.
        asked: What may not change from one command to the next.
        done: What came of each part.
        begin: When this command began, as `time.monotonic` gives it.
        earlier: Seconds that earlier commands worked.
        is_closed: Whether the advice was complete before this command, whose time is then not that of the advice.
    """

    folder: Path
    asked: dict
    done: dict = field(default_factory=dict)
    begin: float = field(default_factory=time.monotonic)
    earlier: float = 0.0
    is_closed: bool = False

    @property
    def seconds(self) -> float:
        """Return how long the advice has been worked on."""
        return self.earlier if self.is_closed else self.earlier + time.monotonic() - self.begin

    def note(self, **parts) -> None:
        """Write down what came of some parts."""
        self.done |= parts
        content = {"version": tlmed.__version__, "asked": self.asked, "seconds": round(self.seconds, 3)}
        write_state(self.folder, {**content, "done": self.done})

    def stamp(self, name: str) -> float:
        """Return when something ended, in seconds of the work; the first time that it is asked, it has ended now."""
        ended = self.done.setdefault("ended", {})
        if name not in ended:
            ended[name] = round(self.seconds, 3)
            self.note()
        return ended[name]


@contextlib.contextmanager
def open_diary(request: Request) -> Iterator[Diary]:
    """Open the diary of a directory for the block, in which no other command works there.

    Raises:
        InputError: If the directory cannot be made, lies among the images, holds something else or an advice for
            another request, or is worked on by another command.
    """
    folder, source = request.folder, request.recipe.data.source
    refuse_in_source(folder, source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name != _LOCK]
    except OSError as error:
        raise InputError(f"`--out` must be a directory that can be made. Received: {folder}: {error}.") from error
    known = read_state(folder)
    if others and not known:
        raise InputError(f"`--out` must be a new or empty directory, or an advice's. Received: {folder}.")
    if known:
        _check_same(folder, known["asked"], request.to_json())
    with _alone(folder):
        closed = is_complete_advice(folder)
        earlier = read_advice_json(folder)["seconds"] if closed else known.get("seconds", 0.0)
        diary = Diary(folder, request.to_json(), known.get("done", {}), earlier=earlier, is_closed=closed)
        diary.note()
        try:
            yield diary
        finally:
            diary.note()
            if not diary.done:
                _remove(folder)


def refuse_in_source(path: Path, source: str, option: str = "--out") -> None:
    """Refuse to write into the images, if these are a folder; the arguments are those of `refuse_among`."""
    if find_form(source) == FOLDER:
        refuse_among(path, [Path(source).expanduser()], option)


def refuse_among(path: Path, places: Iterable[Path], option: str = "--out") -> None:
    """Refuse a directory, or a file, among images.

    Args:
        path: What is to be written.
        places: Folders in which images are.
        option: What names the path.

    Raises:
        InputError: If it lies in one of these.
    """
    place = next((place for place in places if path.resolve().is_relative_to(place.resolve())), None)
    if place is not None:
        raise InputError(
            f"`{option}` must not be in a folder of the images, where what it holds may be read with them. "
            f"Received: {path}, in {place}."
        )


def _remove(folder: Path) -> None:
    """Remove the directory of an advice that was refused before anything was seen; what is not ours stays."""
    for name in (STATE_JSON.name, _LOCK):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _check_same(folder, there, here) -> None:
    if differ := [name for name in here if there.get(name) != here[name]]:
        words = join_names(list(dict.fromkeys(_WORDS.get(name, name.replace("_", " ")) for name in differ)))
        raise InputError(
            "`--out` holds an advice for another request; choose another directory. "
            f"Received: {folder}, with other {words}."
        )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"`--out` must be a directory that no other process writes to. Received: {folder}, where an advice is "
                "being made."
            ) from None
        yield
