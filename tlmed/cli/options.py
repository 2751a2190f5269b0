"""Options and checks that commands share; the checks run before TensorFlow is loaded."""

import contextlib
import dataclasses
import functools
import importlib
import math
import sys
from collections.abc import Callable
from pathlib import Path

import click

from tlmed.errors import InputError, did_you_mean
from tlmed.recipe import STRATEGIES, Recipe, RecipeFile, override, read_recipe, shipped_recipes
from tlmed.regular_files import FORMS, check_exists
from tlmed.screen import Screen
from tlmed.source_forms import is_path
from tlmed.targets import check_targets
from tlmed.trust import trusting
from tlmed.voice import Voice
from tlmed.words import shorten

GROUP = "The column of a CSV that names the patient of each image; by default one with a usual name."
NO_GROUPS = "Take each image as independent, whatever columns there are."
DATA = "A folder, a table (.csv, .tsv), a MedMNIST .npz, medmnist:NAME or tfds:NAME; by default the recipe's."
SET = "Replace a field of the recipe, such as phases.0.epochs=3; may be given several times."
PLAIN = "feature_extractor"  # the recipe that images are looked at with, if none is named
STRATEGY = "Which devices train together; auto: all GPUs of this machine, or all workers. By default the recipe's."


class Bounded(click.FloatRange):
    """A number in a range; NaN, which is in each range by Python's comparisons, is in none."""

    def convert(self, value, param, ctx):
        """Return the number, or end the command."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number from {self.min:g} to {self.max:g}.", param, ctx)
        return number


def debug(command: Callable) -> Callable:
    """Add `--debug`, which `main` looks for."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show a traceback where something goes wrong."
    )(command)


def force(command: Callable) -> Callable:
    """Add `--force`."""
    return click.option("--force", is_flag=True, help="Write over files that the same command made earlier.")(command)


def trust(command: Callable) -> Callable:
    """Add `--trust`, which holds while the command runs."""

    def allow(context, option, given):
        if given:
            context.with_resource(trusting())

    return click.option(
        *("--trust", "trust"),
        is_flag=True,
        expose_value=False,
        callback=allow,
        help="Run code that a TensorFlow data set brings along.",
    )(command)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a command is asked to train: a recipe, and what its options replace in it; None keeps the recipe's own."""

    recipe: str
    data: str | None
    settings: tuple[str, ...]
    group: str | None
    no_groups: bool
    positive: str | None
    seed: int | None
    strategy: str | None = None

    def load(self) -> tuple[RecipeFile, Recipe]:
        """Return the recipe's file, read, and the recipe with what the options replace.

        Raises:
            InputError, click.UsageError: If the recipe or an option cannot be used.
        """
        check_groups(self.group, self.no_groups)
        file = read_recipe(self.recipe)
        options = {"data.source": self.data, "data.positive": self.positive, "data.group_column": self.group}
        options |= {"data.groups": False if self.no_groups else None, "distribute": self.strategy, "seed": self.seed}
        given = {key: value for key, value in options.items() if value is not None}
        changed = override(file.recipe, self.settings, given)
        check_place(self.data)
        return file, changed


def recipe_options(command: Callable) -> Callable:
    """Add the argument and the options of a command that takes a recipe, which gets them first, as one `Asked`."""
    return _gather(
        command,
        click.argument("recipe"),
        *_IMAGE_OPTIONS,
        click.option("--strategy", type=click.Choice(STRATEGIES), help=STRATEGY),
        _SEED,
    )


def image_options(metavar: str) -> Callable:
    """Add the argument and the options of a command that looks at images or at a recipe's; it gets them likewise.

    Args:
        metavar: What the usage calls the argument.
    """
    return lambda command: _gather(command, click.argument("recipe", metavar=metavar), *_IMAGE_OPTIONS, _SEED)


_IMAGE_OPTIONS = (
    click.option("--data", metavar="SOURCE", help=DATA),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=SET),
    click.option("--group", metavar="COLUMN", help=GROUP),
    click.option("--no-groups", is_flag=True, help=NO_GROUPS),
    click.option(
        "--positive",
        metavar="CLASS",
        help="The positive one of two classes; by default the second in sorted order, numbers by size.",
    ),
)
_SEED = click.option("--seed", type=int, help="The seed of all random numbers; by default the recipe's.")


def _gather(command, *options) -> Callable:
    @functools.wraps(command)
    def ask(**given):
        asked = Asked(**{spec.name: given.pop(spec.name) for spec in dataclasses.fields(Asked) if spec.name in given})
        return command(asked, **given)

    for decorate in reversed(options):  # the decorator applied last is the first in `--help`
        ask = decorate(ask)
    return ask


def tell_apart(asked: Asked, which: str = "DATA|RECIPE") -> Asked:
    """Return what is asked for with a recipe and, where the argument is no recipe, the argument as its data.

    Args:
        asked: What a command that looks at images is asked for.
        which: What a message calls the argument.

    Raises:
        InputError: What was named is neither.
    """
    what, recipes = asked.recipe, shipped_recipes()
    if asked.data is not None or what in recipes or what.endswith(".py"):
        return asked
    if is_path(what) and not Path(what).expanduser().exists():
        beside = Path(what).parent
        near = [entry.name for entry in beside.iterdir()] if beside.is_dir() else []
        raise InputError(
            f"{which} must be {FORMS}, a recipe's .py file, or one of {', '.join(recipes)}."
            f"{did_you_mean(Path(what).name, [*near, *recipes])} Received: {shorten(repr(what))}, which does not exist."
        )
    return dataclasses.replace(asked, recipe=PLAIN, data=what)


def check_place(data: str | None) -> None:
    """Refuse data that do not exist, before TensorFlow is loaded, which takes seconds."""
    if data and is_path(data):
        check_exists(Path(data).expanduser())


def check_groups(group: str | None, no_groups: bool) -> None:
    """Refuse a column of groups together with no groups."""
    if group is not None and no_groups:
        raise click.UsageError("Give --group COLUMN or --no-groups, one of the two.")


def open_voice(screen: Screen, *modules: str) -> Voice:
    """Import TensorFlow, and modules of tlmed that import it, while the screen says so; return the screen's voice."""
    from tlmed.quiet import check_backend, import_tensorflow

    check_backend()
    # In a notebook or a test it may be loaded already: then there is nothing to wait for.
    loaded = "tensorflow" in sys.modules
    with contextlib.nullcontext() if loaded else screen.busy("Loading TensorFlow"):
        import_tensorflow()
        from tlmed.training import speak

        for module in modules:
            importlib.import_module(f"tlmed.{module}")
    return speak(screen)


def new_recipe(path: Path, name: str, option: str) -> Path:
    """Return where to write a recipe: a file of that path, or of a name in that folder; nothing is written over."""
    target = path / name if path.is_dir() else path
    check_targets(option, {target: lambda file: False})
    rules = {
        "lie in a folder that exists": target.parent.is_dir(),
        "end in .py, as recipes do": target.suffix == ".py",
    }
    if faults := [f"{option} must {rule}. Received: {target}." for rule, kept in rules.items() if not kept]:
        raise InputError(faults)
    return target
