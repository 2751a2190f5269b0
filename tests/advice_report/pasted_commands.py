"""Commands that tlmed tells people to paste."""

import shlex

import click

from tlmed.cli.entry import cli


def parse_command(line: str) -> dict:
    """Return what a shell and `tlmed` make of a line: the name of each option or argument to its value."""
    program, *words = shlex.split(line)
    assert program == "tlmed"
    group, context = cli, click.Context(cli)
    while isinstance(group, click.Group):
        name, *words = words
        group = group.get_command(context, name)
        assert group is not None, line
    context = click.Context(group, info_name=line)
    group.parse_args(context, words)
    return context.params
