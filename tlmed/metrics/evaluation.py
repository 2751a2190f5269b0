"""Labels and scores in, metrics with 95 % intervals out: NumPy arrays in, plain data out."""

from collections.abc import Collection, Sequence

import numpy as np

from tlmed import seeds
from tlmed.errors import InputError, did_you_mean
from tlmed.metrics.areas import area_interval
from tlmed.metrics.calibration import chance_error, pair
from tlmed.metrics.classes import positive_index
from tlmed.metrics.proportions import proportion
from tlmed.metrics.rates import CALIBRATED, METRICS, Case, make_case, rate
from tlmed.metrics.resampling import bound, draw_weights, has_clusters, number_groups, plan_resampling

# Of a class these have intervals that need no resamples.
_BOUNDED = frozenset({"auc", "sensitivity", "specificity", "ppv", "npv"})
# Means over all images, which a small class does not make less certain than it is large.
_OF_ALL = frozenset({"accuracy", "kappa", "quadratic_kappa", "log_loss", "brier", "ece"})


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

    Proportions of images get Wilson's interval, the AUC of two classes (and of each class against the rest)
    DeLong's on the logit scale, everything else a percentile bootstrap stratified by class. Where a group has
    several images, they depend on each other, and every interval is by groups: Wilson's with the effective sample
    size, Obuchowski's variance of the AUC, resamples of whole groups. Each entry names its method and source;
    `proportions`, `areas` and `resampling` say how often they cover.

    For two classes, sensitivity, specificity, predictive values, AUC, F1 and average precision are those of the
    positive class; for more, the mean of one-vs-rest over the classes present.

    Args:
        labels: True classes, int [n], 0..k-1.
        scores: One column per class, float [n, k].
        predictions: Predicted classes, int [n], 0..k-1.
        classes: The k names.
        positive: The positive of two classes, by default the second in sorted order.
        groups: Who each image belongs to (a patient, say), [n]; an empty name stands for an image on its own.
        split: The name of the split, for the record.
        draws: Resamples of the bootstrap.
        seed: Decides the resamples.
        only: The metrics wanted, of `METRICS`; by default all.

    Returns:
        The content of `metrics.json`. A metric is a dict of `value`, `low`, `high` and `method`; where it is
        undefined these are None and `reason` says why; a `note` says what its interval leaves out.

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
        scope: {name: _measure(case, scores, owners, scope, name, value.item()) for name, value in rates.items()}
        for scope, rates in values.items()
    }
    _resample(tables, values, case, scores, owners, draws, seed, split)
    _explain(tables, case, classes)
    overall = tables.pop(None)
    return {
        "split": split,
        "n": len(labels),
        "classes": list(classes),
        "positive": None if main is None else classes[main],
        "groups": units,
        "metrics": overall,
        "per_class": {classes[c]: {"n": int((labels == c).sum()), **table} for c, table in tables.items()},
        "confusion": _confuse(labels, predictions, len(classes)).tolist(),
    }


def _find_faults(labels, scores, predictions, classes, groups, draws, only) -> list[str]:
    n, k = len(labels), len(classes)
    faults = []
    if n < 1:
        faults.append("`labels` must hold one image or more. Received: len(labels)=0.")
    if k < 2 or len(set(classes)) < k:
        faults.append(f"`classes` must be two names or more, all different. Received: classes={list(classes)!r}.")
    if scores.shape != (n, k):
        faults.append(f"`scores` must have the shape [images, classes] = {(n, k)}. Received: shape={scores.shape}.")
    elif not np.isfinite(scores).all():
        faults.append(f"`scores` must be finite. Received: {int((~np.isfinite(scores)).sum())} that are not.")
    for name, values in {"labels": labels, "predictions": predictions}.items():
        if (
            values.shape != (n,)
            or not np.issubdtype(values.dtype, np.integer)
            or not set(values.tolist()) <= set(range(k))
        ):
            faults.append(
                f"`{name}` must be {n} whole numbers from 0 to {k - 1}. "
                f"Received: {values.dtype} {values.shape}, values {np.unique(values)[:5].tolist()}."
            )
    if groups is not None and len(groups) != n:
        faults.append(f"`groups` must have one name per image, {n}. Received: len(groups)={len(groups)}.")
    if draws < 1:
        faults.append(f"`draws` must be 1 or more. Received: draws={draws}.")
    for name in only:
        if name not in METRICS:
            faults.append(
                f"`only` must name metrics of {', '.join(METRICS)}.{did_you_mean(name, METRICS)} Received: {name!r}."
            )
    return faults


def _measure(case: Case, scores, owners, scope, name, value) -> dict | None:
    """Return a metric with an interval that needs no resamples; None where it needs them."""
    if np.isnan(value):
        return {"value": None, "low": None, "high": None, "method": None}
    labels, predictions = case.labels, case.predictions
    own = case.main if scope is None else scope
    if name == "accuracy":
        return proportion(labels == predictions, owners)
    if own is None:
        return None
    if name == "auc":
        return area_interval(labels == own, scores[:, own], owners)
    trials = {
        "sensitivity": (labels == own, predictions == own),
        "specificity": (labels != own, predictions != own),
        "ppv": (predictions == own, labels == own),
        "npv": (predictions != own, labels != own),
    }
    if name not in trials:
        return None
    rows, right = trials[name]
    return proportion(right[rows], None if owners is None else owners[rows])


def _resample(tables, values, case: Case, scores, owners, draws, seed, split):
    """Fill in, from resamples, the metrics that have no interval yet."""
    missing = [(scope, name) for scope, table in tables.items() for name, entry in table.items() if entry is None]
    if not missing:
        return
    names, sampling = {name for _, name in missing}, plan_resampling(case.labels, owners)
    parts = [rate(case, weights, names) for weights in draw_weights(sampling, draws, seed, split)]
    for scope, name in missing:
        value = values[scope][name].item()
        found = np.concatenate([part[scope][name] for part in parts])
        low, high, note = bound(found, count_units(case, owners, scope, name), value)
        method = f"percentile bootstrap {sampling.how}, {draws} draws ({sampling.source}, Hesterberg 2015)"
        entry = {"value": value, "low": low, "high": high, "method": method} | ({"note": note} if note else {})
        flat = low is not None and high - low < 1e-12
        if name == "ece" and not flat:
            chance = _draw_chance(case, scores, owners, draws, seed, split)
            entry |= _correct_error(value, found, high, chance)
            zero = "with 0 where chance explains it"
            source = f"{sampling.source}, Broecker & Smith 2007"
            entry["method"] = f"basic bootstrap {sampling.how}, {draws} draws, {zero} ({source})"
        if flat:
            entry |= _bound_mean(tables, case, scope, name)
        tables[scope][name] = entry


def _bound_mean(tables, case: Case, scope, name) -> dict:
    """Return an interval where all resamples agree, as they do when every image is predicted right.

    Of a mean over classes the mean of their bounds: cautious, for it takes all of them to be at their worst at once.
    Of anything else there is none: one without width would say that more images could show nothing else.
    """
    part = "sensitivity" if name == "balanced_accuracy" else name
    classes = np.unique(case.labels).tolist()
    entries = [tables[c].get(part) or {"low": None} for c in classes]
    if scope is None and part in _BOUNDED and all(entry["low"] is not None for entry in entries):
        low, high = (float(np.mean([entry[end] for entry in entries])) for end in ("low", "high"))
        note = "Every resample gave the same value: the interval is the mean of the bounds of each class."
        return {"low": low, "high": high, "method": entries[0]["method"], "note": note}
    note = "Every resample gave the same value, from which no interval follows."
    return {"low": None, "high": None, "method": None, "note": note}


def count_units(case: Case, owners: np.ndarray | None, scope: int | None, name: str) -> int:
    """Return the smallest number of images, or groups, that a metric rests on.

    All of them where it is a mean over all images, else those of the class, or of the smallest one.

    Args:
        case: The predictions.
        owners: The number of the group of each image, int [n]; None where every image stands alone.
        scope: The class whose metric it is; None for the metric of all.
        name: The metric, of `METRICS`.

    >>> labels = np.array([0, 0, 0, 1, 1])
    >>> case = make_case(labels, np.eye(2)[labels], labels, main=1)
    >>> [count_units(case, None, None, name) for name in ("accuracy", "f1", "specificity")]
    [5, 2, 3]
    """
    owners = np.arange(len(case.labels)) if owners is None else owners
    own = case.main if scope is None else scope
    if name in _OF_ALL:
        return len(np.unique(owners))
    if own is None:
        return min(len(np.unique(owners[case.labels == c])) for c in np.unique(case.labels))
    sides = {"sensitivity": case.labels == own, "specificity": case.labels != own}
    sides = {name: sides[name]} if name in sides else sides
    return min(len(np.unique(owners[rows])) for rows in sides.values())


def _draw_chance(case: Case, scores, owners, draws, seed, split) -> np.ndarray:
    rng = np.random.default_rng(seeds.derive(seed, "calibration", split))
    confidence, outcome = pair(case.labels, scores, case.predictions, case.main)
    owners = np.arange(len(case.labels)) if owners is None else owners
    return chance_error(confidence, owners, draws, rng, outcome)


def _correct_error(value, draws, high, chance) -> dict:
    """Return the interval of an expected calibration error: its estimate is too high, a resample's twice as much.

    The resamples are reflected at the estimate (the basic bootstrap), which takes off as much as they
    add; the upper bound is at least the estimate. Where perfectly calibrated scores would show as large
    an error by chance, the interval begins at 0.
    """
    least, bias = max(0.0, 2 * value - high), float(draws.mean()) - value
    found = {"low": min(least, value), "high": min(1.0, max(high - bias, value))}
    if value > np.percentile(chance, 97.5):
        return found
    note = f"Perfectly calibrated scores would show {chance.mean():.3f} on average: this error may be chance."
    return found | {"low": 0.0, "note": note}


def _explain(tables, case: Case, classes):
    """Add a reason to each undefined metric, and a note to each mean that misses a class."""
    present = np.unique(case.labels).tolist()
    absent = [name for c, name in enumerate(classes) if c not in present]
    for scope, table in tables.items():
        own = case.main if scope is None else scope
        for name, entry in table.items():
            if entry["value"] is None:
                entry["reason"] = _find_reason(case, classes, own, name, present)
            elif own is None and absent and name not in {"mcc", *_OF_ALL}:
                note = f"Mean over the classes present; there is no image of {', '.join(map(repr, absent))}."
                entry["note"] = " ".join([note, entry.get("note", "")]).strip()


def _find_reason(case: Case, classes, own, name, present) -> str:
    if name in CALIBRATED:
        return "The scores are not probabilities that sum to 1."
    if own is not None and own not in present and name not in {"mcc", "kappa", "quadratic_kappa"}:
        return f"The split has no image of class {classes[own]!r}."
    if len(present) == 1:
        return f"The split has images of class {classes[present[0]]!r} only."
    guessed = np.unique(case.predictions).tolist()
    if len(guessed) == 1 and name != "ppv":
        return f"Every image was predicted as class {classes[guessed[0]]!r}."
    never = [classes[c] for c in (present if own is None else [own]) if c not in guessed]
    return f"No image was predicted as class {', '.join(map(repr, never))}."


def _confuse(labels, predictions, k):
    return np.bincount(labels * k + predictions, minlength=k * k).reshape(k, k)
