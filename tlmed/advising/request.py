"""What an advice is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from tlmed.advising.experience import SHIPPED
from tlmed.advising.goals import Goal, read_goal
from tlmed.errors import InputError
from tlmed.recipe import Recipe, digest
from tlmed.sections import KFold

# What an advice decides itself; everything else of a recipe can be asked for.
DECIDED = (
    *("backbone", "weights", "phases", "head", "examples", "seed"),
    *("data.inner", "data.split_seed", "data.val_seed", "data.train_share"),
)


@dataclass(frozen=True)
class Request:
    """What an advice is asked for.

    Attributes:
        recipe: The images and all that is not decided by the advice; its schedule is that of the first probe.
        folder: The directory of the advice.
        budget: Seconds, those of earlier commands for the same directory too; None: no limit.
        goal: What it aims at.
        accept: Go on although the check of the data found errors.
        networks: Backbones as NAME or NAME=WEIGHTS, which may be downloaded; empty: those whose weights are at hand.
        experience: Tables that decide what is tried first; empty: the smallest network is.
        skip_bad: Leave out images that cannot be read.
        jobs: How many runs are trained at a time, at most; None: as many as fit.
        given: The dotted names of fields that were asked for, which no rule decides.
    """

    recipe: Recipe
    folder: Path
    budget: float | None = None
    goal: Goal = field(default_factory=lambda: read_goal("auc"))
    accept: bool = False
    networks: tuple[str, ...] = ()
    experience: tuple[Path, ...] = (SHIPPED,)
    skip_bad: bool = False
    jobs: int | None = None
    given: tuple[str, ...] = ()

    def __post_init__(self):
        if isinstance(self.recipe.data.split, KFold):
            raise InputError(
                "An advice opens one test split at the end: `data.split` must be three fractions. "
                f"Received: data.split={self.recipe.data.split!r}."
            )

    @property
    def has_shipped(self) -> bool:
        """Tell whether the table that comes with tlmed is among those of experience."""
        return SHIPPED in self.experience

    def to_json(self) -> dict:
        """Return what may not change from one command to the next for the same directory."""
        return {
            "source": str(self.recipe.data.source),
            "recipe": digest(self.recipe),
            "goal": self.goal.text,
            "networks": list(self.networks),
            "experience": [str(file) for file in self.experience if file != SHIPPED] + ["shipped"] * self.has_shipped,
            "skip_bad": self.skip_bad,
            "given": list(self.given),
        }


def refuse_decided(settings: tuple[str, ...]) -> None:
    """Refuse settings, as after `--set`, of what an advice decides itself.

    Raises:
        InputError: With the fields.

    >>> refuse_decided(("data.image_size=64,64",))
    """
    named = [setting.partition("=")[0].strip() for setting in settings]
    own = [name for name in named if any(name == decided or name.startswith(f"{decided}.") for decided in DECIDED)]
    if own:
        raise InputError(
            f"`--set` of an advice must not name what it decides itself ({', '.join(DECIDED)}). "
            f"Received: {', '.join(own)}."
        )
