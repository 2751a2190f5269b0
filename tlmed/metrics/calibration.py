"""Whether scores mean what they say: reliability, its error, and temperature scaling."""

from collections.abc import Mapping

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import (
    TOLERANCE,
    as_flags,
    as_owners,
    as_scores,
    find_chance_faults,
    find_class_faults,
    find_score_faults,
)
from tlmed.metrics.proportions import proportion
from tlmed.words import as_shown, thousandths

LOSSES = ("log_loss", "brier")  # the means of a number per image, in the order of `Case.losses`
CALIBRATED = (*LOSSES, "ece")  # the metrics of probabilities
BINS = 10  # of equal width: with more, a test set of some hundred images shows mostly noise
TEMPERATURES = (0.25, 10.0)  # bounds: where all highest scores are right, 0 would fit best
LEAST_PROBABILITY = 1e-12  # the least probability whose logarithm is taken


def are_probabilities(scores: np.ndarray) -> bool:
    """Say whether every row of scores [n, k] is a probability for each class, summing to 1 within 0.001.

    >>> are_probabilities(np.array([[0.2, 0.8]])), are_probabilities(np.array([[2.0, -1.0]]))
    (True, False)
    """
    within = (scores >= -TOLERANCE) & (scores <= 1 + TOLERANCE)
    return bool(within.all() and (np.abs(scores.sum(axis=1) - 1) <= TOLERANCE).all())


def _find_chance_faults(scores: np.ndarray) -> list[str]:
    """Return a sentence if scores, finite [n, k], are no probabilities: their logarithms would be no logits."""
    if are_probabilities(scores):
        return []
    return [
        "`scores` must be probabilities that sum to 1 in each row (the softmax of a network's logits). Received: "
        f"values from {scores.min():g} to {scores.max():g}, sums from {scores.sum(axis=1).min():g} to "
        f"{scores.sum(axis=1).max():g}."
    ]


def pair(labels: np.ndarray, scores: np.ndarray, predictions: np.ndarray, main: int | None) -> tuple:
    """Return what calibration compares: a probability per image, and whether what it is about came true.

    Of two classes it is the score of the positive class, and whether the image is positive; of more, the score of
    the predicted class, and whether that is right.

    Args:
        labels: True classes, int [n].
        scores: Probabilities [n, k].
        predictions: Predicted classes, int [n].
        main: The positive one of two classes, None for more.

    Returns:
        Probabilities [n] and outcomes, bool [n].

    >>> confidence, right = pair(np.array([0, 2]), np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]), np.array([0, 1]), None)
    >>> confidence.tolist(), right.tolist()
    ([0.5, 0.6], [True, False])
    """
    chosen = predictions if main is None else np.full(len(labels), main)
    return np.clip(scores[np.arange(len(labels)), chosen], 0, 1), labels == chosen  # `TOLERANCE` lets them leave 0..1


def sort_changes(metrics: Mapping) -> tuple[list[str], list[str]]:
    """Return which scores calibration made worse, and which better, of what reads differently.

    Args:
        metrics: The content of `metrics.json`, with `calibration`.

    >>> before, after = {"log_loss": {"value": 0.4}, "ece": {"value": 0.2}}, {"log_loss": {"value": 0.3}}
    >>> sort_changes({"metrics": before, "calibration": {"metrics": after | {"ece": {"value": 0.2001}}}})
    ([], ['log_loss'])
    """
    before, after = metrics["metrics"], metrics["calibration"]["metrics"]
    lower = [name for name in CALIBRATED if name in after]  # the lower, the better
    known = [name for name in lower if None not in (before[name]["value"], after[name]["value"])]
    change = {name: as_shown(after[name]["value"]) - as_shown(before[name]["value"]) for name in known}
    return [name for name in known if change[name] > 0], [name for name in known if change[name] < 0]


def find_bins(confidence: np.ndarray) -> np.ndarray:
    """Return the bin, 0..9, of each probability: the first is [0, 0.1), the last [0.9, 1].

    >>> find_bins(np.array([0.0, 0.1, 0.95, 1.0])).tolist()
    [0, 1, 9, 9]
    """
    return np.minimum((confidence * BINS).astype(int), BINS - 1)


def reliability(confidence: np.ndarray, outcome: np.ndarray, owners: np.ndarray | None = None) -> list[dict]:
    """Return the points of a reliability diagram, one for each bin with images.

    DeGroot & Fienberg, The Statistician 1983, 32:12-22. `pair` gives the arguments for a table of scores.

    Args:
        confidence: A probability per image [n].
        outcome: Whether what it is about came true, bool [n], or 0 and 1.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Raises:
        InputError: If an array is something else, or a probability is not from 0 to 1.

    Returns:
        For each bin `from`, `to`, `n`, `confidence` (the mean) and `share` (that came true), with `low` and `high`.

    >>> [point] = reliability(np.array([0.62, 0.68]), np.array([True, False]))
    >>> point["from"], point["n"], round(point["confidence"], 2), point["share"]
    (0.6, 2, 0.65, 0.5)
    """
    (outcome,) = as_flags(outcome=outcome)
    (confidence,) = as_scores(len(outcome), confidence=confidence)
    owners = as_owners(len(outcome), owners)
    if faults := find_chance_faults("confidence", confidence):
        raise InputError(faults)
    bins = find_bins(np.clip(confidence, 0, 1))
    points = []
    for number in np.unique(bins).tolist():
        rows = bins == number
        observed = proportion(outcome[rows], None if owners is None else owners[rows])
        point = {"from": number / BINS, "to": (number + 1) / BINS, "n": int(rows.sum())}
        point |= {"confidence": float(confidence[rows].mean()), "share": observed["value"]}
        points.append(point | {"low": observed["low"], "high": observed["high"]})
    return points


def chance_error(
    confidence: np.ndarray, owners: np.ndarray, draws: int, rng: np.random.Generator, outcome: np.ndarray
) -> np.ndarray:
    """Draw the expected calibration errors that perfectly calibrated scores would show by chance.

    In each bin the surplus of outcomes over probabilities is taken as normal around zero. For images that stand alone
    it has the binomial variance. For groups it has the variance of their totals, which are correlated between bins: a
    patient's images lie in several bins, and are all of one class. The idea is that of Broecker & Smith, Weather and
    Forecasting 2007, 22:651-661, who redraw the outcomes.

    Args:
        confidence: A probability per image [n].
        owners: The number of the group of each image, int [n].
        draws: How many to draw.
        rng: Decides them.
        outcome: Whether what the probability is about came true, bool [n].

    Returns:
        float [draws].

    >>> rng = np.random.default_rng(0)
    >>> bool(chance_error(np.full(100, 0.5), np.arange(100), 2000, rng, np.arange(100) < 50).mean().round(2) == 0.04)
    True
    """
    bins = find_bins(confidence)
    drawn = rng.standard_normal((draws, BINS))
    if len(np.unique(owners)) == len(owners):
        surplus = drawn * np.sqrt(np.bincount(bins, confidence * (1 - confidence), BINS))
    else:
        _, owners = np.unique(owners, return_inverse=True)
        totals = np.bincount(owners * BINS + bins, outcome - confidence, (owners.max() + 1) * BINS).reshape(-1, BINS)
        variances, axes = np.linalg.eigh(np.einsum("gi,gj->ij", totals, totals))
        # The symmetric root of the covariances does not depend on the signs of the axes, which libraries choose freely.
        # Rounding can make a variance of 0 negative.
        root = np.einsum("ik,k,jk->ij", axes, np.sqrt(np.maximum(variances, 0)), axes)
        surplus = np.einsum("di,ij->dj", drawn, root)
    return np.abs(surplus).sum(axis=1) / len(confidence)


def correct_error(value: float, draws: np.ndarray, high: float, chance: np.ndarray) -> dict:
    """Return the interval of an expected calibration error, whose estimate is too high, and in resamples twice so.

    The resamples are reflected at the estimate (the basic bootstrap), which subtracts as much as they add; the upper
    bound is at least the estimate. If perfectly calibrated scores would show as large an error by chance, the interval
    begins at 0.

    Args:
        value: The error.
        draws: That of resamples [d].
        high: The upper bound of these.
        chance: What perfectly calibrated scores would show, from `chance_error`.

    Returns:
        `low`, `high`, and a `note` where chance explains the error.

    >>> correct_error(0.1, np.array([0.1, 0.14]), 0.14, np.array([0.01]))["low"].__round__(2)
    0.06
    """
    least, bias = max(0.0, 2 * value - high), float(draws.mean()) - value
    found = {"low": min(least, value), "high": min(1.0, max(high - bias, value))}
    if value > np.percentile(chance, 97.5):
        return found
    note = f"Perfectly calibrated scores would show {thousandths(chance.mean())} on average: this error may be chance."
    return found | {"low": 0.0, "note": note}


def fit_temperature(scores: np.ndarray, labels: np.ndarray, logits: bool = False) -> float:
    """Return the temperature that makes scores fit the labels of validation data best, by log loss.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Log loss is convex in 1 / temperature, so its slope
    has one zero, which is found by bisection. The temperature stays within 0.25 and 10: if the highest scores are
    always right, ever smaller temperatures would fit ever better.

    Args:
        scores: Probabilities [n, k] of validation images, or logits.
        labels: True classes, int [n], 0..k-1.
        logits: Whether `scores` are logits.

    Returns:
        Above 1 the scores were too confident, below 1 not confident enough.

    Raises:
        InputError: If there is no image, something is not finite, labels or scores are not of this form, or scores are
            no probabilities though they are not said to be logits.

    >>> fit_temperature(np.array([[0.9, 0.1]] * 4), np.array([0, 0, 0, 1])).__round__(3)
    2.0
    """
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels)
    if not len(labels) or not np.isfinite(scores).all():
        raise InputError(
            f"`scores` must be finite, of one image or more. Received: {len(labels)} images, "
            f"{int((~np.isfinite(scores)).sum())} scores that are not finite."
        )
    if scores.ndim != 2 or len(scores) != len(labels):
        raise InputError(
            f"`scores` must have a row for each of {len(labels)} labels, and a column per class. "
            f"Received: shape={scores.shape}."
        )
    faults = find_class_faults("labels", labels, *scores.shape)
    if faults := [*faults, *([] if logits else _find_chance_faults(scores))]:
        raise InputError(faults)
    values = scores if logits else np.log(np.maximum(scores, LEAST_PROBABILITY))
    # Shifting a row changes no probability and keeps `exp` from overflowing.
    values = values - values.max(axis=1, keepdims=True)
    target = values[np.arange(len(labels)), labels].mean()

    def falls(inverse):
        """Say whether log loss still falls when the scores are sharpened beyond `inverse`."""
        # The slope of log loss: the mean of the values under these probabilities, less that of the true class.
        weights = np.exp(values * inverse)
        return ((weights * values).sum(axis=1) / weights.sum(axis=1)).mean() < target

    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    for _ in range(60):  # enough for all 53 bits of a float
        # The geometric mean, because temperatures are ratios.
        middle = (low * high) ** 0.5
        low, high = (middle, high) if falls(middle) else (low, middle)
    return float(1 / (low * high) ** 0.5)


def apply_temperature(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities at another temperature, in the precision of the scores: their order within an image stays.

    Args:
        scores: Probabilities [n, k].
        temperature: What `fit_temperature` returned.

    Raises:
        InputError: If the temperature is not above 0, or scores are not finite or no probabilities.

    >>> apply_temperature(np.array([[0.9, 0.1]]), 2.0).round(3).tolist()
    [[0.75, 0.25]]
    """
    table = np.asarray(scores, dtype=float)
    faults = find_score_faults("scores", table, len(table), table.shape[-1]) or _find_chance_faults(table)
    if not 0 < temperature < np.inf:
        faults.append(f"`temperature` must be above 0. Received: temperature={temperature}.")
    if faults:
        raise InputError(faults)
    values = np.log(np.maximum(table, LEAST_PROBABILITY)) / temperature
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.result_type(scores, np.float32), copy=False)
