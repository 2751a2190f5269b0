"""Baselines: classifiers without transfer learning, which a result has to beat."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tlmed.label_texts import POSITIVE, UNKNOWN
from tlmed.label_vectors import are_vectors

LEVELS = 32  # of each colour: 8 of the 256 values share one
_CHUNK = 64  # images in memory at a time


def count_colours(take: Callable[[np.ndarray], np.ndarray], n: int) -> np.ndarray:
    """Return the colour histograms of images: they know nothing of where in the image a colour is.

    Swain & Ballard, Color Indexing, Int. J. Computer Vision 1991, 7:11-32, with each colour by itself.

    Args:
        take: Row numbers, int [b], to images, uint8 [b, height, width, 3].
        n: How many images there are.

    Returns:
        The share of pixels at each of 32 levels of red, of green and of blue, float [n, 96].

    >>> image = np.zeros((1, 2, 2, 3), "uint8")
    >>> count_colours(lambda rows: image[rows], n=1)[0, [0, 1, 32, 64]].tolist()
    [1.0, 0.0, 1.0, 1.0]
    """
    found = np.zeros((n, 3 * LEVELS))
    for start in range(0, n, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, n))
        for row, image in zip(rows, take(rows), strict=True):
            # At most 95, so that no byte overflows.
            cells = image.reshape(-1, 3) // (256 // LEVELS) + np.arange(0, 3 * LEVELS, LEVELS, dtype="uint8")
            found[row] = np.bincount(cells.ravel(), minlength=3 * LEVELS) / len(cells)
    return found


def linear_probe(features: np.ndarray, labels: np.ndarray, other: np.ndarray, num_classes: int) -> np.ndarray:
    """Train a linear classifier on features and return its class probabilities for other images.

    Of several labels each has a classifier of its own, trained on the images of which it is known.

    Args:
        features: Training features [n, d].
        labels: Their classes [n], or vectors of labels [n, num_classes].
        other: Features of the images to score [m, d].
        num_classes: Columns of the result; a class without training images gets 0.

    Returns:
        Probabilities [m, num_classes]. A label with the same value in all training images, as far as known, gets that;
        one that is known of none gets 0.5.
    """
    if are_vectors(labels):
        sides = [_probe_label(features, own, other) for own in labels.T]
        return np.stack(sides, axis=1)
    probe = _fit_probe(features, labels)
    scores = np.zeros((len(other), num_classes))
    scores[:, probe.classes_] = probe.predict_proba(other)
    return scores


def _probe_label(features, own, other) -> np.ndarray:
    """Return the probability of one label for other images, float [m]."""
    known = own != UNKNOWN
    if len(set(own[known].tolist())) < 2:
        return np.full(len(other), _share_known(own[:, None])[0])
    return _fit_probe(features[known], own[known]).predict_proba(other)[:, POSITIVE]


def _fit_probe(features, labels) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features, labels)


def majority_class(labels: Sequence[int], n: int, num_classes: int) -> np.ndarray:
    """Return the scores of always answering with the shares of the training labels.

    Args:
        labels: Classes of the training images, or of the files or groups that have one answer, 0..num_classes-1; or
            vectors of labels, which count where they are known.
        n: How many images are to be scored.
        num_classes: Columns of the result.

    Returns:
        Probabilities [n, num_classes], all rows alike.
    """
    if are_vectors(np.asarray(labels)):
        return np.tile(_share_known(labels), (n, 1))
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    return np.tile(shares, (n, 1))


def _share_known(labels) -> np.ndarray:
    """Return the share of images with each label among those of which it is known; a half where it is of none."""
    known, has = (labels != UNKNOWN).sum(axis=0), (labels == POSITIVE).sum(axis=0)
    return np.where(known > 0, has / np.maximum(known, 1), 0.5)
