"""Predictive values of a positive and a negative prediction at a stated prevalence."""

import math

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_owners, find_missing_kind
from tlmed.metrics.combining import combine_ratio
from tlmed.metrics.proportions import LEAST_GROUPS, has_few_groups, proportion


def predictive_values(
    positive: np.ndarray, predicted: np.ndarray, prevalence: float, owners: np.ndarray | None = None
) -> dict[str, dict]:
    """Return the predictive values of a positive and a negative prediction at a stated prevalence.

    Bayes' theorem: the odds of a predictive value are those of the prevalence times the ratio of two rates (the
    likelihood ratio). These rates are the shares of the positive and of the negative images that get the prediction.
    The interval is MOVER-R of their own intervals, which are those that `evaluate` gives for sensitivity and
    specificity, by groups if groups have several images. Coverage is the same at every prevalence. Computed exactly for
    20, 30, 50 and 200 images of each class, sensitivity 0.8 to 0.999 and specificity 0.8 to 0.999, it covers in 92.2 to
    98.3 %. The logit interval of Mercaldo, Lau & Zhou (Statistics in Medicine 2007, 26:2170-2183), with their adjusted
    estimates where a rate is 1, covered down to 79 %.

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        predicted: Whether each is predicted to be, bool [n], or 0 and 1.
        prevalence: The share of positives where the test is to be used, between 0 and 1.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Returns:
        `ppv` and `npv`, each with `value`, `low`, `high` and `method`; undefined (None, with a `reason`) where
        nothing is predicted positive, or nothing negative; without an interval, with a `note`, where groups have
        several images and a class has fewer than ten groups.

    Raises:
        InputError: If the prevalence is not between 0 and 1, one kind of image is missing, or an array is something
            else.

    >>> positive, predicted = np.repeat([True, False], 100), np.r_[np.ones(90), np.zeros(90), np.ones(20)] == 1
    >>> round(predictive_values(positive, predicted, prevalence=0.05)["ppv"]["value"], 4)
    0.1915
    """
    positive, predicted = as_flags(positive=positive, predicted=predicted)
    owners = as_owners(len(positive), owners)
    faults = find_missing_kind(positive)
    if not 0 < prevalence < 1:
        faults.append(f"`prevalence` must be between 0 and 1. Received: prevalence={prevalence}.")
    if faults:
        raise InputError(faults)
    return {
        "ppv": _weigh(positive, predicted, prevalence, owners, "No image was predicted as positive."),
        "npv": _weigh(~positive, ~predicted, 1 - prevalence, owners, "Every image was predicted as positive."),
    }


def _weigh(own, predicted, share, owners, reason) -> dict:
    """Return the predictive value of a prediction for images of which a share is of the own kind."""
    if not predicted.any():
        return {"value": None, "low": None, "high": None, "method": None, "reason": reason}
    right, wrong = (proportion(predicted[rows], None if owners is None else owners[rows]) for rows in (own, ~own))
    caught, false = right["value"] * share, wrong["value"] * (1 - share)
    value = float(caught / (caught + false))
    if owners is not None and any(has_few_groups(owners[rows]) for rows in (own, ~own)):
        note = f"A class has fewer than {LEAST_GROUPS} groups, from which no interval follows."
        return {"value": value, "low": None, "high": None, "method": None, "note": note}
    bounds = combine_ratio(right, wrong, 0.0 if owners is None else _correlate(own, predicted, owners))
    low, high = (1.0 if math.isinf(ratio) else ratio * share / (ratio * share + 1 - share) for ratio in bounds)
    rates = "sensitivity and specificity" + ("" if owners is None else " by groups")
    method = f"MOVER-R of the intervals of {rates}, at their ratio (Donner & Zou 2012)"
    return {"value": value, "low": float(min(low, value)), "high": float(max(high, value)), "method": method}


def _correlate(own, predicted, owners) -> float:
    """Return the correlation of both rates, 0 unless groups have images of both kinds and both rates vary."""
    totals = [
        np.bincount(owners, rows * (predicted - predicted[rows].mean()), minlength=int(owners.max()) + 1)
        for rows in (own, ~own)
    ]
    scale = math.sqrt((totals[0] @ totals[0]) * (totals[1] @ totals[1]))
    return float(totals[0] @ totals[1]) / scale if scale > 1e-12 else 0.0
