"""Solve a linear head instead of training it: features in, kernel and bias of a dense layer out.

The log loss on images that were held out chooses the strength of the penalty, whatever score a recipe watches: it is
what the solver minimises, and each image counts by its probability. An AUC or an accuracy of a hundred images hardly
changes from one strength to the next, so that chance would choose, and too weak penalties make heads overconfident.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from tlmed.data.units import split_units
from tlmed.label_texts import NEGATIVE, POSITIVE, UNKNOWN
from tlmed.label_vectors import are_vectors
from tlmed.logistic import Solution, Source, Targets, aim_at_classes, aim_at_labels, solve_path
from tlmed.seeds import derive
from tlmed.training import measure

# From a head that hardly looks at the features to one that hardly obeys the penalty, each 2.6 times the next. With
# stronger ones, up to 100, the loss on test images was higher on five of five sets.
STRENGTHS = tuple(float(f"{10 ** (1 - 5 * step / 12):.3g}") for step in range(13))
LEAST = 10  # validation images of a class; with fewer, the strength is chosen on folds of the training images
FOLDS = 5
VALIDATION, OUT_OF_FOLD = "validation", "folds"
_NEVER = -50.0  # log-odds, below all others, of a class that no training image has


@dataclass(frozen=True, eq=False)
class Rows:
    """Features with what they are.

    Attributes:
        source: The features, n rows.
        labels: Classes, int [n], or vectors of labels, int [n, k].
        owners: int [n]: rows of one owner never stand in different folds.
    """

    source: Source
    labels: np.ndarray
    owners: np.ndarray


@dataclass(frozen=True, eq=False)
class Aim:
    """What is asked of a head.

    Attributes:
        classes: How many classes or labels there are.
        strengths: Those that are tried, the largest first.
        factors: Of the loss of each class, or pairs for each label; None: all 1.
        seed: Decides the folds.
    """

    classes: int
    strengths: Sequence[float] = STRENGTHS
    factors: Sequence | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SolvedHead:
    """A head that was solved.

    Attributes:
        kernel: float32 [d, classes], for features as they are.
        bias: float32 [classes].
        loss: Mean loss of the training rows, by the factors of classes, without the penalty.
        accuracy: Of the training rows.
        path: For each strength: `l2`, `loss`, `val_loss`, `val_accuracy`, `val_auc`, `val_weighted_loss`, `steps`,
            `judged_on` and `chosen`.
    """

    kernel: np.ndarray
    bias: np.ndarray
    loss: float
    accuracy: float
    path: list[dict]


def solve_head(train: Rows, val: Rows, aim: Aim, look: Callable[[], None] = lambda: None) -> SolvedHead:
    """Solve the heads of all strengths, and return the one with the lowest log loss on images that were held out.

    The loss weighs classes by `aim.factors`, as that of training does. Of equal losses the strongest penalty is taken.

    Args:
        train: What heads are fitted to.
        val: What chooses the strength, where each class has `LEAST` images there or more; of several labels, images
            that have each one and images that do not.
        aim: What is asked.
        look: Called after each strength, to stop if that was asked for.

    Raises:
        Whatever `look` raises.
    """
    several, parts = are_vectors(train.labels), deal_folds(train, val, aim)
    scored = [
        (solution, predict(*spread(solution, train.labels, aim.classes), val.source, several))
        for solution in _solve(train, aim, look)
    ]
    judged, labels, on = [scores for _, scores in scored], val.labels, VALIDATION
    if parts is not None:
        judged, labels, on = _score_folds(train, parts, aim, look), train.labels, OUT_OF_FOLD
    path = [
        {
            "l2": solution.l2,
            "loss": solution.loss,
            **{f"val_{name}": value for name, value in measure(scores, labels).items()},
            "val_weighted_loss": measure_loss(scores, labels, aim.factors),
            "steps": solution.steps,
            "judged_on": on,
        }
        for (solution, _), scores in zip(scored, judged, strict=True)
    ]
    best = min(range(len(path)), key=lambda i: path[i]["val_weighted_loss"])
    chosen = scored[best][0]
    kernel, bias = spread(chosen, train.labels, aim.classes)
    accuracy = measure(predict(kernel, bias, train.source, several), train.labels)["accuracy"]
    path = [{**row, "chosen": number == best} for number, row in enumerate(path)]
    return SolvedHead(kernel, bias, chosen.loss, accuracy, path)


def measure_loss(scores: np.ndarray, labels: np.ndarray, factors: Sequence | None = None) -> float:
    """Return the mean log loss, with factors for classes as a solver weighs them.

    Args:
        scores: Probabilities [n, classes].
        labels: Classes, int [n], or vectors of labels, int [n, k]; the mean is over those that are known.
        factors: Of each class, or pairs for each label; None: all 1.

    >>> round(measure_loss(np.full((2, 2), 0.5), np.array([0, 1]), (1.0, 3.0)), 3)  # 2 log 2
    1.386
    """
    if factors is None:
        return measure(scores, labels)["loss"]
    factors, scores = np.asarray(factors), scores.astype(np.float64)
    if are_vectors(labels):
        has = labels == POSITIVE
        right, weights = np.where(has, scores, 1 - scores), np.where(has, factors[:, 1], factors[:, 0])
        known = labels != UNKNOWN
        right, weights = right[known], weights[known]
    else:
        right, weights = scores[np.arange(len(labels)), labels], factors[labels]
    return float((weights * -np.log(np.clip(right, 1e-7, 1))).mean())  # clipped as in `measure`


def count_heads(train: Rows, val: Rows, aim: Aim) -> int:
    """Return how many heads `solve_head` solves, and so how often it calls `look`."""
    parts = deal_folds(train, val, aim)
    return len(aim.strengths) * (1 if parts is None else 1 + len(np.unique(parts)))


def deal_folds(train: Rows, val: Rows, aim: Aim) -> np.ndarray | None:
    """Return the fold of each training row, where the strength is chosen on folds; else None.

    Args:
        train: What heads are fitted to.
        val: What chooses the strength, if there is enough of it.
        aim: What is asked.
    """
    if len(aim.strengths) == 1 or not _are_few(val.labels, aim.classes):
        return None
    return _deal(train, aim)


def spread(solution: Solution, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias with a column for each class, float32 [d, classes] and [classes].

    Args:
        solution: Its columns are those of the classes that occur in the training rows, of two classes the second one.
        labels: Of the training rows.
        classes: How many there are.
    """
    kernel, bias = solution.kernel, solution.bias
    if are_vectors(labels):
        return kernel.astype(np.float32), bias.astype(np.float32)
    if kernel.shape[1] == 1:
        # A softmax looks at differences only; halves have the smallest weights.
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.hstack([-bias, bias]) / 2
    seen = np.unique(labels)
    wide, level = np.zeros((len(kernel), classes), np.float32), np.full(classes, bias.min() + _NEVER, np.float32)
    wide[:, seen], level[seen] = kernel, bias
    return wide, level


def predict(kernel: np.ndarray, bias: np.ndarray, source: Source, several: bool) -> np.ndarray:
    """Return the probabilities of a head for all rows, float32 [n, classes]."""
    turn = expit if several else (lambda scores: softmax(scores, axis=1))
    return np.concatenate([turn(np.asarray(chunk, np.float32) @ kernel + bias) for chunk in source.chunks()])


def _solve(train: Rows, aim: Aim, look) -> list[Solution]:
    found = []
    for solution in solve_path(train.source, _aim_at(train.labels, aim), aim.strengths):
        found.append(solution)
        look()
    return found


def _aim_at(labels, aim) -> Targets:
    if are_vectors(labels):
        return aim_at_labels(labels, aim.factors)
    seen, codes = np.unique(labels, return_inverse=True)
    factors = None if aim.factors is None else [aim.factors[label] for label in seen]
    return aim_at_classes(codes, len(seen), factors)


def _are_few(labels, classes) -> bool:
    if are_vectors(labels):
        return any((labels == value).sum(0).min() < LEAST for value in (NEGATIVE, POSITIVE))
    return bool(np.bincount(labels, minlength=classes).min() < LEAST)


def _deal(train: Rows, aim: Aim) -> np.ndarray | None:
    """Return the fold of each row; None where a class has not two owners, so that no fold could know it."""
    strata = _stratify(train.labels)
    owners = [len(np.unique(train.owners[strata == stratum])) for stratum in np.unique(strata)]
    count = min(FOLDS, *owners)
    if count < 2:
        return None
    codes = np.unique(strata, return_inverse=True)[1]
    units = np.unique(train.owners, return_inverse=True)[1]
    return split_units(codes, units, [1 / count] * count, derive(aim.seed, "folds of a head"), int(codes.max()) + 1)


def _stratify(labels) -> np.ndarray:
    """Return the class of each row; of several labels the rarest that it has, and another number for none."""
    if not are_vectors(labels):
        return labels
    has = labels == POSITIVE
    return np.where(has.any(1), np.where(has, has.sum(0), np.inf).argmin(1), labels.shape[1])


def _score_folds(train: Rows, parts, aim, look) -> list[np.ndarray]:
    """Return what heads of each strength say of rows that they were not fitted to, [n, classes] each."""
    several, found = are_vectors(train.labels), None
    for part in np.unique(parts):
        known, asked = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        inside = Rows(train.source.choose(known), train.labels[known], train.owners[known])
        for number, solution in enumerate(_solve(inside, aim, look)):
            scores = predict(*spread(solution, inside.labels, aim.classes), train.source.choose(asked), several)
            if found is None:
                found = [np.empty((len(parts), scores.shape[1]), scores.dtype) for _ in aim.strengths]
            found[number][asked] = scores
    return found
