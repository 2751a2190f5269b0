"""What errors cost: the expected cost, and its share of what the best constant answer would cost."""

import math

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_owners, find_class_faults
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
