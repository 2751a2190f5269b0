"""Confident learning: which labels are wrong, by counts of images that are confidently of another class.

Northcutt, Jiang and Chuang, Journal of Artificial Intelligence Research 2021, 70:1373-1411. Written from the paper:
section 3.1 (thresholds, confident joint, its calibration) and 3.2 (pruning).
"""

import numpy as np


def count_joint(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the confident joint, int [c, c]: images labelled i that are confidently of class j.

    An image is confidently of a class if its probability is at least the mean over the images labelled so; of several
    such classes, of the most probable one. Images that are confidently of none are not counted.

    Args:
        labels: int [n], 0..c - 1; every class must occur.
        probabilities: float [n, c], from folds in which the image was not trained on.

    >>> count_joint(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])).tolist()
    [[1, 1], [0, 1]]
    """
    classes = probabilities.shape[1]
    thresholds = np.array([probabilities[labels == number, number].mean() for number in range(classes)])
    # The mean of equal probabilities may be above them by the last digit.
    confident = probabilities >= thresholds - 1e-6
    best = np.where(confident, probabilities, -1).argmax(1)
    joint = np.zeros((classes, classes), np.int64)
    sure = confident.any(1)
    np.add.at(joint, (labels[sure], best[sure]), 1)
    return joint


def estimate_joint(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return how many images labelled i are of class j, float [c, c]: the confident joint scaled to the labels' counts.

    Args:
        labels: int [n], 0..c - 1; every class must occur.
        probabilities: float [n, c].

    >>> estimate_joint(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])).tolist()
    [[1.0, 1.0], [0.0, 2.0]]
    """
    joint = count_joint(labels, probabilities).astype(float)
    alone = joint.sum(1) == 0  # nothing is confident: the labels are believed
    joint[alone, alone] = 1
    return joint / joint.sum(1, keepdims=True) * np.bincount(labels, minlength=len(joint))[:, None]


def prune_by_class(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return which labels are wrong, bool [n]: of each class as many as estimated, those of the least self-confidence.

    Args:
        labels: int [n], 0..c - 1; every class must occur.
        probabilities: float [n, c].
    """
    joint, pruned = estimate_joint(labels, probabilities), np.zeros(len(labels), bool)
    for number in range(len(joint)):
        rows = np.flatnonzero(labels == number)
        many = round(joint[number].sum() - joint[number, number])
        pruned[rows[np.argsort(probabilities[rows, number], kind="stable")[:many]]] = True
    return pruned


def prune_by_noise_rate(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return which labels are wrong, bool [n]: for each pair of classes as many as estimated, by the largest margin.

    The margin of an image labelled i for class j is the probability of j minus that of i.

    Args:
        labels: int [n], 0..c - 1; every class must occur.
        probabilities: float [n, c].
    """
    joint, pruned = estimate_joint(labels, probabilities), np.zeros(len(labels), bool)
    for number, other in zip(*np.nonzero(~np.eye(len(joint), dtype=bool)), strict=True):
        rows = np.flatnonzero(labels == number)
        margins = probabilities[rows, other] - probabilities[rows, number]
        pruned[rows[np.argsort(-margins, kind="stable")[: round(joint[number, other])]]] = True
    return pruned
