"""What keeps the classes of the data from being told apart, or graded, as a recipe asks."""

import dataclasses

import numpy as np

from tlmed import metrics
from tlmed.class_order import are_numbers
from tlmed.data import ImageSet, Table
from tlmed.errors import InputError, did_you_mean
from tlmed.inference.stated_costs import find_costs
from tlmed.metrics.weighted_kappas import find_weight_faults
from tlmed.recipe import Recipe
from tlmed.recipe.label_rules import find_label_faults
from tlmed.tasks import ORDINAL
from tlmed.words import listed


def find_task_faults(recipe: Recipe, table: Table) -> list[str]:
    """Return a sentence for each field of a recipe that does not go with the classes, or the labels, of its data."""
    classes = table.classes
    codes = _find_code_faults(recipe.data.codes, classes)
    if table.is_multi:
        return [*find_label_faults(recipe), *codes]
    weights = find_weight_faults(recipe.stated.kappa_weights, len(classes))
    return [*_find_decision_faults(recipe, classes), *_find_order_faults(recipe, classes), *weights, *codes]


def _find_code_faults(codes, classes) -> list[str]:
    """Check that codes are of classes."""
    strangers = [name for name in codes or () if name not in classes]
    if not strangers:
        return []
    return [
        f"`data.codes` must be of classes of the data: {listed(map(repr, classes))}."
        f"{did_you_mean(strangers[0], classes)} Received: a code of {strangers[0]!r}."
    ]


def _find_decision_faults(recipe, classes) -> list[str]:
    """Check the costs, and the fields that need two classes: the positive one, its threshold and its prevalence."""
    faults = []
    try:
        metrics.positive_index(classes, recipe.data.positive)
        find_costs(recipe, classes)
    except InputError as error:
        faults += error.faults
    # A field with its default value was not asked for, so it is no fault where there are more classes.
    default = {spec.name: spec.default for spec in dataclasses.fields(recipe)}
    faults += [
        f"`{name}` needs exactly two classes. Received: {name}={getattr(recipe, name)!r} with {len(classes)} classes."
        for name in ("threshold", "prevalence")
        if len(classes) != 2 and getattr(recipe, name) != default[name]
    ]
    return faults


def find_prior_faults(recipe: Recipe, images: ImageSet) -> list[str]:
    """Return a sentence for each class without a training image, where a rule needs the shares of all classes."""
    table, costs = images.table, recipe.costs is not None or recipe.cost_ratio is not None
    name = "prevalence" if costs and recipe.prevalence is not None else "logit_adjustment"
    if getattr(recipe, name) is None or table.is_multi:
        return []
    counts = np.bincount(table.labels[images.indices("train")], minlength=len(table.classes)).tolist()
    return [
        f"`{name}` needs training images of every class. Received: none of {label!r}."
        for label, amount in zip(table.classes, counts, strict=True)
        if not amount
    ]


def _find_order_faults(recipe, classes) -> list[str]:
    """Check that classes have an order where grades are asked."""
    if recipe.resolved_task != ORDINAL:
        return []
    if len(classes) == 2:
        return [f"`task` must be 'single-label' for two classes. Received: task='ordinal' with {', '.join(classes)}."]
    if recipe.data.order is None and not are_numbers(classes):
        return [
            "`data.order` must name the classes from the lowest grade to the highest where they are no numbers. "
            f"Received: task='ordinal' with {listed(map(repr, classes))}, and no order."
        ]
    return []
