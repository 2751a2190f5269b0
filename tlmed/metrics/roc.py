"""The area under the ROC curve, which training watches after each epoch, and the curve itself."""

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import as_flags, as_scores, find_class_faults, find_missing_kind


def binary_auc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the area under the ROC curve: the chance that a positive case scores above a negative one.

    Computed from ranks as the Mann-Whitney statistic (Hanley & McNeil, Radiology 1982, 143:29-36); ties get
    their mean rank, so that a tied pair counts one half.

    Args:
        positive: Whether each case is positive, bool [n], or 0 and 1.
        scores: Higher means more likely positive, float [n].

    Returns:
        A number from 0 to 1, or None if it is undefined: one class only, or scores that are not finite.

    Raises:
        InputError: If an array is something else, or both differ in length.

    >>> binary_auc(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    (positive,) = as_flags(positive=positive)
    (scores,) = as_scores(len(positive), finite=False, scores=scores)
    positives = int(np.count_nonzero(positive))
    negatives = len(positive) - positives
    if not positives or not negatives or not np.isfinite(scores).all():
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    # Less the ranks of the positive cases among themselves.
    wins = midranks[positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def macro_auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the AUC of two classes, or the mean one-vs-rest AUC of more.

    Args:
        labels: True classes, int [n], 0..k-1.
        scores: One column per class, float [n, k]. Of two classes the second column is used.

    Returns:
        A number from 0 to 1 (for more than two classes the mean over the classes present), or None if it
        is undefined: one class only, or scores that are not finite.

    Raises:
        InputError: If labels or scores are not of this form.

    >>> macro_auc(np.array([0, 1, 2]), np.eye(3))
    1.0
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    if scores.ndim != 2 or scores.shape[1] < 2 or len(scores) != len(labels):
        raise InputError(
            "`scores` must have a row for each label, and a column for each of two classes or more. "
            f"Received: shape={scores.shape} for {len(labels)} labels."
        )
    if faults := find_class_faults("labels", labels, *scores.shape):
        raise InputError(faults)
    columns = [1] if scores.shape[1] == 2 else np.unique(labels)
    areas = [binary_auc(labels == column, scores[:, column]) for column in columns]
    return float(np.mean(areas)) if areas and None not in areas else None


def roc_curve(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the false and the true positive rate at every threshold, from (0, 0) to (1, 1).

    Args:
        positive: Whether each case is positive, bool [n], or 0 and 1; both kinds must occur.
        scores: Higher means more likely positive, float [n].

    Raises:
        InputError: If an array is something else, one kind is missing, or a score is not finite.

    >>> [rate.tolist() for rate in roc_curve(np.array([False, True]), np.array([0.2, 0.9]))]
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    (positive,) = as_flags(positive=positive)
    (scores,) = as_scores(len(positive), scores=scores)
    if faults := find_missing_kind(positive):
        raise InputError(faults)
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order]
    ends = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]  # tied cases enter together
    true, false = np.cumsum(hits)[ends], np.cumsum(~hits)[ends]
    return np.r_[0.0, false / false[-1]], np.r_[0.0, true / true[-1]]
