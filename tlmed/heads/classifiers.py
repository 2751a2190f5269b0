"""Find a scikit-learn classifier by name, and check that it can be trained on features."""

import functools
import inspect
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import ParameterGrid
from sklearn.utils import all_estimators

from tlmed.errors import InputError, did_you_mean
from tlmed.heads.pipelines import SCORINGS, SETTINGS, make_pipeline
from tlmed.heads.skops_files import to_bytes

# Raised by scikit-learn if a classifier cannot learn or score its data.
FIT_ERRORS = (ValueError, IndexError)


@functools.cache
def _named(kind: str) -> dict[str, type]:
    """Return scikit-learn's public estimators of a kind by name: "classifier", "regressor", "transformer"..."""
    return dict(all_estimators(kind))


def find_classifier(name: str) -> type:
    """Return the class of a classifier.

    Args:
        name: As scikit-learn calls it, with or without "Classifier" at the end.

    Raises:
        InputError: If scikit-learn has no such classifier; says what the name is, if it is something else.

    >>> find_classifier("SVC").__name__, find_classifier("GradientBoosting").__name__
    ('SVC', 'GradientBoostingClassifier')
    """
    known = _named("classifier")
    for full in (name, f"{name}Classifier"):
        if full in known:
            return known[full]
    kinds = {"regressor": "a regressor", "cluster": "a clustering", "transformer": "a transformer"}
    others = [f", {words}" for kind, words in kinds.items() if name in _named(kind)]
    raise InputError(
        f"`classifier` must be one of scikit-learn's classifiers.{did_you_mean(name, known)} "
        f"Received: classifier={name!r}{''.join(others[:1])}."
    )


def find_classifier_faults(
    name: str,
    grid: Mapping[str, Sequence] | None = None,
    scale: bool = True,
    class_weight: str = "none",
    monitor: str = "val_auc",
) -> list[str]:
    """Return what is wrong with the choice of a classifier, a sentence each; looks at no data.

    A classifier that passes has been fitted to a few random numbers, and the result can be saved and loaded.

    Args:
        name: As in `find_classifier`.
        grid: Parameter to the values to try.
        scale: Whether the features are scaled, and so may be negative.
        class_weight: "none" or "balanced".
        monitor: "val_auc", "val_accuracy" or "val_loss".

    >>> find_classifier_faults("LinearSVC", {"c": (1, 10)})
    ["`grid` must name parameters of LinearSVC. Did you mean 'C'? Received: 'c'."]
    """
    try:
        kind = find_classifier(name)
    except InputError as error:
        return list(error.faults)
    if fault := _find_fault_of(kind, scale):
        return [fault]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind(**SETTINGS.get(kind.__name__, {}))
    faults = [fault for key, values in (grid or {}).items() for fault in _find_grid_faults(model, key, values)]
    faults += _find_score_faults(model, {} if faults else grid or {}, monitor)
    if class_weight not in ("none", "balanced"):
        faults.append(f"`class_weight` must be 'none' or 'balanced'. Received: class_weight={class_weight!r}.")
    elif class_weight == "balanced" and "class_weight" not in model.get_params():
        faults.append(
            f"`class_weight` must be 'none' with {kind.__name__}, which cannot weigh classes. "
            f"Received: class_weight='balanced'."
        )
    return faults


def _find_score_faults(model, grid, monitor) -> list[str]:
    """Say if a point of the grid removes the probabilities or decision values that are scored."""
    if monitor not in SCORINGS:
        return [f"`monitor` must be one of {', '.join(map(repr, SCORINGS))}. Received: monitor={monitor!r}."]
    name, has_probabilities = type(model).__name__, hasattr(model, "predict_proba")
    for point in ParameterGrid({key: list(values) for key, values in grid.items()}):
        model.set_params(**point)
        if not (hasattr(model, "predict_proba") if has_probabilities else _gives_scores(model)):
            return [f"`grid` must leave {name} with probabilities or decision values. Received: {point}."]
        if monitor == "val_loss" and not hasattr(model, "predict_proba"):
            return [
                f"`monitor` must be 'val_auc' or 'val_accuracy' with {name}, which has no probabilities before they "
                f"are calibrated. Received: monitor='val_loss'."
            ]
    return []


def _gives_scores(model) -> bool:
    """Tell whether a classifier with its present parameters gives probabilities or decision values."""
    return hasattr(model, "predict_proba") or hasattr(model, "decision_function")


def _find_grid_faults(model, key, values) -> list[str]:
    known, name = model.get_params(), type(model).__name__
    if key not in known:
        return [f"`grid` must name parameters of {name}.{did_you_mean(key, known)} Received: {key!r}."]
    if not isinstance(values, (list, tuple)) or not len(values):
        return [f"`grid` must give each parameter a tuple of values to try. Received: {key}={values!r}."]
    if key == "decision_function_shape" and "ovo" in values:
        return [f"`grid` must leave {key} at 'ovr': a score for each class is needed. Received: {key}={values!r}."]
    return []


@functools.cache
def _find_fault_of(kind, scale) -> str | None:
    """Say why a classifier cannot give probabilities; None if it can. It is fitted to random numbers to find out."""
    name = kind.__name__
    needed = [
        key
        for key, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    if needed:
        return (
            f"`classifier` must work without arguments; one that wraps others does not. "
            f"Received: classifier={name!r}, which needs {', '.join(needed)}."
        )
    random = np.random.RandomState(0)
    labels = np.repeat([0, 1, 2], 20)
    features = random.uniform(0, 1, (60, 2)) + labels[:, None]  # some classifiers accept no negative numbers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training on so few numbers need not converge
        pipeline = make_pipeline(kind, scale, None, "none", 0)
        if not _gives_scores(pipeline[-1]):
            return (
                f"`classifier` must give probabilities or decision values. "
                f"Received: classifier={name!r}, which gives neither."
            )
        try:
            to_bytes(CalibratedClassifierCV(pipeline, cv=3, ensemble=False).fit(features, labels))
        except InputError as error:
            return f"`classifier` must be one that can be saved safely. Received: classifier={name!r}: {error}"
        except FIT_ERRORS as error:
            return cannot_learn(kind, error)
    return None


def cannot_learn(kind: type, error: Exception) -> str:
    """Return the fault of a classifier that scikit-learn could not fit."""
    reason = " ".join(str(error).split())
    return f"`classifier` must be able to learn the features. Received: classifier={kind.__name__!r}: {reason}"
