"""Whether classifiers differ on the same images in any metric, and by how much; correction for many comparisons."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.arguments import (
    find_class_faults,
    find_classes_faults,
    find_group_faults,
    find_score_faults,
    name_groups,
)
from tlmed.metrics.classes import positive_index
from tlmed.metrics.definitions import CALIBRATED, METRICS, Case, find_metric_faults, make_case, rate
from tlmed.metrics.influences import influence_of_all
from tlmed.metrics.paired_means import bound_freedom, judge_moves
from tlmed.metrics.paired_tests import compare_areas, leave_untested, mcnemar
from tlmed.metrics.resampling import find_clusters
from tlmed.metrics.sample_sizes import FEW_UNITS, LEAST_UNITS, MANY_CLASSES, count_units
from tlmed.metrics.spreads import Spread, find_strata, measure_spread


def compare_metrics(
    labels: np.ndarray,
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    classes: Sequence[str],
    positive: str | None = None,
    groups: Sequence[str] | None = None,
    only: Collection[str] = METRICS,
) -> dict[str, dict]:
    """Return the differences of two classifiers' metrics on the same images, each with its interval and test.

    Each image adds something to the difference: its influence on the one metric minus that on the other. The sum of
    their squares is the variance, and the difference is tested by Student's t with the degrees of freedom of Welch and
    Satterthwaite (`tlmed.metrics.spreads`). If groups have several images, the images of each group are added up first,
    and the degrees of freedom are at most the groups of the smallest class minus one, as for the AUC.

    For a mean over images, such as the Brier score, this is the paired t test, except for how the variance is divided
    among classes, with at most its n - 1 degrees of freedom. Two accuracies, and sensitivities or specificities of two
    classes, are compared by McNemar's test instead, and the AUC of two classes by `compare_areas`.

    Args:
        labels: True classes, int [n], 0..k-1.
        first: Scores [n, k] and predicted classes [n] of the first.
        second: Those of the second.
        classes: The k names.
        positive: The positive of two classes, by default the second in the order of classes.
        groups: Who each image belongs to, text or numbers [n]; an empty name stands for an image on its own.
        only: The metrics wanted, of `METRICS`.

    Raises:
        InputError: With all faults of the arguments.

    Returns:
        For each metric `value` (that of the first minus that of the second), `low`, `high`, `p`, `method` and `units`
        (the images or groups that it rests on: `tlmed.metrics.sample_sizes.count_units`), and a `note` where there is
        no interval because the two do not differ in any image; undefined (None, with a `reason`) where a metric is,
        or where no interval follows.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> table = (scores, scores.argmax(axis=1))
    >>> found = compare_metrics(labels, table, table, ["a", "b"], only=["f1"])
    >>> found["f1"]["value"], found["f1"]["p"]
    (0.0, 1.0)
    """
    return _compare_named(labels, {"first": first, "second": second}, (classes, positive), groups, only)[0, 1]


def compare_pairs(
    labels: np.ndarray,
    tables: Sequence[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    positive: str | None = None,
    groups: Sequence[str] | None = None,
    only: Collection[str] = METRICS,
) -> dict[tuple[int, int], dict[str, dict]]:
    """Return what `compare_metrics` does for every pair of several classifiers.

    Args:
        labels: True classes, int [n], 0..k-1.
        tables: Scores [n, k] and predicted classes [n] of each classifier.
        classes: The k names.
        positive: The positive of two classes, by default the second in the order of classes.
        groups: Who each image belongs to, text or numbers [n]; an empty name stands for an image on its own.
        only: The metrics wanted, of `METRICS`.

    Raises:
        InputError: With all faults of the arguments.

    Returns:
        The places of two classifiers, the smaller first, to the difference of each metric.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> better, worse = (scores, np.array([0, 0, 1, 1])), (scores, np.array([0, 1, 1, 1]))
    >>> pairs = compare_pairs(labels, [better, worse, better], ["a", "b"], only=["accuracy"])
    >>> {pair: found["accuracy"]["value"] for pair, found in pairs.items()}
    {(0, 1): 0.25, (0, 2): 0.0, (1, 2): -0.25}
    """
    return _compare_named(labels, _number(tables), (classes, positive), groups, only)


def _number(tables) -> dict[str, tuple]:
    """Return the scores and predicted classes of each classifier by what messages call it."""
    return {f"tables[{place}]": table for place, table in enumerate(tables)}


def _compare_named(labels, tables, named, groups, only) -> dict[tuple[int, int], dict[str, dict]]:
    cases, values, moves, owners = move_cases(labels, tables, named, groups, only)
    groups, labels = name_groups(groups, len(labels)), cases[0].labels
    strata = find_strata(labels, owners)
    return {
        (i, j): {
            name: _compare_one((cases[i], cases[j]), groups, owners, name)
            or _test_difference(
                (cases[i], cases[j]),
                values[i][name] - values[j][name],
                [moves[place].get(name) for place in (i, j)],
                (strata, owners),
                name,
            )
            for name in values[i]
        }
        for i, j in itertools.combinations(range(len(cases)), 2)
    }


def measure_pairs(
    labels: np.ndarray,
    tables: Sequence[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    positive: str | None = None,
    groups: Sequence[str] | None = None,
    only: Collection[str] = METRICS,
) -> dict[tuple[int, int], dict[str, Spread]]:
    """Return how much the sample of images moves the difference of each metric, for every pair of several classifiers.

    Args:
        labels: As for `compare_pairs`, as are the others.
        tables: See there.
        classes: See there.
        positive: See there.
        groups: See there.
        only: The metrics wanted, of `METRICS` but `ece`.

    Returns:
        The places of two classifiers, the smaller first, to the spread of each difference; metrics that are undefined
        for one of the two are left out. A variance of 0 means that the two do not differ in any image.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> better, worse = (scores, np.array([0, 0, 1, 1])), (scores, np.array([0, 1, 1, 1]))
    >>> round(measure_pairs(labels, [better, worse], ["a", "b"], only=["accuracy"])[0, 1]["accuracy"].variance, 3)
    0.083
    """
    cases, values, moves, owners = move_cases(labels, _number(tables), (classes, positive), groups, only)
    strata = find_strata(cases[0].labels, owners)
    return {
        (i, j): {
            name: bound_freedom(
                measure_spread(moves[i][name] - moves[j][name], strata, owners),
                _find_cap(name, min(_count_both(cases[place], owners, name) for place in (i, j)), len(classes)),
            )
            for name in values[i]
            if name in moves[i] and name in moves[j]
        }
        for i, j in itertools.combinations(range(len(cases)), 2)
    }


def move_cases(
    labels: np.ndarray,
    tables: Mapping[str, tuple[np.ndarray, np.ndarray]],
    named: tuple[Sequence[str], str | None],
    groups: Sequence[str] | None,
    only: Collection[str],
) -> tuple[list[Case], list[dict[str, float]], list[dict[str, np.ndarray]], np.ndarray | None]:
    """Return the cases, the value of each metric, what each image adds to it, and the groups if some has several.

    Args:
        labels: As for `compare_pairs`, as are `groups` and `only`.
        tables: Scores and predicted classes of each classifier, by what messages call it.
        named: The names of the classes, and the positive one of two.
        groups: See there.
        only: See there.

    Raises:
        InputError: With all faults of the arguments.
    """
    labels, (classes, positive) = np.asarray(labels), named
    tables = {name: tuple(map(np.asarray, table)) for name, table in tables.items()}
    if faults := _find_faults(labels, tables, classes, groups, only):
        raise InputError(faults)
    main, owners = positive_index(classes, positive), find_clusters(groups)
    cases = [make_case(labels, scores.astype(float), guesses, main) for scores, guesses in tables.values()]
    whole = np.ones((len(labels), 1))
    values = [{name: found.item() for name, found in rate(case, whole, only)[None].items()} for case in cases]
    moves = [
        {name: influence_of_all(case, name) for name, value in own.items() if name != "ece" and not math.isnan(value)}
        for case, own in zip(cases, values, strict=True)
    ]
    return cases, values, moves, owners


def _find_faults(labels, tables, classes, groups, only) -> list[str]:
    n, k = len(labels), len(classes)
    faults = [] if n else ["`labels` must hold one image or more. Received: len(labels)=0."]
    faults += find_classes_faults(classes) + find_class_faults("labels", labels, n, k)
    for name, (scores, predictions) in tables.items():
        faults += find_score_faults(f"{name}[0]", scores, n, k) + find_class_faults(f"{name}[1]", predictions, n, k)
    return faults + find_group_faults(groups, n) + find_metric_faults(only)


def _find_cap(name, units, classes) -> float:
    """Return the most degrees of freedom of a metric by groups: those that the groups of the smallest class give."""
    return math.inf if name in CALIBRATED or classes >= MANY_CLASSES else max(units - 1, 1)


def _compare_one(cases, groups, owners, name) -> dict | None:
    """Return the difference of two proportions, or AUCs of two classes, by the tests of their own; None for others."""
    first, main = cases[0], cases[0].main
    truth = first.labels == main
    if name == "auc" and main is not None and truth.any() and not truth.all():
        return compare_areas(truth, *(case.scores[:, main] for case in cases), groups) | {
            "units": count_units(first, owners, None, name)
        }
    rows = {"accuracy": truth | True, "sensitivity": truth, "specificity": ~truth}.get(name)
    if rows is None or (main is None and name != "accuracy") or not rows.any():
        return None
    own = None if groups is None else [group for group, row in zip(groups, rows, strict=True) if row]
    found = mcnemar(*((case.predictions == case.labels)[rows] for case in cases), own)
    return found | {"units": count_units(first, owners, None, name)}


def _test_difference(cases, value, moves, owned, name) -> dict:
    """Return the difference of two metrics with its interval and test, by what each image adds to it."""
    units, classes = min(_count_both(case, owned[1], name) for case in cases), cases[0].classes
    most = _find_most(name, cases[0].main)
    if math.isnan(value):
        return leave_untested("The metric is undefined for one of the two.")
    if any(move is None for move in moves):
        return leave_untested("The difference of two calibration errors on few images is mostly chance.", value)
    least, cap = _find_least(name, classes), _find_cap(name, units, classes)
    return judge_moves(value, moves[0] - moves[1], owned, (units, least, cap), most)


def _count_both(case, owners, name) -> int:
    """Return on how many units a metric rests; for predictive values, the units of the class count too."""
    names = (name, "f1") if name in ("ppv", "npv") else (name,)
    return min(count_units(case, owners, None, each) for each in names)


def _find_least(name, classes) -> int:
    """Return the least units of the smallest class that influences need; with many classes, one is enough."""
    if name in CALIBRATED:
        return 2
    if classes >= MANY_CLASSES:
        return 1
    # For predictive values of a rare class five are too few: 8 % of equal classifiers were found to differ.
    return FEW_UNITS if name in ("ppv", "npv") and classes > 2 else LEAST_UNITS


def _find_most(name, main) -> float:
    """Return the largest difference that a metric can have."""
    # Agreement ranges from -1 to 1, the Brier score of more than two classes from 0 to 2.
    if name in ("mcc", "kappa", "quadratic_kappa") or (name == "brier" and main is None):
        return 2.0
    return math.inf if name == "log_loss" else 1.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number, so that one in twenty such lists has a false finding at 0.05.

    Holm, Scandinavian J. Statistics 1979, 6:65-70. An undefined one (None) stays so and does not count.

    Raises:
        InputError: If one is not from 0 to 1, or NaN.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    if wrong := [p for p in p_values if p is not None and not 0 <= p <= 1]:
        raise InputError(f"`p_values` must be from 0 to 1, or None where undefined. Received: {wrong[0]!r}.")
    defined = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected, largest = [None] * len(p_values), 0.0
    for rank, (p, i) in enumerate(defined):
        # A corrected p-value is never below that of a smaller p-value.
        largest = max(largest, min(1.0, (len(defined) - rank) * p))
        corrected[i] = largest
    return corrected
