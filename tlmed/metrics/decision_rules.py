"""Decisions by probabilities: the class of least expected cost, or that whose probability most exceeds its prior."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.errors import InputError, did_you_mean
from tlmed.metrics.calibration import LEAST_PROBABILITY
from tlmed.words import join_names, listed

_ROUNDED = 1e-9  # a score near 1 has few digits below it, which a temperature spreads
_RULE = (
    "`costs` must be a square table [true class, predicted class], finite, 0 or more, 0 on the diagonal, and above 0 "
    "somewhere."
)


def find_cost_faults(costs: np.ndarray) -> list[str]:
    """Return a sentence if a table is not the costs of k classes, float [true class, predicted class].

    >>> find_cost_faults(np.array([[0.0, 1.0], [10.0, 0.0]]))
    []
    >>> find_cost_faults(np.array([[0.0, 1.0], [-1.0, 0.0]]))[0].partition("Received: ")[2]
    'costs=[[0.0, 1.0], [-1.0, 0.0]].'
    """
    if costs.ndim != 2 or costs.shape[0] != costs.shape[1] or costs.dtype.kind not in "biuf":
        return [f"{_RULE} Received: {costs.dtype} {costs.shape}."]
    good = np.isfinite(costs).all() and (costs >= 0).all() and costs.any() and not costs.diagonal().any()
    return [] if good else [f"{_RULE} Received: costs={costs.tolist()}."]


def fill_costs(
    named: Mapping[str, Mapping[str, float]] | None, ratio: float | None, classes: Sequence[str], main: int | None
) -> np.ndarray | None:
    """Return what each answer costs, float [true class, predicted class]; None where nothing is stated.

    Args:
        named: True class to predicted class to cost; an error that is not named costs 1, a right answer nothing.
        ratio: Instead of `named`: the cost of a missed positive, where a false alarm costs 1.
        classes: The k names.
        main: The positive one of two classes, None for more.

    Raises:
        InputError: If a class is none of these, no error costs anything, or there is a ratio for more than two classes.

    >>> fill_costs({"malignant": {"benign": 10}}, None, ["benign", "malignant", "normal"], None).tolist()
    [[0.0, 1.0, 1.0], [10.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    >>> fill_costs(None, 5, ["benign", "malignant"], 1).tolist()
    [[0.0, 1.0], [5.0, 0.0]]
    """
    if named is None and ratio is None:
        return None
    costs = 1.0 - np.eye(len(classes))
    if ratio is not None and main is None:
        raise InputError(
            f"`cost_ratio` needs exactly two classes; for {len(classes)} state `costs`. Received: cost_ratio={ratio!r}."
        )
    if ratio is not None:
        costs[main, 1 - main] = ratio
        return costs
    names = dict.fromkeys(name for true, found in named.items() for name in (true, *found))
    if unknown := [name for name in names if name not in classes]:
        near = next(filter(None, (did_you_mean(name, classes) for name in unknown)), "")
        raise InputError(
            f"`costs` must name classes of the data: {listed(classes)}.{near} "
            f"Received: {join_names(map(repr, unknown))}."
        )
    for true, found in named.items():
        for guess, cost in found.items():
            costs[classes.index(true), classes.index(guess)] = cost
    if not costs.any():
        raise InputError(f"`costs` must be above 0 for one error at least. Received: costs={dict(named)!r}.")
    return costs


def name_costs(costs: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the costs of all errors by names: true class to predicted class to cost.

    >>> name_costs(np.array([[0.0, 1.0], [5.0, 0.0]]), ["benign", "malignant"])
    {'benign': {'malignant': 1.0}, 'malignant': {'benign': 5.0}}
    """
    return {
        true: {guess: cost for guess, cost in zip(classes, row, strict=True) if guess != true}
        for true, row in zip(classes, costs.tolist(), strict=True)
    }


def weigh_costs(costs: np.ndarray, priors: np.ndarray, stated: np.ndarray) -> np.ndarray:
    """Return the costs by which probabilities for one mix of classes decide as those for another mix do by `costs`.

    Where classes have other shares, the odds of a class are multiplied by the ratio of its shares (Saerens, Latinne &
    Decaestecker, Neural Computation 2002, 14:21-41). Which answer is cheapest then stays the same if the
    probabilities are left and the costs of each true class are multiplied instead (Elkan 2001).

    Args:
        costs: What an answer costs, float [true class, predicted class].
        priors: The share of each class that the probabilities follow, that of the training images, above 0, float [k].
        stated: Its share where the answers are used, float [k].

    >>> weigh_costs(np.array([[0.0, 1.0], [9.0, 0.0]]), np.array([0.5, 0.5]), np.array([0.9, 0.1])).round(2).tolist()
    [[0.0, 1.8], [1.8, 0.0]]
    """
    return costs * (np.asarray(stated, dtype=float) / np.asarray(priors, dtype=float))[:, None]


def predict_cheapest(probabilities: np.ndarray, costs: np.ndarray, positive: int = 1) -> np.ndarray:
    """Return the class of least expected cost for each image, int [n]; of equal ones as a run does.

    A run predicts the positive one of two classes from its cut-off on, and of more classes the first.

    It is Bayes's decision (Elkan, The foundations of cost-sensitive learning, IJCAI 2001, 973-978): the best one if the
    probabilities are calibrated.

    Args:
        probabilities: One column per class, float [n, k].
        costs: What an answer costs, float [true class, predicted class].
        positive: Which of two classes is the positive one, 0 or 1.

    Raises:
        InputError: If an array is something else.

    >>> costs = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [10.0, 10.0, 0.0]])
    >>> predict_cheapest(np.array([[0.6, 0.2, 0.2], [0.9, 0.06, 0.04]]), costs).tolist()
    [2, 0]
    """
    probabilities, costs = np.asarray(probabilities, dtype=float), np.asarray(costs)
    faults = find_cost_faults(costs) or _find_width_faults(probabilities, len(costs))
    if faults:
        raise InputError(faults)
    if len(costs) == 2:
        return _cut(probabilities, find_cutoff(costs, positive), positive)
    return expect_costs(probabilities, costs).argmin(axis=1)


def expect_costs(probabilities: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Return the expected cost of each answer for each image, float [n, k].

    Args:
        probabilities: One column per class, float [n, k].
        costs: What an answer costs, float [true class, predicted class].

    >>> expect_costs(np.array([[0.75, 0.25]]), np.array([[0.0, 1.0], [8.0, 0.0]])).tolist()
    [[2.0, 0.75]]
    """
    # Not as a matrix product, whose last digits, and so ties, depend on the number of threads.
    return np.einsum("nt,tp->np", probabilities, costs)


def find_cutoff(costs: np.ndarray, main: int) -> float:
    """Return the probability from which on the positive one of two classes is the cheaper answer.

    Args:
        costs: What an answer costs, float [2, 2], one of them above 0.
        main: Which class is the positive one.

    >>> find_cutoff(np.array([[0.0, 1.0], [9.0, 0.0]]), main=1)
    0.1
    """
    alarm, miss = costs[1 - main, main], costs[main, 1 - main]
    return float(alarm / (alarm + miss))


def predict_adjusted(probabilities: np.ndarray, priors: np.ndarray, tau: float = 1.0, positive: int = 1) -> np.ndarray:
    """Return the class with the largest log p - tau log prior for each image, int [n]; of equal ones as a run does.

    This is logit adjustment after training (Menon et al., Long-tail learning via logit adjustment, ICLR 2021). With
    tau = 1 and calibrated probabilities it gives the highest mean sensitivity over the classes.

    Args:
        probabilities: One column per class, float [n, k].
        priors: The share of each class among the training images, above 0, float [k].
        tau: How far frequent classes are held back: 0 not at all, 1 by all of their share.
        positive: As for `predict_cheapest`.

    Raises:
        InputError: If an array is something else, or `tau` is not finite.

    >>> predict_adjusted(np.array([[0.8, 0.2], [0.95, 0.05]]), np.array([0.9, 0.1])).tolist()
    [1, 0]
    """
    probabilities, priors = np.asarray(probabilities, dtype=float), np.asarray(priors, dtype=float)
    if priors.ndim != 1 or not (np.isfinite(priors) & (priors > 0)).all() or not np.isfinite(tau):
        raise InputError(
            "`priors` must be one number above 0 for each class, and `tau` finite. "
            f"Received: priors={priors.tolist()}, tau={tau}."
        )
    if faults := _find_width_faults(probabilities, len(priors)):
        raise InputError(faults)
    if len(priors) == 2:
        return _cut(probabilities, find_adjusted_cutoff(priors, tau, positive), positive)
    return adjust_logs(probabilities, priors, tau).argmax(axis=1)


def adjust_logs(probabilities: np.ndarray, priors: np.ndarray, tau: float) -> np.ndarray:
    """Return log p - tau log prior of each class for each image, float [n, k].

    Args:
        probabilities: One column per class, float [n, k].
        priors: The share of each class among the training images, above 0, float [k].
        tau: As for `predict_adjusted`.

    >>> adjust_logs(np.array([[0.9, 0.1]]), np.array([0.9, 0.1]), 1.0).tolist()
    [[0.0, 0.0]]
    """
    return np.log(np.maximum(probabilities, LEAST_PROBABILITY)) - tau * np.log(priors)


def find_adjusted_cutoff(priors: np.ndarray, tau: float, main: int) -> float:
    """Return the probability from which on logit adjustment predicts the positive one of two classes.

    Args:
        priors: The share of each class among the training images, above 0, float [2].
        tau: As for `predict_adjusted`.
        main: Which class is the positive one.

    >>> find_adjusted_cutoff(np.array([0.75, 0.25]), 1.0, main=1)
    0.25
    """
    odds = math.exp(tau * (math.log(priors[main]) - math.log(priors[1 - main])))
    return odds / (1 + odds)


def _cut(probabilities, cutoff, main) -> np.ndarray:
    """Return the positive one of two classes from a cut-off on, as a run does whose threshold stands for it."""
    threshold = uncalibrate(cutoff, 1.0)
    # A probability that was calibrated at the threshold differs from the cut-off in its last digits.
    reached = (probabilities[:, main] >= threshold * (1 - _ROUNDED)) & (threshold <= 1)
    return np.where(reached, main, 1 - main)


def _find_width_faults(probabilities, classes) -> list[str]:
    if probabilities.ndim == 2 and probabilities.shape[1] == classes:
        return []
    return [f"`probabilities` must have {classes} columns. Received: shape={probabilities.shape}."]


def uncalibrate(cutoff: float, temperature: float) -> float:
    """Return the score from which on a calibrated probability of two classes reaches a cut-off.

    Calibration divides the logit by the temperature, so the logit of the cut-off is multiplied by it. Where scores of 0
    and 1 are calibrated to less extreme probabilities, no score, or every score, may reach the cut-off.

    Args:
        cutoff: The calibrated probability, 0..1.
        temperature: From `fit_temperature`.

    Returns:
        0 if every score reaches it, a number above 1 if none does.

    >>> round(uncalibrate(0.1, 2.0), 4), uncalibrate(0.5, 3.0), uncalibrate(0.0, 1.0)
    (0.0122, 0.5, 0.0)
    """
    if temperature == 1 and 0 < cutoff < 1:
        return float(cutoff)  # the formula would change its last digit
    with np.errstate(divide="ignore"):  # of cut-offs of 0 and 1, whose logits are infinite
        logit = temperature * (np.log(cutoff) - np.log1p(-cutoff))
    most = -np.log(LEAST_PROBABILITY)
    if logit > most:
        return float(np.nextafter(1.0, 2.0))
    return 0.0 if logit <= -most else float(1 / (1 + np.exp(-logit)))
