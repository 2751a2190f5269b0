"""A hybrid of several labels: a classifier for each label, on the training images of which it is known.

Each is what `fit_classifier` finds for this label alone, as two classes: its parameters are chosen, and its
probabilities calibrated, in folds of its own images.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.calibration import CalibratedClassifierCV

from tlmed.heads.classifiers import find_classifier_faults
from tlmed.heads.fold_division import find_fold_faults
from tlmed.heads.hybrid import FittedClassifier, Search, fit_classifier, predict_probabilities
from tlmed.label_texts import POSITIVE, UNKNOWN
from tlmed.metrics.label_metrics import name_sides


def fit_label_classifiers(
    features: np.ndarray, labels: np.ndarray, groups: Sequence[str] | None, search: Search
) -> tuple[FittedClassifier, ...]:
    """Choose, fit and calibrate a classifier for each label.

    Args:
        features: Of the training images [n, d].
        labels: Vectors of 1, 0 and -1 (not known) [n, k].
        groups: As for `fit_classifier`.
        search: How each classifier is chosen.

    Raises:
        InputError: As `fit_classifier`, of any label.

    >>> from tlmed.sections import Hybrid
    >>> labels = np.array([[1, 1], [1, 0], [0, 1], [0, 0]] * 6)
    >>> features = labels + np.random.RandomState(0).normal(0, 0.1, (24, 2))
    >>> fitted = fit_label_classifiers(features, labels, None, Search(Hybrid("GaussianNB", folds=3)))
    >>> predict_labels([one.classifier for one in fitted], np.eye(2)).round().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return tuple(
        fit_classifier(np.asarray(features)[rows], own, names, search)
        for rows, own, names in _take_known(labels, groups)
    )


def _take_known(labels, groups):
    """Yield for each label the rows of which it is known, its values there, and their groups."""
    for own in np.asarray(labels).T:
        rows = np.flatnonzero(own != UNKNOWN)
        yield rows, own[rows], None if groups is None else [groups[row] for row in rows]


def find_labels_faults(
    search: Search, labels: np.ndarray, groups: Sequence[str] | None, names: Sequence[str]
) -> list[str]:
    """Return why a classifier cannot be fitted for each label, a sentence each; nothing is fitted to find out.

    Args:
        search: How each classifier is chosen.
        labels: Of the training images [n, k].
        groups: Of the training images [n], or None.
        names: Of the labels.

    >>> find_labels_faults(Search(), np.array([[1, 0], [0, 0]] * 5), None, ["edema", "mass"])
    ["A class must have 2 training images or more to be held out in turn. Received: class 'mass' with 0 images."]
    """
    head = search.head
    faults = find_classifier_faults(head.classifier, head.grid, head.scale, search.class_weight, search.monitor)
    for name, (_, own, groups_of_own) in zip(names, _take_known(labels, groups), strict=True):
        faults += find_fold_faults(own, groups_of_own, head.folds, name_sides(name), head.pca, None, search.seed)
    return list(dict.fromkeys(faults))  # `folds` or `pca` may be wrong for all labels


def predict_labels(classifiers: Sequence[CalibratedClassifierCV], features: np.ndarray) -> np.ndarray:
    """Return the probability of each label, float [n, k].

    Args:
        classifiers: One for each label, from `fit_label_classifiers` or `load_classifiers`.
        features: As for `predict_probabilities`.

    Raises:
        InputError: As `predict_probabilities`.
    """
    return np.stack([predict_probabilities(one, features, 2)[:, POSITIVE] for one in classifiers], axis=1)
