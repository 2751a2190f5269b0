"""Labels and scores in, metrics with 95 % intervals out: NumPy arrays in, plain data out."""

import functools
from collections.abc import Sequence

import numpy as np

from tlmed import seeds
from tlmed.errors import InputError, did_you_mean

Z_95 = 1.959963984540054  # 97.5 % quantile of the normal distribution
METRICS = ("accuracy", "auc", "sensitivity", "specificity", "balanced_accuracy", "f1")
_CELLS_AT_ONCE = 1_000_000  # weights held at a time: enough to be fast, little enough to stay in the cache


def binary_auc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the area under the ROC curve: the chance that a positive case scores above a negative one.

    Computed from ranks as the Mann-Whitney statistic (Hanley & McNeil, Radiology 1982, 143:29-36); ties get
    their mean rank, so that a tied pair counts one half.

    Args:
        positive: Whether each case is positive, bool [n].
        scores: Higher means more likely positive, float [n].

    Returns:
        A number from 0 to 1, or None where it is undefined: one class only, or scores that are not finite.

    >>> binary_auc(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    positives = int(np.count_nonzero(positive))
    negatives = len(positive) - positives
    if not positives or not negatives or not np.isfinite(scores).all():
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    wins = midranks[positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def macro_auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the AUC of two classes, or the mean one-vs-rest AUC of more.

    Args:
        labels: True classes, int [n], 0..k-1.
        scores: One column per class, float [n, k]. Of two classes the second column is used.

    Returns:
        A number from 0 to 1 (for more than two classes the mean over the classes present), or None where it
        is undefined: one class only, or scores that are not finite.

    >>> macro_auc(np.array([0, 1, 2]), np.eye(3))
    1.0
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    columns = [1] if scores.shape[1] == 2 else np.unique(labels)
    areas = [binary_auc(labels == column, scores[:, column]) for column in columns]
    return float(np.mean(areas)) if areas and None not in areas else None


def roc_curve(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the false and the true positive rate at every threshold, from (0, 0) to (1, 1).

    Args:
        positive: Whether each case is positive, bool [n]; both kinds must occur.
        scores: Higher means more likely positive, float [n].

    >>> [rate.tolist() for rate in roc_curve(np.array([False, True]), np.array([0.2, 0.9]))]
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order]
    ends = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]  # tied cases enter together
    true, false = np.cumsum(hits)[ends], np.cumsum(~hits)[ends]
    return np.r_[0.0, false / false[-1]], np.r_[0.0, true / true[-1]]


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion.

    Without continuity correction: method 3 of Newcombe, Statistics in Medicine 1998, 17:857-872.

    Args:
        successes: 0..trials.
        trials: 1 or more.

    >>> [round(bound, 4) for bound in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    share, square = successes / trials, Z_95**2
    middle = share + square / (2 * trials)
    half = Z_95 * np.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    low, high = (middle - half) / (1 + square / trials), (middle + half) / (1 + square / trials)
    # At 0 and 1 the bound is exact; rounding would miss it by 1e-17.
    return (0.0 if successes == 0 else float(low)), (1.0 if successes == trials else float(high))


def positive_index(classes: Sequence[str], positive: str | None = None) -> int | None:
    """Return which of two classes is the positive one; None where there are more than two.

    Args:
        classes: The names of the classes, in the order of the scores.
        positive: The positive class, by default the second of two in sorted order.

    Raises:
        InputError: If `positive` is not one of the classes, or is given for more than two.

    >>> positive_index(["malignant", "benign"]), positive_index(["a", "b", "c"])
    (0, None)
    """
    names = list(classes)
    if positive is not None and positive not in names:
        raise InputError(
            f"`positive` must be one of {', '.join(map(repr, names))}.{did_you_mean(positive, names)} "
            f"Received: positive={positive!r}."
        )
    if positive is not None and len(names) != 2:
        raise InputError(
            f"`positive` needs exactly two classes; of {len(names)}, each is scored against the rest. "
            f"Received: positive={positive!r}."
        )
    if len(names) != 2:
        return None
    return names.index(sorted(names)[1] if positive is None else positive)


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
) -> dict:
    """Score predictions, each metric with a 95 % interval.

    Proportions of independent images (accuracy; sensitivity and specificity of a class) get the Wilson
    interval, everything else a percentile bootstrap stratified by class (Efron & Tibshirani, An Introduction
    to the Bootstrap, 1993, chapter 13). Where a group has several images, they depend on each other, and every
    interval is a bootstrap that draws whole groups (Field & Welsh, J. R. Statist. Soc. B 2007, 69:369-390).
    For two classes, sensitivity, specificity, AUC and F1 are those of the positive class; for more, the mean
    of one-vs-rest over the classes present.

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
    if faults := _find_faults(labels, scores, predictions, classes, groups, draws):
        raise InputError(faults)
    main, owners = positive_index(classes, positive), _number_groups(groups)
    units = None if owners is None else int(owners.max()) + 1
    clustered = units is not None and units < len(labels)
    method = f"percentile bootstrap of {units} groups" if clustered else "percentile bootstrap stratified by class"
    strata, members = ([np.arange(units)], owners) if clustered else _stratify(labels)
    rate = functools.partial(_rate, labels, scores, predictions, main)
    rng = np.random.default_rng(seeds.derive(seed, "bootstrap", split))
    resampled = _merge([rate(weights[members]) for weights in _draw_weights(strata, len(labels), draws, rng)])
    exact = {} if clustered else _count_successes(labels, predictions, main, len(classes))
    tables = {
        scope: {
            name: _describe(value.item(), resampled[scope][name], exact.get((scope, name)), f"{method}, {draws} draws")
            for name, value in rates.items()
        }
        for scope, rates in rate(np.ones((len(labels), 1))).items()
    }
    _explain(tables, labels, classes, main)
    overall = tables.pop(None)
    return {
        "split": split,
        "n": len(labels),
        "classes": list(classes),
        "positive": None if main is None else classes[main],
        "groups": units,
        "metrics": {name: overall[name] for name in METRICS},
        "per_class": {classes[c]: {"n": int((labels == c).sum()), **table} for c, table in tables.items()},
        "confusion": _confuse(labels, predictions, len(classes)).tolist(),
    }


def _find_faults(labels, scores, predictions, classes, groups, draws) -> list[str]:
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
    return faults


def _number_groups(groups) -> np.ndarray | None:
    """Number the groups from 0; an empty name is a group of its own, and empty names only are no groups."""
    if groups is None or not any(groups):
        return None
    names = [(str(name), -1) if name else ("", i) for i, name in enumerate(groups)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])


def _stratify(labels):
    """Return the strata of the bootstrap by class (positions per class), and each image's own position."""
    return [np.flatnonzero(labels == label) for label in np.unique(labels)], np.arange(len(labels))


def _draw_weights(strata, n, draws, rng):
    """Yield how often each unit was drawn, [units, some draws] at a time, `draws` in all.

    Drawing m of m with replacement and counting is the multinomial distribution, at a tenth of its cost.
    """
    units = sum(map(len, strata))
    at_once = max(1, min(draws, _CELLS_AT_ONCE // n))
    for start in range(0, draws, at_once):
        some = min(at_once, draws - start)
        weights = np.empty((units, some))
        for stratum in strata:
            cells = rng.integers(len(stratum), size=(len(stratum), some)) * some + np.arange(some)
            weights[stratum] = np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape)
        yield weights


def _rate(labels, scores, predictions, main, weights) -> dict:
    """Compute every metric under each column of `weights` [n, d].

    Returns:
        Scope (None for overall, else the class) to metric to values [d]; nan where undefined.
    """
    k = scores.shape[1]
    support, guessed = _sum_by_class(weights, labels, k), _sum_by_class(weights, predictions, k)
    hits = _sum_by_class(weights, np.where(labels == predictions, labels, -1), k)
    total = support.sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is undefined: nan
        rates = {
            "sensitivity": hits / support,
            "specificity": (total - support - guessed + hits) / (total - support),
            "auc": np.stack([_weigh_auc(labels == c, scores[:, c], weights) for c in range(k)]),
            "f1": np.where(support > 0, 2 * hits / (support + guessed), np.nan),
        }
    present = np.unique(labels)
    overall = {name: rate[present if main is None else [main]].mean(axis=0) for name, rate in rates.items()}
    overall["accuracy"] = hits.sum(axis=0) / total
    overall["balanced_accuracy"] = rates["sensitivity"][present if main is None else [0, 1]].mean(axis=0)
    return {None: overall} | {c: {name: rate[c] for name, rate in rates.items()} for c in range(k)}


def _sum_by_class(weights, codes, k) -> np.ndarray:
    """Return the total weight [k, d] of the images of each class."""
    return np.stack([weights[codes == c].sum(axis=0) for c in range(k)])


def _weigh_auc(positive, scores, weights) -> np.ndarray:
    """Return the AUC under each column of `weights` [n, d]; nan where one class has no weight."""
    losers = np.flatnonzero(~positive)
    losers = losers[np.argsort(scores[losers], kind="stable")]
    below = np.zeros((len(losers) + 1, weights.shape[1]))  # row i: the weight of the i lowest negatives
    np.cumsum(weights[losers], axis=0, out=below[1:])
    first, last = (np.searchsorted(scores[losers], scores[positive], side) for side in ("left", "right"))
    beaten = below[first] if np.array_equal(first, last) else (below[first] + below[last]) / 2  # half of the ties
    winners = weights[positive]
    with np.errstate(invalid="ignore"):
        return np.einsum("nd,nd->d", winners, beaten) / (winners.sum(axis=0) * below[-1])


def _merge(parts):
    """Join the draws of several `_rate`s."""
    first = parts[0]
    return {s: {name: np.concatenate([part[s][name] for part in parts]) for name in first[s]} for s in first}


def _confuse(labels, predictions, k):
    return np.bincount(labels * k + predictions, minlength=k * k).reshape(k, k)


def _count_successes(labels, predictions, main, k):
    """Return successes and trials of every metric that is a proportion of images: (scope, metric) to both."""
    confusion = _confuse(labels, predictions, k)
    n, support, guessed, hits = (
        len(labels),
        confusion.sum(axis=1),
        confusion.sum(axis=0),
        confusion.diagonal(),
    )
    counts = {(None, "accuracy"): (hits.sum(), n)}
    for c in range(k):
        for scope in (c, None) if c == main else (c,):
            counts[scope, "sensitivity"] = hits[c], support[c]
            counts[scope, "specificity"] = n - support[c] - guessed[c] + hits[c], n - support[c]
    return counts


def _describe(value, resampled, successes, method) -> dict:
    """Return a metric with its interval: Wilson where `successes` of trials are given, else by resamples."""
    if np.isnan(value):
        return {"value": None, "low": None, "high": None, "method": None}
    if successes:
        low, high = wilson(*map(int, successes))
        return {"value": value, "low": low, "high": high, "method": "Wilson score"}
    defined = resampled[~np.isnan(resampled)]
    low, high = np.percentile(defined, [2.5, 97.5]).tolist() if len(defined) else (None, None)
    entry = {"value": value, "low": low, "high": high, "method": method}
    if low == high:
        entry["note"] = "Every resample gave the same value: the interval has no width, the uncertainty is not zero."
    elif len(defined) < len(resampled):
        missed = len(resampled) - len(defined)
        entry["note"] = f"{missed} resamples without images of a class were left out."
    return entry


def _explain(tables, labels, classes, main):
    """Add a reason to each undefined metric, and a note to each mean that misses a class."""
    present = np.unique(labels).tolist()
    absent = [name for c, name in enumerate(classes) if c not in present]
    for scope, table in tables.items():
        own = main if scope is None else scope
        for name, entry in table.items():
            if entry["value"] is None and own is not None and own not in present:
                entry["reason"] = f"The split has no image of class {classes[own]!r}."
            elif entry["value"] is None:
                entry["reason"] = f"The split has images of class {classes[present[0]]!r} only."
            elif own is None and absent and name != "accuracy":
                note = f"Mean over the classes present; there is no image of {', '.join(map(repr, absent))}."
                entry["note"] = " ".join([note, entry.get("note", "")]).strip()
