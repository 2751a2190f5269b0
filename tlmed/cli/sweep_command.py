"""`tlmed sweep`."""

import dataclasses
import re
import sys
from pathlib import Path

import click

from tlmed.cli.options import DATA, GROUP, NO_GROUPS, check_groups, check_place, debug
from tlmed.errors import InputError, RunFailed
from tlmed.recipe import Search, Study, names_study, read_study
from tlmed.screen import Screen

PLAN = "plan"
MANY = 1000  # cells that a user is asked about before they are made
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h|d)?")
VARY = "A field and its values, such as phases.epochs=5,20; values that hold commas are parted by ;. May be repeated."

SEARCH = "Try what promises most instead of all, judged by validation images; recipes give more to choose from."


@click.command(short_help="Train recipes with many backbones, values and seeds.")
@click.argument("recipes", nargs=-1, required=True, metavar="[plan] STUDY|RECIPE...")
@click.option("--data", metavar="SOURCE", help=DATA)
@click.option("--out", type=click.Path(path_type=Path), help="The directory of the study; again: the study goes on.")
@click.option("--backbones", metavar="A,B", help="Backbones, each with its recipe's weights or as NAME=WEIGHTS.")
@click.option("--vary", multiple=True, metavar="KEY=V1,V2", help=VARY)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A field and its value in all cells.")
@click.option("--seeds", type=click.IntRange(1), help="How many seeds; by default 3, or the study's.")
@click.option("--folds", type=click.IntRange(2), help="Divide the images into folds; each is a cell.")
@click.option("--jobs", type=click.IntRange(1), help="Cells at a time here; by default as fit into cores and memory.")
@click.option("--budget", metavar="TIME", help="Begin no cell that would end later than this, such as 90m or 2h.")
@click.option("--storage", metavar="URL", help="A database that other machines reach; by default a file in --out.")
@click.option("--group", metavar="COLUMN", help=GROUP)
@click.option("--no-groups", is_flag=True, help=NO_GROUPS)
@click.option("--positive", metavar="CLASS", help="The positive one of two classes.")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read.")
@click.option("--search", is_flag=True, help=SEARCH)
@click.option("--trials", type=click.IntRange(1), help="How many candidates a search tries; by default 40.")
@click.option("--nested", is_flag=True, help="Search in each of --folds anew, to measure how far a search flatters.")
@click.option("--yes", is_flag=True, help="Train more than 1,000 cells.")
@debug
def sweep(recipes, **given):
    """Train a STUDY (a file or a shipped study's name), or one or more RECIPEs with all that is varied.

    `tlmed sweep plan ...` shows the cells and what they will cost. All cells have the same images in train, val and
    test. Given the same --out, the command goes on where it was stopped, also beside others that work on the study.
    """
    is_plan, recipes = recipes[0] == PLAN, recipes[1:] if recipes[0] == PLAN else recipes
    if not recipes:
        raise click.UsageError("Missing argument 'STUDY|RECIPE...'.")
    if given["out"] is None and not is_plan:
        raise click.UsageError("Missing option '--out'.")
    check_groups(given["group"], given["no_groups"])
    check_place(given["data"])
    study = _read(recipes, given)
    if study.search is None and study.size > MANY and not given["yes"]:
        raise InputError(f"A study of more than {MANY:,} cells needs --yes. Received: {study.size:,} cells.")
    values = {"data.positive": given["positive"], "data.group_column": given["group"]}
    values |= {"data.groups": False if given["no_groups"] else None}
    own = {key: value for key, value in values.items() if value is not None}
    budget = None if given["budget"] is None else read_time(given["budget"])
    source = (given["data"], given["settings"], own)
    if study.search is None:
        study.expand(*source)  # faults are told before Optuna is imported, which takes half a second
    from tlmed.studies import Order
    from tlmed.sweeps import plan_study, run_study

    screen = Screen(sys.stdout, waits=False)
    for sentence in study.say_kept():
        screen.say(sentence)
    order = Order(given["out"] or Path("."), given["jobs"], budget, given["storage"], given["skip_bad"])
    if is_plan:
        plan_study(study, order, screen, *source)
        return
    states = run_study(study, order, screen, *source).states
    if failed := states["failed"]:
        what = "cells" if study.search is None else "cells of the winner"
        raise RunFailed(
            "Every cell must end well; the same command tries those again that did not. Received: "
            f"{failed} of {sum(states.values())} {what} failed, for the reasons in {order.folder / 'cells.csv'}."
        )


def _read(recipes, given) -> Study:
    """Return the study that is asked for: a file's with what options replace, or one of the recipes named."""
    named = [name for name in recipes if names_study(name)]
    if named and len(recipes) > 1:
        raise InputError(f"A study must be given alone, or recipes without a study. Received: {' '.join(recipes)}.")
    study = read_study(named[0]) if named else Study(recipes=tuple(recipes))
    changes = {name: given[name] for name in ("seeds", "folds") if given[name] is not None}
    if (search := _read_search(study, given)) is not None:
        changes["search"] = search
    if given["backbones"] is not None:
        changes["backbones"] = tuple(name.strip() for name in given["backbones"].split(",") if name.strip())
    if given["vary"]:
        changes["vary"] = {**study.vary, **dict(map(_read_values, given["vary"]))}
    return dataclasses.replace(study, **changes) if changes else study


def _read_search(study, given) -> Search | None:
    """Return the search that is asked for by options, by the study's file, or by both."""
    asked = {name: given[name] for name in ("trials", "nested") if given[name]}
    if study.search is None and not given["search"]:
        if asked:
            name = next(iter(asked))
            raise InputError(f"`--{name}` must be given with `--search`. Received: --{name} without it.")
        return None
    folds = given["folds"] or study.folds
    if asked.get("nested") and folds is None:
        raise InputError("`--nested` must be given with `--folds K`. Received: --nested without folds.")
    return dataclasses.replace(study.search or Search(), **asked)


def _read_values(text: str) -> tuple[str, tuple[str, ...]]:
    key, equals, values = text.partition("=")
    found = tuple(value.strip() for value in values.split(";" if ";" in values else ",") if value.strip())
    if not equals or not found:
        raise InputError(f"`--vary` takes KEY=V1,V2. Received: --vary {text}.")
    return key.strip(), found


def read_time(text: str) -> float:
    """Return the seconds of a time such as `90m`, `2h` or `45` (seconds).

    Raises:
        InputError: If it is none.

    >>> read_time("2h"), read_time("90m"), read_time("45")
    (7200.0, 5400.0, 45.0)
    """
    found = _TIME.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if seconds <= 0:
        raise InputError(f"`--budget` must be a time above 0, such as 30m or 2h. Received: {text!r}.")
    return seconds
