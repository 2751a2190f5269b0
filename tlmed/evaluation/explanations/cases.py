"""Pick the images that a reader should see: where the network was surest, right or wrong, and where it was not."""

import numpy as np

from tlmed.evaluation.predictions import HALF, Predictions, reach
from tlmed.tasks import ORDINAL


def pick_cases(
    predictions: Predictions,
    k: int = 4,
    positive: int | None = None,
    threshold: float | None = None,
    split: str = "test",
) -> dict[str, list[int]]:
    """Pick the most confident right, the most confident wrong and the most uncertain cases of a split.

    Args:
        predictions: Of any splits; only rows of `split` are picked.
        k: How many of each kind; fewer where there are not so many.
        positive: The number of the positive one of two classes, with `threshold`.
        threshold: Its score from which on it is predicted. The most uncertain are the closest to it; the surest are
            the farthest from it, as a share of the way to 0 or 1.
        split: The split.

    Returns:
        "right", "wrong" and "uncertain" to row numbers of `predictions`, most telling first. Equal confidence is
        decided by path. A case of a small split may be in two of them.

    >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])
    >>> labels, guesses = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0])
    >>> made = Predictions(("a", "b", "c", "d"), ("test",) * 4, labels, scores, guesses, ("benign", "malignant"))
    >>> pick_cases(made, k=1)
    {'right': [0], 'wrong': [2], 'uncertain': [3]}
    """
    distances, confidence = _measure_confidence(predictions, positive, threshold)
    rows = [row for row, name in enumerate(predictions.splits) if name == split]
    right = predictions.predictions == predictions.labels

    def surest(row):
        return -confidence[row], predictions.paths[row]

    return {
        "right": sorted((row for row in rows if right[row]), key=surest)[:k],
        "wrong": sorted((row for row in rows if not right[row]), key=surest)[:k],
        "uncertain": sorted(rows, key=lambda row: (abs(distances[row]), predictions.paths[row]))[:k],
    }


def _measure_confidence(predictions, positive, threshold) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each prediction is from another one, and how sure it is by that: 0 at the border, 1 at most.

    Both are the score of the predicted class minus the highest other score. Of ordered classes both are how far the
    nearest probability of a grade or a higher one is from a half, at which another grade is predicted. For two classes
    with a threshold, the first is the distance from the threshold, the second that as a share of the longest one on its
    side: a score of 0 is as sure as one of 1, however low the threshold.
    """
    scores = np.asarray(predictions.scores, "float64")
    if predictions.task == ORDINAL:
        # The median changes where the probability of a grade or a higher one passes a half.
        decisive = scores if predictions.calibrated is None else predictions.calibrated
        margin = 2 * np.abs(reach(decisive)[:, 1:] - HALF).min(axis=1)
        return margin, margin
    rows = np.arange(len(scores))
    if threshold is not None and positive is not None and scores.shape[1] == 2:
        margin = scores[:, positive] - threshold
        longest = np.where(margin >= 0, 1 - threshold, threshold)
        distances = np.abs(margin)
        return distances, distances / np.where(longest > 0, longest, 1)  # at 0 or 1 one side has no length
    others = scores.copy()
    others[rows, predictions.predictions] = -np.inf
    margin = scores[rows, predictions.predictions] - others.max(axis=1)
    return margin, margin
