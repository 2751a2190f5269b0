"""The list of all metrics, and how each is computed, for many weightings of the images at once.

Resampling needs the weightings. Each function takes weights [n, d], one column per draw, and reads them once. The
numbers are those of scikit-learn with `sample_weight`; there a draw takes tens of milliseconds, here a fraction of one.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from tlmed.errors import did_you_mean
from tlmed.metrics.calibration import BINS, CALIBRATED, are_probabilities, find_bins, pair

METRICS = (
    *("accuracy", "auc", "sensitivity", "specificity", "ppv", "npv", "balanced_accuracy", "f1", "mcc", "kappa"),
    *("quadratic_kappa", "average_precision", "log_loss", "brier", "ece"),
)
# Those that each class has against the rest.
CLASS_METRICS = ("auc", "sensitivity", "specificity", "ppv", "npv", "f1", "average_precision")
RANKED = frozenset({"auc", "average_precision"})
_SMALLEST = np.finfo(float).eps  # the least probability whose logarithm is taken, as in scikit-learn


def find_metric_faults(names: Collection[str]) -> list[str]:
    """Return a sentence for each name, among those wanted, that is no metric."""
    return [
        f"`only` must name metrics of {', '.join(METRICS)}.{did_you_mean(name, METRICS)} Received: {name!r}."
        for name in names
        if name not in METRICS
    ]


@dataclass(frozen=True)
class Ranking:
    """The ranks of the images of a class among the rest, by scores from the highest down.

    Attributes:
        winners: Rows of the images of the class [p].
        losers: Rows of the rest [q].
        above: How many of the rest score higher than each of the class [p].
        upto: How many of the rest score as high or higher [p].
        peers: How many of the class score as high or higher [p].
    """

    winners: np.ndarray
    losers: np.ndarray
    above: np.ndarray
    upto: np.ndarray
    peers: np.ndarray


@dataclass(frozen=True)
class Case:
    """Predictions, prepared once to be weighted many times.

    Attributes:
        labels: True classes, int [n].
        scores: One column per class, float [n, k].
        predictions: Predicted classes, int [n].
        main: The positive one of two classes, None for more.
        classes: How many there are.
        rankings: One for each class.
        losses: Log loss and Brier score of each image, float [2, n].
        surplus: Outcome less probability of each image in the row of its bin, float [bins, n].
        probable: Whether the scores are probabilities; without, log loss, Brier score and calibration are undefined.
    """

    labels: np.ndarray
    scores: np.ndarray
    predictions: np.ndarray
    main: int | None
    classes: int
    rankings: tuple[Ranking, ...]
    losses: np.ndarray
    surplus: np.ndarray
    probable: bool


def make_case(labels: np.ndarray, scores: np.ndarray, predictions: np.ndarray, main: int | None) -> Case:
    """Prepare predictions: sort and bin once what each draw needs.

    Args:
        labels: True classes, int [n], 0..k-1.
        scores: One column per class, float [n, k], finite.
        predictions: Predicted classes, int [n], 0..k-1.
        main: The positive one of two classes, None for more.
    """
    n, k = scores.shape
    probable = are_probabilities(scores)
    losses, surplus = np.full((2, n), np.nan), np.full((BINS, n), np.nan)
    if probable:
        own = np.clip(scores[np.arange(n), labels], _SMALLEST, 1 - _SMALLEST)
        errors = (scores - np.eye(k)[labels]) ** 2
        losses = np.stack([-np.log(own), errors.sum(axis=1) if main is None else errors[:, main]])
        confidence, outcome = pair(labels, scores, predictions, main)
        surplus = np.where(find_bins(confidence) == np.arange(BINS)[:, None], outcome - confidence, 0)
    rankings = tuple(_rank(labels == c, scores[:, c]) for c in range(k))
    return Case(labels, scores, predictions, main, k, rankings, losses, surplus, probable)


def _rank(positive, scores) -> Ranking:
    winners, losers = (
        rows[np.argsort(-scores[rows])] for rows in (np.flatnonzero(positive), np.flatnonzero(~positive))
    )
    mine, theirs = -scores[winners], -scores[losers]
    above, upto = (np.searchsorted(theirs, mine, side) for side in ("left", "right"))
    return Ranking(winners, losers, above, upto, np.searchsorted(mine, mine, "right"))


def rate(case: Case, weights: np.ndarray, names: Collection[str] = METRICS) -> dict[int | None, dict[str, np.ndarray]]:
    """Compute metrics under each column of `weights` [n, d].

    Of two classes, sensitivity, specificity, predictive values, F1, AUC and average precision are those of the
    positive class; of more, the mean over the classes present of each against the rest.

    - `kappa`: Cohen, Educ. Psychol. Meas. 1960, 20:37-46; `quadratic_kappa` weighs a confusion by the squared
      distance of the two classes in their given order (Cohen, Psychol. Bull. 1968, 70:213-220).
    - `mcc`: Matthews's correlation, of more than two classes as in Gorodkin, Comput. Biol. Chem. 2004, 28:367-374.
    - `average_precision`: the precision at each image of the class, averaged, without interpolation.
    - `brier`: mean squared error of the positive class's probability, of more than two classes summed over them
      (Brier, Mon. Weather Rev. 1950, 78:1-3).
    - `ece`: expected calibration error (Naeini et al., AAAI 2015; Guo et al., ICML 2017) over ten bins of equal width,
      for the positive class's probability of two classes and the predicted class's of more.

    Args:
        case: The predictions.
        weights: How often each image counts, float [n, d], one column per draw; 0 leaves an image out.
        names: The metrics wanted, of `METRICS`.

    Returns:
        Scope (None for overall, else the class) to metric to values [d]; nan where undefined.

    >>> labels, scores = np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    >>> case = make_case(labels, scores, scores.argmax(axis=1), main=1)
    >>> rate(case, np.array([[1.0], [1.0], [2.0]]), ["accuracy", "auc"])[None]["accuracy"].tolist()
    [0.5]
    """
    present = np.unique(case.labels)
    classwise, overall = {}, {}
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is undefined: nan
        if set(names) - {*CALIBRATED, *RANKED}:
            counts = _count(case, weights)
            classwise, overall = _rate_classes(*counts), _rate_agreement(case, weights, *counts)
        if RANKED & set(names):
            ranked = [_rate_ranking(ranking, weights) for ranking in case.rankings]
            classwise |= {
                name: np.stack(found)
                for name, found in zip(("auc", "average_precision"), zip(*ranked, strict=True), strict=True)
            }
        rows = present if case.main is None else [case.main]
        overall |= {name: found[rows].mean(axis=0) for name, found in classwise.items()}
        if "sensitivity" in classwise:
            every = present if case.main is None else [0, 1]
            overall["balanced_accuracy"] = classwise["sensitivity"][every].mean(axis=0)
        if set(CALIBRATED) & set(names):
            total = weights.sum(axis=0)
            # Not as a matrix product: its threads cost more than they save, and its sums depend on their number.
            overall["log_loss"], overall["brier"] = np.einsum("in,nd->id", case.losses, weights) / total
            overall["ece"] = np.abs(np.einsum("in,nd->id", case.surplus, weights)).sum(axis=0) / total
    scopes = {None: {name: overall[name] for name in METRICS if name in names}}
    return scopes | {
        c: {name: classwise[name][c] for name in CLASS_METRICS if name in names} for c in range(case.classes)
    }


def _count(case, weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weight of the images of each class, of those predicted as it, and of those of both, [k, d] each.

    There is no confusion matrix: with 1,000 classes it would have a million cells for every draw.
    """
    right = case.labels == case.predictions
    return tuple(
        _add_up(case.classes, of[rows], weights[rows])
        for of, rows in ((case.labels, slice(None)), (case.predictions, slice(None)), (case.labels, right))
    )


def _add_up(classes, of, weights) -> np.ndarray:
    """Return the sum of the weights [n, d] of each class, [classes, d]."""
    order = np.argsort(of, kind="stable")
    # Sorted by class, because `reduceat` sums neighbouring rows.
    found, starts = np.unique(of[order], return_index=True)
    sums = np.zeros((classes, weights.shape[1]))
    if len(found):
        sums[found] = np.add.reduceat(weights[order], starts, axis=0)
    return sums


def _rate_classes(support, guessed, hits) -> dict[str, np.ndarray]:
    """Return what counts tell of each class against the rest, [k, d] each."""
    total = support.sum(axis=0)
    correct = total - support - guessed + hits
    both = (support > 0) & (support < total)  # with one kind of image only, a predictive value says nothing
    return {
        "sensitivity": hits / support,
        "specificity": correct / (total - support),
        "ppv": np.where(both, hits / guessed, np.nan),
        "npv": np.where(both, correct / (total - guessed), np.nan),
        "f1": np.where(support > 0, 2 * hits / (support + guessed), np.nan),
    }


def _rate_agreement(case, weights, support, guessed, hits) -> dict[str, np.ndarray]:
    """Return what counts tell of all classes together, [d] each."""
    # Counts instead of shares: both terms of each fraction are multiplied by the square of `total`.
    total, right = support.sum(axis=0), hits.sum(axis=0)
    expected = (support * guessed).sum(axis=0)
    spread = [total**2 - (margin**2).sum(axis=0) for margin in (support, guessed)]
    places = np.arange(len(support))[:, None]
    apart = np.einsum("n,nd->d", (case.labels - case.predictions).astype(float) ** 2, weights)
    means, squares = ([(places**power * margin).sum(axis=0) for margin in (support, guessed)] for power in (1, 2))
    apart_by_chance = (squares[0] + squares[1]) * total - 2 * means[0] * means[1]
    varied = spread[0] > 0  # if all images are of one class, all agreement is by chance
    return {
        "accuracy": right / total,
        "mcc": (right * total - expected) / np.sqrt(spread[0] * spread[1]),
        "kappa": np.where(varied, (right * total - expected) / (total**2 - expected), np.nan),
        "quadratic_kappa": np.where(varied, 1 - apart * total / apart_by_chance, np.nan),
    }


def _rate_ranking(ranking, weights) -> tuple[np.ndarray, np.ndarray]:
    """Return AUC and average precision of a class [d]; nan where it, or the rest, has no weight."""
    mine = weights[ranking.winners]
    ahead = np.zeros((len(ranking.losers) + 1, weights.shape[1]))  # row i: the weight of the i highest of the rest
    np.cumsum(weights[ranking.losers], axis=0, out=ahead[1:])
    own, rest = mine.sum(axis=0), ahead[-1]
    false = ahead[ranking.upto]
    beaten = (
        false if np.array_equal(ranking.above, ranking.upto) else (ahead[ranking.above] + false) / 2
    )  # half of ties
    area = (own * rest - np.einsum("nd,nd->d", mine, beaten)) / (own * rest)  # whole and half numbers: no rounding
    true = np.cumsum(mine, axis=0)[ranking.peers - 1]
    predicted = true + false
    predicted[predicted == 0] = 1  # only images without weight rank so high; their term is 0 / 1
    precision = np.einsum("nd,nd->d", mine, true / predicted) / own
    return area, np.where(rest > 0, precision, np.nan)
