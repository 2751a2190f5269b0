"""`tlmed recipes list`, `show` and `copy`."""

import shlex
import shutil
import sys
from pathlib import Path

import click

from tlmed.cli.options import debug, new_recipe
from tlmed.recipe import find_recipe, read_text, shipped_recipes, summary
from tlmed.screen import Screen
from tlmed.tabulation import Table, texts


@click.group(short_help="List, show and copy the recipes that come with tlmed.")
def recipes():
    """List, show and copy the recipes that come with tlmed."""


@recipes.command("list")
@debug
def list_recipes():
    """List the shipped recipes."""
    rows = [(name, summary(file)) for name, file in shipped_recipes().items()]
    Screen(sys.stdout).show([Table(texts("", ""), rows)])


@recipes.command()
@click.argument("recipe")
@debug
def show(recipe):
    """Print RECIPE as it is written."""
    click.echo(read_text(find_recipe(recipe)), nl=False)


@recipes.command(short_help="Copy a recipe to a file of your own, to edit and run.")
@click.argument("recipe")
@click.argument("to", required=False, type=click.Path(path_type=Path))
@debug
def copy(recipe, to):
    """Copy RECIPE to a file of your own, to edit and run: by default RECIPE.py here."""
    file = find_recipe(recipe)
    target = new_recipe(to or Path(file.name), file.name, "TO")
    shutil.copyfile(file, target)
    Screen(sys.stdout).say(f"{target}: edit it, then: tlmed train {shlex.quote(str(target))}")
