"""`tlmed backbones`."""

import sys

import click

from tlmed.cli.options import debug, open_voice
from tlmed.screen import Screen


@click.command(short_help="List the backbones, or show the blocks of one.")
@click.argument("name", required=False)
@click.option("--table", is_flag=True, help="Print table 1 of the review beside our own counts.")
@debug
def backbones(name, table):
    """List the backbones, or show the blocks, layers and parameters of NAME."""
    if name is not None and table:
        raise click.UsageError("Give a NAME or --table, one of the two.")
    screen = Screen(sys.stdout, waits=False)
    if name is None and not table:
        from tlmed.catalogue import describe_catalogue  # from a table, without TensorFlow

        screen.show(describe_catalogue())
        return
    open_voice(screen, "plan")
    if table:
        from tlmed.backbones.published_counts import describe_table

        with screen.busy("Counting"):
            lines = describe_table()
    else:
        from tlmed.backbones import build
        from tlmed.plan import describe_backbone

        with screen.busy(f"Building {name}"):
            lines = describe_backbone(name, build(name, "none").model)
    screen.show(lines)
