"""What a recipe states of errors, for some classes: what they cost, and by which rule a class is predicted."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.evaluation.answer_rules import AnswerRule, ExpectedCost, LogitAdjustment
from tlmed.metrics import positive_index
from tlmed.metrics.decision_rules import fill_costs
from tlmed.recipe import Recipe


def find_costs(recipe: Recipe, classes: Sequence[str]) -> np.ndarray | None:
    """Return what an answer costs, float [true class, predicted class]; None where the recipe states nothing.

    Raises:
        InputError: If the costs, or the positive class, do not fit the classes.
    """
    if recipe.costs is None and recipe.cost_ratio is None:
        return None
    return fill_costs(recipe.costs, recipe.cost_ratio, classes, positive_index(classes, recipe.data.positive))


def find_rule(recipe: Recipe, classes: Sequence[str], counts: Sequence[int]) -> str | float | AnswerRule:
    """Return how scores become classes: the recipe's threshold, or a rule for calibrated probabilities.

    Costs are weighed with probabilities for the prevalence that the recipe states, if it states one.

    Args:
        recipe: The recipe.
        classes: The k names.
        counts: The number of training images of each, int [k].
    """
    costs = find_costs(recipe, classes)
    if recipe.logit_adjustment is not None:
        return LogitAdjustment(np.asarray(counts) / sum(counts), float(recipe.logit_adjustment))
    if costs is None or recipe.threshold == "costs":
        return recipe.threshold
    if recipe.prevalence is None:
        return ExpectedCost(costs)
    stated = np.full(2, 1 - recipe.prevalence)
    stated[positive_index(classes, recipe.data.positive)] = recipe.prevalence
    return ExpectedCost(costs, np.asarray(counts) / sum(counts), stated)


def restate(recipe: Recipe, stated: Mapping[str, object]) -> Recipe:
    """Return a recipe whose classes are predicted by other costs, or by another logit adjustment, alone.

    Args:
        recipe: The recipe of a run.
        stated: `costs`, `cost_ratio` and `logit_adjustment`, as in a recipe, as far as they are wanted.

    Raises:
        InputError: If they break a rule, or if the recipe balances its classes.
    """
    nothing = {"costs": None, "cost_ratio": None, "logit_adjustment": None, "threshold": "youden"}
    return dataclasses.replace(recipe, **nothing | stated)
