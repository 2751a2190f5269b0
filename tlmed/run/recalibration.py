"""How the validation score of a phase changes when BatchNorm statistics are estimated again."""

import math
from collections.abc import Sequence

import numpy as np

from tlmed.evaluation.predictions import HALF
from tlmed.label_texts import NEGATIVE, POSITIVE, UNKNOWN
from tlmed.label_vectors import are_vectors
from tlmed.metrics import compare_metrics
from tlmed.metrics.definitions import make_case
from tlmed.metrics.influences import influence_of_all
from tlmed.metrics.label_metrics import as_two_classes
from tlmed.metrics.proportions import t_95
from tlmed.metrics.resampling import find_clusters
from tlmed.metrics.sample_sizes import LEAST_UNITS, count_in
from tlmed.metrics.spreads import find_strata, measure_spread
from tlmed.training import measure
from tlmed.words import tell_apart

_METRIC_OF = {"val_auc": "auc", "val_accuracy": "accuracy", "val_loss": "log_loss"}


def compare_recalibration(
    phase: str,
    monitor: str,
    labels: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
) -> dict:
    """Return a phase's entry of `recalibration` in `metrics.json`.

    Epochs are chosen, and patience is counted, by the network with the statistics that it trains with. Estimating them
    again in every epoch would run up to 512 images through the whole network each time, frozen blocks included, which
    often costs more than the epoch. Phases are compared by the network as it is after them.

    Args:
        phase: The phase's name.
        monitor: The validation score that decides.
        labels: Of the validation images, int [n]; or vectors of labels [n, k].
        before: Their class probabilities [n, classes], or those of each label, after the best epoch.
        after: Those after the statistics were estimated again.
        classes: The names of the classes.
        groups: The group (the patient) of each image.

    Returns:
        `phase`, `monitor`, `before` and `after`; `low` and `high`: the 95 % interval of the score before minus the
        score after, on the same images, by groups if there are any (None where there is no interval); `worse`: whether
        the score became worse, and the interval does not hold 0.

    >>> labels, right = np.array([0, 1, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.1, 0.9]])
    >>> found = compare_recalibration("p", "val_auc", labels, right, 1 - right, ["a", "b"])
    >>> found["before"], found["after"], found["worse"]
    (1.0, 0.0, True)
    """
    metric = _METRIC_OF[monitor]
    first, second = (measure(scores, labels)[monitor.removeprefix("val_")] for scores in (before, after))
    if are_vectors(labels):
        half, value = _halve_labels(metric, labels, (before, after), groups), first - second
        low, high = (None, None) if half is None else (value - half, value + half)
    else:
        tables = [(scores, scores.argmax(axis=1)) for scores in (before, after)]
        found = compare_metrics(labels, *tables, classes, None, groups, [metric])[metric]
        low, high = found["low"], found["high"]
    fell = second > first if metric == "log_loss" else second < first
    noise = low is not None and low <= 0 <= high
    return {
        **{"phase": phase, "monitor": monitor, "before": first, "after": second, "low": low, "high": high},
        "worse": bool(fell and not noise),
    }


def _halve_labels(metric, labels, tables, groups) -> float | None:
    """Return half the interval of a difference of several labels, by what each image adds to it; None of too few.

    The scores are those of `measure`: a mean over all labels that are known, or of the AUCs of the labels that have
    both values.
    """
    owners = find_clusters(groups)
    sides = _list_sides(labels) if metric == "auc" else [(labels != UNKNOWN).any(axis=1)]
    if min(count_in(rows, owners) for rows in sides) < LEAST_UNITS:
        return None
    first, second = (_MOVES[metric](labels, scores.astype(float)) for scores in tables)
    # All images as one stratum: those with the same labels are too few to have a variance of their own.
    spread = measure_spread(first - second, find_strata(np.zeros(len(labels), int), owners), owners)
    return t_95(spread.freedom) * math.sqrt(spread.variance) if spread.variance else None


def _list_sides(labels) -> list[np.ndarray]:
    """Return the images with, and those without, each label that has both, bool [n] each."""
    pairs = [(own == NEGATIVE, own == POSITIVE) for own in labels.T]
    return [rows for pair in pairs if all(map(np.any, pair)) for rows in pair]


def _move_area(labels, scores) -> np.ndarray:
    """Return what each image adds to the mean AUC, float [n]."""
    moves = []
    for own, column in zip(labels.T, scores.T, strict=True):
        if {NEGATIVE, POSITIVE} <= set(own.tolist()):
            known = own != UNKNOWN
            moves.append(np.zeros(len(labels)))
            case = make_case(own[known], as_two_classes(column[known]), own[known], POSITIVE)
            moves[-1][known] = influence_of_all(case, "auc")
    return np.mean(moves, axis=0)


def _move_accuracy(labels, scores) -> np.ndarray:
    return _move_mean(labels, (scores >= HALF) == (labels == POSITIVE))


def _move_loss(labels, scores) -> np.ndarray:
    right = np.where(labels == POSITIVE, scores, 1 - scores)
    return _move_mean(labels, -np.log(np.clip(right, 1e-7, 1)))  # clipped as by `measure`


_MOVES = {"auc": _move_area, "accuracy": _move_accuracy, "log_loss": _move_loss}


def _move_mean(labels, each) -> np.ndarray:
    """Return what each image adds to a mean over all labels that are known, float [n]."""
    known = labels != UNKNOWN
    return np.where(known, each - each[known].mean(), 0).sum(axis=1) / known.sum()


def describe_recalibration(entry: dict) -> str:
    """Say how the score changed.

    >>> describe_recalibration({"phase": "all", "monitor": "val_auc", "before": 0.95, "after": 0.97})
    "Phase 'all': BatchNorm statistics estimated again; val_auc 0.9500 before, 0.9700 after."
    """
    before, after = tell_apart(entry["before"], entry["after"], places=4)
    return (
        f"Phase {entry['phase']!r}: BatchNorm statistics estimated again; {entry['monitor']} {before} before, "
        f"{after} after."
    )


def warn_of_recalibration(entry: dict) -> str:
    """Say that the score became worse by more than its noise, and what to do.

    >>> entry = {"phase": "all", "monitor": "val_auc", "before": 0.95, "after": 0.7, "low": None, "high": None}
    >>> warn_of_recalibration(entry)[:98]
    "Phase 'all': val_auc went from 0.9500 to 0.7000 when BatchNorm statistics were estimated again, to"
    """
    spread = (
        "too few images or groups to call it noise"
        if entry["low"] is None
        else f"95 % interval of the difference {entry['low']:.4f} to {entry['high']:.4f}"
    )
    before, after = tell_apart(entry["before"], entry["after"], places=4)
    return (
        f"Phase {entry['phase']!r}: {entry['monitor']} went from {before} to {after} when "
        f"BatchNorm statistics were estimated again, to the worse ({spread}). The weights were trained with the "
        "old statistics; batch_norm='affine' keeps those."
    )
