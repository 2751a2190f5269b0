"""Pick the images that a reader should see: where the network was surest, right or wrong, and where it was not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.evaluation.answer_rules import AnswerRule
from tlmed.evaluation.predictions import HALF, Predictions, reach
from tlmed.label_texts import NEGATIVE, POSITIVE
from tlmed.run_files import FALSE_ALARM, FOUND, MISSED
from tlmed.tasks import ORDINAL

# Of many labels those are shown that most images have, and of the others those with the lowest AUC.
MOST_LABELS, MOST_FREQUENT = 6, 3


@dataclass(frozen=True)
class Case:
    """An image that a reader should see.

    Attributes:
        kind: Why, such as "wrong" or "missed".
        rank: Its place among those of its kind, from 1.
        row: Its number in the predictions.
        column: The number of the class, or of the label, whose evidence is shown.
        label: The name of that label; "" where an image has one class.
    """

    kind: str
    rank: int
    row: int
    column: int
    label: str = ""


def list_cases(cases: Mapping[str, Sequence[int]], predictions: Predictions) -> list[Case]:
    """Return the cases that `pick_cases` found one after the other: of each the predicted class is explained."""
    return [
        Case(kind, rank, row, int(predictions.predictions[row]))
        for kind, rows in cases.items()
        for rank, row in enumerate(rows, 1)
    ]


def pick_label_cases(predictions: Predictions, k: int, labels: Sequence[int], split: str = "test") -> list[Case]:
    """Pick for each label the images where it was found, missed and a false alarm, the surest first.

    Found are images that have the label and for which it is predicted, and the highest score is the surest; missed
    are those for which it is not predicted, and the lowest score is the surest; a false alarm is an image without it,
    and again the highest score is the surest. Images of which a label is not known are none of these.

    Args:
        predictions: Of several labels, and of any splits; only rows of `split` are picked.
        k: How many of each kind; fewer where there are not so many.
        labels: The numbers of the labels.
        split: The split.

    >>> labels, scores = np.array([[1], [1], [0], [-1]]), np.array([[0.9], [0.2], [0.7], [0.8]])
    >>> guesses = (scores >= 0.5).astype(int)
    >>> parts = ("a", "b", "c", "d"), ("test",) * 4, labels, scores, guesses, ("edema",)
    >>> [(case.kind, case.row) for case in pick_label_cases(Predictions(*parts, task="multi-label"), 1, [0])]
    [('found', 0), ('missed', 1), ('false-alarm', 2)]
    """
    return [case for column in labels for case in _pick_of(predictions, k, column, split)]


def _pick_of(predictions, k, column, split) -> Iterator[Case]:
    truth, guesses, scores = (it[:, column] for it in (predictions.labels, predictions.predictions, predictions.scores))
    mine = np.array(predictions.splits) == split
    kinds = {
        FOUND: (mine & (truth == POSITIVE) & (guesses == 1), -scores),
        MISSED: (mine & (truth == POSITIVE) & (guesses == 0), scores),
        FALSE_ALARM: (mine & (truth == NEGATIVE) & (guesses == 1), -scores),
    }
    for kind, (chosen, order) in kinds.items():
        rows = sorted(np.flatnonzero(chosen).tolist(), key=lambda row: (order[row], predictions.paths[row]))
        for rank, row in enumerate(rows[:k], 1):
            yield Case(kind, rank, row, column, predictions.classes[column])


def choose_labels(per_class: Mapping[str, Mapping]) -> tuple[list[int], str]:
    """Return the numbers of the labels of which cases are shown, and a sentence on them where these are not all.

    Args:
        per_class: Of `metrics.json`: `positives` and `auc` of each label.

    >>> labels = {f"l{i}": {"positives": i, "auc": {"value": 1 - i / 9}} for i in range(8)}
    >>> choose_labels(labels)[0]
    [2, 3, 4, 5, 6, 7]
    """
    names, entries = list(per_class), list(per_class.values())
    if len(names) <= MOST_LABELS:
        return list(range(len(names))), ""
    frequent = sorted(range(len(names)), key=lambda number: (-entries[number]["positives"], number))[:MOST_FREQUENT]
    others = [it for it in range(len(names)) if it not in frequent and entries[it]["auc"]["value"] is not None]
    weakest = sorted(others, key=lambda number: (entries[number]["auc"]["value"], number))
    weakest = weakest[: MOST_LABELS - MOST_FREQUENT]
    said = (
        f"Of {len(names)} labels {len(frequent) + len(weakest)} are shown: those that most images have "
        f"({', '.join(names[it] for it in frequent)}), and those of the others with the lowest AUC "
        f"({', '.join(names[it] for it in weakest)})."
    )
    return sorted([*frequent, *weakest]), said


def pick_cases(
    predictions: Predictions,
    k: int = 4,
    positive: int | None = None,
    threshold: float | None = None,
    split: str = "test",
    rule: AnswerRule | None = None,
) -> dict[str, list[int]]:
    """Pick the most confident right, the most confident wrong and the most uncertain cases of a split.

    Args:
        predictions: Of any splits; only rows of `split` are picked.
        k: How many of each kind; fewer where there are not so many.
        positive: The number of the positive one of two classes, with `threshold`.
        threshold: Its score from which on it is predicted. The most uncertain are the closest to it; the surest are
            the farthest from it, as a share of the way to 0 or 1.
        split: The split.
        rule: How calibrated probabilities of more classes became predictions, where not by the highest score.

    Returns:
        "right", "wrong" and "uncertain" to row numbers of `predictions`, most telling first. Equal confidence is
        decided by path. A case of a small split may be in two of them.

    >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])
    >>> labels, guesses = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0])
    >>> made = Predictions(("a", "b", "c", "d"), ("test",) * 4, labels, scores, guesses, ("benign", "malignant"))
    >>> pick_cases(made, k=1)
    {'right': [0], 'wrong': [2], 'uncertain': [3]}
    """
    distances, confidence = _measure_confidence(predictions, positive, threshold, rule)
    rows = [row for row, name in enumerate(predictions.splits) if name == split]
    right = predictions.predictions == predictions.labels

    def surest(row):
        return -confidence[row], predictions.paths[row]

    return {
        "right": sorted((row for row in rows if right[row]), key=surest)[:k],
        "wrong": sorted((row for row in rows if not right[row]), key=surest)[:k],
        "uncertain": sorted(rows, key=lambda row: (abs(distances[row]), predictions.paths[row]))[:k],
    }


def _measure_confidence(predictions, positive, threshold, rule) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each prediction is from another one, and how sure it is by that: 0 at the border.

    Both are the score of the predicted class minus the highest other score; of a rule, what it compares instead. Of
    ordered classes both are how far the nearest probability of a grade or a higher one is from a half, at which another
    grade is predicted. For two classes with a threshold, the first is the distance from the threshold, the second that
    as a share of the longest one on its side: a score of 0 is as sure as one of 1, however low the threshold.
    """
    scores = np.asarray(predictions.scores, "float64")
    decisive = scores if predictions.calibrated is None else np.asarray(predictions.calibrated, "float64")
    if rule is not None:
        return _lead(rule.rate(decisive), predictions.predictions)
    if predictions.task == ORDINAL:
        # The median changes where the probability of a grade or a higher one passes a half.
        margin = 2 * np.abs(reach(decisive)[:, 1:] - HALF).min(axis=1)
        return margin, margin
    if threshold is not None and positive is not None and scores.shape[1] == 2:
        margin = scores[:, positive] - threshold
        longest = np.where(margin >= 0, 1 - threshold, threshold)
        distances = np.abs(margin)
        return distances, distances / np.where(longest > 0, longest, 1)  # at 0 or 1 one side has no length
    return _lead(scores, predictions.predictions)


def _lead(rated, guesses) -> tuple[np.ndarray, np.ndarray]:
    """Return, as both distance and confidence, by how much the predicted class is ahead of the next one, float [n]."""
    rows, others = np.arange(len(rated)), rated.copy()
    others[rows, guesses] = -np.inf
    margin = rated[rows, guesses] - others.max(axis=1)
    return margin, margin
