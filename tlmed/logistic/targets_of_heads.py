"""What a linear head is fitted to: one of several classes for each row, or any number of labels; and its loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.label_texts import POSITIVE, UNKNOWN


@dataclass(frozen=True, eq=False)
class Targets:
    """What n rows are, for c columns of a head.

    Attributes:
        values: float32 [c, n], 1 or 0.
        weights: float32 [1, n] or [c, n], of each loss; None: all 1.
        total: By what the sum of losses is divided.
        exclusive: Whether columns are classes, of which each row has one (softmax); False: a sigmoid for each column.
    """

    values: np.ndarray
    weights: np.ndarray | None
    total: float
    exclusive: bool

    @property
    def curvature(self) -> float:
        """Böhning's bound for the curvature of a row's loss, for weights of 1 on average."""
        # Of the softmax 1/2 (1 - 1/c) along any direction; of a sigmoid 1/4.
        return 0.5 if self.exclusive else 0.25

    def compare(self, scores: np.ndarray, span: slice) -> tuple[float, np.ndarray]:
        """Return the sum of losses of some rows, and its slope by the scores, float32 [c, m].

        Args:
            scores: Log-odds, float32 [c, m]; they are changed.
            span: Which rows they are of.
        """
        values = self.values[:, span]
        if self.exclusive:
            losses, slope = _compare_exclusive(scores, values)
        else:
            losses, slope = _compare_each(scores, values)
        if self.weights is not None:
            losses *= self.weights[:, span]
            slope *= self.weights[:, span]
        return float(losses.sum(dtype=np.float64)), slope


def _compare_exclusive(scores, values) -> tuple[np.ndarray, np.ndarray]:
    scores -= scores.max(0)
    right = (values * scores).sum(0, keepdims=True)
    np.exp(scores, out=scores)
    sums = scores.sum(0, keepdims=True)
    scores /= sums
    scores -= values
    return np.log(sums) - right, scores


def _compare_each(scores, values) -> tuple[np.ndarray, np.ndarray]:
    tail = np.exp(-np.abs(scores))  # at most 1: nothing overflows
    losses = np.maximum(scores, 0) - values * scores + np.log1p(tail)
    chances = np.where(scores >= 0, 1, tail) / (1 + tail)
    return losses, chances - values


def aim_at_classes(labels: np.ndarray, classes: int, factors: Sequence[float] | None = None) -> Targets:
    """Return the targets of one class for each row; two classes have one column, the second one's log-odds.

    Args:
        labels: int [n], 0..classes - 1.
        classes: 2 or more.
        factors: By what the losses of each class are multiplied; their mean is still over rows.

    >>> aim_at_classes(np.array([0, 2]), 3).values.tolist()
    [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    columns = np.arange(classes) if classes > 2 else np.array([1])
    values = (columns[:, None] == labels).astype(np.float32)
    weights = None if factors is None else np.asarray(factors, np.float32)[labels][None]
    return Targets(values, weights, float(len(labels)), classes > 2)


def aim_at_labels(vectors: np.ndarray, factors: Sequence[tuple[float, float]] | None = None) -> Targets:
    """Return the targets of several labels; their loss is the mean over all that are known.

    Args:
        vectors: int [n, k], 1, 0, or -1 where it is not known.
        factors: For each label by what losses of 0 and of 1 are multiplied.

    >>> aim_at_labels(np.array([[1, -1], [0, 1]])).weights.tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    values, known = (vectors.T == POSITIVE), (vectors.T != UNKNOWN)
    weights = known.astype(np.float32)
    if factors is not None:
        pairs = np.asarray(factors, np.float32)
        weights *= np.where(values, pairs[:, 1:], pairs[:, :1])
    return Targets(values.astype(np.float32), weights, float(max(known.sum(), 1)), False)
