"""What was tried in an advice, what came of it, and which of it is the best so far."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from tlmed.advising.at_hand import Network
from tlmed.advising.trials import Gain, Score, Trial
from tlmed.run_files.advice_files import UNTRIED

PROBES, THAWING, WHOLE, ENSEMBLE = "probes", "thawing", "all layers", "ensemble"


@dataclass(frozen=True)
class Attempt:
    """Something that was tried, or could have been.

    Attributes:
        step: Of the course: "probes", "thawing", "all layers" or "ensemble".
        name: Unique in the advice.
        network: What it was tried with.
        changes: What is different from a probe, in words.
        trial: What was trained; None where nothing was.
        score: How good it was.
        gain: How much better than another attempt.
        seconds: Of training, all runs together; of what was stopped, until then.
        ended: When it ended, in seconds of the work.
        decision: "kept", "replaced", "dropped", "not tried" or "stopped".
        reason: Of the decision.
    """

    step: str
    name: str
    network: Network
    changes: str = ""
    trial: Trial | None = None
    score: Score | None = None
    gain: Gain | None = None
    seconds: float | None = None
    ended: float | None = None
    decision: str = UNTRIED
    reason: str = ""

    def to_json(self) -> dict:
        """Return what `advice.json` says of it."""
        return {
            "name": self.name,
            "backbone": self.network.backbone,
            "weights": self.network.weights,
            "settings": {"changes": self.changes} if self.changes else {},
            "score": None if self.score is None else dataclasses.asdict(self.score),
            "gain": None if self.gain is None else dataclasses.asdict(self.gain),
            "seconds": self.seconds,
            "ended": self.ended,
            "decision": self.decision,
            "reason": self.reason,
        }

    def decide(self, decision: str, reason: str) -> "Attempt":
        """Return it with what was decided."""
        return dataclasses.replace(self, decision=decision, reason=reason)


@dataclass
class Log:
    """All attempts of an advice, in order, and where their runs lie.

    Attributes:
        folder: Of the runs.
        begin: When the first step began, in seconds of the work.
        attempts: All of them.
        said: A sentence on each step.
    """

    folder: Path
    begin: float = 0.0
    attempts: list[Attempt] = dataclasses.field(default_factory=list)
    said: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, attempt: Attempt) -> Attempt:
        """Note an attempt; one of the same name takes the place of the earlier one."""
        names = [each.name for each in self.attempts]
        if attempt.name in names:
            self.attempts[names.index(attempt.name)] = attempt
        else:
            self.attempts.append(attempt)
        return attempt

    def of(self, step: str) -> list[Attempt]:
        """Return the attempts of a step."""
        return [each for each in self.attempts if each.step == step]

    def to_json(self) -> list[dict]:
        """Return the steps of `advice.json`; `seconds` is how long each was worked on."""
        seconds = self._time_steps()
        return [
            {
                "step": step,
                "seconds": round(seconds.get(step, 0.0), 3),
                "says": self.said.get(step, ""),
                "tried": [each.to_json() for each in self.of(step)],
            }
            for step in dict.fromkeys(each.step for each in self.attempts)
        ]

    def _time_steps(self) -> dict[str, float]:
        """Return the seconds of each step: one attempt lasts from when the one before it ended, of whatever step."""
        found, begin = {}, self.begin
        for end, step in sorted((each.ended, each.step) for each in self.attempts if each.ended is not None):
            found[step] = found.get(step, 0.0) + end - begin
            begin = end
        return found
