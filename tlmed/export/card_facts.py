"""Read the files of a finished run that its model card needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlmed.digests import BESIDE
from tlmed.intact import RECORDED, check_intact
from tlmed.recipe import summary
from tlmed.run_files import (
    ENVIRONMENT_JSON,
    METRICS_JSON,
    PLAN_JSON,
    RECIPE_JSON,
    SPLITS_CSV,
    STRENGTHS_CSV,
    TIMING_JSON,
    Environment,
    Metrics,
    Plan,
    ResolvedRecipe,
    Timing,
)
from tlmed.run_files.check_summary import CheckSummary, read_summary
from tlmed.rundir import RunDir
from tlmed.synthetic import is_synthetic
from tlmed.tasks import MULTI_LABEL, read_task

# A card needs no content of these, so a run may lack them.
_DISPENSABLE = ("model.keras", "classifier.skops", "history.csv", "predictions.csv", *BESIDE)


@dataclass(frozen=True)
class CardFacts:
    """The content of a model card.

    Attributes:
        name: The run directory's name.
        summary: The first line of the recipe's description, or "".
        recipe: `recipe.json`.
        environment: `environment.json`.
        splits: The rows of `splits.csv`.
        plan: `plan.json`.
        metrics: `metrics.json`.
        timing: `timing.json`.
        unchecked: Sentences that name the files for which nothing proves that the run wrote them so.
        check: What the check of the data found before training; None in runs of older versions.
        strengths: The rows of `strengths.csv`; empty where no head was solved.
    """

    name: str
    summary: str
    recipe: ResolvedRecipe
    environment: Environment
    splits: Sequence[Mapping]
    plan: Plan
    metrics: Metrics
    timing: Timing
    unchecked: Sequence[str]
    check: CheckSummary | None = None
    strengths: Sequence[Mapping] = ()

    @property
    def title(self) -> str:
        """The run's own title, or the name of its directory."""
        return self.recipe.get("name") or self.name

    @property
    def backbones(self) -> list[str]:
        """The names of the backbones; most runs have one."""
        return _as_list(self.recipe["backbone"])

    @property
    def weights(self) -> list[Mapping]:
        """Where the weights of each backbone came from."""
        return _as_list(self.environment["weights"])

    @property
    def is_hybrid(self) -> bool:
        """Whether a scikit-learn classifier comes after the network."""
        return "classifier" in self.metrics

    @property
    def is_multi(self) -> bool:
        """Whether an image may have several labels."""
        return read_task(self.metrics) == MULTI_LABEL

    @property
    def is_synthetic(self) -> bool:
        """Whether tlmed drew the images itself."""
        return is_synthetic(self.recipe["data"]["source"])


def _as_list(one_or_several) -> list:
    return one_or_several if isinstance(one_or_several, list) else [one_or_several]


def read_card_facts(run: RunDir) -> CardFacts:
    """Read the content of a model card from a finished run.

    Args:
        run: The run.

    Raises:
        InputError: A file is missing, cannot be read, or is not as the run wrote it.
    """
    metrics = METRICS_JSON.read(run)
    # Whoever reads the card cannot compare it with the files, so all that are there are checked here.
    unchecked = check_intact(run, [name for name in RECORDED if name not in _DISPENSABLE or (run / name).exists()])
    name = run.path.resolve().name
    return CardFacts(
        name=name,
        summary=_summary(run),
        recipe=RECIPE_JSON.read(run),
        environment=ENVIRONMENT_JSON.read(run),
        splits=SPLITS_CSV.read(run),
        plan=PLAN_JSON.read(run),
        metrics=metrics,
        timing=TIMING_JSON.read(run),
        unchecked=unchecked,
        check=read_summary(run),
        strengths=STRENGTHS_CSV.find(run),
    )


def _summary(run) -> str:
    try:
        return summary(run / "recipe.py")
    except (OSError, ValueError, SyntaxError):  # the card is complete without it
        return ""
