"""What an advice writes down: `advice.json`, and the page that is made from it."""

from dataclasses import dataclass, field
from pathlib import Path

import tlmed
from tlmed.advice_report import read_advice, write_advice_page
from tlmed.advising.diary import PARTS, Diary
from tlmed.advising.request import Request
from tlmed.run_files.advice_files import COMPLETE, STOPPED, WRITTEN, write_advice
from tlmed.run_files.advice_seal import read_seal


@dataclass
class Story:
    """An advice as far as it got.

    Attributes:
        request: What was asked for.
        diary: How long it took.
        command: As the user gave it.
        data: What `advice.json` says of the images; the other parts likewise.
        stopped: Why it stopped; "" where it did not.
    """

    request: Request
    diary: Diary
    command: str = ""
    data: dict = field(default_factory=dict)
    gate: dict | None = None
    fingerprint: dict | None = None
    rules: list = field(default_factory=list)
    experience: dict | None = None
    steps: list = field(default_factory=list)
    curve: dict | None = None
    answer: dict | None = None
    difference: dict | None = None
    parts: list = field(default_factory=list)
    verdict: dict | None = None
    next: list = field(default_factory=list)
    sure: list = field(default_factory=list)
    stopped: str = ""

    def to_json(self) -> dict:
        """Return the content of `advice.json`."""
        request, ended = self.request, self.diary.done.get("ended", {})
        goal = {name: getattr(request.goal, name) for name in ("text", "metric", "target", "least")}
        parts = ("data", "gate", "fingerprint", "rules", "experience", "steps", "curve", "answer")
        return {
            "version": tlmed.__version__,
            "state": STOPPED if self.stopped or self.answer is None else COMPLETE,
            "source": str(request.recipe.data.source),
            "command": self.command,
            "stopped": self.stopped or None,
            "seconds": round(self.diary.seconds, 3),
            "ended": {name: ended[name] for name in PARTS if name in ended},
            "budget": request.budget,
            "goal": goal,
            **{name: getattr(self, name) for name in (*parts, "difference", "parts", "verdict", "next", "sure")},
            "sealed": read_seal(request.folder),
        }


def write_all(story: Story) -> Path:
    """Write `advice.json` and its page, and return the path of the page."""
    folder, diary = story.request.folder, story.diary
    write_advice(folder, story.to_json(), lambda digest: diary.note(**{WRITTEN: digest}))
    return write_advice_page(folder, read_advice(folder))
