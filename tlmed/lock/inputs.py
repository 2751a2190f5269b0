"""The inputs of a locked run as they are now: the shipped recipe, the images, the weights, the environment."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tlmed import backbones
from tlmed.cache import cache_folder
from tlmed.data import open_source
from tlmed.data.known_files import TrustedDigests
from tlmed.data.reading import is_readable, read_digests
from tlmed.data.recorded import digest_columns
from tlmed.data.redivision import divide_again
from tlmed.data.splits import assign_splits, list_rows
from tlmed.data.table import Table
from tlmed.digests import split_lines
from tlmed.environment.description import describe_code, describe_environment
from tlmed.errors import InputError
from tlmed.intensity import from_json
from tlmed.lock.file import Lock
from tlmed.lock.lock_json import name_streams, name_task
from tlmed.recipe import Recipe, changed_modules, find_parts, flatten, load_recipe, shipped_recipes, to_json
from tlmed.run_files import SPLITS_CSV
from tlmed.source_forms import FOLDER, TABLE, find_form
from tlmed.whole_files import format_csv


def repeat_recipe(lock: Lock, source: str | None, weights: Sequence[str]) -> Recipe:
    """Return the recipe that repeats a locked run, with exactly the weights of that run.

    Args:
        lock: The lock.
        source: Where the images lie here; None: where they lay.
        weights: Where the files of the weights lie here, for each backbone; none: where they were for the locked run.

    Raises:
        InputError: If the backbone is not tlmed's to build, or there are not as many weights as backbones.
    """
    recipe, recorded = lock.recipe, [found["name"] for found in lock.content["weights"]]
    names = [recipe.backbone] if isinstance(recipe.backbone, str) else recipe.backbone
    if any(name.startswith("own:") for name in names):
        raise InputError(
            "A lock must name a backbone that tlmed can build; where the network is your own, train it again with "
            f"`tlmed.train(..., backbone=...)` and use `tlmed compare RUN RUN --why`. Received: {recipe.backbone!r}."
        )
    if weights and len(weights) != len(recorded):
        raise InputError(
            f"`--weights` must be given once for each of {len(recorded)} backbones. Received: {', '.join(weights)}."
        )
    # By their full recorded names: 'imagenet' alone could find other weights here.
    chosen = tuple(weights) or tuple(recorded)
    data = recipe.data if source is None else dataclasses.replace(recipe.data, source=source)
    return dataclasses.replace(recipe, data=data, weights=chosen[0] if len(chosen) == 1 else chosen)


def describe_inputs(lock: Lock, recipe: Recipe, recipe_file: Path | None = None, trust: bool = False) -> dict:
    """Return the inputs of a locked run as they are now, in the form of a lock; nothing is trained.

    Args:
        lock: The lock.
        recipe: From `repeat_recipe`.
        recipe_file: A recipe to compare with the locked one; None: the shipped one, if it is one of those.
        trust: Take the digest of an image file from an earlier look where its size and time are the same.

    Raises:
        InputError: If images or weights are missing, or a module of the recipe has changed; all faults are named.
    """
    faults, data, several, sources = [], {}, False, ()
    if changed := changed_modules(lock.content["recipe"]["modules"]):
        faults.append(
            "A recipe's modules must be as they were when it was locked; if they changed, train the recipe again for a "
            f"new lock. Received: {'; '.join(changed)}."
        )
    try:
        data, several = _describe_data(lock, recipe, trust)
    except InputError as error:
        faults += [f"{fault} Say with `--data` where the locked images are now." for fault in error.faults]
    try:
        sources = backbones.identify(recipe.backbone, recipe.weights, recipe.data.image_size)
    except InputError as error:
        faults += [f"{fault} Say with `--weights` where the locked weights are now." for fault in error.faults]
    if faults:
        raise InputError(faults)
    phases = [name.removeprefix("phase/") for name in lock.content["seeds"]["streams"] if name.startswith("phase/")]
    return {
        **name_task(recipe.find_task(several)),
        "recipe": {**lock.content["recipe"], "fields": _find_fields_now(lock, recipe_file)},
        "data": data,
        "weights": [source and dataclasses.asdict(source) for source in sources],
        "seeds": {"seed": recipe.seed, "streams": name_streams(recipe.seed, phases)},
        "code": describe_code(),
        "environment": {**describe_environment(), "changed": []},
    }


def _describe_data(lock, recipe, trust) -> tuple[dict, bool]:
    """Return what a lock says of the images, as it would be now, and whether these may have several labels."""
    table = open_source(recipe.data.source, recipe.layout)
    # What the run left out stays out even if it can be read now: with other images all splits would be others.
    left_out = {entry["path"] for entry in lock.content["data"]["left_out"]}
    intensity = from_json(lock.content["data"].get("window"))
    aside = [row for row, path in enumerate(table.paths) if path in left_out]
    broken = [{"path": table.paths[row]} for row in aside if not is_readable(table, row, intensity)]
    table = table.take([row for row, path in enumerate(table.paths) if path not in left_out])
    try:
        digests = _digest_images(table, recipe.data.source, trust)
    except (OSError, ValueError) as error:
        raise InputError(f"Every image must be readable. Received: data={recipe.data.source}: {error}.") from error
    divided = assign_splits(table, digests, recipe.data.split, recipe.split_seed)
    splits, made = divide_again(table, digests, divided, recipe.data, recipe.split_seed)
    lines = format_csv(SPLITS_CSV.columns, list_rows(table, splits, digests))
    columns = digest_columns(table, splits)
    identifiers = dataclasses.asdict(table.identifiers)
    found = {"rows": split_lines(lines), "left_out": broken, "columns": columns, "made": list(made)}
    return {**identifiers, **found}, table.is_multi


def _digest_images(table: Table, source: str, trust: bool) -> list[str]:
    # Images of TFDS and of an .npz share files, so that no file's size and time belong to one image.
    if not trust or find_form(source) not in (FOLDER, TABLE):
        return read_digests(table)
    root = Path(source).expanduser()
    files = [(root if root.is_dir() else root.parent) / path for path in table.paths]
    known = TrustedDigests(cache_folder())
    unknown = [row for row, file in enumerate(files) if known.get(file) is None]
    for row, digest in zip(unknown, read_digests(table.take(unknown)), strict=True):
        known.add(files[row], digest)
    known.save()
    return [known.get(file) for file in files]


def _find_fields_now(lock, file) -> dict:
    """Return the fields of the recipe as it is now, with the fields that the locked run had set."""
    facts, locked = lock.content["recipe"], flatten(to_json(lock.recipe))
    if file is None and facts["shipped"]:
        file = shipped_recipes().get(facts["name"])
    if file is None:
        return locked
    fields = flatten(to_json(load_recipe(file)))
    for name in facts["set"]:
        for key in (name, *(f"{name}.{part}" for part in find_parts(fields, name))):
            fields.pop(key, None)
        fields |= {f"{name}.{part}": value for part, value in find_parts(locked, name).items()}
        fields |= {name: locked[name]} if name in locked else {}
    return fields
