"""An advice as its files say it: what was found, what was tried, and whether its seal still fits."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tlmed.advice_doubts import find_changes, find_doubts, say_edited
from tlmed.regular_files import read_regular
from tlmed.run_files.advice_files import (
    COMPLETE,
    KEPT,
    RECIPE_PY,
    REPLACED,
    AdviceContent,
    read_advice_json,
)

PROBES = "probes"


@dataclass(frozen=True)
class Candidate:
    """One thing that was tried, or was not worth it.

    Attributes:
        number: Counted over all steps from 1.
        step: The name of its step.
        entry: What `advice.json` says of it.
        level: The score that it would have on the images of the first probe: that of what it was compared with, plus
            its gain. Steps may score other images, so that the scores themselves cannot be compared. None: no score.
    """

    number: int
    step: str
    entry: Mapping
    level: float | None = None

    @property
    def name(self) -> str:
        """What it is called, with its number."""
        return f"{self.number}. {self.entry['name']}"

    @property
    def score(self) -> Mapping | None:
        """Its score on development images; None where it has none."""
        score = self.entry.get("score")
        return score if score and score["value"] is not None else None

    @property
    def gain(self) -> Mapping | None:
        """By how much it is better than something else; None where that is not known."""
        gain = self.entry.get("gain")
        return gain if gain and gain["value"] is not None else None

    @property
    def is_kept(self) -> bool:
        """Whether it was kept, and has a score."""
        return self.entry["decision"] == KEPT and self.score is not None

    @property
    def was_replaced(self) -> bool:
        """Whether it was kept until something better was found."""
        return self.entry["decision"] == REPLACED and self.score is not None

    @property
    def is_trusted(self) -> bool:
        """Whether it was kept without a score: by what other images tell, or as networks of folds that answer, too."""
        return self.entry["decision"] == KEPT and self.entry.get("score") is None


@dataclass(frozen=True, eq=False)
class AdviceRecord:
    """An advice as it is now.

    Attributes:
        folder: Its directory.
        content: `advice.json`.
        recipe: The text of `recipe.py`; "" where there is none yet.
        edited: That `recipe.py` is not the one that was decided; "" where it is.
        doubts: What makes the test scores doubtful, such as a seal that does not fit, or edited scores.
        changes: What else changed or is gone.
    """

    folder: Path
    content: AdviceContent
    recipe: str
    edited: str = ""
    doubts: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the advice was finished."""
        return self.content["state"] == COMPLETE

    @property
    def candidates(self) -> list[Candidate]:
        """Return all that was tried, or was not worth it, in the order of the file."""
        tried = [(step["step"], entry) for step in self.content["steps"] for entry in step["tried"]]
        found, levels = [], {}
        for number, (step, entry) in enumerate(tried, 1):
            one = Candidate(number, step, entry)
            if one.score is not None:
                level = _find_level(one, levels)
                levels[entry["name"]] = level
                one = dataclasses.replace(one, level=level)
            found.append(one)
        return found

    @property
    def best(self) -> Candidate | None:
        """Return the best of what was kept; None where nothing was."""
        return find_best(self.candidates)


def find_best(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the best of what was kept, by its level; None where nothing was."""
    return max((one for one in candidates if one.is_kept), key=lambda one: one.level, default=None)


def _find_level(one, levels) -> float:
    # All probes are scored on the same images, and compared with each other in any order.
    if one.step == PROBES or one.gain is None or one.gain["over"] not in levels:
        return one.score["value"]
    return levels[one.gain["over"]] + one.gain["value"]


def read_advice(folder: Path) -> AdviceRecord:
    """Read an advice.

    Args:
        folder: Its directory.

    Raises:
        InputError: If `advice.json` is missing, damaged or of another program; or `decision.json` is, though its
            SHA-256 is the one that was sealed.
    """
    content, file = read_advice_json(folder), folder / RECIPE_PY
    recipe = read_regular(file).decode("utf-8", "replace") if file.is_file() else ""
    edited = say_edited(folder, content.get("sealed"), content["state"] == COMPLETE)
    doubts, changes = find_doubts(folder, content), find_changes(folder, content)
    return AdviceRecord(folder, content, recipe, edited, tuple(doubts), tuple(changes))
