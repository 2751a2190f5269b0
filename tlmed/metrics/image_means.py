"""Metrics that are the mean of one number per image, such as a loss, an error in grades or a cost."""

import math
from collections.abc import Sequence

import numpy as np

from tlmed.metrics.proportions import LEAST_GROUPS, has_few_groups
from tlmed.metrics.sample_sizes import (
    FEW_UNITS,
    LEAST_UNITS,
    NO_INTERVAL,
    count_outside_largest,
    name_units,
)
from tlmed.metrics.spreads import bound_mean, find_strata, measure_spread


def average_images(
    values: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    owners: np.ndarray | None = None,
    most: float = math.inf,
) -> dict:
    """Return the mean of one number per image, with its 95 % interval where enough images support it.

    A share of images is better bounded by `tlmed.metrics.proportions.proportion`.

    Args:
        values: One number per image, 0..`most`, float [n], n of 1 or more.
        labels: True classes, int [n], 0..k-1.
        classes: The k names.
        owners: The number of the group of each image from 0, int [n]; None if no group has several images.
        most: The largest value that an image can have; infinite for none.

    Returns:
        `value`, `low`, `high` and `method`; the last three are None, and a `note` says why, if fewer than five images
        (or groups) outside the largest class decide. A note also says if they are fewer than ten, and where the
        interval is cut.

    >>> found = average_images(np.array([0.0, 1.0] * 10), np.array([0, 1] * 10), ["a", "b"])
    >>> found["value"], round(found["low"], 2), round(found["high"], 2)
    (0.5, 0.26, 0.74)
    """
    value, nothing = float(values.mean()), {"low": None, "high": None, "method": None}
    if owners is not None and has_few_groups(owners):
        return {"value": value, **nothing, "note": f"Fewer than {LEAST_GROUPS} groups, {NO_INTERVAL}"}
    units, which = count_outside_largest(labels, owners, classes)
    if units < LEAST_UNITS:
        return {
            "value": value,
            **nothing,
            "note": f"Fewer than {LEAST_UNITS} {name_units(owners)} decide, {NO_INTERVAL}",
        }
    found = bound_image_mean(value, values, find_strata(labels, owners), owners, most)
    if units < FEW_UNITS:
        said = f"It rests on {units} {name_units(owners)}{which}."
        found["note"] = " ".join(filter(None, [found.get("note"), said]))
    return found


def bound_image_mean(
    value: float, values: np.ndarray, strata: np.ndarray, owners: np.ndarray | None = None, most: float = math.inf
) -> dict:
    """Return a mean over images with its 95 % interval, by groups where there are any.

    The interval is that of a mean of skewed numbers (`tlmed.metrics.spreads.bound_mean`, after Hall 1992).

    Args:
        value: The mean, as it is to be shown: another order of summing differs in the last digit.
        values: One number per image, 0..`most`, float [n].
        strata: The class of each image or group, from `find_strata`.
        owners: The number of the group of each image from 0, int [n]; None if no group has several images.
        most: The largest value that an image can have; infinite for none.

    Returns:
        `value`, `low`, `high`, `method`, and a `note` where the interval is cut at 0 or `most`, or cannot be computed
        because all images have the same value.

    >>> bound_image_mean(1.0, np.ones(4), np.zeros(4, int))["note"]
    'All images count alike, from which no interval follows.'
    """
    spread = measure_spread((values - values.mean()) / len(values), strata, owners)
    if not spread.variance:
        note = f"All {name_units(owners)} count alike, {NO_INTERVAL}"
        return {"value": value, "low": None, "high": None, "method": None, "note": note}
    low, high = bound_mean(value, spread, most)
    method = f"t of {spread.units} {name_units(owners)}, made symmetric (Hall 1992)"
    found = {"value": value, "low": low, "high": high, "method": method}
    if cut := [f"{bound:g}" for bound in (0.0, most) if bound in (low, high)]:
        found["note"] = f"The interval is cut at {' and at '.join(cut)}."
    return found
