"""`tlmed export`."""

import sys
from pathlib import Path

import click

from tlmed.cli.options import Bounded, debug, force, open_voice
from tlmed.rundir import find_run
from tlmed.screen import Screen

KERAS, HUB = "keras", "hub"
MODELS = ("saved-model", "onnx", "litert", "openvino", KERAS)
FORMATS = ("requirements", "card", HUB, *MODELS)
QUANTIZED = ("int8", "float16")


@click.command(short_help="Write a run's model for other runtimes, or its card.")
@click.argument("run")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("--out", type=click.Path(path_type=Path), help="Write it here; by default a text is printed.")
@click.option("--hashes", is_flag=True, help="requirements: ask pip's index for the SHA-256 of every file.")
@click.option("--quantize", type=click.Choice(QUANTIZED), help="litert, openvino: numbers of fewer bits.")
@click.option("--max-loss", type=Bounded(0, 1), help="What --quantize may cost of the AUC; by default 0.005.")
@click.option("--data", metavar="SOURCE", help="A model's test images, if they are not where they were in training.")
@force
@debug
def export(run, form, out, hashes, quantize, max_loss, data, force):
    """Write RUN for others: its packages, for pip, a model card, or its model for another runtime.

    A model is written into the folder --out, with `model.json` (classes, sizes, threshold, temperature) and
    `read_images.py`, which reads images as tlmed does and needs neither tlmed nor TensorFlow. It is then run on RUN's
    test images and compared with what RUN gave. The networks of an ensemble or a cross-validation become one.

    `--format keras --out FILE.keras` writes the one file, and compares nothing.

    `--format hub` writes a folder for the Hugging Face Hub: the network, its card, how images are prepared, its scores.
    """
    if hashes and form != "requirements":
        raise click.UsageError("--hashes goes with --format requirements.")
    if data is not None and form not in MODELS:
        raise click.UsageError(f"--data goes with --format {', '.join(MODELS)}.")
    if quantize is not None and form not in MODELS:
        raise click.UsageError("--quantize goes with --format litert or openvino.")
    if max_loss is not None and quantize is None:
        raise click.UsageError("--max-loss goes with --quantize.")
    if form in MODELS:
        if out is None:
            raise click.UsageError(f"--format {form} goes with --out FOLDER{' or FILE.keras' * (form == KERAS)}.")
        alone = form == KERAS and out.suffix == ".keras"
        if alone and (data or quantize):
            raise click.UsageError("--data and --quantize go with --out FOLDER, and not with one file.")
        if alone:
            _write_network(run, out, force)
        else:
            _write_model(run, {"name": form, "quantize": quantize, "most": max_loss, "source": data}, out, force)
        return
    if form == HUB:
        _write_folder(run, out, force)
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
    screen = Screen(sys.stdout, waits=False)
    find_run(run, several=True)  # before TensorFlow, which takes seconds to load
    voice = open_voice(screen, "ensembles")
    from tlmed.ensembles import check_network_target, join_networks, write_network

    check_network_target(out, force)
    with screen.busy("Joining networks"):
        model = join_networks(run, voice)
        write_network(out, model, force)
    screen.say(f"Written: {out}")


def _write_model(run, asked, out, force) -> None:
    screen = Screen(sys.stdout, waits=False)
    find_run(run, several=True)  # before TensorFlow, which takes seconds to load
    voice = open_voice(screen, "conversion")
    from tlmed.conversion import FORMATS, Request, describe_export, export_run

    given = {name: value for name, value in asked.items() if value is not None and name != "name"}
    exported = export_run(run, Request(FORMATS[asked["name"]], **given), out, force, voice)
    for line in describe_export(exported):
        screen.say(line)
    screen.say(f"Written: {out}")


def _write_folder(run, out, force) -> None:
    if out is None:
        raise click.UsageError("--format hub goes with --out DIR.")
    screen = Screen(sys.stdout, waits=False)
    find_run(run, several=True)  # before TensorFlow, which takes seconds to load
    voice = open_voice(screen, "ensembles")
    from tlmed.export.hub_folder import check_hub_target, write_hub_folder

    check_hub_target(out, force)
    with screen.busy("Writing the folder"):
        write_hub_folder(run, out, force, voice)
    screen.say(f"Written: {out}")
