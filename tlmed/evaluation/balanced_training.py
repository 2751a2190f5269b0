"""What balanced training does to probabilities, in words."""

from collections.abc import Mapping

BALANCED = (
    "Training balanced the classes, so that the probabilities are those of equally frequent classes: too high for rare "
    "ones. A temperature does not mend this."
)


def say_balanced(recipe: Mapping) -> str:
    """Say that probabilities are those of another mix of classes, where the recipe balanced them; "" elsewhere.

    A hybrid's classifier is calibrated to the real mix after it was fitted with class weights.

    Args:
        recipe: `recipe.json`, or nothing of it.

    >>> say_balanced({"head": {"dropout": 0.2}, "class_weight": "balanced"}) == BALANCED, say_balanced({})
    (True, '')
    """
    balanced = "balanced" in (recipe.get("class_weight"), recipe.get("sampling"))
    return BALANCED if balanced and "classifier" not in recipe.get("head", {}) else ""
