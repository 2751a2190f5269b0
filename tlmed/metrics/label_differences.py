"""Whether classifiers of several labels differ on the same images: by label, in means over labels, in whole answers."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.errors import InputError
from tlmed.label_texts import UNKNOWN
from tlmed.metrics.combining import combine
from tlmed.metrics.differences import compare_pairs, measure_pairs, move_cases
from tlmed.metrics.label_metrics import as_two_classes, find_vector_faults, name_sides, say_without
from tlmed.metrics.paired_tests import leave_untested, mcnemar
from tlmed.metrics.proportions import t_95, t_tails
from tlmed.metrics.resampling import find_clusters
from tlmed.metrics.sample_sizes import AGREEMENT, NO_INTERVAL, name_units
from tlmed.metrics.spreads import Spread, find_strata, measure_spread
from tlmed.words import count

MATCH = "exact_match"  # all labels of an image are right


@dataclass(frozen=True)
class LabelDifferences:
    """The differences of two classifiers of several labels, or how much the sample of images moves them.

    Attributes:
        means: Those of the means over labels by metric, and of `exact_match`, as in `compare_metrics`; or spreads.
        labels: Those of each label, by label and metric.
    """

    means: Mapping[str, Mapping | Spread]
    labels: Mapping[str, Mapping[str, Mapping | Spread]]


def compare_label_pairs(
    labels: np.ndarray,
    tables: Sequence[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    groups: Sequence[str] | None,
    only: Collection[str],
) -> dict[tuple[int, int], LabelDifferences]:
    """Return the differences of every pair of several classifiers: of each label, and of the means over labels.

    Each label is compared by `compare_pairs` on the images of which it is known: AUCs by paired DeLong, accuracies by
    McNemar. The interval of the difference of two means over labels combines those of the labels, with the correlations
    that come from the images that they share (MOVER: Zou & Donner, Statistics in Medicine 2008, 27:1693-1702); its p is
    that of the interval which ends at zero. Whole answers (`exact_match`) are compared by McNemar, on images of which
    all labels are known.

    Args:
        labels: Vectors of 1, 0 and -1 (not known), int [n, k].
        tables: Probabilities of the labels [n, k], and predicted ones, 1 and 0 [n, k], of each classifier.
        classes: The names of the k labels.
        groups: Who each image belongs to, text or numbers [n]; an empty name stands for an image on its own.
        only: The metrics wanted, of `METRICS` but `ece`, and "exact_match".

    Returns:
        The places of two classifiers, the smaller first, to their differences. A mean leaves out labels for which the
        metric is undefined in one of the two (a `note` names them), and is undefined (None, with a `reason`) where
        none is left.

    Raises:
        InputError: With all faults of the arguments.

    >>> labels = np.array([[1, 0], [0, 1], [1, -1], [0, 0]])
    >>> scores = np.array([[0.9, 0.2], [0.3, 0.8], [0.7, 0.5], [0.1, 0.1]])
    >>> right, wrong = (scores, (scores > 0.4).astype(int)), (scores, (scores > 0.25).astype(int))
    >>> found = compare_label_pairs(labels, [right, wrong], ["edema", "mass"], None, ["accuracy", "exact_match"])[0, 1]
    >>> found.labels["edema"]["accuracy"]["value"], found.means["accuracy"]["value"]
    (0.25, 0.125)
    """
    sides = _take_sides(labels, tables, classes, groups)
    wanted = [name for name in only if name != MATCH]
    by_label = {
        side.name: compare_pairs(side.labels, side.tables, side.classes, side.classes[1], side.groups, wanted)
        for side in sides
        if len(side.rows)
    }
    nothing = dict.fromkeys(wanted, leave_untested("The label is not known of any image."))
    means = _MeanDifferences(labels, sides, groups, wanted)
    return {
        pair: LabelDifferences(
            {
                name: _match(labels, tables, groups, pair)
                if name == MATCH
                else means.judge(pair, name, {label: found[pair][name] for label, found in by_label.items()})
                for name in only
            },
            {label: by_label[label][pair] if label in by_label else nothing for label in classes},
        )
        for pair in itertools.combinations(range(len(tables)), 2)
    }


def measure_label_pairs(
    labels: np.ndarray,
    tables: Sequence[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    groups: Sequence[str] | None,
    only: Collection[str],
) -> dict[tuple[int, int], LabelDifferences]:
    """Return how much the sample of images moves the differences that `compare_label_pairs` returns.

    Args:
        labels: As for `compare_label_pairs`, as are the others.
        tables: See there.
        classes: See there.
        groups: See there.
        only: See there.

    Returns:
        The places of two classifiers, the smaller first, to the spread of each difference; undefined ones are left out.
    """
    sides = _take_sides(labels, tables, classes, groups)
    wanted = [name for name in only if name != MATCH]
    by_label = {
        side.name: measure_pairs(side.labels, side.tables, side.classes, side.classes[1], side.groups, wanted)
        for side in sides
        if len(side.rows)
    }
    means, found = _MeanDifferences(labels, sides, groups, wanted), {}
    for pair in itertools.combinations(range(len(tables)), 2):
        spreads = {name: spread for name in wanted if (spread := means.measure(pair, name))}
        if MATCH in only and (spread := _measure_match(labels, tables, groups, pair)):
            spreads[MATCH] = spread
        found[pair] = LabelDifferences(spreads, {name: by_label[name][pair] for name in by_label})
    return found


@dataclass(frozen=True)
class _Side:
    """A label as two classes, on the images of which it is known.

    Attributes:
        name: The label.
        rows: Their numbers, int [m].
        labels: 1 and 0, int [m].
        tables: Probabilities [m, 2] and predicted sides [m] of each classifier.
        groups: As for `compare_label_pairs`.
    """

    name: str
    rows: np.ndarray
    labels: np.ndarray
    tables: Sequence[tuple[np.ndarray, np.ndarray]]
    groups: Sequence[str] | None

    @property
    def classes(self) -> tuple[str, str]:
        """The names of the two classes."""
        return name_sides(self.name)


def _take_sides(labels, tables, classes, groups) -> list[_Side]:
    faults = [fault for table in tables for fault in find_vector_faults(labels, *table, classes, groups)]
    if faults:
        raise InputError(list(dict.fromkeys(faults)))
    sides = []
    for own, name in enumerate(classes):
        rows = np.flatnonzero(labels[:, own] != UNKNOWN)
        taken = [(as_two_classes(scores[rows, own].astype(float)), guesses[rows, own]) for scores, guesses in tables]
        groups_of = None if groups is None else [groups[row] for row in rows]
        sides.append(_Side(name, rows, labels[rows, own], taken, groups_of))
    return sides


class _MeanDifferences:
    """What each image adds to the differences of means over labels."""

    def __init__(self, labels, sides, groups, names):
        self._n, self._owners = len(labels), find_clusters(groups)
        self._classes = [side.name for side in sides]
        # Images with the same labels are a stratum: a few with a rare label give only a rough variance.
        patterns = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
        self._strata = find_strata(patterns, self._owners)
        self._sides = [(side, *self._move(side, names)) for side in sides if len(side.rows)]

    def _move(self, side, names):
        tables = {f"tables[{place}]": table for place, table in enumerate(side.tables)}
        named = side.classes, side.classes[1]
        _, values, moves, _ = move_cases(side.labels, tables, named, side.groups, names)
        return moves, values

    def _choose(self, pair, name) -> list[tuple]:
        return [each for each in self._sides if all(name in each[1][place] for place in pair)]

    def _spread_out(self, side, moves) -> np.ndarray:
        """Return what each image adds to a label; one of which it is not known adds nothing."""
        found = np.zeros(self._n)
        found[side.rows] = moves
        return found

    def _find_counted(self, side, name) -> np.ndarray:
        """Return the images on which a difference rests: those of one kind for sensitivity and specificity, or all."""
        kinds = {"sensitivity": side.labels == 1, "specificity": side.labels == 0}
        return self._spread_out(side, kinds.get(name, np.ones(len(side.rows)))) > 0

    def measure(self, pair, name) -> Spread | None:
        """Return the spread of a difference; None where it is undefined."""
        if not (chosen := self._choose(pair, name)):
            return None
        parts = [self._spread_out(side, moves[pair[0]][name] - moves[pair[1]][name]) for side, moves, _ in chosen]
        return measure_spread(sum(parts) / len(parts), self._strata, self._owners)

    def judge(self, pair, name, entries: Mapping[str, Mapping]) -> dict:
        """Return a difference with its interval and test, from those of the labels."""
        chosen = self._choose(pair, name)
        if not chosen:
            return leave_untested("The metric is defined for no label of both.")
        found = _combine_labels(
            [entries[side.name] for side, _, _ in chosen],
            (self._spread_out(side, moves[pair[0]][name] - moves[pair[1]][name]) for side, moves, _ in chosen),
            (self._owners, [self._find_counted(side, name) for side, *_ in chosen]),
            2.0 if name in AGREEMENT else 1.0,
        )
        used = {side.name for side, *_ in chosen}
        if absent := [name for name in self._classes if name not in used]:
            found["note"] = " ".join(filter(None, [f"Mean {say_without(absent)}.", found.get("note")]))
        return found


def _combine_labels(entries, influences, owned, most) -> dict:
    """Return the mean of the differences of labels: MOVER of their intervals, and the test that follows from it.

    A label with few images, none of which shows a difference, counts with the width of its own interval. A variance by
    the influences of images would count it as certain: of eight labels, two of them with six images each, 12 % of equal
    classifiers would then be found to differ in sensitivity.
    """
    value = float(np.mean([entry["value"] for entry in entries]))
    if bare := sum(entry["p"] is None or (entry["low"] is None and entry["p"] < 1) for entry in entries):
        return leave_untested(f"{bare} of {len(entries)} labels have no interval; their mean has none.", value)
    # Of a label of which the two say the same of each image there is nothing to add.
    known = [entry if entry["low"] is not None else {**entry, "low": 0.0, "high": 0.0} for entry in entries]
    owners, counted = owned
    low, high = combine(known, influences, [1 / len(known)] * len(known), owners, counted)
    units = min(entry["units"] for entry in entries)
    method = f"MOVER of the differences of {count(len(known), 'label')} (Zou & Donner 2008)"
    found = {"value": value, "method": method, "units": units}
    if high - low < 1e-12:
        note = f"The two do not differ in any of the {name_units(owners)}, {NO_INTERVAL}"
        return {**found, "value": 0.0, "low": None, "high": None, "p": 1.0, "note": note}
    # The interval excludes zero where p is below 0.05. Further out, p falls no faster than the units of the label with
    # the fewest allow.
    half, freedom = value - low if value > 0 else high - value, max(units - 1, 1)
    p = t_tails(t_95(freedom) * value / half, freedom) if half else 1.0
    return {**found, "low": max(-most, low), "high": min(most, high), "p": p}


def _match(labels, tables, groups, pair) -> dict:
    rows = (labels != UNKNOWN).all(axis=1)
    if not rows.any():
        return leave_untested("There is no image of which all labels are known.")
    first, second = (_find_right(labels, tables[place])[rows] for place in pair)
    entry = mcnemar(first, second, None if groups is None else [groups[row] for row in np.flatnonzero(rows)])
    return entry | {"units": int(rows.sum())}


def _measure_match(labels, tables, groups, pair) -> Spread | None:
    rows = (labels != UNKNOWN).all(axis=1)
    if not rows.any():
        return None
    first, second = (_find_right(labels, tables[place]) for place in pair)
    apart = np.where(rows, first.astype(float) - second, 0.0)
    moves = np.where(rows, apart - apart[rows].mean(), 0.0) / rows.sum()
    owners = find_clusters(groups)
    return measure_spread(moves, find_strata(rows.astype(int), owners), owners)


def _find_right(labels, table) -> np.ndarray:
    return (table[1] == labels).all(axis=1)
