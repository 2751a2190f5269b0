"""Whether probabilities are too high on the whole, and too extreme: calibration intercept and slope."""

import math

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_owners, as_scores, find_missing_kind
from tlmed.metrics.measured import Measured, bounded, undefined
from tlmed.metrics.proportions import t_95
from tlmed.metrics.spreads import find_strata, measure_spread

_SMALLEST = np.finfo(float).eps  # the least probability whose logit is taken, as of log loss
_MOST_STEPS = 100
_FLAT = 1e-6  # of the likelihood's curvature; one image with a score of 0.5 gives 0.25
_METHOD = "influences of {} {}, t with {:.0f} df (Welch 1947)"


def recalibrate(
    positive: np.ndarray, probabilities: np.ndarray, owners: np.ndarray | None = None
) -> dict[str, Measured]:
    """Return the intercept and the slope of the logistic recalibration of probabilities (Cox, Biometrika 1958, 45:562).

    The slope b is that of the logistic regression of the outcome on the logit of the probability: 1 is right, below 1
    the probabilities are too extreme. The intercept is that of the regression with the slope fixed at 1
    (calibration-in-the-large): 0 is right, below 0 the probabilities are too high on the whole (Van Calster et al., J.
    Clin. Epidemiol. 2016, 74:167-176, and BMC Medicine 2019, 17:230). The variance is the robust one, that of the
    influences of the images (White, Econometrica 1982, 50:1-25), by groups if images have some, with Student's t of
    Welch's degrees of freedom.

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        probabilities: Of being positive, float [n], 0..1; the logit of 0 and 1 is taken at 2.2e-16 from them.
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Returns:
        `calibration_intercept` and `calibration_slope`. The intercept is undefined where the likelihood is flat at its
        maximum, as with nothing but scores of 0 and 1. The slope is undefined where all probabilities are equal, and
        where they separate the classes. A `note` says how many probabilities are 0 or 1.

    Raises:
        InputError: If an array is something else, one kind is missing, or a probability is not from 0 to 1.

    >>> positive = np.r_[np.arange(20) < 14, np.arange(20) < 8]
    >>> found = recalibrate(positive, np.repeat([0.8, 0.2], 20))
    >>> {name: round(part.entry["value"], 3) for name, part in found.items()}
    {'calibration_intercept': 0.312, 'calibration_slope': 0.452}
    """
    (positive,) = as_flags(positive=positive)
    (probabilities,) = as_scores(len(positive), probabilities=probabilities)
    owners = as_owners(len(positive), owners)
    faults = find_missing_kind(positive)
    if ((probabilities < 0) | (probabilities > 1)).any():
        faults.append(
            "`probabilities` must be from 0 to 1. "
            f"Received: values from {probabilities.min():g} to {probabilities.max():g}."
        )
    if faults:
        raise InputError(faults)
    kept = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
    logits = np.log(kept) - np.log1p(-kept)
    found = {
        "calibration_intercept": _find_intercept(positive, logits, owners),
        "calibration_slope": _find_slope(positive, logits, owners),
    }
    said = say_extremes(probabilities)
    for part in found.values():
        if said and part.entry["value"] is not None:
            part.entry["note"] = said
    return found


def say_extremes(probabilities: np.ndarray) -> str:
    """Say how many probabilities are 0 or 1, whose logits are infinite, and what is taken instead; "" if none is.

    >>> say_extremes(np.array([0.0, 0.5, 0.7]))
    '1 of 3 scores is 0 or 1, or within 2.2e-16 of it: its logit is taken at that distance.'
    """
    extreme = int(((probabilities < _SMALLEST) | (probabilities > 1 - _SMALLEST)).sum())
    verb, whose = ("is", "its logit is") if extreme == 1 else ("are", "their logits are")
    said = f"{extreme} of {probabilities.size} scores {verb} 0 or 1, or within {_SMALLEST:.1e} of it: {whose} taken at"
    return f"{said} that distance." if extreme else ""


def _find_intercept(positive, logits, owners) -> Measured:
    table = np.ones((1, len(positive)))
    (value,) = _fit(positive, table, logits)
    if _curve(table, value + logits).item() < _FLAT:
        return undefined("Nearly all scores are 0 or 1, so very different intercepts fit equally well.")
    return _measure(positive, table, logits, owners)


def _find_slope(positive, logits, owners) -> Measured:
    if np.ptp(logits) < 1e-9:
        return undefined("All scores are equal.")
    if min(logits[positive]) >= max(logits[~positive]) or max(logits[positive]) <= min(logits[~positive]):
        return undefined("It is infinite: a threshold separates the classes without an error.")
    # Standardised, so that one step of Newton's method is as good for the one coefficient as for the other.
    scale = float(np.std(logits))
    found = _measure(positive, np.stack([(logits - logits.mean()) / scale, np.ones(len(logits))]), 0.0, owners)
    entry = found.entry | {part: found.entry[part] / scale for part in ("value", "low", "high")}
    return Measured(entry, found.influences / scale)


def _measure(positive, table, offset, owners) -> Measured:
    """Return the first coefficient of the logistic regression on the rows of a table [p, n]."""
    coefficients = _fit(positive, table, offset)
    sums = coefficients @ table + offset
    influences = np.linalg.solve(_curve(table, sums), table * (positive - _expit(sums)))[0]
    spread = measure_spread(influences, find_strata(positive.astype(int), owners), owners)
    half = t_95(spread.freedom) * math.sqrt(spread.variance)
    method = _METHOD.format(spread.units, "images" if owners is None else "groups", spread.freedom)
    value = float(coefficients[0])
    return bounded(value, (value - half, value + half), method, influences)


def _fit(positive, table, offset) -> np.ndarray:
    """Return the coefficients of greatest likelihood [p], by Newton's method with halved steps."""
    found = np.zeros(len(table))
    for _ in range(_MOST_STEPS):
        sums = found @ table + offset
        step = np.linalg.solve(_curve(table, sums), table @ (positive - _expit(sums)))
        before = _likelihood(positive, sums)
        # 1e-9: close to the maximum, rounding decides which of two likelihoods is larger.
        while _likelihood(positive, (found + step) @ table + offset) < before - 1e-9:
            step /= 2
        found = found + step
        if np.abs(step).max() < 1e-13 * max(1.0, np.abs(found).max()):
            break
    return found


def _curve(table, sums) -> np.ndarray:
    # The product with the opposite chance, which is 1e-16 and not 0 where the chance itself is rounded to 1.
    return (table * (_expit(sums) * _expit(-sums))) @ table.T


def _expit(logits) -> np.ndarray:
    small = np.exp(-np.abs(logits))  # which does not overflow, and keeps the digits of what is near 0
    return np.where(logits < 0, small, 1) / (1 + small)


def _likelihood(positive, logits) -> float:
    return float((positive * logits - np.logaddexp(0, logits)).sum())
