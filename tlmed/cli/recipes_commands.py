"""`tlmed recipes list`, `show` and `copy`."""

import shlex
import shutil
import sys
from pathlib import Path

import click

from tlmed.cli.options import debug, new_recipe
from tlmed.recipe import find_recipe, read_text, shipped_recipes, shipped_studies, summary
from tlmed.screen import Screen
from tlmed.tabulation import Table, texts


@click.group(short_help="List, show and copy the recipes that come with tlmed.")
def recipes():
    """List, show and copy the recipes that come with tlmed."""


@recipes.command("list")
@debug
def list_recipes():
    """List the shipped recipes and studies."""
    recipes, studies = (
        Table(texts("", ""), [(name, summary(file)) for name, file in shipped.items()])
        for shipped in (shipped_recipes(), shipped_studies())
    )
    Screen(sys.stdout).show([recipes, "", "Studies, for `tlmed sweep`:", studies])


@recipes.command()
@click.argument("recipe")
@debug
def show(recipe):
    """Print RECIPE, or a study, as it is written."""
    click.echo(read_text(_find(recipe)), nl=False)


def _find(name) -> Path:
    return shipped_studies().get(name) or find_recipe(name)


@recipes.command(short_help="Copy a recipe to a file of your own, to edit and run.")
@click.argument("recipe")
@click.argument("to", required=False, type=click.Path(path_type=Path))
@debug
def copy(recipe, to):
    """Copy RECIPE, or a shipped study, to a file of your own, to edit and run: by default RECIPE.py here."""
    file = _find(recipe)
    target = new_recipe(to or Path(file.name), file.name, "TO")
    shutil.copyfile(file, target)
    command = "sweep" if recipe in shipped_studies() else "train"
    Screen(sys.stdout).say(f"{target}: edit it, then: tlmed {command} {shlex.quote(str(target))}")
