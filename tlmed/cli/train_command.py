"""`tlmed train`."""

import dataclasses
import sys
from pathlib import Path

import click

from tlmed.cli.options import debug, open_voice, recipe_options, trust
from tlmed.screen import Screen

OUT = "The directory of the run; given again, the run continues. By default a new one in runs/."


@click.command(short_help="Train a recipe, evaluate the result and write a report.")
@recipe_options
@click.option("--out", type=click.Path(path_type=Path), help=OUT)
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and list them.")
@click.option("--strict", is_flag=True, help="Exit with 1 if images leak between splits.")
@click.option("--fresh", is_flag=True, help="Delete what the run in --out wrote, and train anew.")
@click.option("--name", "title", metavar="TITLE", help="The title of the report; by default the recipe's name.")
@trust
@debug
def train(asked, out, skip_bad, strict, fresh, title):
    """Train RECIPE (a file or a shipped recipe's name) and evaluate the result."""
    file, recipe = asked.load()
    if title is not None:
        recipe = dataclasses.replace(recipe, name=title)
    # The recipe is read first: a fault in it is reported without the seconds that TensorFlow takes to load.
    voice = open_voice(Screen(sys.stdout), "run")
    from tlmed import run

    run.train(recipe, out, skip_bad=skip_bad, strict=strict, fresh=fresh, recipe_file=file, voice=voice)
