"""Cohen's kappa with the user's weights: how bad it is to take one class for another."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import find_class_faults
from tlmed.metrics.combining import draw_rates
from tlmed.metrics.definitions import make_case
from tlmed.metrics.measured import Measured, bounded, unbounded, undefined
from tlmed.metrics.sample_sizes import NO_INTERVAL, count_units, name_units
from tlmed.metrics.spreads import bound_correlation, find_strata, measure_spread
from tlmed.sections import KAPPA_WEIGHTS


def find_weight_faults(weights: str | Sequence[Sequence[float]], classes: int) -> list[str]:
    """Return a sentence if a table of weights has not a row for each class.

    >>> find_weight_faults(((0, 1), (1, 0)), 3)[0].partition("Received")[2]
    ': 2 rows.'
    """
    if isinstance(weights, str) or {len(weights), *map(len, weights)} == {classes}:
        return []
    rule = f"`stated.kappa_weights` must have a row and a column for each of {classes} classes."
    return [f"{rule} Received: {len(weights)} rows."]


def weigh_confusions(weights: str | Sequence[Sequence[float]], classes: int) -> np.ndarray:
    """Return how much each confusion counts, float [k, k]: rows are true classes, columns predicted ones.

    Args:
        weights: "linear" counts the steps between two classes in their order, "quadratic" their squares; or a table.
        classes: How many there are.

    Raises:
        InputError: As `find_weight_faults`.

    >>> weigh_confusions("quadratic", 3).tolist()
    [[0.0, 1.0, 4.0], [1.0, 0.0, 1.0], [4.0, 1.0, 0.0]]
    """
    if isinstance(weights, str):
        places = np.arange(classes)
        return np.abs(places[:, None] - places).astype(float) ** KAPPA_WEIGHTS[weights]
    if faults := find_weight_faults(weights, classes):
        raise InputError(faults)
    return np.array(weights, dtype=float)


def weighted_kappa(
    labels: np.ndarray,
    predictions: np.ndarray,
    weights: np.ndarray,
    owners: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> Measured:
    """Return 1 less the mean weight of the images' confusions, divided by that expected by chance.

    Cohen, Psychological Bulletin 1968, 70:213-220. The intervals are those of kappa: of two classes from Jeffreys
    intervals of prevalence, sensitivity and specificity; of more from the influences of the images on Fisher's scale.
    With quadratic weights it is `quadratic_kappa`, whose degrees of freedom are those of the smallest class.

    Args:
        labels: True classes, int [n], 0..k-1.
        predictions: Predicted classes, int [n].
        weights: How much each confusion counts, 0 on the diagonal, float [k, k], k from 2 on: see `weigh_confusions`.
        owners: The number of the group of each image, int [n]; None if images have no groups.
        rng: Decides the draws of two classes; None: the same each time.

    Raises:
        InputError: If an array is something else.

    >>> labels, predictions = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 1])
    >>> round(weighted_kappa(labels, predictions, weigh_confusions("linear", 3)).entry["value"], 3)
    0.571
    """
    labels, predictions, classes = np.asarray(labels), np.asarray(predictions), len(weights)
    faults = find_class_faults("labels", labels, len(labels), classes)
    if faults := faults + find_class_faults("predictions", predictions, len(labels), classes):
        raise InputError(faults)
    shares = [np.bincount(of, minlength=classes) / len(labels) for of in (labels, predictions)]
    if shares[0].max() == 1:
        return undefined("All images are of one class.")
    found, expected = weights[labels, predictions], shares[0] @ weights @ shares[1]
    if not expected:
        return undefined("Every confusion that occurs counts 0.")
    value = 1 - found.mean() / expected
    by_chance = (weights @ shares[1])[labels] + (shares[0] @ weights)[predictions] - 2 * expected
    influences = -((found - found.mean()) / expected - found.mean() / expected**2 * by_chance) / len(labels)
    if classes == 2:
        return _draw(labels, predictions, weights, owners, rng or np.random.default_rng(0), (value, influences))
    spread = measure_spread(influences, find_strata(labels, owners), owners)
    units = name_units(owners)
    if not spread.variance or abs(value) >= 1:
        return unbounded(value, influences, f"All {units} count alike, {NO_INTERVAL}")
    if _are_quadratic(weights):
        case = make_case(labels, np.eye(classes)[predictions], predictions, None)
        spread = replace(spread, freedom=min(spread.freedom, count_units(case, owners, None, "quadratic_kappa") - 1))
    how = f"influences of {spread.units} {units} on Fisher's scale (Fisher 1921)"
    method = f"{how}, t with {spread.freedom:.0f} df (Welch 1947)"
    return bounded(value, bound_correlation(value, spread), method, influences)


def _are_quadratic(weights) -> bool:
    """Tell whether confusions count by the square of the steps between classes, in any unit."""
    squares = weigh_confusions("quadratic", len(weights))
    return bool(weights[0, 1]) and np.allclose(weights, weights[0, 1] * squares, rtol=1e-12)


def _draw(labels, predictions, weights, owners, rng, found) -> Measured:
    """Return the kappa of two classes with the interval of what prevalence, sensitivity and specificity may be."""
    prevalence, sensitivity, specificity = draw_rates(labels == 1, predictions == 1, owners, 2000, rng)
    missed, alarms = prevalence * (1 - sensitivity), (1 - prevalence) * (1 - specificity)
    guessed = prevalence * sensitivity + alarms
    by_chance = weights[1, 0] * prevalence * (1 - guessed) + weights[0, 1] * (1 - prevalence) * guessed
    drawn = 1 - (weights[1, 0] * missed + weights[0, 1] * alarms) / by_chance
    by = f" with the effective sample sizes of {len(np.unique(owners))} groups" if owners is not None else ""
    method = f"Jeffreys intervals of prevalence, sensitivity and specificity{by}, 2000 draws (Brown et al. 2001)"
    value, influences = found
    return bounded(value, tuple(np.percentile(drawn, (2.5, 97.5))), method, influences)
