"""What a report reads: the files of a run, in one object. The sections of the page are in `page_sections`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tlmed.errors import InputError
from tlmed.evaluation.pooled_csv import read_units
from tlmed.evaluation.predictions import Predictions
from tlmed.run_files import (
    CHECK_JSON,
    DEGREES_CSV,
    ENVIRONMENT_JSON,
    EXAMPLES_JSON,
    FREEZE_JSON,
    HISTORY_CSV,
    METRICS_JSON,
    NOVELTY_JSON,
    PLAN_JSON,
    RECIPE_JSON,
    SEARCH_CSV,
    SPLITS_CSV,
    STRENGTHS_CSV,
    TIMING_JSON,
    Check,
    Environment,
    Examples,
    Freeze,
    Metrics,
    Novelty,
    Plan,
    ResolvedRecipe,
    Timing,
)
from tlmed.run_files.check_summary import CheckSummary, say_repeated, summarise
from tlmed.run_files.kept_findings import KeptFindings, keep
from tlmed.rundir import RunDir

REQUIRED = (
    "recipe.json",
    "environment.json",
    "splits.csv",
    "plan.json",
    "predictions.csv",
    "metrics.json",
    "timing.json",
)


@dataclass(frozen=True)
class RunContent:
    """The content of a report.

    Attributes:
        name: The run directory's name.
        recipe: `recipe.json`.
        source: `recipe.py`, or "".
        environment: `environment.json`.
        splits: The rows of `splits.csv`.
        plan: `plan.json`.
        history: The rows of `history.csv`; empty where nothing was trained epoch by epoch.
        degrees: The rows of `degrees.csv`; empty where there was one phase or none.
        search: The rows of `search.csv`; empty where there was no search for a classifier's parameters.
        freeze: `freeze.json`, or empty.
        predictions: What `metrics.json` describes: `predictions.csv`, or `pooled.csv` where samples were pooled.
        metrics: `metrics.json`.
        timing: `timing.json`.
        examples: `examples.json`, or empty.
        path: The run directory, for the pictures of the examples.
        check: `check.json`, or empty.
        strengths: The rows of `strengths.csv`; empty where no head was solved.
        novelty: `novelty.json`, or empty.
    """

    name: str
    recipe: ResolvedRecipe
    source: str
    environment: Environment
    splits: Sequence[Mapping]
    plan: Plan
    history: Sequence[Mapping]
    degrees: Sequence[Mapping]
    search: Sequence[Mapping]
    freeze: Freeze
    predictions: Predictions
    metrics: Metrics
    timing: Timing
    examples: Examples
    path: Path
    check: Check | Mapping = field(default_factory=dict)
    strengths: Sequence[Mapping] = ()
    novelty: Novelty | Mapping = field(default_factory=dict)

    @property
    def scored(self) -> Predictions:
        """Return the predictions of the split that is reported."""
        return self.predictions.of(self.metrics["split"])

    @cached_property
    def kept(self) -> KeptFindings | None:
        """Return what the check found before training; None of a run of an older version, and of an evaluation."""
        return keep(self.check, self.splits)

    @property
    def summary(self) -> CheckSummary | None:
        """Return how much that is, and how many test images it concerns."""
        return summarise(self.kept)

    @property
    def copies(self) -> str:
        """Return how many test images repeat an image of train or val, as the check found; "" for none.

        An evaluation of a run's own test images has the words of that run.
        """
        return say_repeated(self.summary) or self.metrics.get("evaluated", {}).get("copies", "")


def read_run(run: Path) -> RunContent:
    """Read the content of a report from a run directory.

    Raises:
        InputError: With every required file that is missing, or the first that cannot be read.
    """
    missing = [name for name in REQUIRED if not (run / name).is_file()]
    if missing:
        raise InputError([f"A report needs `{name}` in the run directory. Received: {run}." for name in missing])
    files, source = RunDir(run), run / "recipe.py"
    metrics = METRICS_JSON.read(files, "split")
    return RunContent(
        name=run.resolve().name,
        recipe=RECIPE_JSON.read(files),
        source=source.read_text(encoding="utf-8") if source.is_file() else "",
        environment=ENVIRONMENT_JSON.read(files),
        splits=SPLITS_CSV.read(files),
        plan=PLAN_JSON.read(files),
        history=HISTORY_CSV.find(files),
        degrees=DEGREES_CSV.find(files),
        search=SEARCH_CSV.find(files),
        freeze=FREEZE_JSON.find(files),
        predictions=read_units(run, metrics),
        metrics=metrics,
        timing=TIMING_JSON.read(files),
        examples=EXAMPLES_JSON.find(files),
        path=run,
        check=CHECK_JSON.find(files),
        strengths=STRENGTHS_CSV.find(files),
        novelty=NOVELTY_JSON.find(files),
    )
