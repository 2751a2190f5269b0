"""`tlmed advise`."""

import dataclasses
import shlex
import sys
from pathlib import Path

import click

from tlmed.cli.options import DATA, GROUP, NO_GROUPS, check_groups, check_place, debug, open_voice, trust
from tlmed.cli.sweep_command import read_time
from tlmed.errors import InputError
from tlmed.recipe import override, read_recipe
from tlmed.screen import Screen

PLAIN = "feature_extractor"  # the recipe whose images an advice begins with
UNLIMITED = "none"
LEAST = 30.0  # seconds: loading TensorFlow, the check of the data and one probe take as long on any machine
BUDGET = "The time it may take, those of earlier commands for --out too, such as 30m or 2h; none: no limit."
GOAL = "The metric that decides, such as auc; or what has to be reached: auc>=0.9, sensitivity>=0.95."
EXPERIENCE = "A further table of results on other data, such as --contribute writes; they decide what is tried first."
CONTRIBUTE = "Add what was tried to a table: what the images are and what scored how, no path and no patient."
SET = "A field of the recipe that the advice does not decide, such as data.label_column=diagnosis."


@click.command(short_help="Find the right recipe for your images, and train it.")
@click.option("--data", required=True, metavar="SOURCE", help=DATA.partition(";")[0] + ".")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The directory; again: the advice goes on.")
@click.option("--budget", default="30m", show_default=True, metavar="TIME", help=BUDGET)
@click.option("--goal", default="auc", show_default=True, help=GOAL)
@click.option("--accept", is_flag=True, help="Go on although the check of the data finds errors.")
@click.option("--backbones", metavar="A,B", help="Try these, and download them; by default those that are at hand.")
@click.option("--experience", multiple=True, type=click.Path(path_type=Path), metavar="FILE.csv", help=EXPERIENCE)
@click.option("--no-experience", is_flag=True, help="Leave out the table of results on other data that tlmed has.")
@click.option("--contribute", type=click.Path(path_type=Path), metavar="FILE.csv", help=CONTRIBUTE)
@click.option("--name", metavar="NAME", help="What --contribute calls the images; by default a digest.")
@click.option("--jobs", type=click.IntRange(1), help="Trainings at a time, at most; by default as fit.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=SET)
@click.option("--group", metavar="COLUMN", help=GROUP)
@click.option("--no-groups", is_flag=True, help=NO_GROUPS)
@click.option("--positive", metavar="CLASS", help="The positive one of two classes.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Decides the splits and all that is drawn; by default 0."
)
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read.")
@trust
@debug
def advise(data, out, **given):
    """Look at images, try what promises most within a budget, and train what was decided.

    DIR gets recipe.py (to be edited), run/ (the trained run), advice.html and advice.json. All decisions rest on the
    training and validation images; the test images are scored once, at the end. The same command goes on where it was
    stopped.
    """
    check_groups(given["group"], given["no_groups"])
    check_place(data)
    if given["name"] is not None and given["contribute"] is None:
        raise click.UsageError("`--name` must go with `--contribute`.")
    request = _read(data, out, given)
    screen = Screen(sys.stdout, waits=False)
    voice = open_voice(screen, "advising.course")
    from tlmed.advising.course import make_advice

    make_advice(request, screen, voice, shlex.join(["tlmed", *sys.argv[1:]]))
    if given["contribute"] is not None:
        from tlmed.advising.contributed_rows import give

        screen.say(give(out, given["contribute"], given["name"]))


def _read(data, out, given):
    """Return what is asked for; faults are told before TensorFlow is loaded."""
    from tlmed.advising.diary import refuse_in_source
    from tlmed.advising.experience import SHIPPED, check_contribution, read_experience
    from tlmed.advising.goals import read_goal
    from tlmed.advising.request import Request, refuse_decided

    budget = None if given["budget"] == UNLIMITED else read_time(given["budget"])
    if budget is not None and budget < LEAST:
        raise InputError(
            f"`--budget` must be {LEAST:g} s or more: loading TensorFlow, the check of the data and one probe take as "
            f"long. Received: {given['budget']!r}."
        )
    refuse_decided(given["settings"])
    read_experience(given["experience"])  # its faults are told before anything is read
    if given["contribute"] is not None:
        refuse_in_source(given["contribute"], data, "--contribute")
        check_contribution(given["contribute"], out, given["name"])
    values = {"data.source": data, "data.positive": given["positive"], "data.group_column": given["group"]}
    values |= {"data.groups": False if given["no_groups"] else None, "seed": given["seed"]}
    own = {key: value for key, value in values.items() if value is not None}
    recipe = override(read_recipe(PLAIN).recipe, given["settings"], own)
    networks = tuple(name.strip() for name in (given["backbones"] or "").split(",") if name.strip())
    request = Request(recipe, out, budget, read_goal(given["goal"]), given["accept"], networks)
    named = tuple(setting.partition("=")[0].strip() for setting in given["settings"])
    named += ("data.groups",) if given["no_groups"] else ()
    return dataclasses.replace(
        request,
        experience=(*([] if given["no_experience"] else [SHIPPED]), *given["experience"]),
        skip_bad=given["skip_bad"],
        jobs=given["jobs"],
        given=named,
    )
