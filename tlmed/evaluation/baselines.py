"""Scores that need no transfer: what a result has to beat."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def linear_probe(features: np.ndarray, labels: np.ndarray, other: np.ndarray, num_classes: int) -> np.ndarray:
    """Train a linear classifier on features and return its class probabilities for other images.

    Args:
        features: Training features [n, d].
        labels: Their classes [n].
        other: Features of the images to score [m, d].
        num_classes: Columns of the result; a class without training images gets 0.

    Returns:
        Probabilities [m, num_classes].
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    probe.fit(features, labels)
    scores = np.zeros((len(other), num_classes))
    scores[:, probe.classes_] = probe.predict_proba(other)
    return scores


def majority_class(labels: Sequence[int], n: int, num_classes: int) -> np.ndarray:
    """Return the scores [n, num_classes] of always answering with the shares of the training labels."""
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    return np.tile(shares, (n, 1))
