"""The costs that a recipe states, for the classes of its images."""

from collections.abc import Sequence

import numpy as np

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
