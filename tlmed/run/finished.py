"""The phases that are finished: a stopped run continues after them."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from tlmed.sealed import DamagedFile, seal, unseal
from tlmed.sections import Phase
from tlmed.training import PhaseResult


class _OtherVersion(Exception):
    """The saved phase has other fields: it is undamaged, but another version of tlmed wrote it."""


@dataclass(frozen=True)
class Degree:
    """How a phase ended, and what it is worth.

    Attributes:
        result: The phase's end. Its score is that of the network after the phase, with re-estimated statistics if the
            phase asks for them.
        val: `loss`, `accuracy` and `auc` on the validation images.
        test: The same on the test images, by which nothing is chosen; None where the recipe compares no degrees.
        history: A row for each epoch.
        scores: Class probabilities [n, classes] of the validation images, then of the test images if those were scored.
        certificate: Its entry of `freeze.json`.
        hashing: Seconds that its certificate took.
        extraction: For `timing.json`, how the features of its frozen blocks were obtained, if they were kept.
        recalibration: How the validation score changed, if the phase estimates BatchNorm statistics again.
        path: Its rows of `strengths.csv`, if its head was solved.
        rates: The learning rates of the head and of each block, if they were measured.
    """

    result: PhaseResult
    val: dict
    test: dict | None
    history: list[dict]
    scores: np.ndarray = field(repr=False)
    certificate: dict = field(repr=False)
    hashing: float
    extraction: dict | None = None
    recalibration: dict | None = None
    path: list[dict] = field(default_factory=list)
    rates: dict[str, float] | None = None


@dataclass(frozen=True)
class Finished:
    """Keep how phases ended, and the weights of those that a run can go back to.

    Attributes:
        folder: Where their files lie.
        phases: The schedule.
        best: Returns the index of the phase that would be kept.
        warn: Takes a sentence about a file that is damaged.
    """

    folder: Path
    phases: Sequence[Phase]
    best: Callable[[Sequence[Degree]], int]
    warn: Callable[[str], None]

    def read(self) -> list[Degree]:
        """Return the finished phases, up to the first one with a file that is missing or damaged."""
        degrees = []
        for phase in self.phases:
            found = self._try(phase, self._read)
            if found is None:
                break
            degrees.append(found)
        # Without the weights to continue with, the last phase is trained again; fewer phases may need other weights.
        while degrees and any(self._try(phase, self.weights) is None for phase in self._needed(degrees)):
            degrees.pop()
        return degrees

    def write(self, degrees: Sequence[Degree], weights: Sequence[keras.Variable]) -> None:
        """Keep the last of some phases, and delete the weights that nothing can go back to any more."""
        phase, degree = self.phases[len(degrees) - 1], degrees[-1]
        # The weights first: `read` takes a phase for finished if its `.phase` file exists.
        seal(self._weights_file(phase), {}, ((str(i), weight.numpy()) for i, weight in enumerate(weights)))
        facts = {name: value for name, value in dataclasses.asdict(degree).items() if name != "scores"}
        seal(self._file(phase), facts, [("scores", degree.scores)])
        needed = self._needed(degrees)
        for phase in self.phases[: len(degrees)]:
            if phase not in needed:
                self._weights_file(phase).unlink(missing_ok=True)

    def weights(self, phase: Phase) -> list[np.ndarray]:
        """Return the network's weights after a phase."""
        _, arrays = unseal(self._weights_file(phase))
        return [arrays[str(i)] for i in range(len(arrays))]

    def _read(self, phase: Phase) -> Degree:
        facts, arrays = unseal(self._file(phase))
        if {*facts, *arrays} != {spec.name for spec in dataclasses.fields(Degree)}:
            raise _OtherVersion
        return Degree(**{**facts, **arrays, "result": PhaseResult(**facts["result"])})

    def _try(self, phase: Phase, read: Callable[[Phase], object]):
        try:
            return read(phase)
        except FileNotFoundError:
            return None
        except _OtherVersion:
            self.warn(
                f"Phase {phase.name!r} was saved by another version of tlmed: it is trained again, with those after it."
            )
            return None
        except DamagedFile as error:
            self.warn(f"What was saved after phase {phase.name!r} is damaged ({error}); what was before it is used.")
            return None

    def _needed(self, degrees: Sequence[Degree]) -> list[Phase]:
        """Return the phases that a run can go back to: the best, the last, and those with the trained head."""
        done = self.phases[: len(degrees)]
        return [done[self.best(degrees)], done[-1], *(phase for phase in done if phase.thaw == 0)]

    def _file(self, phase: Phase) -> Path:
        return self.folder / f"{phase.name}.phase"

    def _weights_file(self, phase: Phase) -> Path:
        return self.folder / f"{phase.name}.weights"
