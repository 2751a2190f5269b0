"""`tlmed status`."""

import sys
from pathlib import Path

import click

from tlmed.cli.options import debug
from tlmed.screen import Screen


@click.command(short_help="Show how far a run is.")
@click.argument("run", type=click.Path(path_type=Path))
@debug
def status(run):
    """Show how far RUN is, while it trains or after it was stopped; or an advice, a study or a folder of runs."""
    from tlmed.run_files.advice_files import is_advice, read_state
    from tlmed.run_files.study_files import is_study
    from tlmed.rundir import RunDir, find_run
    from tlmed.status import describe_advice, describe_status, describe_study, find_runs, list_status

    if read_state(run) or is_advice(run):
        Screen(sys.stdout).show(describe_advice(run))
        return
    if is_study(run):
        Screen(sys.stdout).show(describe_study(run))
        return
    runs = [] if RunDir(run).exists else find_runs(run)
    Screen(sys.stdout).show(list_status(runs) if runs else describe_status(find_run(run, complete=False)))
