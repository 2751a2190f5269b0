"""`tlmed data check`."""

import sys
from pathlib import Path

import click

from tlmed.cli.options import Asked, Bounded, debug, force, image_options, open_voice, tell_apart, trust
from tlmed.errors import CheckFailed
from tlmed.rundir import RunDir, find_run
from tlmed.screen import Screen
from tlmed.words import join_names

WHAT = "DATA|RECIPE|RUN"
SHARE = Bounded(0, 1, min_open=True, max_open=True)
WRITE = "Write a table of the images here in which copies share a group and images under two labels are left out."
WIDTH = "Of the 95 % interval of a test AUC, for which the number of test images is wanted."


@click.command("check", short_help="Find leaks, shortcuts, wrong labels and odd images.")
@image_options(WHAT)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write check.json and check.html here.")
@click.option("--write", type=click.Path(path_type=Path), metavar="FILE.csv", help=WRITE)
@click.option("--quick", is_flag=True, help="Leave out what needs a network: wrong labels, odd images, a forecast.")
@click.option("--skip-bad", is_flag=True, help="Images that cannot be read are left out, and are no error.")
@click.option("--width", type=SHARE, default=0.05, show_default=True, help=WIDTH)
@force
@trust
@debug
def check(asked, out, write, quick, skip_bad, width, force):
    """Find leaks, shortcuts, wrong labels and odd images, before anything is trained.

    DATA is what `--data` takes elsewhere; it is read and divided as the recipe feature_extractor does. The name of a
    shipped recipe and a path that ends in .py are a RECIPE. Of a RUN its own images are checked, in its splits, and
    what its network looks at.

    Exit status 1: an error was found. Given splits are never altered.
    """
    run = RunDir(Path(asked.recipe))
    if run.exists:
        _check_run_options(asked)
        run = find_run(asked.recipe)
    recipe = None if run.exists else tell_apart(asked, WHAT).load()[1]
    voice = open_voice(Screen(sys.stdout, waits=False), "inspection")
    from tlmed import inspection

    targets = inspection.Targets(out, write, force)
    inspection.check_targets(targets, asked.data or asked.recipe)
    with voice.busy(f"Reading images of {recipe.data.source if recipe else asked.recipe}"):
        subject = inspection.open_run(run, asked.data) if recipe is None else inspection.open_subject(recipe)
    if write is not None:
        inspection.check_correctable(subject.images.table, write)
    found = inspection.inspect(subject, inspection.Inquiry(quick, width, skip_bad), targets, voice)
    if found.errors:
        raise CheckFailed(inspection.say_errors(found, targets))


def _check_run_options(asked: Asked) -> None:
    """Refuse options that a finished run has settled."""
    given = {"--set": asked.settings, "--group": asked.group, "--no-groups": asked.no_groups or None}
    given |= {"--positive": asked.positive, "--seed": asked.seed}
    if used := [option for option, value in given.items() if value not in (None, ())]:
        raise click.UsageError(f"{join_names(used)} must go with DATA or a RECIPE; a RUN has settled this.")
