"""From scores to decisions: the threshold, chosen on validation data, and the net benefit of decisions."""

from dataclasses import dataclass

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_scores, find_chance_faults, find_missing_kind
from tlmed.sections import THRESHOLD_RULE


@dataclass(frozen=True)
class Threshold:
    """The score from which on an image is predicted as positive, and its rates on the data that chose it.

    Attributes:
        value: The score.
        sensitivity: The share of positives at or above it.
        specificity: The share of negatives below it.
        rule: The rule that chose it.
        note: What the reader must know, or None.
    """

    value: float
    sensitivity: float
    specificity: float
    rule: str
    note: str | None = None


def choose_threshold(
    positive: np.ndarray, scores: np.ndarray, rule: str = "youden", costs: tuple[float, float] = (1.0, 1.0)
) -> Threshold:
    """Choose the threshold that a rule asks for, on validation data.

    "youden" maximises sensitivity + specificity - 1 (Youden, Cancer 1950, 3:32-35). "sensitivity>=0.95" gives the
    highest specificity that leaves the sensitivity at 0.95 or more, "specificity>=0.9" the highest sensitivity
    that leaves the specificity at 0.9 or more. "costs" gives the least cost of the errors on these images. Of equally
    good thresholds, a target takes the one with the higher value of the rate that it names. Youden's index and costs
    take the one with the higher sensitivity, because missing a case is usually the worse error. A threshold lies midway
    between two scores that occur, so that the last digit of a score decides nothing.

    A target can always be met by predicting every image alike; a note says where nothing better was possible.

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        scores: Higher means more likely positive, float [n], 0..1.
        rule: "youden", "costs", "sensitivity>=NUMBER" or "specificity>=NUMBER", the number from 0 to 1.
        costs: What a missed positive and a false alarm cost, for the rule "costs".

    Raises:
        InputError: If the rule is none of these, one kind of image is missing, or an array is something else.

    >>> choose_threshold(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.6, 0.9])).value
    0.5
    """
    (positive,) = as_flags(positive=positive)
    (scores,) = as_scores(len(positive), finite=False, scores=scores)
    faults = []
    if not THRESHOLD_RULE.fullmatch(rule):
        faults.append(
            "`rule` must be 'youden', 'costs', 'sensitivity>=NUMBER' or 'specificity>=NUMBER', with a number from 0 to "
            f"1. Received: rule={rule!r}."
        )
    if not all(0 <= cost < np.inf for cost in costs) or not any(costs):
        faults.append(f"`costs` must be two finite numbers, 0 or more and not both 0. Received: costs={costs!r}.")
    faults += find_missing_kind(positive)
    if not np.isfinite(scores).all():
        faults.append(f"`scores` must be finite. Received: {int((~np.isfinite(scores)).sum())} that are not.")
    if faults:
        raise InputError(faults)
    values, sensitivity, specificity = _list_thresholds(positive, scores)
    worth = _rate_thresholds(rule, sensitivity, specificity, costs, positive.mean())
    # From the lowest threshold to the highest, sensitivity falls and specificity rises.
    best = int(np.flatnonzero(worth == worth.max())[-1 if rule.startswith("specificity") else 0])
    note = None
    if best in (0, len(values) - 1):
        note = f"No threshold does better than to predict every image as {'negative' if best else 'positive'}."
    return Threshold(float(values[best]), float(sensitivity[best]), float(specificity[best]), rule, note)


def _rate_thresholds(rule, sensitivity, specificity, costs, prevalence) -> np.ndarray:
    """Return how good each threshold is by a rule."""
    # Sums of fractions that are equal may differ in the last digit.
    if rule == "youden":
        return np.round(sensitivity + specificity, 12)
    if rule == "costs":
        miss, alarm = np.array(costs) / sum(costs)
        return -np.round(miss * (1 - sensitivity) * prevalence + alarm * (1 - specificity) * (1 - prevalence), 12)
    target = THRESHOLD_RULE.fullmatch(rule)
    named, other = (sensitivity, specificity) if target[1] == "sensitivity" else (specificity, sensitivity)
    return np.where(named >= float(target[2]), other, -1)


def _list_thresholds(positive, scores):
    """Return thresholds from the lowest, where every image is positive, to the highest, where none is."""
    found = np.unique(scores)
    last = (found[-1] + 1) / 2 if found[-1] < 1 else np.nextafter(found[-1], np.inf)  # above every score
    values = np.r_[found[0], (found[:-1] + found[1:]) / 2, last]
    # Between neighbouring floats there is no middle.
    values[1:-1] = np.where(values[1:-1] > found[:-1], values[1:-1], found[1:])
    ranks = np.searchsorted(found, scores)
    hits, rest = (np.bincount(ranks[rows], minlength=len(found)) for rows in (positive, ~positive))
    below = [np.r_[0, np.cumsum(counts)] / counts.sum() for counts in (hits, rest)]
    caught = np.r_[np.cumsum(hits[::-1])[::-1], 0] / hits.sum()
    return values, caught, below[1]


def net_benefit(
    positive: np.ndarray, scores: np.ndarray, thresholds: np.ndarray | None = None, prevalence: float | None = None
) -> dict[str, np.ndarray]:
    """Return the curves of a decision curve analysis: the net benefit of acting on the scores.

    It is true positives per image minus false positives at the exchange rate that a threshold implies: whoever acts
    from a risk of 10 % on accepts nine needless actions for one that is needed (Vickers & Elkin, Medical Decision
    Making 2006, 26:565-574). The curve is only meaningful if scores are calibrated.

    Args:
        positive: Whether each image is positive, bool [n], or 0 and 1; both kinds must occur.
        scores: Probabilities of being positive [n].
        thresholds: Risks from which on one would act, each from 0 to below 1; by default 0.01 to 0.99.
        prevalence: The share of positives where the scores are to be used, by default that of the images.

    Returns:
        `thresholds`, `model`, `all` (act on every image) and `none` (zeros), each float [t].

    Raises:
        InputError: If a threshold or the prevalence is out of range, one kind of image is missing, scores are no
            probabilities, or an array is something else.

    >>> curves = net_benefit(np.array([True, False, False, False]), np.array([0.9, 0.6, 0.2, 0.1]), np.array([0.5]))
    >>> curves["model"].tolist(), curves["all"].tolist()
    ([0.0], [-0.5])
    """
    (positive,) = as_flags(positive=positive)
    (scores,) = as_scores(len(positive), scores=scores)
    thresholds = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds, dtype=float)
    faults = [*find_missing_kind(positive), *find_chance_faults("scores", scores)]
    if not ((thresholds >= 0) & (thresholds < 1)).all():
        faults.append(f"`thresholds` must be from 0 to below 1. Received: thresholds={thresholds.tolist()}.")
    if prevalence is not None and not 0 <= prevalence <= 1:
        faults.append(f"`prevalence` must be from 0 to 1. Received: prevalence={prevalence}.")
    if faults:
        raise InputError(faults)
    share = positive.mean() if prevalence is None else prevalence
    hits, false = (
        1 - np.searchsorted(np.sort(scores[rows]), thresholds, side="left") / rows.sum()
        for rows in (positive, ~positive)
    )
    odds = thresholds / (1 - thresholds)
    return {
        "thresholds": thresholds,
        "model": share * hits - (1 - share) * false * odds,
        "all": share - (1 - share) * odds,
        "none": np.zeros_like(thresholds),
    }
