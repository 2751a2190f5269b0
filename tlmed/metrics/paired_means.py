"""Whether the means of two classifiers differ on the same images, by what each image adds to their difference."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import name_groups
from tlmed.metrics.paired_tests import leave_untested
from tlmed.metrics.proportions import t_95, t_tails
from tlmed.metrics.resampling import find_clusters
from tlmed.metrics.sample_sizes import LEAST_UNITS, NO_INTERVAL, count_in, name_units
from tlmed.metrics.spreads import Spread, find_strata, measure_spread


def compare_image_means(
    first: np.ndarray,
    second: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | None = None,
    most: float = math.inf,
) -> dict:
    """Test whether two classifiers have the same mean of one number per image, such as what its answer costs.

    A paired t test by images, or by groups where a group has several images, whose variance and degrees of freedom are
    divided among the classes (`tlmed.metrics.spreads`).

    Args:
        first: A number for each image, float [n], n of 1 or more, finite.
        second: Those of the other.
        labels: True classes, int [n], 0..k-1.
        groups: Who each image belongs to, text or numbers [n]; an empty name stands for an image on its own.
        most: The largest possible difference of two numbers; infinite for none. The interval is cut there.

    Returns:
        `value` (mean of the first minus that of the second), `low`, `high`, `p`, `method` and `units`, as
        `compare_metrics` does. `units` are the images, or groups, in which the two differ: a mean over images rests on
        them alone.

    Raises:
        InputError: If the arrays are not of one length, or a number is not finite.

    >>> labels, first, second = np.arange(20) % 2, np.arange(20.0) % 5, np.arange(20.0) % 3
    >>> found = compare_image_means(first, second, labels)
    >>> round(found["value"], 2), found["units"]
    (1.05, 14)
    """
    value, moves, owned = _move_means(first, second, labels, groups)
    units = count_in(np.asarray(first) != np.asarray(second), owned[1])
    return judge_moves(value, moves, owned, (units, LEAST_UNITS, math.inf), most)


def measure_image_means(
    first: np.ndarray, second: np.ndarray, labels: np.ndarray, groups: Sequence[str] | None = None
) -> Spread:
    """Return how much the sample of images moves the difference of two means; arguments as of `compare_image_means`."""
    _, moves, owned = _move_means(first, second, labels, groups)
    return measure_spread(moves, *owned)


def _move_means(first, second, labels, groups) -> tuple[float, np.ndarray, tuple[np.ndarray, np.ndarray | None]]:
    """Return the difference, what each image adds to it, and the strata of images or groups with the groups."""
    first, second, labels = (np.asarray(values) for values in (first, second, labels))
    if not len(first) or not first.shape == second.shape == labels.shape == (len(first),):
        shapes = f"{first.shape}, {second.shape} and {labels.shape}"
        raise InputError(f"`first`, `second` and `labels` must hold a number for each image. Received: {shapes}.")
    if not np.isfinite(first).all() or not np.isfinite(second).all():
        raise InputError("`first` and `second` must be finite. Received: NaN or infinite numbers.")
    owners = find_clusters(name_groups(groups, len(first)))
    apart = first - second
    return float(apart.mean()), (apart - apart.mean()) / len(apart), (find_strata(labels, owners), owners)


def judge_moves(
    value: float,
    moves: np.ndarray,
    owned: tuple[np.ndarray, np.ndarray | None],
    counted: tuple[int, int, float],
    most: float,
) -> dict:
    """Return a difference with its interval and its paired t test, by what each image adds to it.

    Args:
        value: The difference.
        moves: What each image adds to it, float [n], sum zero.
        owned: The stratum of each image or group (`find_strata`), and the number of the group of each image or None.
        counted: On how many units the difference rests, how many it must rest on at least, and the most degrees of
            freedom that it can have where units are groups.
        most: The largest value that it can have.
    """
    (strata, owners), (units, least, cap) = owned, counted
    kind = name_units(owners)
    spread = measure_spread(moves, strata, owners)
    method = f"paired t of influences by {kind}"
    if not spread.variance:
        if abs(value) < 1e-12:
            note = f"The two do not differ in any of the {kind}, {NO_INTERVAL}"
            return {"value": 0.0, "low": None, "high": None, "p": 1.0, "method": method, "units": units, "note": note}
        return leave_untested(f"All {kind} show the same difference, {NO_INTERVAL}", value)
    if units < least:
        return leave_untested(f"It rests on {units} {kind}, fewer than {least}, {NO_INTERVAL}", value)
    error, freedom = math.sqrt(spread.variance), bound_freedom(spread, cap).freedom
    half, p = t_95(freedom) * error, t_tails(value / error, freedom)
    bounds = {"low": max(-most, value - half), "high": min(most, value + half)}
    method += f" (Efron 1982), {freedom:.0f} df" + (" (Welch 1947)" if freedom == spread.freedom else "")
    return {"value": value, **bounds, "p": p, "method": method, "units": units}


def bound_freedom(spread: Spread, cap: float) -> Spread:
    """Return a spread with at most some degrees of freedom, where its units are groups.

    As for the AUC: Welch's rule overrates the degrees of freedom of groups of unequal sizes.
    """
    return dataclasses.replace(spread, freedom=min(spread.freedom, cap)) if spread.grouped else spread
