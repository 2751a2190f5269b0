"""What a recipe would do, in sentences, without training."""

import dataclasses

from tlmed import backbones
from tlmed.data import ImageSet, describe_sampling
from tlmed.data.splits import count_folds
from tlmed.plan import expand
from tlmed.recipe import Recipe
from tlmed.run.preparation import describe_pooling_of, foresee
from tlmed.run.reading_images import describe_counts, describe_found, describe_synthetic
from tlmed.sections import KFold, Phase
from tlmed.sections.augment_words import say_augmentation
from tlmed.tabulation import Table


def preview(recipe: Recipe, skip_bad: bool = False) -> tuple[list[str | Table], dict, tuple[Phase, ...]]:
    """Return what a recipe would do, without training; what `train` refuses is refused.

    Args:
        recipe: The recipe. Of a cross-validation the first fold is shown; making it checks how all are divided.
        skip_bad: Leave out images that cannot be read.

    Returns:
        Some sentences and a table of the images, the content of `plan.json`, and the recipe's schedule, expanded.

    Raises:
        InputError, RunFailed: As `foresee`.
    """
    folds = recipe.data.split if isinstance(recipe.data.split, KFold) else None
    seen = foresee(recipe, skip_bad)
    recipe, images, plan = seen.recipe, seen.images, seen.plan
    phases = expand(recipe.phases, seen.network.parts.backbone) if plan["phases"] else ()
    parameters = f"{plan['parameters']:,} parameters{' with the head' if phases else ''}"
    words = [
        *describe_synthetic(recipe),
        f"Backbone: {backbones.name_all(recipe.backbone)}, {parameters}",
        f"Weights: {seen.weights}",
        *_describe_augmentation(recipe),
        *describe_sampling(recipe.sampling, images.table.labels[images.splits == "train"], images.table.classes),
        describe_counts(recipe, images),
        *images.pixels.rule.describe(),
        *describe_pooling_of(recipe, images),
        images.pixels.room.describe(),
        *describe_found(recipe, images),
    ]
    return [*words, *_describe_folds(folds, images, recipe)], plan, phases


def _describe_augmentation(recipe) -> list[str]:
    said = say_augmentation(dataclasses.asdict(recipe.augment))
    return [f"Augmentation of training images, at most: {said}"] if said else []


def _describe_folds(split, images: ImageSet, recipe) -> list[str]:
    """Say how many folds a cross-validation has and the least and most images of each; nothing for other splits."""
    if split is None:
        return []
    if split.fold is not None:
        return [f"Cross-validation: fold {split.fold} of {split.folds} alone"]
    times = f", repeated {split.repeats} times: {split.folds} runs" if split.repeats > 1 else ": a run for each"
    sizes = count_folds(images.table, images.sha256, split, recipe.split_seed, recipe.data.train_share)
    each = ", ".join(f"{name} {_say_span(amounts)}" for name, amounts in sizes.items())
    return [f"Cross-validation: {split.k} folds{times}, with {each} images; the first fold is shown"]


def _say_span(amounts) -> str:
    """Return the smallest and the largest amount, or the one that all are."""
    return " to ".join(f"{amount:,}" for amount in sorted({min(amounts), max(amounts)}))
