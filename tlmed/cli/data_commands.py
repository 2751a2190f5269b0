"""`tlmed data check`, `tlmed data show` and `tlmed data list`."""

import sys
from pathlib import Path

import click

from tlmed.cli.check_command import check
from tlmed.cli.options import debug, force, image_options, open_voice, tell_apart, trust
from tlmed.errors import InputError
from tlmed.screen import Screen


@click.group(short_help="Check images, look at them, and find public ones.")
def data():
    """Check images and look at them before anything is trained, and find public ones."""


data.add_command(check)


@data.command("show", short_help="Write a page with pictures, counts, sizes and intensities.")
@image_options("DATA|RECIPE")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write data.html here, a page in a single file.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and list them.")
@force
@trust
@debug
def show(asked, out, skip_bad, force):
    """Write a page with a first look at images.

    It shows images of each class in their file, as a network gets them, and augmented; how many there are of each
    class, group and split; their sizes and intensities; and what `plan` would warn of. DATA is what `--data` takes
    elsewhere; it is read as the recipe feature_extractor does. The name of a shipped recipe and a path that ends in
    .py are a RECIPE.
    """
    _, recipe = tell_apart(asked).load()
    screen = Screen(sys.stdout, waits=False)
    open_voice(screen, "run", "overview")
    from tlmed.overview import Look, check_target, write_overview
    from tlmed.run import list_found, look

    check_target(out, force)
    with screen.busy(f"Reading images of {recipe.data.source}"):
        images, words = look(recipe, skip_bad)
    screen.show(words)
    with screen.busy("Drawing the page"):
        found = list_found(images, "not shown")
        seen = Look(images, recipe.data, recipe.augment, recipe.seed, found, recipe.name)
        page = write_overview(out, seen, force)
    screen.say(f"Written: {page}")


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
