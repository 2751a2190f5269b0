"""The field that a user meant by a name that no field has."""

import dataclasses
import difflib
from collections.abc import Iterator

from tlmed.recipe.recipe import Recipe
from tlmed.sections import Phase

_NEAR = 0.6  # least similarity of a suggested name, as `difflib` computes it (its own default)
_MOST = 3  # fields that are suggested at most
_ELSEWHERE = {"model": "backbone", "network": "backbone", "strategy": "distribute", "devices": "distribute"}


def suggest(name: str, recipe: Recipe, path: str = "") -> str:
    """Return ' Did you mean ...?' with the fields that a name may stand for, or '' where none is near.

    Fields are found by their name, by the first letters of its words (`lr` is `learning_rate`), by one of its words,
    and by a similar spelling.

    Args:
        name: A name that no field has.
        recipe: The recipe, whose sections are searched.
        path: The path of the section in which the name was looked for, as `"data."`; fields there need no path.

    >>> from tlmed.recipe import load_recipe
    >>> recipe = load_recipe("fine_tuning")
    >>> suggest("lr", recipe), suggest("sed", recipe)
    (" Did you mean 'phases.learning_rate'?", " Did you mean 'seed'?")
    >>> suggest("size", recipe)
    " Did you mean 'data.image_size' or 'data.batch_size'?"
    """
    wanted = _ELSEWHERE.get(name.lower(), name.lower())[:50]  # `difflib` takes very long for long texts
    ranked = [(_rate(wanted, key.rpartition(".")[2]), key) for key in dict.fromkeys(_list_keys(recipe))]
    best = max((rate for rate, _ in ranked), default=0.0)
    found = [key.removeprefix(path) if key.startswith(path) else key for rate, key in ranked if rate == best >= _NEAR]
    return f" Did you mean {' or '.join(map(repr, found[:_MOST]))}?" if found else ""


def _list_keys(part, path: str = "") -> Iterator[str]:
    """Yield the dotted names of all fields, those of phases without the phase's number."""
    for spec in dataclasses.fields(part):
        yield f"{path}{spec.name}"
        value = getattr(part, spec.name)
        if dataclasses.is_dataclass(value):
            yield from _list_keys(value, f"{path}{spec.name}.")
        elif spec.name == "phases":
            yield from (f"{path}{spec.name}.{inner.name}" for inner in dataclasses.fields(Phase))


def _rate(wanted: str, name: str) -> float:
    """Return how likely it is that a field is meant: 1 if the name is the field's own."""
    words = name.split("_")
    if wanted == name:
        return 1.0
    if wanted.removesuffix("s") == name.removesuffix("s"):
        return 0.97
    if len(words) > 1 and wanted in (*words, "".join(word[0] for word in words)):
        return 0.95
    # Below 0.95: a whole word or the initials tell more than a similar spelling.
    return min(0.9, difflib.SequenceMatcher(None, wanted, name).ratio())
