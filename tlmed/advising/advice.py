"""Advice from Python."""

import dataclasses
import io
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from tlmed.advising.course import make_advice
from tlmed.advising.experience import SHIPPED
from tlmed.advising.goals import read_goal
from tlmed.advising.request import Request
from tlmed.errors import InputError
from tlmed.recipe import Recipe, load_recipe
from tlmed.run import Run
from tlmed.run_files.advice_files import RECIPE_PY, RUN, read_advice_json
from tlmed.screen import Screen
from tlmed.training import open_voice

PLAIN = "feature_extractor"  # the recipe whose images an advice begins with


@dataclass(frozen=True)
class Advice:
    """A complete advice.

    Attributes:
        path: Its directory.
    """

    path: Path

    @property
    def content(self) -> dict:
        """Return the content of `advice.json`."""
        return read_advice_json(self.path)

    @property
    def recipe(self) -> Recipe:
        """Return the recipe that is advised. This runs the code of `recipe.py`."""
        return load_recipe(self.path / RECIPE_PY)

    @property
    def run(self) -> Run:
        """Return the finished run of the recipe."""
        return Run(self.path / RUN)

    @property
    def steps(self) -> list[dict]:
        """Return what was tried, step by step, as `advice.json` says it."""
        return self.content["steps"]


def advise(
    data: str | Path | Recipe,
    out: str | Path,
    budget: float | None = 1800.0,
    goal: str = "auc",
    *,
    accept: bool = False,
    backbones: tuple[str, ...] = (),
    experience: tuple[str | Path, ...] = (SHIPPED,),
    skip_bad: bool = False,
    verbose: bool = True,
) -> Advice:
    """Find out which recipe suits some images, and train it; the test images are scored once, at the end.

    A stopped advice goes on when it is asked for again with the same directory.

    Args:
        data: Images, in any form that `--data` takes; or a recipe, for its images and what it says of the task.
        out: The directory.
        budget: Seconds, those of earlier calls for the same directory too; None: no limit.
        goal: The metric by which options are compared, such as `"auc"`, or what has to be reached: `"auc>=0.9"`,
            `"sensitivity>=0.95"`.
        accept: Go on although the check of the data finds errors.
        backbones: NAME or NAME=WEIGHTS, which may be downloaded; empty: those whose weights are at hand.
        experience: Tables of results on other data, which decide what is tried first; empty: nothing does.
        skip_bad: Leave out images that cannot be read.
        verbose: Show what happens.

    Raises:
        InputError: If the images or the directory cannot be used, or the budget is too small.
        CheckFailed: If the check of the data found errors that were not accepted.
        RunFailed: If what was decided cannot be trained.
        Interrupted, Terminated: If it was asked to stop.
    """
    if budget is not None and not (isinstance(budget, int | float) and budget > 0):
        raise InputError(f"`budget` must be seconds, a number above 0, or None. Received: {budget!r}.")
    recipe = data if isinstance(data, Recipe) else load_recipe(PLAIN)
    if not isinstance(data, Recipe):
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, source=str(data)))
    tables = tuple(Path(file) for file in experience)
    request = Request(recipe, Path(out), budget, read_goal(goal), accept, tuple(backbones), tables, skip_bad)
    screen = Screen(sys.stdout if verbose else io.StringIO(), waits=False)
    command = "" if isinstance(data, Recipe) else _write_command(request)
    return Advice(make_advice(request, screen, open_voice(verbose), command))


def _write_command(request) -> str:
    """Return the command that asks for the same, for people who go on in a shell."""
    words = ["tlmed", "advise", "--data", str(request.recipe.data.source), "--out", str(request.folder)]
    words += ["--budget", "none" if request.budget is None else f"{request.budget:f}".rstrip("0").rstrip(".")]
    words += ["--goal", request.goal.text]
    words += ["--backbones", ",".join(request.networks)] if request.networks else []
    words += [word for file in request.experience if file != SHIPPED for word in ("--experience", str(file))]
    given = {"--accept": request.accept, "--no-experience": not request.has_shipped, "--skip-bad": request.skip_bad}
    return shlex.join([*words, *(option for option, is_given in given.items() if is_given)])
