"""`tlmed data list`."""

import sys

import click

from tlmed.cli.options import debug
from tlmed.errors import InputError
from tlmed.screen import Screen


@click.group(short_help="Find images to train on.")
def data():
    """Find images to train on."""


@data.command("list", short_help="List public sets of medical images.")
@click.option("--modality", metavar="NAME", help="Only sets of this modality, such as x-ray or sonography.")
@click.option("--task", metavar="TEXT", help="Only sets with this text in their task, such as tumour.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV, with the source of each.")
@debug
def list_sets(modality, task, as_csv):
    """List public sets of medical images for classification: size, licence, and how to get them."""
    from tlmed.public_sets import describe_sets, read_sets, to_csv

    found = read_sets(modality, task)
    if not found:
        raise InputError(f"A set of the list must match. Received: --modality {modality}, --task {task}: none does.")
    if as_csv:
        click.echo(to_csv(found), nl=False)
        return
    Screen(sys.stdout, waits=False).show(describe_sets(found))
