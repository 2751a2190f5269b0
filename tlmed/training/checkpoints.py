"""Checkpoints of a phase: all that its next step depends on. Two are kept; each is verified when it is read."""

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlmed.sealed import DamagedFile, read_facts, seal, unseal

SECONDS = 30.0  # the least between two checkpoints
COST = 20  # also at least 20 times what the last one took: checkpoints take a twentieth of the time at most
DEPTH = 2  # checkpoints that are kept: the one before is used where the newest is damaged


@dataclass
class Checkpoints:
    """The checkpoints of a run, in a folder of its own.

    Attributes:
        folder: Where they lie.
        seconds: The least time between two of them.
        say: Takes a sentence about where training goes on.
        warn: Takes a sentence about a checkpoint that is damaged.
    """

    folder: Path
    seconds: float = SECONDS
    say: Callable[[str], None] = lambda sentence: None
    warn: Callable[[str], None] = lambda sentence: None
    _next: float = field(init=False)

    def __post_init__(self):
        self._next = time.monotonic() + self.seconds  # not the clock on the wall, which may be set back

    @property
    def due(self) -> bool:
        """Tell whether it is time for the next checkpoint."""
        return time.monotonic() >= self._next

    def save(self, about: dict, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
        """Write a checkpoint, and delete all but this one and the one before it.

        Args:
            about: Facts; `phase` names the phase.
            arrays: The state: names and arrays. They are asked for one by one, so that memory holds one copy at a time.
        """
        start = time.monotonic()
        files = self._files()
        # Numbers go on over all phases of a run: the newest file is the newest state, whatever its phase.
        number = _number(files[-1]) + 1 if files else 1
        self.folder.mkdir(parents=True, exist_ok=True)
        seal(self.folder / f"{number:06}.checkpoint", about, arrays)
        # Only after the new one is whole on disk: who is killed here leaves one too many, never one too few.
        for file in files[: len(files) + 1 - DEPTH]:
            file.unlink()
        took = time.monotonic() - start
        self._next = time.monotonic() + max(self.seconds, COST * took)

    def newest(self, phase: str) -> tuple[dict, dict[str, np.ndarray]] | None:
        """Return the newest checkpoint of a phase that is undamaged; None where there is none.

        Damaged ones are reported and deleted.
        """
        for file in reversed(self._files()):
            try:
                about, arrays = unseal(file)
            except DamagedFile as error:
                self.warn(f"A checkpoint is damaged ({error}); the one before it is used. Deleted: {file}.")
                file.unlink()
                continue
            if about["phase"] == phase:
                self.say(f"Continuing in phase {phase!r}, after epoch {about['epoch']}, step {about['step']}.")
                return about, arrays
        return None

    def facts(self, phase: str) -> dict | None:
        """Return the facts of the newest checkpoint of a phase, without its arrays; None where there is none."""
        for file in reversed(self._files()):
            # `newest` reports damaged files; this only looks.
            with contextlib.suppress(DamagedFile):
                about = read_facts(file)
                if about["phase"] == phase:
                    return about
        return None

    def _files(self) -> list[Path]:
        # Names that are no numbers were not written by `save`.
        return sorted((file for file in self.folder.glob("*.checkpoint") if file.stem.isdecimal()), key=_number)


def _number(file: Path) -> int:
    return int(file.stem)
