"""What a search may choose: the dimensions of a study, and the cell that values of them make."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlmed.errors import InputError
from tlmed.recipe.recipe import Recipe
from tlmed.recipe.resolved import digest
from tlmed.recipe.settings import override
from tlmed.recipe.study import Study, make_cell, read_named, show_value
from tlmed.sections import Degrees, Dense
from tlmed.sections.augment_presets import PRESETS
from tlmed.words import listed

RECIPE, BACKBONE = "recipe", "backbone"
SIZE, THAW, RATE, DROPOUT, AUGMENT = "data.image_size", "thaw", "rate_factor", "head.dropout", "augment"
OWN, NONE, MILD = "own", "none", "mild"
LEAST_SIDE = 32  # pixels, below which an image is not halved
_RATES = (0.1, 10.0)
_DEGREES = (1, 2, 3, 4)
_DROPOUTS = (0.0, 0.2, 0.5)
# Which fields of a recipe, set or varied by a user, take the place of a dimension that a search has by itself.
_PLACES = {
    SIZE: ("data.image_size",),
    THAW: ("phases", "thaw"),
    RATE: ("phases", "learning_rate"),
    DROPOUT: ("head.dropout",),
    AUGMENT: ("augment",),
}


@dataclass(frozen=True)
class Dimension:
    """One thing that a search chooses.

    Attributes:
        name: Its name, which is a column of `search.csv`.
        values: The texts to choose from; none where any number between two bounds will do.
        bounds: The lowest and the highest number, tried evenly in their logarithms; None where there are values.
        recipes: The titles of the recipes that have it.
    """

    name: str
    values: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    recipes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Space:
    """What a search may choose.

    Attributes:
        study: The study that is searched.
        fixed: Settings of all candidates, as after `--set`.
        given: Values of all candidates by dotted names, which are not parsed.
        recipes: The recipes by title.
        dimensions: What is chosen; the recipe first, because others depend on it.
        named: For each varied field, its values by the text that stands for each.
    """

    study: Study
    fixed: tuple[str, ...]
    given: Mapping
    recipes: Mapping[str, Recipe]
    dimensions: tuple[Dimension, ...]
    named: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the columns of the values, without recipe and backbone, which every table has."""
        return tuple(each.name for each in self.dimensions if each.name not in (RECIPE, BACKBONE))

    @property
    def backbones(self) -> tuple[str, ...]:
        """Return the backbones to choose from; none where each recipe has its own."""
        return next((each.values for each in self.dimensions if each.name == BACKBONE), ())

    @property
    def size(self) -> float:
        """Return how many candidates there are; infinite where a number is chosen."""
        return sum(math.prod(_count(each) for each in self.list_for(title)) for title in self.recipes)

    def list_for(self, title: str) -> list[Dimension]:
        """Return what is chosen besides the recipe where this one is chosen."""
        return [each for each in self.dimensions if each.name != RECIPE and title in each.recipes]

    def find_title(self, params: Mapping) -> str:
        """Return the title of the recipe that a candidate has."""
        return params.get(RECIPE) or next(iter(self.recipes))

    def keep(self, backbones: Sequence[str]) -> "Space":
        """Return the same space with some of its backbones."""
        kept = [
            dataclasses.replace(each, values=tuple(backbones)) if each.name == BACKBONE else each
            for each in self.dimensions
        ]
        return dataclasses.replace(self, dimensions=tuple(kept))

    def to_json(self) -> dict:
        """Return what must be the same where a search goes on, as JSON can hold it."""
        return {
            "dimensions": json.loads(json.dumps([dataclasses.asdict(each) for each in self.dimensions])),
            "recipes": {title: digest(self._place(title, recipe)) for title, recipe in self.recipes.items()},
            "folds": self.study.folds,
            "first_seed": self.study.first_seed,
        }

    def _place(self, title, recipe) -> Recipe:
        return make_cell(self.study, ((title, recipe), None, ()), (0, None), self.fixed, self.given).recipe


def _count(dimension) -> float:
    return len(dimension.values) or math.inf


def make_space(study: Study, fixed: Sequence[str] = (), given: Mapping | None = None) -> Space:
    """Return what a search of a study may choose.

    Args:
        study: The study.
        fixed: Settings of all candidates, as after `--set`: what they name is not chosen.
        given: Values of all candidates by dotted names, which are not parsed.

    Raises:
        InputError: If a recipe cannot be read, two have one name, or a setting fits none of them.
    """
    study.check_fixed(fixed)
    named = [read_named(recipe, number) for number, recipe in enumerate(study.recipes, 1)]
    titles = [title for title, _ in named]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise InputError(f"The recipes of a search must have names of their own. Received: {listed(twice)} twice.")
    recipes = {title: override(recipe, fixed, given) for title, recipe in named}
    texts = {name: {show_value(value): value for value in values} for name, values in study.vary.items()}
    found = [Dimension(RECIPE, tuple(titles), recipes=tuple(titles))] if len(titles) > 1 else []
    if study.backbones:
        found.append(Dimension(BACKBONE, study.backbones, recipes=tuple(titles)))
    taken = [*(setting.partition("=")[0].strip() for setting in fixed), *study.settings, *study.vary]
    found += [each for each in _find_own(recipes) if not any(_replaces(name, each.name) for name in taken)]
    found += [
        Dimension(name, tuple(values), recipes=_find_having(study, recipes, name, values.values()))
        for name, values in texts.items()
    ]
    return Space(study, tuple(fixed), dict(given or {}), recipes, tuple(found), texts)


def _find_having(study, recipes, name, values) -> tuple[str, ...]:
    """Return the titles of the recipes that a varied field changes; all if it changes none: they say what is wrong."""
    having = tuple(title for title, recipe in recipes.items() if _changes(study, recipe, name, values))
    return having or tuple(recipes)


def _changes(study, recipe, name, values) -> bool:
    """Tell whether some value of a field makes another recipe; those of phases do not where a recipe has none."""
    settings, made = dict(study.settings), []
    for fields in ({}, *({name: value} for value in values)):
        given = settings | fields
        texts = [f"{key}={value}" for key, value in given.items() if isinstance(value, str)]
        try:
            made.append(override(recipe, texts, {key: it for key, it in given.items() if not isinstance(it, str)}))
        except InputError:
            if not fields:
                return True  # what is wrong is not this field
    return any(each != made[0] for each in made)


def _replaces(name: str, dimension: str) -> bool:
    """Tell whether a field that a user names takes the place of a dimension.

    >>> _replaces("phases.1.thaw", THAW), _replaces("phases.thaw", RATE), _replaces("augment.flip", AUGMENT)
    (True, False, True)
    """
    first, *last = _PLACES[dimension]
    if last:
        return name == first or (name.startswith(f"{first}.") and name.endswith(f".{last[0]}"))
    return name == first or name.startswith(f"{first}.")


def _find_own(recipes: Mapping[str, Recipe]) -> list[Dimension]:
    """Return the dimensions that the recipes have by themselves."""
    of_recipe = {title: _list_values(recipe) for title, recipe in recipes.items()}
    found = []
    for name in _PLACES:
        titles = tuple(title for title, values in of_recipe.items() if name in values)
        values = tuple(dict.fromkeys(value for title in titles for value in of_recipe[title][name]))
        if name == RATE and titles:
            found.append(Dimension(name, bounds=_RATES, recipes=titles))
        elif len(values) > 1:
            found.append(Dimension(name, values, recipes=titles))
    return found


def _list_values(recipe: Recipe) -> dict[str, list[str]]:
    """Return the values of each dimension that a recipe has; a rate has bounds instead."""
    found = {} if recipe.data.spacing or recipe.data.tile else {SIZE: _list_sizes(recipe.data.image_size)}
    if not isinstance(recipe.head, Dense):
        return found
    thawing = find_thawing(recipe)
    if thawing or isinstance(recipe.phases, Degrees):
        found[RATE] = []
    if len(thawing) == 1 and recipe.weights != NONE and recipe.phases[thawing[0]].unit == "block":
        own = recipe.phases[thawing[0]].thaw
        found[THAW] = [str(degree) for degree in dict.fromkeys((*_DEGREES, own))]
    # A solved head takes neither dropout nor new images in each epoch.
    if not isinstance(recipe.schedule, tuple) or all(phase.solver is None for phase in recipe.schedule):
        found[DROPOUT] = [show_value(rate) for rate in sorted({*_DROPOUTS, recipe.head.dropout})]
        if found.keys() & {RATE} and recipe.cache != "on" and not recipe.augment.views:
            found[AUGMENT] = _list_augmentations(recipe)
    return found


def _list_sizes(size: tuple[int, int]) -> list[str]:
    half = tuple(side // 2 for side in size)
    return [show_value(size)] + ([show_value(half)] if min(half) >= LEAST_SIDE else [])


def _list_augmentations(recipe) -> list[str]:
    fitting = recipe.data.modality if recipe.data.modality in PRESETS else MILD
    return [*([OWN] if recipe.augment.changes_images else []), NONE, fitting]


def find_thawing(recipe: Recipe) -> list[int]:
    """Return the places of the phases that thaw something."""
    phases = recipe.phases if isinstance(recipe.phases, tuple) else ()
    return [place for place, phase in enumerate(phases) if phase.thaw != 0]


def describe_space(space: Space) -> list[str]:
    """Return a line for each dimension."""
    lines = []
    for each in space.dimensions:
        values = ", ".join(each.values) if each.bounds is None else f"{each.bounds[0]:g} to {each.bounds[1]:g}"
        few = f" ({', '.join(each.recipes)})" if len(each.recipes) < len(space.recipes) else ""
        lines.append(f"{each.name}: {values}{few}")
    return lines
