"""`tlmed reproduce`."""

import sys
from pathlib import Path

import click

from tlmed.cli.options import check_place, debug, force, open_voice, trust
from tlmed.screen import Screen

LEVEL = "What must be equal: all bits, classes and scores, or metrics; by default the strictest that can hold here."


@click.command(short_help="Train a run again, and check that the result is the same.")
@click.argument("lock", metavar="RUN|LOCK", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Compare inputs and environment only, without training.")
@click.option("--quick", is_flag=True, help="Repeat the first epochs only, and compare them with the locked history.")
@click.option("--level", type=click.Choice(("bits", "predictions", "metrics")), help=LEVEL)
@click.option("--tolerance", type=float, help="By how much scores or metrics may differ; by default 0.001 and 0.005.")
@click.option("--data", metavar="SOURCE", help="Where the images are now; by default where they were.")
@click.option("--weights", multiple=True, metavar="PATH", help="Where the weights are now; once for each backbone.")
@click.option(
    "--recipe", type=click.Path(path_type=Path), help="A recipe to compare with the locked one; runs its code."
)
@click.option("--out", type=click.Path(path_type=Path), help="The fresh directory; by default one in runs/.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the comparison as JUnit XML.")
@click.option("--summary", type=click.Path(path_type=Path), help="Write the comparison as Markdown.")
@click.option("--trust-mtime", is_flag=True, help="Do not read an image again whose size and time of change are known.")
@force
@trust
@debug
def reproduce(lock, check, quick, level, tolerance, data, weights, recipe, out, junit, summary, trust_mtime, force):
    """Train again what RUN or LOCK (a lock.json) describes, and compare the results; exit 1 if one moved.

    Nothing is read back from the run that is checked, and nothing is written into it.
    """
    if check and quick:
        raise click.UsageError("Give --check or --quick, one of the two.")
    check_place(data)
    voice = open_voice(Screen(sys.stdout), "reproduce")
    from tlmed.reproduce import Request, reproduce_and_report

    mode = "check" if check else "quick" if quick else "train"
    request = Request(lock, mode, level, tolerance, data, weights, recipe, out, trust_mtime, force)
    reproduce_and_report(request, junit, summary, voice)
