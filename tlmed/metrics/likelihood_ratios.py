"""What a decision says beyond sensitivity and specificity: likelihood ratios, and Youden's index."""

import math

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_owners, find_missing_kind
from tlmed.metrics.combining import combine, combine_ratio
from tlmed.metrics.measured import Measured, bounded, undefined
from tlmed.metrics.proportions import proportion

_RATIO = "MOVER of two Wilson scores on the log scale{} (Zou & Donner 2008)"
_AT_ZERO = "MOVER-R of two Wilson scores{} (Donner & Zou 2012)"
_SUM = "MOVER of two Wilson scores{} (Zou & Donner 2008, Newcombe 1998)"


def likelihood_ratios(
    positive: np.ndarray, predicted: np.ndarray, owners: np.ndarray | None = None
) -> dict[str, Measured]:
    """Return how much a prediction moves the odds of being positive: LR+ and LR-.

    LR+ = sensitivity / (1 - specificity) is by how much a positive prediction multiplies the odds, LR- =
    (1 - sensitivity) / specificity a negative one (Deeks & Altman, BMJ 2004, 329:168-169). Neither depends on the
    prevalence. The interval is on the log scale: the Wilson bounds of both shares, combined by MOVER (Zou & Donner,
    Statistics in Medicine 2008, 27:1693-1702), which needs nothing added to cells. A ratio of 0 has no logarithm: its
    interval is that of MOVER-R (Donner & Zou 2012). A ratio whose denominator is 0 is infinite, and undefined here; the
    reason says above which number it lies.

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        predicted: Whether each is predicted to be.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Returns:
        `lr_positive` and `lr_negative`.

    Raises:
        InputError: If an array is something else, or one kind is missing.

    >>> truth = np.arange(100) < 50
    >>> found = likelihood_ratios(truth, (np.arange(100) < 40) | (np.arange(100) >= 90))
    >>> {name: round(part.entry["value"], 3) for name, part in found.items()}
    {'lr_positive': 4.0, 'lr_negative': 0.25}
    """
    positive, predicted, owners = _check(positive, predicted, owners)
    # LR+ compares who is predicted as positive among positives and among negatives, LR- who is not.
    return {
        "lr_positive": _divide(positive, predicted, owners, "predicted as the class"),
        "lr_negative": _divide(positive, ~predicted, owners, "predicted as another class"),
    }


def youden_index(positive: np.ndarray, predicted: np.ndarray, owners: np.ndarray | None = None) -> Measured:
    """Return Youden's J = sensitivity + specificity - 1, from -1 to 1 (Youden, Cancer 1950, 3:32-35).

    Its interval combines the Wilson scores of both (method 10 of Newcombe, Statistics in Medicine 1998, 17:873-890).

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        predicted: Whether each is predicted to be.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Raises:
        InputError: If an array is something else, or one kind is missing.

    >>> truth = np.arange(100) < 50
    >>> round(youden_index(truth, np.arange(100) < 40).entry["value"], 3)
    0.8
    """
    positive, predicted, owners = _check(positive, predicted, owners)
    parts = [_share(positive, predicted, owners), _share(~positive, ~predicted, owners)]
    low, high = combine(*zip(*parts, strict=True), [1, 1], owners)
    value = sum(entry["value"] for entry, _ in parts) - 1
    return bounded(value, (low - 1, high - 1), _SUM.format(_by(owners)), sum(moved for _, moved in parts))


def _check(positive, predicted, owners) -> tuple:
    positive, predicted = as_flags(positive=positive, predicted=predicted)
    if faults := find_missing_kind(positive):
        raise InputError(faults)
    return positive, predicted, as_owners(len(positive), owners)


def _by(owners) -> str:
    return "" if owners is None else f" with the effective sample sizes of {len(np.unique(owners))} groups"


def _share(among, right, owners) -> tuple[dict, np.ndarray]:
    """Return a proportion of some images, and what each image adds to it."""
    entry = proportion(right[among], None if owners is None else owners[among])
    return entry, among * (right - entry["value"]) / among.sum()


def _divide(positive, chosen, owners, said) -> Measured:
    """Return the share of chosen ones among positives divided by that among negatives."""
    (top, moved), (bottom, shifted) = (_share(rows, chosen, owners) for rows in (positive, ~positive))
    if not bottom["value"]:
        if not top["value"]:
            return undefined(f"No image was {said}.")
        # The inverse ratio is 0, and its upper bound is known.
        least = 1 / combine_ratio(bottom, top)[1]
        return undefined(
            f"It is infinite, above {least:.3g} with 97.5 % confidence: no image outside the class was {said}."
        )
    if not top["value"]:
        note = f"No image of the class was {said}."
        return bounded(0.0, combine_ratio(top, bottom), _AT_ZERO.format(_by(owners)), moved / bottom["value"], note)
    logs = [{end: math.log(entry[end]) for end in ("value", "low", "high")} for entry in (top, bottom)]
    relative = [moved / top["value"], shifted / bottom["value"]]
    low, high = combine(logs, relative, [1, -1], owners)
    value = top["value"] / bottom["value"]
    bounds = math.exp(low), math.exp(high)
    return bounded(value, bounds, _RATIO.format(_by(owners)), value * (relative[0] - relative[1]))
