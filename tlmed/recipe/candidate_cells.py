"""The cells of a search: a candidate on a draw of validation images, the probe of a backbone, and the winner."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping

from tlmed.recipe.recipe import Recipe
from tlmed.recipe.search_space import (
    AUGMENT,
    BACKBONE,
    DROPOUT,
    MILD,
    NONE,
    OWN,
    RATE,
    RECIPE,
    SIZE,
    THAW,
    Space,
    find_thawing,
)
from tlmed.recipe.settings import override
from tlmed.recipe.study import Cell, is_random, make_cell, show_value, spell_name
from tlmed.sections import Augment, Degrees, Dense, Phase
from tlmed.seeds import derive

_DIGITS = 3  # of a factor: more would only lengthen the winner's recipe
_MILD = Augment(flip="horizontal", rotation=0.028)  # 10 degrees; for images whose sides mean the same


def start_at(space: Space, title: str, backbone: str | None = None) -> dict[str, str | float]:
    """Return the values that a recipe has by itself, and the first ones where it has none of those to choose from.

    Args:
        space: The space.
        title: The recipe.
        backbone: The backbone; None: the first of the space.
    """
    recipe = space.recipes[title]
    found: dict[str, str | float] = {RECIPE: title} if len(space.recipes) > 1 else {}
    for each in space.list_for(title):
        found[each.name] = (backbone or each.values[0]) if each.name == BACKBONE else _find_start(space, recipe, each)
    return found


def _find_start(space, recipe, dimension) -> str | float:
    if dimension.name == RATE:
        return 1.0
    if dimension.name == AUGMENT:
        return OWN if recipe.augment.changes_images else NONE
    if dimension.name in space.named:
        same = [text for text, value in space.named[dimension.name].items() if _has(recipe, dimension.name, value)]
        return (same or dimension.values)[0]
    own = {
        SIZE: lambda: show_value(recipe.data.image_size),
        THAW: lambda: str(recipe.phases[find_thawing(recipe)[-1]].thaw),
        DROPOUT: lambda: show_value(recipe.head.dropout),
    }
    return own[dimension.name]()


def _has(recipe, name, value) -> bool:
    """Tell whether a field of a recipe has a value already."""
    texts, values = ([f"{name}={value}"], {}) if isinstance(value, str) else ([], {name: value})
    return override(recipe, texts, values) == recipe


def make_candidate(space: Space, params: Mapping[str, str | float], draw: int, fold: int | None) -> Cell:
    """Return the cell that trains a candidate on one draw of validation images.

    Args:
        space: The space.
        params: The values of its dimensions.
        draw: The number of the draw, from 1: other images become validation images, and training draws anew.
        fold: The fold whose test images take no part; None where the images are divided once.

    Raises:
        InputError: If the values do not go together.
    """
    seed = derive(space.study.first_seed, "search", "draw", draw)
    cell = _make(space, params, (seed, fold))
    recipe = dataclasses.replace(cell.recipe, data=dataclasses.replace(cell.recipe.data, val_seed=draw))
    name = spell_name(_name_parts(cell, params), [f"draw{draw}", *_name_fold(fold)])
    return dataclasses.replace(cell, name=name, recipe=recipe, draw=draw)


def make_final(space: Space, params: Mapping[str, str | float], seed: int, fold: int | None) -> Cell:
    """Return the cell that trains a candidate as a study does: on the splits of the recipe, scored on test images."""
    cell = _make(space, params, (seed, fold))
    name = spell_name(["winner", *_name_parts(cell, params)], [f"seed{seed}", *_name_fold(fold)])
    return dataclasses.replace(cell, name=name)


def make_probe(space: Space, backbone: str, fold: int | None) -> Cell:
    """Return the cell that judges a backbone by a solved head on its frozen features, on the first draw."""
    recipe = next((each for each in space.recipes.values() if not is_random(each)), next(iter(space.recipes.values())))
    plain = dataclasses.replace(
        recipe,
        head=Dense(),
        phases=(Phase("head", thaw=0, solver="lbfgs"),),
        augment=Augment(),
        sampling=NONE,
        phase_patience=None,
        keep="best",
    )
    values = [(name, value) for name, value in space.study.settings.items() if name.startswith("data.")]
    asked = dataclasses.replace(space, study=dataclasses.replace(space.study, settings=dict(values)), fixed=())
    cell = _make(asked, {BACKBONE: backbone}, (space.study.first_seed, fold), ("probe", plain))
    made = dataclasses.replace(cell.recipe, data=dataclasses.replace(cell.recipe.data, val_seed=1))
    name = spell_name(["probe", cell.backbone, _digest({BACKBONE: backbone})], ["draw1", *_name_fold(fold)])
    return dataclasses.replace(cell, name=name, recipe=made, draw=1)


def _make(space, params, place, recipe: tuple[str, Recipe] | None = None) -> Cell:
    """Return the cell of some values, without a name and with all columns of the space."""
    title = space.find_title(params)
    whose = recipe or (title, space.recipes[title])
    fields = [(name, space.named[name][params[name]]) for name in space.named if name in params]
    fields += [(name, params[name]) for name in (SIZE, DROPOUT) if name in params and name not in space.named]
    backbone = params.get(BACKBONE)
    if backbone is not None and is_random(whose[1]):
        backbone = backbone.partition("=")[0]
    cell = make_cell(space.study, (whose, backbone, fields), place, space.fixed, space.given)
    changes = {THAW: _thaw, RATE: _scale, AUGMENT: _augment}
    made = functools.reduce(
        lambda made, name: changes[name](made, params[name]), [name for name in changes if name in params], cell.recipe
    )
    shown = {name: show_value(params[name]) if name in params else "" for name in space.names}
    return dataclasses.replace(cell, recipe=override(made, ()), varied=shown)


def _thaw(recipe: Recipe, degree: str) -> Recipe:
    return _change(recipe, lambda phase: {"thaw": degree if degree == "all" else int(degree)})


def _scale(recipe: Recipe, factor: float) -> Recipe:
    if isinstance(recipe.phases, Degrees):
        rate = _round(recipe.phases.learning_rate * factor)
        return dataclasses.replace(recipe, phases=dataclasses.replace(recipe.phases, learning_rate=rate))
    return _change(recipe, lambda phase: {"learning_rate": _round(phase.learning_rate * factor)})


def _augment(recipe: Recipe, kind: str) -> Recipe:
    if kind == OWN:
        return recipe
    chosen = {NONE: Augment, MILD: lambda: _MILD}.get(kind, lambda: Augment.preset(kind))()
    return dataclasses.replace(recipe, augment=chosen)


def _change(recipe, change: Callable[[Phase], dict]) -> Recipe:
    """Return a recipe with fields of its thawing phases changed."""
    thawing = find_thawing(recipe)
    phases = [
        dataclasses.replace(phase, **change(phase)) if place in thawing else phase
        for place, phase in enumerate(recipe.phases)
    ]
    return dataclasses.replace(recipe, phases=tuple(phases))


def _round(rate: float) -> float:
    return float(f"{rate:.{_DIGITS}g}")


def round_factor(factor: float) -> float:
    """Return a factor with as many digits as a recipe shows.

    >>> round_factor(0.123456)
    0.123
    """
    return _round(factor)


def _name_parts(cell, params) -> list[str]:
    return [cell.title, cell.backbone, _digest(params)]


def _name_fold(fold) -> list[str]:
    return [] if fold is None else [f"fold{fold:02d}"]


def _digest(params) -> str:
    """Return a few digits that tell candidates apart, whichever process makes their cells."""
    return hashlib.sha256(json.dumps(dict(sorted(params.items()))).encode()).hexdigest()[:8]
