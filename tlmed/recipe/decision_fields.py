"""The rules of the fields that say how probabilities become classes: costs, their ratio, and logit adjustment."""

import math
from collections.abc import Iterator, Mapping

from tlmed.sections import Images
from tlmed.sections.rules import positive
from tlmed.tasks import ORDINAL

COSTS = (
    "{true class: {predicted class: cost}}, with costs that are finite and 0 or more, and none for a right answer, or "
    "None"
)
ABOVE_ZERO = "a number above 0, or None"
_BY_DEFAULT, _OBSERVED = "youden", "costs"  # of `threshold`
_REAL_MIX = {"class_weight": "none", "sampling": "none"}  # without these, classes count as they are in the images


def are_costs(value: Mapping | None) -> bool:
    """Tell whether a value of the right type can be the costs of errors.

    >>> are_costs(None), are_costs({"ill": {"well": 10}}), are_costs({"ill": {"ill": 0}}), are_costs({})
    (True, True, False, False)
    """
    return value is None or (any(value.values()) and not any(_find_wrong(value)))


def say_wrong_costs(value: object) -> str:
    """Name the first cost that is none, with a space before it; "" where the fault is another one.

    >>> say_wrong_costs({"ill": {"well": 10, "ill": 1}})
    " A right answer has no cost: 'ill' as 'ill'."
    """
    return f" {found}" if (found := next(_find_wrong(value), "")) else ""


def _find_wrong(value) -> Iterator[str]:
    """Yield a sentence for each entry that cannot be a cost."""
    rows = value.items() if isinstance(value, Mapping) else ()
    for true, row in rows:
        for guess, cost in row.items() if isinstance(row, Mapping) else ():
            if true == guess:
                yield f"A right answer has no cost: {true!r} as {guess!r}."
            elif isinstance(cost, int | float) and not 0 <= cost < math.inf:
                yield f"{true!r} as {guess!r} costs {cost!r}."


def find_stated_faults(costs: Mapping | None, ratio: float | None) -> list[str]:
    """Return a sentence for costs, and for a ratio, that are none; a recipe's fields have the same rules.

    >>> find_stated_faults(None, -2)
    ['`cost_ratio` must be a number above 0, or None. Received: cost_ratio=-2.']
    """
    faults = []
    if not are_costs(costs):
        faults.append(f"`costs` must be {COSTS}.{say_wrong_costs(costs)} Received: costs={costs!r}.")
    if not is_above_zero(ratio):
        faults.append(f"`cost_ratio` must be {ABOVE_ZERO}. Received: cost_ratio={ratio!r}.")
    return faults


def is_above_zero(value: float | None) -> bool:
    """Tell whether a number, if there is one, is finite and above 0."""
    return value is None or positive(value)


def find_decision_faults(recipe) -> list[str]:
    """Return one sentence for each pair of fields of a recipe that say different things about decisions."""
    stated = [name for name in ("costs", "cost_ratio") if getattr(recipe, name) is not None]
    faults = []
    if len(stated) > 1:
        faults.append(f"`cost_ratio` must be None with `costs`. Received: cost_ratio={recipe.cost_ratio!r} with both.")
    if recipe.threshold == _OBSERVED and not stated:
        faults.append("`threshold` needs `costs` or `cost_ratio`. Received: threshold='costs' without them.")
    if recipe.logit_adjustment is not None:
        return [*faults, *_find_adjustment_faults(recipe, stated)]
    if stated and recipe.threshold not in (_BY_DEFAULT, _OBSERVED):
        faults.append(
            f"`threshold` must be 'costs', or left out, with `{stated[0]}`, which decides. "
            f"Received: threshold={recipe.threshold!r}."
        )
    if stated and recipe.threshold == _BY_DEFAULT:
        faults += [
            f"`{name}` must be {right!r} with `{stated[0]}`: decisions by expected cost need the probabilities of the "
            f"real mix of classes. Received: {name}={getattr(recipe, name)!r}."
            for name, right in _REAL_MIX.items()
            if getattr(recipe, name) != right
        ]
    return faults


def _find_adjustment_faults(recipe, stated) -> list[str]:
    if isinstance(recipe.data, Images) and recipe.resolved_task == ORDINAL:
        return [
            "`logit_adjustment` must be None for ordered classes, whose median is predicted. "
            f"Received: logit_adjustment={recipe.logit_adjustment!r} with task='ordinal'."
        ]
    rules = {
        **dict.fromkeys(stated, (None, "None")),
        "threshold": (_BY_DEFAULT, "left out"),
        **{name: (right, f"{right!r}, because both together correct twice,") for name, right in _REAL_MIX.items()},
    }
    return [
        f"`{name}` must be {said} with `logit_adjustment`. Received: {name}={getattr(recipe, name)!r}."
        for name, (right, said) in rules.items()
        if getattr(recipe, name) != right
    ]
