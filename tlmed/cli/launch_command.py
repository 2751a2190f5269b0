"""`tlmed launch`."""

import sys

import click

from tlmed.cli.options import debug


# Options after COMMAND belong to COMMAND, --debug too.
@click.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command in several local processes that train together.",
)
@click.option("--workers", type=int, required=True, metavar="NUMBER", help="How many processes.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@debug
def launch(workers, command):
    """Run COMMAND, such as `train RECIPE --out DIR`, in several local processes that train together.

    What they print begins with their number. Ctrl-C and SIGTERM reach all of them, and when one fails all end.
    On several machines start the command itself on each, with TF_CONFIG set or under Slurm.
    """
    from tlmed.launch import launch

    if failed := launch(workers, command):
        sys.exit(failed)
