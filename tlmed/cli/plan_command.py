"""`tlmed plan`."""

import dataclasses
import shlex
import sys
from pathlib import Path

import click

from tlmed.cli.options import debug, new_recipe, open_voice, recipe_options, trust
from tlmed.recipe import summary, to_source
from tlmed.screen import Screen
from tlmed.whole_files import write_text


@click.command(short_help="Show what a recipe would train, without training.")
@recipe_options
@click.option("--write", type=click.Path(path_type=Path), help="Write the expanded recipe here, to edit and run.")
@click.option("--measure", is_flag=True, help="Time a training step on this machine in each precision.")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and list them.")
@trust
@debug
def plan(asked, write, measure, skip_bad):
    """Show the images and what RECIPE would train on them, phase by phase, without training.

    Every image is read, and what `train` would refuse is refused.
    """
    file, recipe = asked.load()
    target = new_recipe(write, file.path.name, "--write") if write is not None else None
    screen = Screen(sys.stdout, waits=False)
    open_voice(screen, "run")
    from tlmed.plan import describe_blocks, describe_caching, describe_phases
    from tlmed.run import preview

    with screen.busy(f"Planning {file.path.stem}"):
        words, content, phases = preview(recipe, skip_bad)
    screen.show((*words, "", *describe_blocks(content), "", *describe_phases(content), "", *describe_caching(content)))
    if measure:
        from tlmed.run.measuring import measure_precisions, recommend

        with screen.busy("Timing training steps"):
            measured = measure_precisions(recipe)
        screen.say(f"\n{recommend(measured)}")
    if target is not None:
        docstring = f"{summary(file.path)}\n\ntlmed train {shlex.quote(str(target))}"
        write_text(target, to_source(dataclasses.replace(recipe, phases=phases), docstring))
        screen.say(f"\n{target}: edit it, then: tlmed train {shlex.quote(str(target))}")
