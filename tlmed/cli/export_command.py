"""`tlmed export`."""

from pathlib import Path

import click

from tlmed.cli.options import debug, force

FORMATS = ("requirements", "card")


@click.command(short_help="Write down a run's packages, or a model card.")
@click.argument("run")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("--out", type=click.Path(path_type=Path), help="Write it here; by default it is printed.")
@click.option("--hashes", is_flag=True, help="requirements: ask pip's index for the SHA-256 of every file.")
@force
@debug
def export(run, form, out, hashes, force):
    """Write a file about RUN for others: its packages, for pip, or a model card."""
    if hashes and form != "requirements":
        raise click.UsageError("--hashes goes with --format requirements.")
    from tlmed.export import check_target, save, write_card, write_requirements
    from tlmed.rundir import find_run

    run = find_run(run, several=True)
    if out is not None:
        check_target(out, force)
    text = write_requirements(run, hashes) if form == "requirements" else write_card(run)
    if out is None:
        click.echo(text, nl=False)
    else:
        save(out, text, form, force)
