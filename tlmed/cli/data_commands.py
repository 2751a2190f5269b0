"""`tlmed data show` and `tlmed data list`."""

import dataclasses
import sys
from pathlib import Path

import click

from tlmed.cli.options import Asked, debug, force, image_options, open_voice, trust
from tlmed.errors import InputError, did_you_mean
from tlmed.recipe import shipped_recipes
from tlmed.regular_files import FORMS
from tlmed.screen import Screen
from tlmed.source_forms import is_path
from tlmed.words import shorten

_PLAIN = "feature_extractor"  # the recipe that images are looked at with, if none is named


@click.group(short_help="Look at images, and find public ones.")
def data():
    """Look at images before anything is trained on them, and find public ones."""


@data.command("show", short_help="Write a page with pictures, counts, sizes and intensities.")
@image_options
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write data.html here, a page in a single file.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and list them.")
@force
@trust
@debug
def show(asked, out, skip_bad, force):
    """Write a page with a first look at images.

    It shows images of each class in their file, as a network gets them, and augmented; how many there are of each
    class, group and split; their sizes and intensities; and what `plan` would warn of. DATA is what `--data` takes
    elsewhere; it is read as the recipe feature_extractor does. The name of a shipped recipe and a path that ends in
    .py are a RECIPE.
    """
    _, recipe = _tell_apart(asked).load()
    screen = Screen(sys.stdout, waits=False)
    open_voice(screen, "run", "overview")
    from tlmed.overview import Look, check_target, write_overview
    from tlmed.run import list_found, look

    check_target(out, force)
    with screen.busy(f"Reading images of {recipe.data.source}"):
        images, words = look(recipe, skip_bad)
    screen.show(words)
    with screen.busy("Drawing the page"):
        found = list_found(images, "not shown")
        seen = Look(images, recipe.data, recipe.augment, recipe.seed, found, recipe.name)
        page = write_overview(out, seen, force)
    screen.say(f"Written: {page}")


@data.command("list", short_help="List public sets of medical images.")
@click.option("--modality", metavar="NAME", help="Only sets of this modality, such as x-ray or sonography.")
@click.option("--task", metavar="TEXT", help="Only sets with this text in their task, such as tumour.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV, with the source of each.")
@debug
def list_sets(modality, task, as_csv):
    """List public sets of medical images for classification: size, licence, and how to get them."""
    from tlmed.public_sets import describe_sets, read_sets, to_csv

    found = read_sets(modality, task)
    if not found:
        raise InputError(f"A set of the list must match. Received: --modality {modality}, --task {task}: none does.")
    if as_csv:
        click.echo(to_csv(found), nl=False)
        return
    Screen(sys.stdout, waits=False).show(describe_sets(found))


def _tell_apart(asked: Asked) -> Asked:
    """Return what is asked for with a recipe and, where the argument is no recipe, the argument as its data.

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
            f"DATA|RECIPE must be {FORMS}, a recipe's .py file, or one of {', '.join(recipes)}."
            f"{did_you_mean(Path(what).name, [*near, *recipes])} Received: {shorten(repr(what))}, which does not exist."
        )
    return dataclasses.replace(asked, recipe=_PLAIN, data=what)
