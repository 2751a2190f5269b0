"""What errors cost: the expected cost, and its share of what the best constant answer would cost."""

import math

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_owners, find_class_faults, find_missing_kind
from tlmed.metrics.combining import combine, combine_ratio
from tlmed.metrics.decision_rules import find_cost_faults
from tlmed.metrics.proportions import LEAST_GROUPS, has_few_groups, proportion

COST_METRICS = ("expected_cost", "normalised_expected_cost")
_NORMALISED = "MOVER-R of the intervals of the expected cost and of that of the best constant answer"


def measure_costs(
    labels: np.ndarray, predictions: np.ndarray, costs: np.ndarray, owners: np.ndarray | None = None
) -> dict[str, dict]:
    """Return the expected cost of answers per image, and its share of what the best constant answer costs.

    A share below 1 is better than to give every image the same answer, whichever costs least on these images (Ferrer,
    arXiv:2209.05355; Maier-Hein et al., Metrics Reloaded, Nature Methods 2024, 21:195-212). With equal costs the
    expected cost is the share of errors.

    The expected cost is the sum over costs of the share of images with that cost. Each share has Wilson's interval, and
    MOVER combines them, so that an expensive error that did not happen counts with what the images leave possible. The
    normalised one is a ratio of two such means, with MOVER-R and their correlation. Both are by groups if groups have
    several images.

    Args:
        labels: True classes, int [n], 0..k-1.
        predictions: Predicted classes, int [n].
        costs: What an answer costs, float [true class, predicted class].
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Returns:
        `expected_cost` and `normalised_expected_cost`, each with `value`, `low`, `high` and `method`; a `note` where
        there is no interval, a `reason` where the second is undefined.

    Raises:
        InputError: If an array is something else.

    >>> labels, predictions = np.array([0] * 8 + [1] * 2), np.array([0] * 7 + [1] * 3)
    >>> found = measure_costs(labels, predictions, np.array([[0.0, 1.0], [5.0, 0.0]]))
    >>> found["expected_cost"]["value"], found["normalised_expected_cost"]["value"]
    (0.1, 0.125)
    """
    labels, predictions, costs = np.asarray(labels), np.asarray(predictions), np.asarray(costs)
    faults = find_cost_faults(costs)
    for name, values in {"labels": labels, "predictions": predictions}.items():
        faults += [] if faults else find_class_faults(name, values, len(labels), len(costs))
    if faults:
        raise InputError(faults)
    owners = as_owners(len(labels), owners)
    best = int(costs[labels].mean(axis=0).argmin())
    paid, least = costs[labels, predictions], costs[labels, best]
    top, bottom = _bound(paid, costs, owners), _bound(least, costs[:, best], owners)
    return {"expected_cost": top, "normalised_expected_cost": _normalise(top, bottom, _correlate(paid, least, owners))}


def costs_at_prevalence(
    positive: np.ndarray,
    predicted: np.ndarray,
    costs: tuple[float, float],
    prevalence: float,
    owners: np.ndarray | None = None,
) -> dict[str, dict]:
    """Return the expected cost of answers per image, and its normalised form, at a stated prevalence.

    With the shares of missed positives and of false alarms, it is prevalence * miss * cost of a miss + (1 - prevalence)
    * alarm * cost of an alarm. Each share has Wilson's interval, and MOVER combines them. What the best constant answer
    costs is known at a stated prevalence, so that the normalised form has the same interval, divided by it.

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        predicted: Whether each is predicted to be, bool [n], or 0 and 1.
        costs: What a missed positive costs, and what a false alarm does; 0 or more.
        prevalence: The share of positives where the answers are used, between 0 and 1.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Returns:
        As `measure_costs`.

    Raises:
        InputError: If the prevalence or a cost is out of range, one kind of image is missing, or an array is something
            else.

    >>> positive, predicted = np.repeat([True, False], 100), np.r_[np.ones(90), np.zeros(90), np.ones(20)] == 1
    >>> found = costs_at_prevalence(positive, predicted, (10.0, 1.0), prevalence=0.05)
    >>> {name: round(entry["value"], 4) for name, entry in found.items()}
    {'expected_cost': 0.24, 'normalised_expected_cost': 0.48}
    """
    positive, predicted = as_flags(positive=positive, predicted=predicted)
    owners, faults = as_owners(len(positive), owners), find_missing_kind(positive)
    if not 0 < prevalence < 1:
        faults.append(f"`prevalence` must be between 0 and 1. Received: prevalence={prevalence}.")
    if not all(0 <= cost < math.inf for cost in costs):
        faults.append(f"`costs` must be two finite numbers, 0 or more. Received: costs={costs!r}.")
    if faults:
        raise InputError(faults)
    weights = [prevalence * costs[0], (1 - prevalence) * costs[1]]
    top = _bound_rates(positive, predicted, weights, owners)
    if not min(weights):
        nothing = {"value": None, "low": None, "high": None, "method": None}
        reason = "To give every image the same answer costs nothing."
        return dict(zip(COST_METRICS, (top, {**nothing, "reason": reason}), strict=True))
    share = {name: top[name] if top[name] is None else top[name] / min(weights) for name in ("value", "low", "high")}
    return dict(zip(COST_METRICS, (top, {**top, **share}), strict=True))


def _bound_rates(positive, predicted, weights, owners) -> dict:
    """Return the weighted sum of the shares of missed positives and of false alarms, with its interval."""
    parts = [(positive, ~predicted), (~positive, predicted)]
    rates = [proportion(wrong[rows], None if owners is None else owners[rows]) for rows, wrong in parts]
    value = float(sum(weight * rate["value"] for weight, rate in zip(weights, rates, strict=True)))
    if owners is not None and any(has_few_groups(owners[rows]) for rows, _ in parts):
        note = f"A class has fewer than {LEAST_GROUPS} groups, from which no interval follows."
        return {"value": value, "low": None, "high": None, "method": None, "note": note}
    moves = (rows * (wrong - wrong[rows].mean()) / rows.sum() for rows, wrong in parts)
    low, high = combine(rates, moves, weights, owners)
    by = "" if owners is None else " by groups"
    method = f"MOVER of the intervals of sensitivity and specificity{by}, each Wilson score (Zou & Donner 2008)"
    return {"value": value, "low": max(0.0, low), "high": min(sum(weights), high), "method": method}


def _bound(paid, possible, owners) -> dict:
    """Return the mean of costs [n] with its interval; `possible` holds all costs that there could have been."""
    value = float(paid.mean())
    if owners is not None and has_few_groups(owners):
        note = f"Fewer than {LEAST_GROUPS} groups, from which no interval follows."
        return {"value": value, "low": None, "high": None, "method": None, "note": note}
    levels = np.unique(possible[possible > 0]).tolist()
    shares = [proportion(paid == level, owners) for level in levels]
    moves = (((paid == level) - np.mean(paid == level)) / len(paid) for level in levels)
    low, high = combine(shares, moves, levels, owners)
    by = "" if owners is None else f" by {len(np.unique(owners))} groups"
    many = f"{len(levels)} costs" if len(levels) > 1 else "1 cost"
    method = f"MOVER of the shares of images with {many}{by}, each Wilson score (Zou & Donner 2008)"
    return {
        "value": value,
        "low": min(max(0.0, low), value),
        "high": max(min(max(levels, default=0.0), high), value),
        "method": method,
    }


def _normalise(top, bottom, correlation) -> dict:
    nothing = {"value": None, "low": None, "high": None, "method": None}
    if not bottom["value"]:
        return {**nothing, "reason": "To give every image of the split the same answer costs nothing."}
    value = top["value"] / bottom["value"]
    if top["low"] is None:
        return {**nothing, "value": value, "note": top["note"]}
    low, high = combine_ratio(top, bottom, correlation)
    if math.isinf(high):
        note = (
            "The best constant answer may cost nothing: its interval begins at 0, from which none of a ratio follows."
        )
        return {**nothing, "value": value, "note": note}
    return {
        "value": value,
        "low": min(low, value),
        "high": max(high, value),
        "method": f"{_NORMALISED} (Donner & Zou 2012)",
    }


def _correlate(paid, least, owners) -> float:
    """Return the correlation of two means over images, or groups; 0 where one of them does not vary."""
    moves = [each - each.mean() for each in (paid, least)]
    totals = moves if owners is None else [np.bincount(owners, each) for each in moves]
    scale = math.sqrt((totals[0] @ totals[0]) * (totals[1] @ totals[1]))
    return float(totals[0] @ totals[1]) / scale if scale > 1e-12 else 0.0
