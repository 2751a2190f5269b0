"""`tlmed watch`."""

import sys
from pathlib import Path

import click

from tlmed.cli.options import debug, force
from tlmed.errors import CheckFailed
from tlmed.screen import Screen

DATE = "The column of dates (2026-01-31 or 20260131): each month is tested, too."
GROUP = "The column that says whose each image is; by default `group`, if there is one."


@click.command(short_help="Find drift in what a network answered since it was trained.")
@click.argument("run")
@click.option("--predictions", type=click.Path(path_type=Path), required=True, metavar="FILE", help="A CSV of answers.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write watch.json and watch.html here.")
@click.option("--date", metavar="COLUMN", help=DATE)
@click.option("--group", metavar="COLUMN", help=GROUP)
@force
@debug
def watch(run, predictions, out, date, group, force):
    """Compare what RUN answered since it was trained with its test split: scores, classes, unusual images.

    FILE is a CSV as `tlmed predict RUN ... --out FILE` writes it; columns `label`, of dates and of patients may be
    added. With known labels, metrics stand beside those of the test split.

    Exit status 1: there is drift. Where nothing has changed, that is said of at most one of twenty files. Errors have
    other statuses: 2 for what cannot be used.
    """
    from tlmed.drift_report import check_watch_folder, describe_watch, write_watch
    from tlmed.rundir import find_run

    run = find_run(run, several=True)
    if out is not None:
        check_watch_folder(out, force, [predictions])
    from tlmed.drift.drift_check import check_drift

    found = check_drift(run, predictions, date, group)
    if out is not None:
        check_watch_folder(out, force, [predictions])
        page = write_watch(out, found.content, found.scores)
    *lines, said = describe_watch(found.content)
    screen = Screen(sys.stdout, waits=False)
    screen.show([*lines, *([f"Page: {page}"] if out is not None else [])])
    if found.content["drift"]:
        raise CheckFailed([said])
    screen.show([said])
