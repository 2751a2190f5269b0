"""Answers that need no asking, because images, a run or other answers tell them."""

from collections.abc import Mapping

from tlmed.fingerprint.questions import judge_balance


def tell_from_counts(counts: Mapping[str, int]) -> dict[str, str | int]:
    """Return the answers that the images of each class give, by the names of questions.

    Args:
        counts: Images of each class; classes without images are left out of the comparison.

    >>> tell_from_counts({"benign": 30, "malignant": 10})
    {'findings': 'one', 'classes': 2, 'balance': 'unbalanced'}
    """
    return {
        "findings": "one",
        "classes": len(counts),
        "balance": judge_balance([number for number in counts.values() if number]),
    }


def tell_from_labels(counts: Mapping[str, tuple[int, int]]) -> dict[str, str | int]:
    """Return the answers that the labels of images give, where an image may have several.

    Args:
        counts: For each label the images that have it, and those that are known not to. The rarest side of any label
            tells the balance; one without images is the rarest that there is.

    >>> tell_from_labels({"edema": (10, 12), "mass": (1, 20)})
    {'findings': 'several', 'classes': 2, 'balance': 'unbalanced'}
    """
    judged = ["unbalanced" if not min(sides) else judge_balance(sides) for sides in counts.values()]
    return {"findings": "several", "classes": 2, "balance": "unbalanced" if "unbalanced" in judged else "balanced"}


def tell_from_recipe(recipe: Mapping) -> dict[str, str]:
    """Return the answers that a recipe gives, from its fields as `recipe.json` has them.

    >>> tell_from_recipe({"prevalence": 0.02, "cost_ratio": 10.0, "data": {"order": ["1", "2", "3"]}})
    {'prevalence': 'other', 'costs': 'unequal', 'order': 'yes'}
    """
    stated = {
        ("prevalence", "other"): recipe.get("prevalence"),
        ("costs", "unequal"): recipe.get("costs") or recipe.get("cost_ratio"),
        ("order", "yes"): recipe.get("data", {}).get("order"),
    }
    return dict(answer for answer, value in stated.items() if value is not None)


def tell_from_answers(answers: Mapping[str, str | int]) -> dict[str, str | int]:
    """Return the answers that follow from others.

    >>> tell_from_answers({"classes": 2}), tell_from_answers({"findings": "several"})
    ({'order': 'no'}, {'classes': 2, 'order': 'no'})
    """
    if answers.get("findings") == "several":
        return {"classes": 2, "order": "no"}
    return {"order": "no"} if answers.get("classes") == 2 else {}
