"""Labels and scores in, metrics with 95 % intervals out: NumPy arrays in, plain data out."""

import dataclasses
import math
from collections.abc import Collection, Sequence

import numpy as np

from tlmed import seeds
from tlmed.errors import InputError
from tlmed.metrics.areas import area_interval
from tlmed.metrics.arguments import (
    find_class_faults,
    find_classes_faults,
    find_group_faults,
    find_score_faults,
)
from tlmed.metrics.calibration import LOSSES, chance_error, correct_error, pair
from tlmed.metrics.classes import positive_index
from tlmed.metrics.combining import agree, combine, draw_rates
from tlmed.metrics.definitions import (
    CALIBRATED,
    CLASS_METRICS,
    METRICS,
    RANKED,
    Case,
    find_metric_faults,
    make_case,
    rate,
)
from tlmed.metrics.image_means import bound_image_mean
from tlmed.metrics.influences import OF_CLASS, influence_of_all, influence_of_class, leave_out
from tlmed.metrics.packed_confusion import pack_confusion
from tlmed.metrics.proportions import harmonic_mean, has_few_groups, proportion, wilson
from tlmed.metrics.resampling import bound, draw_weights, has_clusters, number_groups
from tlmed.metrics.sample_sizes import (
    AGREEMENT,
    MANY_CLASSES,
    MOST_NAMED,
    NO_INTERVAL,
    TOGETHER,
    count_in,
    count_units,
    find_counted,
    name_units,
    note_dominant,
    note_few,
    say_absent,
    say_few,
)
from tlmed.metrics.spreads import bound_correlation, bound_logit, find_strata, measure_spread
from tlmed.words import listed


def evaluate(
    labels: np.ndarray,
    scores: np.ndarray,
    predictions: np.ndarray,
    classes: Sequence[str],
    positive: str | None = None,
    groups: Sequence[str] | None = None,
    split: str = "test",
    draws: int = 2000,
    seed: int = 0,
    only: Collection[str] = METRICS,
) -> dict:
    """Score predictions, each metric with a 95 % interval.

    Each kind of metric has its own interval. Proportions of images and F1 get Wilson's, the AUC of two classes (and of
    each class against the rest) DeLong's on the logit scale. Means over classes combine the intervals of their classes.
    Average precision and agreement get an interval from the influence of each image, log loss and Brier score one for
    skewed means, and the calibration error one from resamples. All hold for a random mix of classes. If a group has
    several images, they depend on each other, and every interval is by groups. Each entry names its method and source;
    docs/metrics.md says how often they cover, and `python benchmarks/coverage.py` repeats it.

    For two classes, sensitivity, specificity, predictive values, AUC, F1 and average precision are those of the
    positive class; for more, the mean of one-vs-rest over the classes present.

    Args:
        labels: True classes, int [n], 0..k-1.
        scores: One column per class, float [n, k].
        predictions: Predicted classes, int [n], 0..k-1.
        classes: The k names.
        positive: The positive of two classes, by default the second in the order of classes.
        groups: Who each image belongs to (a patient, say), text or numbers [n]; an empty name stands for an image on
            its own. A missing one (None, NaN) is refused.
        split: The name of the split, for the record.
        draws: How many to draw: resamples for the calibration error, rates for the agreement of two classes.
        seed: Decides them.
        only: The metrics wanted, of `METRICS`; by default all.

    Returns:
        The content of `metrics.json`. A metric is a dict of `value`, `low`, `high` and `method`; where it is
        undefined these are None and `reason` says why; a `note` says what its interval leaves out, why there is none,
        or on how few images it rests. From 100 classes on, `confusion` leaves out empty cells (`pack_confusion`).

    Raises:
        InputError: With all faults of the arguments.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> result = evaluate(labels, scores, scores.argmax(axis=1), ["benign", "malignant"])
    >>> result["positive"], result["metrics"]["sensitivity"]["value"], result["confusion"]
    ('malignant', 1.0, [[1, 1], [0, 2]])
    """
    labels, scores, predictions = np.asarray(labels), np.asarray(scores, dtype=float), np.asarray(predictions)
    if faults := _find_faults(labels, scores, predictions, classes, groups, draws, only):
        raise InputError(faults)
    main, owners = positive_index(classes, positive), number_groups(groups)
    units = None if owners is None else int(owners.max()) + 1
    owners = owners if has_clusters(owners) else None
    case = make_case(labels, scores, predictions, main)
    values = rate(case, np.ones((len(labels), 1)), only)
    tables = {
        own: {name: _bound_class(case, owners, own, name, found.item()) for name, found in values[own].items()}
        for own in range(case.classes)
    }
    strata = find_strata(labels, owners)
    tables[None] = {
        name: _bound_all(case, owners, strata, tables, name, found.item(), (draws, seed, split))
        for name, found in values[None].items()
    }
    _explain(tables, case, classes, owners)
    overall = tables.pop(None)
    return {
        "split": split,
        "n": len(labels),
        "classes": list(classes),
        "positive": None if main is None else classes[main],
        "groups": units,
        **({} if owners is None else {"largest_group": int(np.bincount(owners).max())}),
        "metrics": overall,
        "per_class": {classes[c]: {"n": int((labels == c).sum()), **table} for c, table in tables.items()},
        "confusion": pack_confusion(_confuse(labels, predictions, len(classes)), classes),
    }


def _find_faults(labels, scores, predictions, classes, groups, draws, only) -> list[str]:
    n, k = len(labels), len(classes)
    faults = []
    if n < 1:
        faults.append("`labels` must hold one image or more. Received: len(labels)=0.")
    faults += find_classes_faults(classes)
    faults += find_score_faults("scores", scores, n, k)
    for name, values in {"labels": labels, "predictions": predictions}.items():
        faults += find_class_faults(name, values, n, k)
    faults += find_group_faults(groups, n)
    if draws < 1:
        faults.append(f"`draws` must be 1 or more. Received: draws={draws}.")
    return faults + find_metric_faults(only)


def _bound_class(case: Case, owners, own, name, value) -> dict:
    """Return a metric of one class against the rest, with its interval if enough images support it."""
    if math.isnan(value):
        return _leave_open(None)
    if few := say_few(case, owners, own, name):
        return _leave_open(value, few)
    return _measure_class(case, owners, own, name, value)


def _measure_class(case: Case, owners, own, name, value) -> dict:
    truth, guess = case.labels == own, case.predictions == own
    if name == "auc":
        return area_interval(truth, case.scores[:, own], owners)
    if name == "f1":
        return harmonic_mean(truth, guess, owners)
    if name == "average_precision":
        return _bound_precision(case, owners, own, value)
    rows, right = find_counted(truth, guess, name), guess if name in ("sensitivity", "specificity") else truth
    return proportion((right if name in ("sensitivity", "ppv") else ~right)[rows], _take(owners, rows))


def _take(owners, rows) -> np.ndarray | None:
    return None if owners is None else owners[rows]


def _bound_precision(case: Case, owners, own, value) -> dict:
    truth = case.labels == own
    units = min(count_in(rows, owners) for rows in (truth, ~truth))
    # The class against the rest, also with more than two classes: each side has its own degrees of freedom.
    # A jackknife instead of influences: with few images of the class, one image moves the precision too far.
    moves = leave_out(truth, case.scores[:, own])
    spread = measure_spread(moves, find_strata(truth.astype(int), owners), owners)
    if spread.variance and value < 1 - 1e-12:
        low, high = bound_logit(value, spread)
        how = f"jackknife of {spread.units} {name_units(owners)} on the logit scale (Boyd et al. 2013)"
        return {
            "value": value,
            "low": low,
            "high": high,
            "method": f"{how}, t with {spread.freedom:.0f} df (Welch 1947)",
        }
    low, high = wilson(value * units, units)
    method = f"Wilson score of {units} {name_units(owners)} (Boyd et al. 2013, binomial)"
    note = "The ranking does not vary: the interval is a bound from the number of the class."
    return {"value": value, "low": min(low, value), "high": max(high, value), "method": method, "note": note}


def _bound_all(case: Case, owners, strata, tables, name, value, draws) -> dict:
    """Return a metric of all classes with its interval; with two classes, it may be that of the positive class."""
    if math.isnan(value):
        return _leave_open(None)
    if case.main is not None and name in CLASS_METRICS:
        return dict(tables[case.main][name])  # a copy, because `_explain` adds other notes to the class's
    if name in CLASS_METRICS or name in OF_CLASS:
        return _average_classes(case, owners, tables, name, value)
    if few := say_few(case, owners, None, name):
        return _leave_open(value, few)
    if name == "accuracy":
        return proportion(case.labels == case.predictions, owners)
    if name == "ece":
        return _bound_calibration(case, owners, value, *draws)
    if name in AGREEMENT and case.main is not None:
        return _bound_agreement(case, owners, name, value, *draws)
    if name in LOSSES:
        most = math.inf if name == "log_loss" else 1.0 if case.main is not None else 2.0
        return bound_image_mean(value, case.losses[LOSSES.index(name)], strata, owners, most)
    spread = measure_spread(influence_of_all(case, name), strata, owners)
    if not spread.variance:
        return _leave_open(value, f"All {name_units(owners)} count alike, {NO_INTERVAL}")
    spread = dataclasses.replace(spread, freedom=min(spread.freedom, count_units(case, owners, None, name) - 1))
    low, high = bound_correlation(value, spread)
    how = f"influences of {spread.units} {name_units(owners)} on Fisher's scale (Fisher 1921)"
    method = f"{how}, t with {spread.freedom:.0f} df (Welch 1947)"
    return {"value": value, "low": low, "high": high, "method": method}


def _average_classes(case: Case, owners, tables, name, value) -> dict:
    """Return the mean of a metric over the classes present, with the interval that theirs give together."""
    part, present = OF_CLASS.get(name, name), np.unique(case.labels).tolist()
    many = case.classes >= MANY_CLASSES and (owners is None or not has_few_groups(owners))
    if not many and min(np.bincount(case.labels)[present]) < 2:
        return _leave_open(value, f"A class has a single image, {NO_INTERVAL}")
    # `only` may leave out the metric of the classes; its value is then computed, and 0.0 is not used.
    entries = [tables[own].get(part) or _bound_class(case, owners, own, part, 0.0) for own in present]
    if many and part not in RANKED:
        entries = [
            _measure_class(case, owners, own, part, 0.0) if entry["low"] is None else entry
            for own, entry in zip(present, entries, strict=True)
        ]
    open_ = sum(entry["low"] is None for entry in entries)
    if open_:
        verb = "has" if open_ == 1 else "have"
        return _leave_open(value, f"{open_} of {len(entries)} classes {verb} no interval, so that their mean has none.")
    influences = (influence_of_class(case, own, part) for own in present)
    low, high = combine(entries, influences, [1 / len(entries)] * len(entries), owners)
    if high - low < 1e-12:  # such as the mean NPV of two classes where all images are predicted as a third one
        return _leave_open(value, f"All {name_units(owners)} count alike, {NO_INTERVAL}")
    by = "" if owners is None else " by groups"
    return {
        "value": value,
        "low": min(max(0.0, low), value),
        "high": max(min(1.0, high), value),
        "method": f"MOVER of {len(entries)} classes{by}, each {_shorten(entries)} (Zou & Donner 2008)",
    }


def _shorten(entries) -> str:
    """Return the method of most classes, without its numbers, which are each class's own."""
    kinds = [entry["method"].partition(" (")[0].partition(" of ")[0] for entry in entries]
    return max(dict.fromkeys(kinds), key=kinds.count)  # in order, so that ties do not depend on hashing


def _bound_agreement(case: Case, owners, name, value, draws, seed, split) -> dict:
    rng = np.random.default_rng(seeds.derive(seed, "bootstrap", split))
    # Always the second class, so that neither agreement nor the random draws depend on which one is positive.
    positive, predicted = case.labels == 1, case.predictions == 1
    drawn = agree(*draw_rates(positive, predicted, owners, draws, rng))[name]
    low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
    by = f" with the effective sample sizes of {int(owners.max()) + 1} groups" if owners is not None else ""
    method = f"Jeffreys intervals of prevalence, sensitivity and specificity{by}, {draws} draws (Brown et al. 2001)"
    return {"value": value, "low": min(low, value), "high": max(high, value), "method": method}


def _bound_calibration(case: Case, owners, value, draws, seed, split) -> dict:
    # Without groups each image is a unit of its own.
    members = np.arange(len(case.labels)) if owners is None else owners
    found = np.concatenate([rate(case, w, ("ece",))[None]["ece"] for w in draw_weights(members, draws, seed, split)])
    units = int(members.max()) + 1
    low, high, note = bound(found, units, value)
    if low is None or high - low < 1e-12:
        return _leave_open(value, f"Every resample gave the same value, {NO_INTERVAL}")
    chance = _draw_chance(case, owners, draws, seed, split)
    how = f"basic bootstrap of {units} {name_units(owners)}, {draws} draws, with 0 where chance explains it"
    method = f"{how} (Field & Welsh 2007, Broecker & Smith 2007)"
    entry = {"value": value, **correct_error(value, found, high, chance), "method": method}
    said = [text for text in (note, entry.pop("note", None)) if text]
    return entry | ({"note": " ".join(said)} if said else {})


def _leave_open(value, note=None) -> dict:
    return {"value": value, "low": None, "high": None, "method": None} | ({"note": note} if note else {})


def _draw_chance(case: Case, owners, draws, seed, split) -> np.ndarray:
    rng = np.random.default_rng(seeds.derive(seed, "calibration", split))
    confidence, outcome = pair(case.labels, case.scores, case.predictions, case.main)
    owners = np.arange(len(case.labels)) if owners is None else owners
    return chance_error(confidence, owners, draws, rng, outcome)


def _explain(tables, case: Case, classes, owners):
    """Add a reason to each undefined metric, and notes: on how few images it rests, which class a mean misses."""
    present = np.unique(case.labels).tolist()
    absent = [name for c, name in enumerate(classes) if c not in present]
    for scope, table in tables.items():
        own = case.main if scope is None else scope
        for name, entry in table.items():
            if entry["value"] is None:
                entry["reason"] = _find_reason(case, classes, own, name, present)
                continue
            about = case, classes, owners, scope, name
            notes = [entry.get("note", ""), note_few(*about) or note_dominant(*about)]
            if own is None and absent and name not in TOGETHER:
                notes.insert(0, say_absent(absent))
            if said := " ".join(filter(None, notes)):
                entry["note"] = said


def _find_reason(case: Case, classes, own, name, present) -> str:
    if name in CALIBRATED:
        return "The scores are not probabilities that sum to 1."
    if own is not None and own not in present and name not in {"mcc", "kappa", "quadratic_kappa"}:
        return f"No image is of class {classes[own]!r}."
    if len(present) == 1:
        return f"All images are of class {classes[present[0]]!r}."
    guessed = np.unique(case.predictions).tolist()
    if len(guessed) == 1 and name != "ppv":
        return f"Every image was predicted as class {classes[guessed[0]]!r}."
    never = [classes[c] for c in (present if own is None else [own]) if c not in guessed]
    return f"No image was predicted as class {listed(map(repr, never), MOST_NAMED)}."


def _confuse(labels, predictions, k):
    return np.bincount(labels * k + predictions, minlength=k * k).reshape(k, k)
