"""Score a network while it trains: which scores steer training, and which one decides."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlmed import metrics
from tlmed.label_texts import POSITIVE, UNKNOWN
from tlmed.label_vectors import are_vectors
from tlmed.metrics.label_metrics import macro_area
from tlmed.sections import MONITORS

HALF = 0.5  # from this score on a label counts as predicted while training


def measure(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the scores that training is steered by: `loss` (cross-entropy), `accuracy`, and `auc` (macro).

    Args:
        scores: Class probabilities [n, classes].
        labels: True classes [n]; or vectors of labels [n, k], of which those that are known count: the loss and the
            accuracy are means over all of them, and the AUC is the mean over the labels that have both values.

    >>> measure(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]))["auc"]
    1.0
    """
    if are_vectors(labels):
        return _measure_labels(scores, labels)
    # Clipped as Keras clips probabilities, so that a score of 0 does not make the loss infinite.
    chosen = np.clip(scores[np.arange(len(scores)), labels].astype("float64"), 1e-7, 1)
    return {
        "loss": float(-np.log(chosen).mean()),
        "accuracy": float((scores.argmax(axis=1) == labels).mean()),
        "auc": metrics.macro_auc(labels, scores),
    }


def _measure_labels(scores, labels) -> dict[str, float]:
    known, has = labels != UNKNOWN, labels == POSITIVE
    right = np.where(has, scores, 1 - scores.astype("float64"))
    return {
        "loss": float(-np.log(np.clip(right[known], 1e-7, 1)).mean()),
        "accuracy": float(((scores >= HALF) == has)[known].mean()),
        "auc": macro_area(labels, scores),
    }


@dataclass(frozen=True)
class Judge:
    """How a network is scored after each epoch, and which score decides.

    Attributes:
        validate: Returns class probabilities [n, classes] of the validation images by the current weights.
        labels: Their labels [n].
        monitor: The score that decides; of equal epochs the one with the lowest `val_loss` is kept.
        settle: Estimates statistics of BatchNorm again for the current weights, where steps change them.
    """

    validate: Callable[[], np.ndarray]
    labels: np.ndarray
    monitor: str = "val_auc"
    settle: Callable[[], None] | None = None

    def score(self) -> tuple[float, float]:
        """Return the score by the current weights, the higher the better, and the loss."""
        found = measure(self.validate(), self.labels)
        sign = 1 if MONITORS[self.monitor] == "max" else -1
        return sign * found[self.monitor.removeprefix("val_")], found["loss"]
