"""`tlmed compare`."""

import sys
from pathlib import Path

import click

from tlmed.cli.options import debug, force, open_voice
from tlmed.run_files.search_files import is_search
from tlmed.run_files.study_files import is_study
from tlmed.screen import Screen
from tlmed.tabulation import Table


@click.command(short_help="Compare runs, or the cells of a study, on the same test images.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...|STUDY")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write a page and two tables here.")
@click.option("--why", is_flag=True, help="Say why two runs differ: the cause, then all that is not the same.")
@force
@debug
def compare(runs, out, why, force):
    """Compare several runs on the same test images, or say why two of them differ.

    Scores and costs, and for every pair the difference with its interval and a corrected p-value. Cross-validations
    are compared by their folds. Of a study, what its complete cells tell apart; its page is written anew.
    """
    screen = Screen(sys.stdout, waits=False)
    if len(runs) == 1 and not why and is_study(Path(runs[0])):
        if out is not None:
            raise click.UsageError("--out is for runs: a study has its page in its own directory.")
        screen.show(_compare_study(Path(runs[0]), screen))
        return
    if len(runs) < 2 or (why and len(runs) != 2):
        raise click.UsageError("Give two runs with --why, else two or more.")
    if why and out is not None:
        raise click.UsageError("Give --why or --out DIR, one of the two.")
    screen.show(_explain(runs, screen) if why else _compare(runs, out, force, screen))


def _compare_study(folder, screen) -> list[str | Table]:
    from tlmed.study_report import (
        analyse,
        describe_search,
        describe_study_scores,
        read_search,
        read_study_scores,
        write_search_page,
        write_study_page,
    )

    if is_search(folder):
        with screen.busy("Comparing the candidates of a search"):
            record = read_search(folder)
            page = write_search_page(folder, record)
        return [*describe_search(record), f"Written: {page}"]
    with screen.busy("Comparing the cells of a study"):
        analysis = analyse(read_study_scores(folder))
        page = write_study_page(folder, analysis)
    return [*describe_study_scores(analysis), f"Written: {page}"]


def _explain(runs, screen) -> list[str | Table]:
    from tlmed.rundir import find_run

    found = [find_run(run) for run in runs]  # before TensorFlow, which takes seconds to load
    open_voice(screen, "lock")
    from tlmed.lock import explain

    with screen.busy("Comparing two runs"):
        return explain(*found)


def _compare(runs, out, force, screen) -> list[str | Table]:
    from tlmed.comparison import check_targets, compare, describe_comparison, write_comparison

    if out is not None:
        check_targets(out, force)
    with screen.busy(f"Comparing {len(runs)} runs"):
        comparison = compare(runs)
        files = [] if out is None else write_comparison(out, comparison, force)
    return [*describe_comparison(comparison), *(f"Written: {file}" for file in files)]
