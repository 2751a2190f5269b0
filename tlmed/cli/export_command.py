"""`tlmed export`."""

import sys
from pathlib import Path

import click

from tlmed.cli.options import debug, force, open_voice
from tlmed.rundir import find_run
from tlmed.screen import Screen

KERAS = "keras"
FORMATS = ("requirements", "card", KERAS)


@click.command(short_help="Write a run's packages, a model card, or one network.")
@click.argument("run")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("--out", type=click.Path(path_type=Path), help="Write it here; by default a text is printed.")
@click.option("--hashes", is_flag=True, help="requirements: ask pip's index for the SHA-256 of every file.")
@force
@debug
def export(run, form, out, hashes, force):
    """Write a file about RUN for others: its packages, for pip, or a model card.

    Or one Keras file with its network: those of an ensemble or a cross-validation become one, which gives the mean.
    """
    if hashes and form != "requirements":
        raise click.UsageError("--hashes goes with --format requirements.")
    if form == KERAS:
        _write_network(run, out, force)
        return
    from tlmed.export import check_target, save, write_card, write_requirements

    run = find_run(run, several=True)
    if out is not None:
        check_target(out, force)
    text = write_requirements(run, hashes) if form == "requirements" else write_card(run)
    if out is None:
        click.echo(text, nl=False)
    else:
        save(out, text, form, force)


def _write_network(run, out, force) -> None:
    if out is None:
        raise click.UsageError("--format keras goes with --out FILE.keras.")
    screen = Screen(sys.stdout, waits=False)
    find_run(run, several=True)  # before TensorFlow, which takes seconds to load
    voice = open_voice(screen, "ensembles")
    from tlmed.ensembles import check_network_target, join_networks, write_network

    check_network_target(out, force)
    with screen.busy("Joining networks"):
        model = join_networks(run, voice)
        write_network(out, model, force)
    screen.say(f"Written: {out}")
