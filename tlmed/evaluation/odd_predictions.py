"""What is odd in a file of predictions: classes that contradict scores, decisions for scores, exchanged columns."""

import math

import numpy as np

from tlmed.evaluation.prediction_rows import CALIBRATED, SCORE
from tlmed.evaluation.predictions import HALF, Predictions, reach
from tlmed.label_vectors import find_constant
from tlmed.metrics import positive_index
from tlmed.tasks import ORDINAL
from tlmed.words import count, join_names, listed

# Columns count as exchanged if the correlation with another class's scores exceeds that with the own ones by this.
_APART = 0.5
_ROUNDED = 1e-6  # how far a half may be off in probabilities that were written with few digits


def describe_contradictions(predictions: Predictions, positive: str | None) -> list[str]:
    """Return a sentence where predicted classes are not those with the highest score, and which threshold explains it.

    Of ordered classes it is said where they are not the median, of several labels where they are not those from a score
    of 0.5 on.

    Args:
        predictions: All rows are checked; rows with several highest scores contradict nothing.
        positive: The positive of two classes, by default the second in the order of classes.

    >>> rows = ["a", "b", "c"], ["test"] * 3, np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    >>> (said,) = describe_contradictions(Predictions(*rows, np.array([0, 1, 1]), ("ill", "well")), "well")
    >>> print(said.partition(" explains")[0])
    In 1 of 3 rows `prediction` is not the class with the highest score. A threshold of 'well' above 0.2 and up to 0.4
    """
    if predictions.is_multi:
        return [] if predictions.by_scores else _describe_labels_off_half(predictions)
    scores, guesses, graded = predictions.scores, predictions.predictions, predictions.task == ORDINAL
    lower = int((scores[np.arange(len(guesses)), guesses] < scores.max(axis=1)).sum())
    rows = _count_off_median(predictions) if graded else lower
    if predictions.by_scores or not rows:
        return []
    rule = "the median grade" if graded else "the class with the highest score"
    said = f"In {rows:,} of {count(len(guesses), 'row')} `prediction` is not {rule}."
    main, cause = positive_index(predictions.classes, positive), ""
    if graded and not lower:
        cause = " In every row it is the class with the highest score."
    elif main is not None:
        cause = f" {_explain_by_threshold(scores[:, main], guesses == main, predictions.classes[main])}"
    return [
        f"{said}{cause} Metrics that count predicted classes, such as accuracy, sensitivity and F1, are computed from "
        "the column `prediction`; those that need probabilities, such as AUC and log loss, from the scores."
    ]


def _describe_labels_off_half(predictions) -> list[str]:
    """Say in one line by which thresholds columns of labels were predicted, where it was not by 0.5."""
    said, columns = [], zip(predictions.classes, predictions.scores.T, predictions.predictions.T, strict=True)
    for name, scores, chosen in columns:
        if rows := int(((scores >= HALF) != (chosen == 1)).sum()):
            cause = _explain_by_threshold(scores, chosen == 1, name)
            said.append(f"In {rows:,} of {count(len(scores), 'row')} `prediction_{name}` is not by 0.5. {cause}")
    return [" ".join(said)] if said else []


def _count_off_median(predictions) -> int:
    """Count rows whose grade is no median; where a grade is reached with just a half, so are it and the one below."""
    scores = predictions.scores if predictions.calibrated is None else predictions.calibrated
    reached = np.pad(reach(scores), ((0, 0), (0, 1)))  # nothing lies above the highest grade
    rows, guesses = np.arange(len(scores)), predictions.predictions
    off = (reached[rows, guesses] < HALF - _ROUNDED) | (reached[rows, guesses + 1] > HALF + _ROUNDED)
    return int(off.sum())


def _explain_by_threshold(scores, chosen, name) -> str:
    """Say which thresholds give the rows that are predicted as a class, or how many rows the best one leaves."""
    highest, lowest = scores[~chosen].max(initial=-math.inf), scores[chosen].min(initial=math.inf)
    if highest < lowest:
        bounds = [f"above {highest:.6g}"] if chosen.sum() < len(chosen) else []
        bounds += [f"up to {lowest:.6g}"] if chosen.any() else []
        return f"A threshold of {name!r} {' and '.join(bounds)} explains it."
    # `left` counts contradictions for each score as threshold: chosen rows below it, and rows from it on that are not
    # chosen. Its last entry is for a threshold above all scores.
    order = np.argsort(scores, kind="stable")
    levels, first = np.unique(scores[order], return_index=True)
    below = np.concatenate([[0], np.cumsum(chosen[order])])
    above = np.cumsum(~chosen[order][::-1])[::-1]
    left = [*(below[first] + above[first]), below[-1]]
    best = int(np.argmin(left))
    nearest = f"{levels[best]:.6g}" if best < len(levels) else f"any above {levels[-1]:.6g}"
    rows = count(int(left[best]), "row")
    return f"No single threshold of {name!r} explains it: the nearest, {nearest}, contradicts {rows}."


def describe_hard_scores(predictions: Predictions) -> list[str]:
    """Return a sentence where all scores, or all calibrated ones, are 0 or 1: decisions, of which there is no ranking.

    >>> rows = ["a", "b"], ["test"] * 2, np.array([0, 1]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])
    >>> describe_hard_scores(Predictions(*rows, ("ill", "well")))[0].partition(":")[0]
    'All scores are 0 or 1, decisions and not probabilities'
    """
    columns = zip(predictions.classes, predictions.scores.T, strict=True)
    hard = [name for name, column in columns if _is_hard(column)] if predictions.is_multi else []
    if 0 < len(hard) < len(predictions.classes):
        return [
            f"All scores of {listed(map(repr, hard), 5)} are 0 or 1, decisions and not probabilities: the AUC is only "
            "the mean of sensitivity and specificity, and log loss, Brier score and ECE say nothing of calibration."
        ]
    if _is_hard(predictions.scores):
        return [
            "All scores are 0 or 1, decisions and not probabilities: the AUC is only the mean of sensitivity and "
            "specificity, and log loss, Brier score and ECE say nothing of calibration."
        ]
    if predictions.calibrated is not None and _is_hard(predictions.calibrated):
        return [f"All columns `{CALIBRATED}CLASS` are 0 or 1: what is computed from them says nothing of calibration."]
    return []


def describe_constant(predictions: Predictions) -> list[str]:
    """Name the labels that no image has, or every one, of those of which it is known; nothing of one class per image.

    >>> labels, rows = np.array([[1, 0], [0, 0]]), (["a", "b"], ["test"] * 2)
    >>> chosen = Predictions(*rows, labels, labels / 2, labels, ("edema", "mass"), task="multi-label")
    >>> describe_constant(chosen)
    ["In the rows that are scored 'mass' is never 1 where known; what needs both values is not measured."]
    """
    if not predictions.is_multi:
        return []
    found = find_constant(predictions.labels, predictions.classes).items()
    said = [f"{listed(map(repr, names), 5)} {'is' if len(names) == 1 else 'are'} {how}" for how, names in found]
    return [f"In the rows that are scored {join_names(said)}; what needs both values is not measured."] if said else []


def _is_hard(scores) -> bool:
    return bool(np.isin(scores, (0, 1)).all())


def describe_exchanged(predictions: Predictions) -> list[str]:
    """Return a sentence where calibrated probabilities go with the scores of other classes: columns are exchanged.

    Calibration keeps the order of scores, more or less: each column correlates best with its own.

    >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> rows = ["a", "b", "c"], ["test"] * 3, np.array([0, 1, 1]), scores, np.array([0, 1, 1]), ("ill", "well")
    >>> describe_exchanged(Predictions(*rows, calibrated=scores[:, ::-1]))
    ['Are columns exchanged? `calibrated_ill` goes with `score_well`, `calibrated_well` goes with `score_ill`.']
    """
    if predictions.calibrated is None:
        return []
    classes = predictions.classes
    # Correlations [k, k]: rows are calibrated columns, columns are scores.
    likeness = _standardise(predictions.calibrated).T @ _standardise(predictions.scores)
    nearest = likeness.argmax(axis=1)
    moved = set(np.flatnonzero(likeness.max(axis=1) - likeness.diagonal() > _APART).tolist())
    said = [
        f"`{CALIBRATED}{classes[c]}` goes with `{SCORE}{classes[nearest[c]]}`"
        for c in sorted(moved)
        if nearest[c] in moved  # an exchange: the other column must be out of place, too
    ]
    return [f"Are columns exchanged? {listed(said, 3)}."] if said else []


def _standardise(table) -> np.ndarray:
    """Return columns with mean 0 and length 1, whose products are correlations; a constant one becomes zeros."""
    centred = table - table.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    return centred / np.where(length > 1e-9, length, np.inf)
