"""The mean of one metric over the folds of a cross-validation, with its interval."""

import math
from collections.abc import Collection, Mapping

import numpy as np

from tlmed.metrics.expected_costs import COST_METRICS
from tlmed.metrics.fold_means import average_folds
from tlmed.metrics.label_metrics import say_without
from tlmed.metrics.names import RATIOS, find_base
from tlmed.sections import KFold
from tlmed.words import listed

_RANGES = {
    **dict.fromkeys(("mcc", "kappa", "quadratic_kappa", "kendall_tau", "youden", "weighted_kappa"), (-1.0, 1.0)),
    # Of ratios the logarithms are averaged.
    **dict.fromkeys((*RATIOS, "calibration_intercept", "calibration_slope"), (-math.inf, math.inf)),
    "net_benefit": (-math.inf, 1.0),
    "root_brier": (0.0, math.sqrt(2)),
    **dict.fromkeys(("log_loss", *COST_METRICS), (0.0, float("inf"))),
    "mean_absolute_error": (0.0, float("inf")),  # at most as many grades as there are, less one
    "brier": (0.0, 2.0),
}
_RANGE = (0.0, 1.0)  # of all other metrics
_MOST_NAMED = 3  # so many folds are named in a note


def average(name: str, entries: Mapping[str, Mapping], split: KFold) -> dict:
    """Return the mean of a metric over the folds, with its interval: the corrected resampled t (Nadeau & Bengio 2003).

    Folds that agree by luck would make it narrower than their few images allow. So each bound is at least as far from
    the mean as in the interval that the folds' own intervals combine to. Of likelihood ratios the logarithms are
    averaged, so that their mean is the geometric one.

    Args:
        name: The metric's.
        entries: The metric's entry in each fold's `metrics.json`, by the fold's name.
        split: How the images were divided.

    Returns:
        `value`, `low`, `high` and `method`, as in every `metrics.json`. Where the metric is undefined in a fold the
        mean is too, and `reason` names the fold; `note` says where the interval was cut, why there is none, or that
        it rests on the spread of the folds alone, because one of them has no interval of its own.
    """
    if reason := _say_undefined(entries):
        found = {"value": None, "low": None, "high": None, "method": None, "reason": reason}
    else:
        found = (_average_logs if name in RATIOS else _average)(name, entries, split)
    stated = [entry["at"] for entry in entries.values() if "at" in entry]
    return _name_labels(found, entries) | ({"at": stated[0]} if stated else {})


def average_some(name: str, entries: Mapping[str, Mapping], left_out: Mapping[str, str], split: KFold) -> dict:
    """Return the mean over some of the folds, with their names as `folds`; undefined where fewer than two are left.

    Args:
        name: The metric's.
        entries: As for `average`, of the folds that count.
        left_out: Why each of the others does not.
        split: How the images were divided.
    """
    if not left_out:
        return average(name, entries, split)
    why, of = say_by_fold(left_out), len(entries) + len(left_out)
    if len(entries) < 2:
        reason = f"Two folds of {of} are needed, {len(entries)} can be used. {why}"
        return {"value": None, "low": None, "high": None, "method": None, "reason": reason, "folds": [*entries]}
    found = average(name, entries, split)
    note = f"Mean of {len(entries)} of {of} folds. {why}"
    return {**found, "note": f"{note} {found['note']}" if "note" in found else note, "folds": [*entries]}


def _name_labels(found, entries) -> dict:
    """Add which labels the mean over labels leaves out in some folds; those that it leaves out in all are `absent`."""
    left_out = {fold: entry["absent"] for fold, entry in entries.items() if "absent" in entry}
    if not left_out or found["value"] is None:
        return found
    always = [
        label
        for label in next(iter(left_out.values()))
        if all(label in it.get("absent", ()) for it in entries.values())
    ]
    said = {fold: f"mean {say_without(labels)}." for fold, labels in left_out.items()}
    alike = len(set(map(tuple, left_out.values()))) == 1 and len(left_out) == len(entries)
    words = f"Mean {say_without(always)}." if alike else say_by_fold(said)
    note = " ".join(filter(None, [words, found.get("note")]))
    return {**found, "note": note} | ({"absent": always} if always else {})


def _average_logs(name, entries, split) -> dict:
    """Return the geometric mean of a ratio, with the interval of the mean of its logarithms."""
    if not all(entry["value"] for entry in entries.values()):
        note = "The ratio of a fold is 0, which makes the mean 0 whatever the others are; see each fold."
        return {"value": 0.0, "low": None, "high": None, "method": None, "note": note}
    found = _average(name, {fold: _transform(entry, math.log) for fold, entry in entries.items()}, split)
    turned = _transform(found, math.exp)
    return turned | ({"method": f"{found['method']}, of logarithms"} if found["method"] else {})


def _transform(entry, function) -> dict:
    return {**entry, **{end: function(entry[end]) for end in ("value", "low", "high") if entry[end] is not None}}


def _average(name, entries, split) -> dict:
    values = [entry["value"] for entry in entries.values()]
    found = {"value": float(np.mean(values)), "low": None, "high": None, "method": None}
    alike, images = min(values) == max(values), _combine_folds(entries.values(), split)
    if alike and images is None:
        return {**found, "note": "All folds have the same value, from which no interval follows."}
    spread = average_folds(values, split.test_share)
    # Without images the spread of the folds decides alone; with them, whichever reaches further on each side.
    low, high = (
        (spread["low"], spread["high"])
        if images is None
        else (min(spread["low"], images[0]), max(spread["high"], images[1]))
    )
    least, most = _RANGES.get(find_base(name), _RANGE)
    by_images = (low, high) != (spread["low"], spread["high"])
    found |= {"low": max(low, least), "high": min(high, most), "method": _name_method(split, by_images)}
    cut = [f"{bound:g}" for bound, past in ((least, low < least), (most, high > most)) if past]
    notes = [f"The interval is cut at {' and at '.join(cut)}."] if cut else []
    if images is None:
        notes.append(_say_open(entries))
    return {**found, "note": " ".join(notes)} if notes else found


def _combine_folds(entries: Collection[Mapping], split) -> tuple[float, float] | None:
    """Return the interval of the mean that the folds' own intervals give, None where one has none.

    Folds have no image in common, so the squared distances to their bounds add up (MOVER: Zou & Donner, Statistics in
    Medicine 2008, 27:1693-1702). Repeats have the same images, so their distances are averaged and do not shrink.
    """
    if any(entry.get("low") is None or entry.get("high") is None for entry in entries):
        return None
    mean = sum(entry["value"] for entry in entries) / len(entries)
    # sqrt(sum d^2) / k within a repeat of k folds; the factor makes it the root mean square over the repeats.
    down, up = (
        math.sqrt(split.repeats * sum((entry["value"] - entry[end]) ** 2 for entry in entries)) / len(entries)
        for end in ("low", "high")
    )
    return mean - down, mean + up


def _say_open(entries) -> str:
    """Name the folds without an interval: because of them the interval of the mean leaves out the images' part."""
    folds = [fold for fold, entry in entries.items() if entry.get("low") is None or entry.get("high") is None]
    which = f"Fold {folds[0]} has" if len(folds) == 1 else f"Folds {listed(folds, _MOST_NAMED)} have"
    return f"{which} no interval: this one shows how the folds vary, without the sampling error of their images."


def _say_undefined(entries) -> str:
    """Say in which folds a metric is undefined, and why."""
    return say_by_fold(
        {fold: entry.get("reason", "undefined.") for fold, entry in entries.items() if entry["value"] is None}
    )


def say_by_fold(reasons: Mapping[str, str]) -> str:
    """Return reasons as sentences, each with the folds that it holds for; `reasons` are by fold."""
    found = {}
    for fold, why in reasons.items():
        found.setdefault(why, []).append(fold)
    return " ".join(f"In fold{'s' * (len(folds) > 1)} {', '.join(folds)}: {why}" for why, folds in found.items())


def _name_method(split, by_images) -> str:
    repeats = f" x {split.repeats} repeats" if split.repeats > 1 else ""
    method = f"corrected resampled t, {split.k} folds{repeats} (Nadeau & Bengio 2003)"
    return f"{method}, widened to the folds' own intervals combined (Zou & Donner 2008)" if by_images else method
