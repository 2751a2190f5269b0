"""Metrics of several labels per image: each label as two classes, their means, and all labels of an image together."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.errors import InputError
from tlmed.label_texts import POSITIVE, UNKNOWN
from tlmed.metrics.arguments import find_classes_faults, find_group_faults, find_score_faults
from tlmed.metrics.combining import combine
from tlmed.metrics.definitions import METRICS, Case, make_case
from tlmed.metrics.evaluation import evaluate
from tlmed.metrics.influences import influence_of_all
from tlmed.metrics.proportions import LEAST_GROUPS, has_few_groups, proportion
from tlmed.metrics.resampling import has_clusters, number_groups
from tlmed.metrics.roc import binary_auc
from tlmed.metrics.sample_sizes import (
    FEW_UNITS,
    MANY_CLASSES,
    NO_INTERVAL,
    SHARES,
    count_units,
    find_counted,
    name_unit,
    name_units,
)
from tlmed.words import count, listed

# Means over labels; of two classes the quadratic kappa is Cohen's.
MEANS = (
    *("auc", "average_precision", "sensitivity", "specificity", "ppv", "npv", "balanced_accuracy", "f1"),
    *("accuracy", "mcc", "kappa", "log_loss", "brier", "ece"),
)
POOLED = ("auc", "average_precision", "f1")  # also over all pairs of an image and a label: `auc_micro` and so on
TOGETHER = ("exact_match", "hamming_loss")
_LEAST = {"mcc": -1.0, "kappa": -1.0}
_MOST = {"log_loss": np.inf}
_NO_SLOPE = "ece"  # no smooth function of the images, so that its mean has no interval
_LEAST_OF_MEAN = 2  # images of each label, where not many labels are averaged: with one, sensitivity covered 88 %
_NAMED = 5
_PAIRS = ("label absent", "label present")  # of a pair of an image and a label


def name_sides(label: str) -> tuple[str, str]:
    """Return the two classes that a label is: that an image has it not, and that it has it.

    >>> name_sides("edema")
    ('no edema', 'edema')
    """
    return f"no {label}", label


def as_two_classes(scores: np.ndarray) -> np.ndarray:
    """Return the probabilities of both classes of a label, float [n, 2], from that of having it, float [n].

    >>> as_two_classes(np.array([0.25])).tolist()
    [[0.75, 0.25]]
    """
    return np.stack([1 - scores, scores], axis=1)


def macro_area(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the mean of the areas under the ROC curves of the labels that have both values; None where none has.

    Args:
        labels: Vectors of 1, 0 and -1 (not known), int [n, k].
        scores: The probability of each label, float [n, k].

    >>> macro_area(np.array([[1, 1], [0, 1], [1, -1]]), np.array([[0.9, 0.5], [0.2, 0.4], [0.1, 0.3]]))
    0.5
    """
    areas = [
        binary_auc(own[own != UNKNOWN] == POSITIVE, column[own != UNKNOWN])
        for own, column in zip(labels.T, scores.T, strict=True)
    ]
    found = [area for area in areas if area is not None]
    return float(np.mean(found)) if found else None


def say_without(labels: Sequence[str]) -> str:
    """Say which labels a mean leaves out.

    >>> say_without(["edema"])
    "without 'edema', where it is undefined"
    """
    return f"without {listed(map(repr, labels), _NAMED)}, where it is undefined"


@dataclass(frozen=True)
class _Answers:
    """Predictions of several labels.

    Attributes:
        labels: Vectors of 1, 0 and -1, int [n, k].
        scores: float [n, k].
        predictions: Vectors of 1 and 0, int [n, k].
        classes: The names of the labels.
        groups: As for `evaluate_labels`.
        owners: The number of the group of each image, int [n]; None if no group has several images.
    """

    labels: np.ndarray
    scores: np.ndarray
    predictions: np.ndarray
    classes: Sequence[str]
    groups: Sequence[str] | None
    owners: np.ndarray | None

    @property
    def known(self) -> np.ndarray:
        """Which labels are known, bool [n, k]."""
        return self.labels != UNKNOWN

    def make_case(self, own: int) -> Case:
        """Return the images of which a label is known, as two classes."""
        rows = self.known[:, own]
        return make_case(self.labels[rows, own], as_two_classes(self.scores[rows, own]), self.predictions[rows, own], 1)


def evaluate_labels(
    labels: np.ndarray,
    scores: np.ndarray,
    predictions: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
    split: str = "test",
    only: Collection[str] = METRICS,
    seed: int = 0,
) -> dict:
    """Score predictions of several labels per image, each metric with a 95 % interval.

    Each label is scored by `tlmed.metrics.evaluate` on the images of which it is known, as two classes. A mean over
    labels (macro) combines their intervals, with the correlations that come from the images that they share. Micro
    metrics count each pair of an image and a label; the pairs of an image, or of a group, are a cluster.

    Args:
        labels: Vectors of 1, 0 and -1 (not known), int [n, k].
        scores: The probability of each label, float [n, k], 0..1.
        predictions: Predicted labels, 1 and 0, int [n, k].
        classes: The names of the k labels.
        groups: As for `evaluate`.
        split: The name of the split, for the record.
        only: The metrics wanted, of `METRICS`; by default all.
        seed: Decides what is drawn.

    Returns:
        The content of `metrics.json`: `metrics` holds the means over labels and, if all metrics are wanted, those of
        POOLED as `auc_micro` and so on, `exact_match` (the share of images whose labels are all right, of those whose
        labels are all known) and `hamming_loss` (the share of known labels that are wrong). A mean that leaves out
        labels, for which the metric is undefined, has them as `absent`. `per_class` holds for each
        label `n` (images of which it is known), `positives`, `unknown` and its metrics.

    Raises:
        InputError: With all faults of the arguments.

    >>> labels, scores = np.array([[1, 0], [0, 1], [1, -1]]), np.array([[0.9, 0.2], [0.3, 0.8], [0.7, 0.5]])
    >>> found = evaluate_labels(labels, scores, (scores >= 0.5).astype(int), ["edema", "mass"])
    >>> found["metrics"]["auc"]["value"], found["metrics"]["exact_match"]["value"], found["per_class"]["mass"]["n"]
    (1.0, 1.0, 2)
    """
    labels, scores, predictions = np.asarray(labels), np.asarray(scores, dtype=float), np.asarray(predictions)
    if faults := find_vector_faults(labels, scores, predictions, classes, groups):
        raise InputError(faults)
    numbers = number_groups(groups)
    owners = numbers if has_clusters(numbers) else None
    answers = _Answers(labels, scores, predictions, classes, groups, owners)
    tables = [_score_label(answers, own, split, only, seed) for own in range(len(classes))]
    metrics = {name: _average(answers, tables, name) for name in MEANS if name in only}
    if set(METRICS) <= set(only):
        metrics |= _pool(answers, split) | {"exact_match": _match(answers), "hamming_loss": _count_wrong(answers)}
    return {
        "split": split,
        "n": len(labels),
        "classes": list(classes),
        "positive": None,
        "groups": None if numbers is None else int(numbers.max()) + 1,
        **({} if owners is None else {"largest_group": int(np.bincount(owners).max())}),
        "metrics": metrics,
        "per_class": {name: _count(answers, own) | tables[own] for own, name in enumerate(classes)},
    }


def find_vector_faults(
    labels: np.ndarray,
    scores: np.ndarray,
    predictions: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str] | None,
) -> list[str]:
    """Return a sentence for each array that is no table of several labels; arguments as of evaluate_labels."""
    faults, shape = find_classes_faults(classes), (len(labels), len(classes))
    if not len(labels):
        faults.append("`labels` must hold one image or more. Received: len(labels)=0.")
    for name, values, allowed in (("labels", labels, (-1, 0, 1)), ("predictions", predictions, (0, 1))):
        if values.shape != shape or not np.isin(values, allowed).all():
            faults.append(
                f"`{name}` must be {', '.join(map(str, allowed))} with the shape [images, labels] = {shape}. "
                f"Received: {values.dtype} {values.shape}."
            )
    faults += find_score_faults("scores", scores, *shape)
    if not faults and ((scores < 0) | (scores > 1)).any():
        faults.append(f"`scores` must be from 0 to 1. Received: {scores.min():g} to {scores.max():g}.")
    return faults + find_group_faults(groups, len(labels))


def _count(answers, own) -> dict[str, int]:
    known, mine = answers.known[:, own], answers.labels[:, own] == POSITIVE
    return {"n": int(known.sum()), "positives": int(mine.sum()), "unknown": int((~known).sum())}


def _score_label(answers, own, split, only, seed) -> dict[str, Mapping]:
    """Return the metrics of a label, on the images of which it is known."""
    rows = np.flatnonzero(answers.known[:, own])
    names = [name for name in METRICS if name in only and name != "quadratic_kappa"]
    if not len(rows):
        return {name: _leave_open(None, "The label is not known of any image.") for name in names}
    groups = None if answers.groups is None else [answers.groups[row] for row in rows]
    sides = name_sides(answers.classes[own])
    truth, guess = answers.labels[rows, own], answers.predictions[rows, own]
    scores = as_two_classes(answers.scores[rows, own])
    found = evaluate(truth, scores, guess, sides, sides[1], groups, split, seed=seed, only=names)
    return found["metrics"]


def _average(answers, tables, name) -> dict:
    """Return the mean of a metric over the labels for which it is defined, with the interval that theirs give."""
    owns = [own for own, table in enumerate(tables) if table[name]["value"] is not None]
    entries = [tables[own][name] for own in owns]
    if not owns:
        return _leave_open(None, "It is defined for no label.")
    value = float(np.mean([entry["value"] for entry in entries]))
    absent = [label for own, label in enumerate(answers.classes) if own not in owns]
    said = [f"Mean {say_without(absent)}."] if absent else []
    held = {"absent": absent} if absent else {}
    open_ = sum(entry["low"] is None for entry in entries)
    if name == _NO_SLOPE or open_:
        few = f"{open_} of {len(owns)} labels have no interval"
        why = "Each label has an interval of its own" if name == _NO_SLOPE else few
        return _leave_open(value) | {"note": " ".join([*said, f"{why}; their mean has no interval."])} | held
    units, fewest = min((_count_units(answers, own, name), own) for own in owns)
    if units < FEW_UNITS:
        unit = name_unit(answers.owners)
        # They may be those that have it, or those that have it not: its own entry says which.
        said.append(f"For label {answers.classes[fewest]!r} it rests on {count(units, unit)}.")
    if name in SHARES and units < _LEAST_OF_MEAN and 1 < len(owns) < MANY_CLASSES:
        few = f"Fewer than {_LEAST_OF_MEAN} {name_units(answers.owners)} decide, {NO_INTERVAL}"
        return _leave_open(value) | {"note": " ".join([few, *said])} | held
    influences = (_influence(answers, own, name) for own in owns)
    counted = (_find_counted(answers, own, name) for own in owns)
    low, high = combine(entries, influences, [1 / len(owns)] * len(owns), answers.owners, counted)
    by = "" if answers.owners is None else " by groups"
    entry = {
        "value": value,
        "low": max(_LEAST.get(name, 0.0), min(low, value)),
        "high": min(_MOST.get(name, 1.0), max(high, value)),
        "method": f"MOVER of {count(len(owns), 'label')}{by} (Zou & Donner 2008)",
    }
    return entry | ({"note": " ".join(said)} if said else {}) | held


def _count_units(answers, own, name) -> int:
    """Return the smallest number of images, or groups, that a metric of a label rests on."""
    owners = None if answers.owners is None else answers.owners[answers.known[:, own]]
    return count_units(answers.make_case(own), owners, None, name)


def _find_counted(answers, own, name) -> np.ndarray:
    """Return the images on which a metric of a label rests: those of which it is a share, or all that are known."""
    known, truth = answers.known[:, own], answers.labels[:, own] == POSITIVE
    if name not in SHARES:
        return known
    return known & find_counted(truth, answers.predictions[:, own] == POSITIVE, name)


def _influence(answers, own, name) -> np.ndarray:
    """Return what each image adds to a metric of a label, float [n]; one of which it is not known adds nothing."""
    found = np.zeros(len(answers.labels))
    found[answers.known[:, own]] = influence_of_all(answers.make_case(own), name)
    return found


def _pool(answers, split) -> dict[str, dict]:
    """Return metrics of all pairs of an image and a known label, as if they were images of one label."""
    rows, owns = np.nonzero(answers.known)
    owners = rows if answers.owners is None else answers.owners[rows]
    truth, guess, scores = (table[rows, owns] for table in (answers.labels, answers.predictions, answers.scores))
    groups = [str(owner) for owner in owners.tolist()]
    found = evaluate(truth, as_two_classes(scores), guess, _PAIRS, _PAIRS[1], groups, split, only=POOLED)
    return {f"{name}_micro": _name_clusters(found["metrics"][name], answers) for name in POOLED}


def _name_clusters(entry, answers) -> dict:
    """Return an entry whose texts call clusters what they are: images, unless groups have several."""
    if answers.owners is not None:
        return entry
    return {
        key: re.sub(r"\bgroup(s?)\b", r"image\1", part) if isinstance(part, str) else part
        for key, part in entry.items()
    }


def _match(answers) -> dict:
    """Return the share of images whose labels are all right, of those whose labels are all known."""
    rows = answers.known.all(axis=1)
    if not rows.any():
        return _leave_open(None, "There is no image of which all labels are known.")
    right = (answers.predictions == answers.labels).all(axis=1)[rows]
    entry = _bound_share(right, None if answers.owners is None else answers.owners[rows])
    if rows.all():
        return entry
    said = f"Of the {rows.sum():,} of {count(len(rows), 'image')} of which all labels are known."
    return entry | {"note": " ".join(filter(None, [said, entry.get("note")]))}


def _count_wrong(answers) -> dict:
    """Return the share of known labels that are predicted wrong."""
    rows, owns = np.nonzero(answers.known)
    wrong = answers.predictions[rows, owns] != answers.labels[rows, owns]
    return _name_clusters(_bound_share(wrong, rows if answers.owners is None else answers.owners[rows]), answers)


def _bound_share(right, owners) -> dict:
    if owners is not None and has_few_groups(owners):
        return _leave_open(float(right.mean())) | {"note": f"Fewer than {LEAST_GROUPS} groups, {NO_INTERVAL}"}
    return proportion(right, owners)


def _leave_open(value, reason=None) -> dict:
    return {"value": value, "low": None, "high": None, "method": None} | ({"reason": reason} if reason else {})
