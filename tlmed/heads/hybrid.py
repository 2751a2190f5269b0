"""The hybrid's head: a scikit-learn classifier on a network's features, after the review's figure 2a.

Scaler, principal components and classifier are one `Pipeline`, so that nothing of a held-out fold is seen before it is
scored. Its hyper-parameters are chosen by cross-validation within the training images, with groups kept together and
classes spread evenly over the folds. In the same folds, the decision values of the chosen pipeline for held-out images
are used to fit one sigmoid per class (Platt, Advances in Large Margin Classifiers, 1999, pages 61-74), which turns
decision values into probabilities. The pipeline itself is then fitted to all training images. No sigmoid reverses the
order of the decision values.

Nothing here knows of images: features, labels and groups in, probabilities out.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from joblib import parallel_config
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from tlmed.errors import InputError
from tlmed.heads.classifiers import FIT_ERRORS, cannot_learn, find_classifier, find_classifier_faults
from tlmed.heads.fold_division import find_fold_faults, make_folds
from tlmed.heads.pipelines import GRIDS, SCORINGS, make_pipeline, prefix
from tlmed.heads.sigmoids import keep_order
from tlmed.metrics import macro_auc
from tlmed.sections import Hybrid

__all__ = [
    "GRIDS",
    "FittedClassifier",
    "Search",
    "find_classifier_faults",
    "find_hybrid_faults",
    "fit_classifier",
    "make_folds",
    "predict_probabilities",
]


# With one thread, sums have one order, whatever the number of cores. Features are too few for threads to gain much.
ONE_THREAD = 1
# Fits of these classifiers run side by side, one per core, with the same bits. Other classifiers hold Python's lock, or
# sum in threads of their own (OpenMP), which the limit above does not reach from there. On 546 images with 1,280
# features and two cores an SVC's grid took 3.3 s instead of 5.9, that of a random forest 27 s instead of 40.
SIDE_BY_SIDE = ("DecisionTreeClassifier", "ExtraTreesClassifier", "RandomForestClassifier", "SVC")


@dataclass(frozen=True)
class FittedClassifier:
    """A classifier with the hyper-parameters that cross-validation chose, fitted and calibrated on all training images.

    Attributes:
        classifier: Gives probabilities; `predict_probabilities` and `save_classifier` take it.
        parameters: The point of the grid that was chosen.
        score: Its mean score over the folds.
        scoring: What the score is: "macro_auc", "accuracy" or "neg_log_loss"; of each, more is better.
        rows: One per point of the grid, best first: `rank`, `mean_score`, `std_score` and its parameters.
        notes: What scikit-learn warned of while fitting, once each; nothing for the shipped grids on common data.
        turned: Classes that the folds ranked in the wrong order; of two classes the second stands for both. Their
            probabilities keep the classifier's order, but hardly differ from how often the class occurs.
    """

    classifier: CalibratedClassifierCV
    parameters: dict
    score: float
    scoring: str
    rows: tuple[dict, ...]
    notes: tuple[str, ...] = ()
    turned: tuple[int, ...] = ()


@dataclass(frozen=True)
class Search:
    """How a classifier is chosen.

    Attributes:
        head: The classifier, the grid to try (empty: the entry of `GRIDS`, or the classifier as it is), what comes
            before it, and the folds, which its probabilities are calibrated in, too. Tap and pooling decide nothing.
        monitor: `"val_auc"` (macro one-vs-rest), `"val_accuracy"` or `"val_loss"` decides between the grid's points.
        class_weight: `"balanced"` lets the classes weigh the same in fitting; probabilities are still calibrated to
            how often they occur.
        seed: Decides the folds, and what the classifier draws.
    """

    head: Hybrid = field(default_factory=Hybrid)
    monitor: str = "val_auc"
    class_weight: str = "none"
    seed: int = 0


def fit_classifier(
    features: np.ndarray, labels: np.ndarray, groups: Sequence[str] | None = None, search: Search = Search()
) -> FittedClassifier:
    """Choose a classifier's hyper-parameters by cross-validation, fit it to all features, calibrate its probabilities.

    The same arguments give the same bits, on any number of cores. What is scored and calibrated are the classifier's
    own probabilities, or its decision values if it has none, like an SVC. Warnings of scikit-learn become `notes`.

    Args:
        features: Of the training images [n, d].
        labels: Their classes [n], 0..k-1.
        groups: Who each image belongs to [n], an empty name for an image on its own; identical images must share a
            group. No group is divided between folds.
        search: How the classifier is chosen.

    Raises:
        InputError: If `find_hybrid_faults` finds any, or the classifier cannot learn these features.

    >>> features = np.repeat(np.eye(3), 8, axis=0) + np.random.RandomState(0).normal(0, 0.1, (24, 3))
    >>> fitted = fit_classifier(features, np.repeat(np.arange(3), 8), search=Search(Hybrid("LinearSVC", folds=4)))
    >>> fitted.score, len(fitted.rows), predict_probabilities(fitted.classifier, np.eye(3), 3).argmax(axis=1).tolist()
    (1.0, 4, [0, 1, 2])
    """
    features, labels = np.asarray(features, "float64"), np.asarray(labels)
    names = [str(label) for label in range(int(labels.max(initial=0)) + 1)]
    if faults := find_hybrid_faults(search, labels, groups, names, features.shape[1]):
        raise InputError(faults)
    head, seed = search.head, search.seed
    kind = find_classifier(head.classifier)
    splits = make_folds(labels, groups, head.folds, seed)
    scoring = _score_auc if search.monitor == "val_auc" else SCORINGS[search.monitor]
    cores = -1 if kind.__name__ in SIDE_BY_SIDE else 1
    with (
        warnings.catch_warnings(record=True) as caught,
        threadpool_limits(ONE_THREAD),
        parallel_config("threading", n_jobs=cores),
    ):
        warnings.simplefilter("always")
        try:
            pipeline = make_pipeline(kind, head.scale, head.pca, search.class_weight, seed)
            own = prefix(pipeline)
            points = {own + key: list(values) for key, values in (head.grid or GRIDS.get(kind.__name__, {})).items()}
            # `refit=False`: calibration below fits the best pipeline anyway.
            # `error_score`: by default a fit that fails only warns, and scores nan.
            found = GridSearchCV(pipeline, points, scoring=scoring, cv=splits, refit=False, error_score="raise")
            found.fit(features, labels)
            best = clone(pipeline).set_params(**found.best_params_)
            classifier = CalibratedClassifierCV(best, method="sigmoid", ensemble=False, cv=splits)
            classifier.fit(features, labels)
            turned = keep_order(classifier, features, labels)
        except FIT_ERRORS as error:
            raise InputError(cannot_learn(kind, error)) from error
    classifier.set_params(cv=None)  # a saved model should not hold which images were in which fold
    rows = _tabulate(found.cv_results_, own)
    parameters = _unprefixed(found.best_params_, own)
    scoring = SCORINGS[search.monitor]
    score = float(found.best_score_)
    return FittedClassifier(classifier, parameters, score, scoring, rows, _note(caught), tuple(turned))


def find_hybrid_faults(
    search: Search,
    labels: np.ndarray,
    groups: Sequence[str] | None,
    class_names: Sequence[str],
    width: int | None = None,
) -> list[str]:
    """Return why a hybrid cannot be fitted, a sentence each; nothing is fitted to the images to find out.

    Args:
        search: How the classifier is chosen.
        labels: Classes of the training images [n].
        groups: Of the training images [n], or None.
        class_names: In the order of the labels.
        width: How many features there are, if that is known.

    >>> find_hybrid_faults(Search(), np.repeat([0, 1], 4), None, ["benign", "malignant"])[0]
    "`folds` must be at most 4: class 'benign' has 4 training images. Received: folds=5."
    """
    head = search.head
    faults = find_classifier_faults(head.classifier, head.grid, head.scale, search.class_weight, search.monitor)
    labels = np.asarray(labels)
    return faults + find_fold_faults(labels, groups, head.folds, class_names, head.pca, width, search.seed)


def predict_probabilities(classifier: CalibratedClassifierCV, features: np.ndarray, num_classes: int) -> np.ndarray:
    """Return class probabilities, float [n, num_classes]; rows sum to 1.

    Args:
        classifier: From `fit_classifier` or `load_classifier`.
        features: From the same tap as those it was fitted on [n, d].
        num_classes: Columns of the result, in the order of the labels; a class that it was not shown gets 0.

    Raises:
        InputError: If the number of features is not the one that it was fitted on.
    """
    try:
        with threadpool_limits(ONE_THREAD):
            given = classifier.predict_proba(np.asarray(features, "float64"))
    except FIT_ERRORS as error:
        raise InputError(f"The features must be like those of the fit. Received: {error}") from error
    probabilities = np.zeros((len(features), num_classes))
    # `classes_` are labels, which are columns here.
    probabilities[:, classifier.classes_] = given
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _score_auc(model, features, labels) -> float:
    """Score a fitted pipeline by macro one-vs-rest AUC, of what will be calibrated."""
    decide = model.decision_function if hasattr(model, "decision_function") else model.predict_proba
    values = decide(features)
    # Of two classes scikit-learn gives one decision value, that of the second class.
    if values.ndim == 1:
        values = np.stack([-values, values], axis=1)
    score = macro_auc(np.searchsorted(model.classes_, labels), values)
    if score is None:
        raise ValueError("its scores are not finite")
    return score


def _tabulate(results, own) -> tuple[dict, ...]:
    columns = (results[key].tolist() for key in ("rank_test_score", "mean_test_score", "std_test_score"))
    rows = [
        {"rank": rank, "mean_score": mean, "std_score": std, **_unprefixed(point, own)}
        for rank, mean, std, point in zip(*columns, results["params"], strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: row["rank"]))


def _unprefixed(point, own) -> dict:
    return {key.removeprefix(own): value for key, value in point.items()}


def _note(caught) -> tuple[str, ...]:
    counts = Counter((warning.category.__name__, str(warning.message).split("\n")[0]) for warning in caught)
    return tuple(f"scikit-learn, {count} times: {kind}: {text}" for (kind, text), count in counts.items())
