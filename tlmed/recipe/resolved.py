"""A recipe as JSON can hold it, and back: what `recipe.json` and `lock.json` say of a run."""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence

from tlmed.errors import InputError
from tlmed.recipe.recipe import Recipe, find_faults
from tlmed.sections.rules import find_types

UNDECIDING = ("name",)  # fields that change neither training nor scores


def to_json(recipe: Recipe) -> dict:
    """Return a recipe's fields, with lists for tuples."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def from_json(content: dict) -> Recipe:
    """Return the recipe from the fields that `to_json` returned; missing ones get their default.

    Raises:
        InputError: If there are fields that no recipe has, as a newer tlmed may write, or values that break a rule.

    >>> from tlmed.recipe import load_recipe
    >>> recipe = load_recipe("feature_extractor_hybrid")
    >>> from_json(to_json(recipe)) == recipe
    True
    """
    recipe = _restore(content, Recipe)
    if not isinstance(recipe, Recipe):
        raise InputError(f"A recipe must be a table of fields. Received: {type(content).__name__}.")
    if faults := find_faults(recipe):
        raise InputError(faults)
    return recipe


def flatten(content, path: str = "") -> dict:
    """Return nested dictionaries, and lists of them, as one dictionary with dotted keys.

    >>> flatten({"seed": 0, "phases": [{"thaw": 1}, {"thaw": 2}]})
    {'seed': 0, 'phases.0.thaw': 1, 'phases.1.thaw': 2}
    """
    if isinstance(content, dict):
        parts = (flatten(part, f"{path}{name}.") for name, part in content.items())
        return {key: value for part in parts for key, value in part.items()}
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return flatten(dict(enumerate(content)), path)
    return {path.rstrip("."): content}


def digest(recipe: Recipe) -> str:
    """Return the SHA-256 of all fields that decide a run, except the place of the images: 64 hexadecimal digits."""
    content = to_json(recipe)
    del content["data"]["source"]
    for name in UNDECIDING:
        del content[name]
    for name in ("val_seed", "inner", "codes"):  # digests are those of versions without these fields
        if content["data"][name] is None:
            del content["data"][name]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _restore(value, hint):
    """Return a value of JSON as the type that a field declares; if it does not fit, as it is, to be reported later."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _restore(value, _choose(value, args))
    if origin is tuple and isinstance(value, list):
        hints = args[:1] * len(value) if args[-1] is ... else args
        return tuple(_restore(item, kind) for item, kind in zip(value, hints, strict=False))
    if origin is dict and isinstance(value, dict):
        return {key: _restore(item, args[1]) for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        hints = find_types(hint)
        return hint(**{name: _restore(item, hints.get(name, object)) for name, item in value.items()})
    return value


def _choose(value, options):
    """Return which of some types a value of JSON stands for: a section is known by its fields, a list is a tuple."""
    sections = [option for option in options if dataclasses.is_dataclass(option)]
    if isinstance(value, dict) and sections:
        return max(sections, key=lambda option: len({spec.name for spec in dataclasses.fields(option)} & set(value)))
    kind = {list: tuple, dict: dict}.get(type(value))
    likely = [option for option in options if kind and typing.get_origin(option) is kind]
    # Of several tuples the one that has as many items.
    return next((option for option in likely if len(typing.get_args(option)) == len(value)), (*likely, object)[0])


def divide_fields(recipes: Sequence[Mapping]) -> tuple[list[str], dict[str, list[str]]]:
    """Divide the fields of several recipes: those that all have, and those of parts (a phase) that only some have.

    Args:
        recipes: The fields of each by dotted name, as `flatten` returns them.

    Returns:
        Names of fields; and the name of each part with the names of its fields that some recipe lacks. A field that is
        empty in one recipe and has parts in another is told by those.

    >>> divide_fields([{"seed": 0, "phases.0.thaw": 1}, {"seed": 1, "phases": []}])
    (['seed'], {'phases.0': ['phases.0.thaw']})
    """
    names = dict.fromkeys(name for fields in recipes for name in fields)
    lacking: dict[str, list[str]] = {}
    for name in names:
        part = name.rpartition(".")[0]
        if part and not all(name in fields for fields in recipes):
            lacking.setdefault(part, []).append(name)
    told = {name for inside in lacking.values() for name in inside}
    shared = [name for name in names if name not in told and not any(other.startswith(f"{name}.") for other in names)]
    return shared, lacking


def join_fields(fields: Mapping, names: Iterable[str], show: Callable[[object], str] = str) -> str:
    """Return those of some fields that one part of a recipe has, on one line.

    >>> join_fields({"phases.0.name": "head", "phases.0.thaw": 0}, ["phases.0.name", "phases.0.thaw", "phases.0.unit"])
    'name=head, thaw=0'
    """
    return ", ".join(f"{name.rpartition('.')[2]}={show(fields[name])}" for name in names if name in fields)


def name_differences(old: dict, new: dict) -> list[tuple[str, object, object]]:
    """Return the fields in which two recipes differ, as `to_json` gives them: name, value there, value here.

    >>> name_differences({"seed": 0, "keep": "best"}, {"seed": 1, "keep": "best"})
    [('seed', 0, 1)]
    >>> name_differences({"classes": None}, {"classes": {"ill": ["1"]}})
    [('classes', None, {'ill': ['1']})]
    """
    old, new = flatten(old), flatten(new)
    # A field that is None there and has parts here differs as a whole.
    whole = [
        key for one, other in ((old, new), (new, old)) for key in one if one[key] is None and find_parts(other, key)
    ]
    parts = {f"{key}.{part}" for key in whole for fields in (old, new) for part in find_parts(fields, key)}
    old, new = ({**{key: find_parts(fields, key) for key in whole}, **fields} for fields in (old, new))
    keys = [key for key in {**old, **new} if key not in parts]
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def find_parts(fields: Mapping, name: str) -> dict:
    """Return the parts of a field that has some, by their own names, of fields by dotted name.

    >>> find_parts({"data.classes.ill": ["1"], "seed": 0}, "data.classes")
    {'ill': ['1']}
    """
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in fields.items() if key.startswith(start)}
