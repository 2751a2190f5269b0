"""F-beta: PPV and sensitivity in one number, the one more important than the other by a stated factor."""

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_owners
from tlmed.metrics.measured import Measured, bounded, undefined
from tlmed.metrics.proportions import effective_size, wilson


def f_beta(
    positive: np.ndarray, predicted: np.ndarray, beta: float = 2.0, owners: np.ndarray | None = None
) -> Measured:
    """Return the F-beta of a class: (1 + beta^2) PPV sensitivity / (beta^2 PPV + sensitivity).

    Sensitivity counts `beta` times as much as PPV (van Rijsbergen, Information Retrieval, 1979, chapter 7). F-beta is
    2 s / (1 + s), where s is a share of the images that are of the class or predicted as it: that of those that are
    both, with a missed one counted 2 beta^2 / (1 + beta^2) times and a false alarm 2 / (1 + beta^2) times. So the
    interval is that of F1 (Lam, Gopal & Qian, arXiv:2309.14621), which is the case of `beta` = 1: Wilson's score with
    the effective sample size of a weighted share (Korn & Graubard, Survey Methodology 1998, 24:193-201).

    Args:
        positive: Whether each image is of the class, bool [n], or 0 and 1.
        predicted: Whether each is predicted as it.
        beta: Above 0.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Returns:
        Undefined where no image is of the class, or all are.

    Raises:
        InputError: If an array is something else, or `beta` is not above 0.

    >>> round(f_beta(np.arange(100) < 50, np.arange(100) < 40).entry["value"], 3)
    0.833
    """
    positive, predicted = as_flags(positive=positive, predicted=predicted)
    owners = as_owners(len(positive), owners)
    if not 0 < beta < np.inf:
        raise InputError(f"`beta` must be a finite number above 0. Received: beta={beta}.")
    if positive.all() or not positive.any():
        return undefined("All images are of the class." if positive.any() else "No image is of the class.")
    missed, alarm = 2 * beta**2 / (1 + beta**2), 2 / (1 + beta**2)
    weights = np.where(positive & predicted, 1.0, np.where(positive, missed, alarm))
    rows, right = positive | predicted, positive & predicted
    total = float(weights[rows].sum())
    share = float(right.sum()) / total
    size = _count(right[rows], weights[rows], None if owners is None else owners[rows])
    low, high = (2 * end / (1 + end) for end in wilson(size if share == 1 else share * size, size))
    by = "" if owners is None else f" of {len(np.unique(owners[rows]))} groups"
    method = (
        f"Wilson score with the effective sample size{by} of a weighted share (Korn & Graubard 1998, Lam et al. 2023)"
    )
    turn = 2 / (1 + share) ** 2  # the derivative of 2 s / (1 + s)
    influences = turn * rows * weights * (right - share) / total
    return bounded(2 * share / (1 + share), (low, high), method, influences)


def _count(right, weights, owners) -> float:
    """Return how many independent images of equal weight would estimate a weighted share as exactly."""
    total, most = float(weights.sum()), float(weights.max())
    share = float((weights * right).sum()) / total
    if share in (0, 1):
        # All are right, or none: the images do not show how the weights matter, so the largest weight counts.
        units = len(right) if owners is None else len(np.unique(owners))
        return units / max(1.0, most)
    if owners is not None and len(np.unique(owners)) < len(owners):
        return effective_size(right, owners, weights)
    return min(len(right), total**2 * share * (1 - share) / float((weights**2 * (right - share) ** 2).sum()))
