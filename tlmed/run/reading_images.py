"""Read the images of a recipe, before its network is built: their splits, what is found in them, and words for both."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed import metrics
from tlmed.backbones.ancestry import find_known, leave_out_published
from tlmed.backbones.deciding_images import say_taught
from tlmed.cache import cache_folder
from tlmed.data import ImageSet, KnownPixels, load, open_source
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.inner_folds import find_inner_faults
from tlmed.data.leaks import describe_undecided, name_givers
from tlmed.data.pipeline import recognise
from tlmed.data.redivision import redivide
from tlmed.data.splits import find_scheme_faults
from tlmed.data.validation_draws import find_draw_faults
from tlmed.errors import InputError
from tlmed.evaluation.pooling import Pooling, choose_pooling, find_pooling_faults, number_units
from tlmed.evaluation.unit_labels import label_units
from tlmed.findings import Finding, shorten
from tlmed.intensity import Intensity, resolve
from tlmed.plan import describe_images
from tlmed.pseudonyms import say_unknown
from tlmed.recipe import Recipe
from tlmed.run.scoring import describe_lacking
from tlmed.run.task_faults import find_task_faults
from tlmed.sections import KFold
from tlmed.sections.inner_words import say_inner
from tlmed.split_names import PLACES, UNUSED
from tlmed.synthetic import describe_source
from tlmed.tabulation import Table
from tlmed.tasks import MULTI_LABEL, ORDINAL
from tlmed.words import quote_commas


def read_images(
    recipe, skip_bad, intensity: Intensity | None = None, watch: Callable[[bytes, np.ndarray], None] | None = None
) -> ImageSet:
    """Read the recipe's images and divide them; faults that their list alone shows are reported before any is read.

    Args:
        recipe: The recipe.
        skip_bad: Leave out images that cannot be read.
        intensity: What is black and what is white; None: as the recipe says.
        watch: Told of each image that is decoded for the first time, as by `KnownPixels`.
    """
    settings = recipe.data
    table = open_source(settings.source, recipe.layout)
    if faults := _find_list_faults(recipe, table):
        raise InputError(faults)
    rule = PixelRule(settings.image_size, intensity or resolve(settings.window), settings.fit, settings.spacing)
    options = {"watch": watch} if watch else {}
    known = KnownPixels(cache_folder(), rule, **options) if recipe.cache != "off" else None
    images = load(table, rule, settings.split, recipe.split_seed, skip_bad, known=known)
    return redivide(images, settings, recipe.split_seed)


def _find_division_faults(table, settings) -> list[str]:
    """Return why a recipe's images cannot be divided as it asks, as far as this is known without reading them."""
    faults = [*find_scheme_faults(table, settings.split), *find_inner_faults(table, settings.inner)]
    if settings.inner is None:  # an inner fold makes its own validation images, whatever the source gives
        faults += find_draw_faults(table.splits, settings.val_seed, settings.source)
    return faults


def _find_list_faults(recipe, table) -> list[str]:
    faults = [*_find_division_faults(table, recipe.data), *find_task_faults(recipe, table)]
    return faults + find_recipe_pooling_faults(recipe, table)


def find_source_faults(recipes: Sequence[Recipe]) -> list[list[str]]:
    """Return for each recipe what is wrong with its images, as far as their list alone shows it; none is read.

    Args:
        recipes: The recipes; of a cross-validation one fold.
    """
    found, last, table = [], None, None
    for recipe in recipes:
        key = recipe.data.source, recipe.layout
        try:
            if key != last:  # for the list of some sources, the headers of all files have to be read
                table, last = open_source(*key), key
            found.append(_find_list_faults(recipe, table))
        except InputError as error:
            found.append(list(error.faults))
    return found


def read_leniently(recipe: Recipe) -> tuple[ImageSet, str]:
    """Read images to be looked at, whatever is wrong with them: broken ones are left out, one class is enough.

    Args:
        recipe: The recipe. Of a cross-validation the first fold is taken.

    Returns:
        The images, in their splits, and ""; or, if they cannot be divided as the recipe asks, all as test images, and
        why.

    Raises:
        InputError: There is no image, none can be read, or the source cannot be opened.
    """
    recipe = take_first_fold(recipe)
    settings, seed = recipe.data, recipe.split_seed
    table = open_source(settings.source, recipe.layout, fewest=1)
    rule = PixelRule(settings.image_size, resolve(settings.window), settings.fit, settings.spacing)
    known = KnownPixels(cache_folder(), rule) if recipe.cache != "off" else None
    try:
        if faults := _find_division_faults(table, settings):
            raise InputError(faults)
        images = load(table, rule, settings.split, seed, skip_bad=True, known=known)
        return redivide(images, settings, seed), ""
    except InputError as error:  # where it is not the division, reading them without one raises it again
        return load(table, rule, None, seed, skip_bad=True, known=known), error.faults[0]


def examine_images(recipe, images) -> ImageSet:
    """Mark the test images that the weights' run has seen; warn where that cannot be told, and of what is left out."""
    known, unsure = find_known(leave_out_published(recipe.weights, recipe.backbone), images.table.identifiers)
    default = () if images.table.is_multi else metrics.describe_default(images.table.classes, recipe.data.positive)
    hidden = describe_undecided(images.table, images.sha256, images.splits == "test", name_givers(known))
    lacking = describe_lacking(images, choose_recipe_pooling(recipe, images.table))
    warnings = (*default, *images.warnings, *lacking, *unsure, *hidden)
    return dataclasses.replace(recognise(images, known, not unsure), warnings=warnings)


def look(recipe: Recipe, skip_bad: bool = False) -> tuple[ImageSet, list[str | Table]]:
    """Read the images of a recipe as `preview` does, but neither build nor check a network.

    Args:
        recipe: The recipe. Of a cross-validation the first fold is taken.
        skip_bad: Leave out images that cannot be read.

    Returns:
        The images, in their splits; some sentences and a table of them, as `preview` gives.

    Raises:
        InputError: With every fault of data.
    """
    recipe = take_first_fold(recipe)
    images = examine_images(recipe, read_images(recipe, skip_bad))
    return images, [*describe_synthetic(recipe), describe_counts(recipe, images), *describe_found(recipe, images)]


@dataclass(frozen=True)
class Introduction:
    """What a command says of a recipe's images before it trains.

    Attributes:
        said: How many there are.
        found: What was found in them, leaks first.
        taught: On which of those that can become validation images the weights were trained, a sentence for each run.
    """

    said: list[str]
    found: list[str]
    taught: list[str]


def introduce(recipe: Recipe, skip_bad: bool = False) -> Introduction:
    """Return what a command says of a recipe's images before it trains.

    Args:
        recipe: The recipe. Of a cross-validation the first fold is taken.
        skip_bad: Leave out images that cannot be read; how many is among what was found.

    Raises:
        InputError: With every fault of data.
    """
    recipe = take_first_fold(recipe)
    images = examine_images(recipe, read_images(recipe, skip_bad))
    found = list_found(images, "listed in the environment.json of each run")
    said = [*describe_synthetic(recipe), describe_counts(recipe, images)]
    return Introduction(said, found, say_taught(recipe.weights, recipe.backbone, images))


def list_found(images: ImageSet, where: str) -> list[str]:
    """Return what is found in images, leaks first, as much as a screen shows; each warning is a kind of its own.

    Args:
        images: The images.
        where: Where the others are found, as words after "is" or "are".
    """
    return shorten([*images.leaks, *(Finding(sentence, sentence) for sentence in images.warnings)], where)


def describe_found(recipe: Recipe, images: ImageSet) -> list[str | Table]:
    """Return a table of images by class and split, one of what they make up, and below them what is found in them."""
    counts = describe_images(images.table.classes, images.table.labels, images.splits, images.table.groups)
    found = (f"Found: {sentence}" for sentence in list_found(images, "not shown"))
    return ["", counts, "", *_describe_units(recipe, images), *found]


def _describe_units(recipe, images) -> list[str | Table]:
    """Return how many files or groups of each class are in each split; nothing where each image has its own answer."""
    table, pooling = images.table, choose_recipe_pooling(recipe, images.table)
    # As `pool` does: where a given split separates the images of a unit, it is a unit in each split.
    found, members = number_units(
        list(zip(images.splits.tolist(), pooling.name(table.paths, table.groups), strict=True))
    )
    if len(found) == len(table):
        return []
    counts = describe_images(table.classes, label_units(table.labels, members), np.array([split for split, _ in found]))
    return [f"{pooling.unit.capitalize()}s, each with one answer:", counts, ""]


def take_first_fold(recipe) -> Recipe:
    """Return the recipe of the first fold where it asks for all folds of a cross-validation."""
    split = recipe.data.split
    if not isinstance(split, KFold) or split.fold is not None:
        return recipe
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, split=dataclasses.replace(split, fold=1)))


def describe_synthetic(recipe) -> list[str]:
    """Say that images are synthetic, where they are."""
    return [f"{sentence} `--data FOLDER` takes images of yours." for sentence in describe_source(recipe.data.source)]


def describe_counts(recipe, images) -> str:
    """Return how many images there are, by split, and the classes or labels, in a line."""
    places = [place for place in PLACES if place != UNUSED or len(images.used) < len(images.splits)]
    counts = ", ".join(f"{place} {len(images.indices(place)):,}" for place in places)
    names, task, asked = images.table.classes, recipe.find_task(images.table.is_multi), recipe.data.positive is not None
    main = None if images.table.is_multi else metrics.positive_index(names, recipe.data.positive)
    marked = metrics.say_positive(names, None if main is None else names[main], asked, "; positive: {}")
    unknown = say_unknown(recipe.data.groups, images.table.groups or (), images.table.pseudonyms)
    inner = None if recipe.data.inner is None else dataclasses.asdict(recipe.data.inner)
    read = f"{len(images.splits):,} from {recipe.data.source} ({counts}){say_inner(inner, images.apart)}"
    what = {ORDINAL: "grades, from the lowest", MULTI_LABEL: "labels"}.get(task, "classes")
    return f"Images: {read}; {what}: {', '.join(quote_commas(names))}{marked}{unknown}"


def choose_recipe_pooling(recipe, table) -> Pooling:
    """Return how scores of samples become one answer, as a recipe asks and its images allow."""
    return choose_pooling(recipe.data.pool, recipe.data.pool_by, table.paths, table.labels, table.groups)


def find_recipe_pooling_faults(recipe, table) -> list[str]:
    """Return why scores cannot be pooled so."""
    return find_pooling_faults(
        choose_recipe_pooling(recipe, table), table.paths, table.labels, table.classes, table.groups
    )
