"""The scikit-learn pipeline of a hybrid: scaler, principal components, classifier; and the grids tried by default.

For more than two classes, the decision values of scikit-learn's classifiers are not always fit to rank images by one
class, which a probability and an AUC need. So two kinds of classifiers are wrapped in estimators of scikit-learn:

- An `SVC` counts the votes of its pairs of classes, and ranks by little more than their number. One per class against
  the rest is fitted instead (Rifkin & Klautau, Journal of Machine Learning Research 2004, 5:101-141). On breast
  ultrasound (546 images, three classes, features of MobileNetV2) the macro AUC in cross-validation rose from 0.927 to
  0.938.
- The decision values of a logistic regression, a discriminant analysis or boosted trees mean something only next to
  those of the other classes for the same image. Their own probabilities are used instead: 0.933 against 0.920, 0.931
  against 0.925 and 0.932 against 0.915.
"""

import inspect

from sklearn.decomposition import PCA
from sklearn.ensemble import VotingClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tlmed.seeds import derive

# Values tried where the recipe gives no grid, the simplest model first, because the first of equal ones is chosen.
GRIDS: dict[str, dict[str, tuple]] = {
    "AdaBoostClassifier": {"learning_rate": (0.3, 1.0)},
    "DecisionTreeClassifier": {"max_depth": (2, 4, 8), "min_samples_leaf": (10, 3)},
    "ExtraTreesClassifier": {"min_samples_leaf": (5, 2, 1), "max_features": ("sqrt", 0.1)},
    "GaussianNB": {"var_smoothing": (1.0, 0.1, 1e-2, 1e-4, 1e-9)},
    "GradientBoostingClassifier": {"max_depth": (1, 3), "learning_rate": (0.05, 0.2)},
    "HistGradientBoostingClassifier": {"max_leaf_nodes": (3, 15)},
    "KNeighborsClassifier": {"n_neighbors": (9, 5, 3, 1), "weights": ("uniform", "distance")},
    "LinearDiscriminantAnalysis": {"shrinkage": (0.9, 0.5, "auto", 0.1)},
    "LinearSVC": {"C": (1e-5, 1e-4, 1e-3, 1e-2)},
    "LogisticRegression": {"C": (1e-3, 1e-2, 0.1, 1.0, 10.0)},
    "MLPClassifier": {"hidden_layer_sizes": ((32,), (128,)), "alpha": (1.0, 1e-2)},
    "NearestCentroid": {"shrink_threshold": (2.0, 1.0, 0.5, None)},
    "RandomForestClassifier": {"min_samples_leaf": (5, 2, 1)},
    "RidgeClassifier": {"alpha": (1e5, 1e4, 1e3, 1e2, 10.0)},
    "SVC": {"C": (1.0, 3.0, 10.0, 30.0, 100.0)},
}

# Settings that replace unsuitable defaults of scikit-learn, whatever the grid. Trees: on 624 + 156 images of BUSI (24 x
# 24 pixels), the AUC of a forest varied from seed to seed by 0.007 with 100 trees, the default, and by 0.003 with 300.
SETTINGS: dict[str, dict] = {
    "ExtraTreesClassifier": {"n_estimators": 300},
    "GradientBoostingClassifier": {"max_features": "sqrt"},  # each split looks at 30 of 1,000 features: 30 times faster
    "HistGradientBoostingClassifier": {"learning_rate": 0.15, "max_features": 0.1},
    # A tree of neighbours is no faster in many dimensions, and could not be saved safely.
    "KNeighborsClassifier": {"algorithm": "brute"},
    "LinearDiscriminantAnalysis": {"solver": "lsqr"},  # the other solver that shrinks needs eigenvectors
    "LinearSVC": {"max_iter": 100_000, "dual": True},
    "LogisticRegression": {"max_iter": 10_000},
    "MLPClassifier": {"max_iter": 2_000},
    "RadiusNeighborsClassifier": {"algorithm": "brute"},
    "RandomForestClassifier": {"n_estimators": 300},
}

SCORINGS = {"val_auc": "macro_auc", "val_accuracy": "accuracy", "val_loss": "neg_log_loss"}

ONE_VS_REST = ("SVC",)


def make_pipeline(kind: type, scale: bool, pca: int | float | None, class_weight: str, seed: int) -> Pipeline:
    """Return scaler, principal components and classifier as one unfitted pipeline; its last step is "classifier".

    Args:
        kind: The class of the classifier.
        scale: Whether there is a scaler.
        pca: Principal components, or the fraction of the variance that they explain; None for no such step.
        class_weight: "balanced", or "none".
        seed: Decides what the classifier draws.
    """
    steps = [("scale", StandardScaler())] if scale else []
    if pca is not None:
        steps.append(("pca", PCA(pca, random_state=derive(seed, "pca"))))
    return Pipeline([*steps, ("classifier", _wrap(_make_classifier(kind, class_weight, seed)))])


def prefix(pipeline: Pipeline) -> str:
    """Return what the names of the classifier's parameters begin with in its pipeline.

    >>> from sklearn.svm import SVC
    >>> prefix(make_pipeline(SVC, True, None, "none", 0))
    'classifier__estimator__'
    """
    return "classifier__" + {OneVsRestClassifier: "estimator__", VotingClassifier: "only__"}.get(type(pipeline[-1]), "")


def _make_classifier(kind, class_weight, seed):
    settings = {"random_state": derive(seed, "classifier")}
    if class_weight != "none":
        settings["class_weight"] = class_weight
    known = inspect.signature(kind).parameters
    own = SETTINGS.get(kind.__name__, {})
    return kind(**own, **{key: value for key, value in settings.items() if key in known})


def _wrap(model):
    if type(model).__name__ in ONE_VS_REST:
        return OneVsRestClassifier(model)
    if hasattr(model, "predict_proba") and hasattr(model, "decision_function"):
        return VotingClassifier([("only", model)], voting="soft")  # a vote of one, because it hides the decision values
    return model
