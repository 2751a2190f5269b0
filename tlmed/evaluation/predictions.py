"""The predictions of a run, and the rules by which scores become classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tlmed.label_texts import UNKNOWN
from tlmed.metrics import positive_index
from tlmed.metrics.label_metrics import as_two_classes, name_sides
from tlmed.tasks import MULTI_LABEL, ORDINAL, SINGLE_LABEL
from tlmed.words import count

HALF = 0.5
STATED = "stated"  # the rule of a threshold that a user states for a file of predictions


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Predictions:
    """A network's predictions for n images, and the true labels.

    Where an image may have several labels (`is_multi`), each of them has a column in `labels` (1, 0, and -1 for one
    that is not known), in `predictions` (1 and 0) and in `scores`, which do not sum to 1: int and float [n, k].

    Attributes:
        paths: Where each image lies, relative to the root of the data; n texts, all different.
        splits: The split of each image, "val" or "test" as a rule; n texts.
        labels: True classes, int [n], 0..k-1.
        scores: Uncalibrated probabilities, one column per class, float [n, k].
        predictions: Predicted classes, int [n], 0..k-1.
        classes: The k names, in the order of the columns of `scores`.
        groups: Who each image belongs to, n texts, or None; an empty text stands for an image on its own.
        calibrated: Calibrated probabilities, float [n, k], or None.
        traits: What else is known of each image, by name: n texts each. Not written to the file.
        notes: Sentences about the file that a user should see. Not written to the file.
        by_scores: Whether `predictions` follow from the scores alone: at a threshold of 0.5, or by the highest. Not
            written to the file.
        unit: What a row is an answer for: an "image", or a "file" or "group" whose samples were pooled. Not written to
            the file.
        task: What was asked, of `tlmed.tasks`: with ordered classes a grade is predicted. Not written to the file.
    """

    paths: tuple[str, ...]
    splits: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    predictions: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    calibrated: np.ndarray | None = None
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    by_scores: bool = False
    unit: str = "image"
    task: str = SINGLE_LABEL

    @property
    def is_multi(self) -> bool:
        """Whether an image may have several labels."""
        return self.task == MULTI_LABEL

    def of_label(self, number: int) -> "Predictions":
        """Return the predictions of one of several labels, as two classes, for the images of which it is known."""
        known = self.take(np.flatnonzero(self.labels[:, number] != UNKNOWN))
        # In double precision, as a table is read: in single precision the other side would be rounded.
        calibrated = None if known.calibrated is None else np.asarray(known.calibrated[:, number], dtype=float)
        return replace(
            known,
            labels=known.labels[:, number],
            scores=as_two_classes(known.scores[:, number]),
            predictions=known.predictions[:, number],
            classes=name_sides(self.classes[number]),
            calibrated=None if calibrated is None else as_two_classes(calibrated),
            traits={},
            task=SINGLE_LABEL,
        )

    def of(self, split: str) -> "Predictions":
        """Return the predictions of one split."""
        return self.take(np.flatnonzero(np.array(self.splits, dtype=object) == split))

    def take(self, rows: np.ndarray) -> "Predictions":
        """Return the predictions of some rows, int [m]."""

        def pick(texts):
            return tuple(texts[row] for row in rows)

        return Predictions(
            pick(self.paths),
            pick(self.splits),
            self.labels[rows],
            self.scores[rows],
            self.predictions[rows],
            self.classes,
            None if self.groups is None else pick(self.groups),
            None if self.calibrated is None else self.calibrated[rows],
            {name: pick(texts) for name, texts in self.traits.items()},
            self.notes,
            self.by_scores,
            self.unit,
            self.task,
        )


def predict_classes(
    scores: np.ndarray,
    positive_index: int | None,
    threshold: float | Sequence[float] | None = HALF,
    task: str = SINGLE_LABEL,
) -> np.ndarray:
    """Turn scores into classes: of two by the threshold, of several by the highest score, of equal ones the first.

    Of ordered classes the median is predicted: the highest class that is reached with a probability of more than a
    half. No other grade has a smaller expected absolute error by these probabilities.

    Args:
        scores: One column per class, in the order of the classes, float [n, k]; of ordered ones calibrated, if known.
        positive_index: Which of two classes is the positive one, 0 or 1; None for more.
        threshold: A case is positive where its score reaches this; nothing for more classes than two. Of several
            labels, one for all of them or one for each.
        task: Of `tlmed.tasks`.

    Returns:
        Predicted classes, int [n]; of several labels 1 for each that is predicted and 0 for others, int [n, k].

    >>> predict_classes(np.array([[0.7, 0.3], [0.2, 0.8]]), positive_index=1, threshold=0.25).tolist()
    [1, 1]
    >>> predict_classes(np.array([[0.2, 0.4, 0.4]]), positive_index=None).tolist()
    [1]
    >>> predict_classes(np.array([[0.4, 0.25, 0.35]]), positive_index=None, task="ordinal").tolist()
    [1]
    """
    # In double precision, because a threshold has more digits than a score in single precision.
    scores = np.asarray(scores, dtype=float)
    if task == MULTI_LABEL:
        return (scores >= np.asarray(threshold)).astype(int)
    if task == ORDINAL:
        return (reach(scores)[:, 1:] > HALF).sum(axis=1)
    if positive_index is None:
        return scores.argmax(axis=1)
    return np.where(scores[:, positive_index] >= threshold, positive_index, 1 - positive_index)


def reach(scores: np.ndarray) -> np.ndarray:
    """Return the probability that each class, or a higher one, is the true one: float [n, k], the first column is 1.

    Args:
        scores: Probabilities of ordered classes, float [n, k].

    >>> reach(np.array([[0.2, 0.5, 0.3]])).round(3).tolist()
    [[1.0, 0.8, 0.3]]
    """
    sums = np.cumsum(np.asarray(scores, dtype=float)[:, ::-1], axis=1)[:, ::-1]
    return sums / sums[:, :1]  # rows that were written with few digits do not quite sum to 1


def describe_ties(predictions: Predictions, positive: str | None = None) -> list[str]:
    """Return a sentence where classes were predicted by their scores although others have the same one.

    Args:
        predictions: All of them are looked at; those that were given, or are by another threshold, are no ties.
        positive: The positive of two classes, by default the second in the order of classes.

    >>> rows = ["a", "b"], ["test"] * 2, np.array([0, 1]), np.array([[0.5, 0.5], [0.1, 0.9]]), np.array([1, 1])
    >>> describe_ties(Predictions(*rows, ("ill", "well"), by_scores=True))
    ["In 1 of 2 rows both classes have the same score: 'well', the positive class, is predicted."]
    """
    if predictions.is_multi:  # each label has a threshold of its own
        return []
    main, scores = positive_index(predictions.classes, positive), predictions.scores
    tied = int(((scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())
    if not tied or not predictions.by_scores or predictions.task == ORDINAL:  # the median depends on no order of ties
        return []
    said = f"In {tied:,} of {count(len(scores), 'row')}"
    if main is not None:
        name = predictions.classes[main]
        return [f"{said} both classes have the same score: {name!r}, the positive class, is predicted."]
    return [f"{said} several classes have the highest score: the first of them in the order of classes is predicted."]
