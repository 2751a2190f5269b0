"""Whether two classifiers differ on the same images, and by how much; many such questions at once; and over folds."""

import dataclasses
import itertools
import math
from collections.abc import Collection, Sequence

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.areas import covariance, place
from tlmed.metrics.classes import positive_index
from tlmed.metrics.combining import combine
from tlmed.metrics.curves import binary_auc
from tlmed.metrics.evaluation import FEW_UNITS, LEAST_UNITS, MANY_CLASSES, count_units
from tlmed.metrics.influences import influence_of_all
from tlmed.metrics.proportions import LEAST_GROUPS, Z_95, has_few_groups, proportion, t_95, wilson
from tlmed.metrics.rates import CALIBRATED, METRICS, make_case, rate
from tlmed.metrics.resampling import has_clusters, number_groups
from tlmed.metrics.spreads import Spread, find_strata, measure_spread

_MOST_EXACT = 1000  # discordant images or groups up to which the exact distribution is computed
_NO_INTERVAL = "from which no interval follows."
_PAIRED = "; interval: Newcombe 1998, method 10"


def compare_areas(
    positive: np.ndarray, first: np.ndarray, second: np.ndarray, groups: Sequence[str] | None = None
) -> dict:
    """Test whether two scores of the same cases have the same AUC, and bound the difference.

    DeLong, DeLong & Clarke-Pearson, Biometrics 1988, 44:837-845. Where groups have several images, Obuchowski,
    Biometrics 1997, 53:567-578, with Student's t of one degree of freedom less than the class with fewer groups has
    groups.

    Args:
        positive: Whether each case is positive, bool [n].
        first: Higher means more likely positive, float [n], finite.
        second: The other scores, float [n], finite.
        groups: Who each case belongs to, [n]; an empty name stands for a case on its own.

    Returns:
        `value` (AUC of the first less that of the second), `low`, `high`, `statistic`, `p` and `method`; undefined
        (None, with a `reason`) where one class is missing, or no variance can be estimated. Of two that rank every
        case alike `p` is 1, and a `note` says why there is no interval.

    >>> positive = np.array([False, False, False, True, True, True])
    >>> found = compare_areas(positive, np.array([1, 2, 4, 3, 5, 6]), np.array([1, 5, 4, 2, 3, 6]))
    >>> round(found["value"], 3), round(found["p"], 3)
    (0.333, 0.221)
    """
    if positive.all() or not positive.any():
        return _leave_open("Only one class is there.")
    owners = number_groups(groups)
    owners = owners if has_clusters(owners) else None
    placements = np.stack([place(positive, first), place(positive, second)])
    difference = binary_auc(positive, first) - binary_auc(positive, second)
    method = "paired DeLong (DeLong et al. 1988)"
    if owners is not None:
        freedom = min(len(np.unique(owners[rows])) for rows in (positive, ~positive)) - 1
        method = f"paired DeLong by groups (Obuchowski 1997), t with {freedom} df"
    if np.ptp(placements[0] - placements[1]) < 1e-12 and abs(difference) < 1e-12:
        note = "Both rank each image alike among those of the other class, from which no interval follows."
        return {"value": 0.0, "low": None, "high": None, "statistic": 0.0, "p": 1.0, "method": method, "note": note}
    spread = covariance(positive, placements, owners)
    variance = float(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1])
    if not variance > 1e-24:
        return _leave_open("The variance of the difference cannot be estimated.", difference)
    statistic = difference / math.sqrt(variance)
    quantile = Z_95 if owners is None else t_95(freedom)
    half = quantile * math.sqrt(variance)
    p = math.erfc(abs(statistic) / math.sqrt(2)) if owners is None else _tail(statistic, freedom)
    bounds = {"low": max(-1.0, difference - half), "high": min(1.0, difference + half)}
    return {"value": difference, **bounds, "statistic": statistic, "p": p, "method": method}


def mcnemar(first: np.ndarray, second: np.ndarray, groups: Sequence[str] | None = None) -> dict:
    """Test whether two classifiers are right equally often on the same images.

    Only images that one gets right and the other wrong tell. The mid-p version of the exact conditional test is
    taken: it keeps its level where the exact test is too cautious and the asymptotic one too bold (Fagerland,
    Lydersen & Laake, BMC Med. Res. Methodol. 2013, 13:91). Where groups have several images, it is the surplus of a
    group that may as well have the other sign: the exact distribution behind the test of Yang, Sun & Hardin
    (Biometrical J. 2010, 52:638-652), the same where every group has one image. Beyond 1,000 discordant
    images or groups the asymptotic test is taken, without continuity correction.

    The interval is method 10 of Newcombe, Statistics in Medicine 1998, 17:2635-2650: the Wilson intervals of the two
    accuracies, combined with the correlation of right answers. It has a width where no image is discordant, and one
    discordant image does not make it end at 0. By groups, Wilson's has the effective sample size, and the
    correlation is that of the groups' totals; fewer than ten groups get no interval, and a `note` says so.

    Args:
        first: Whether the first is right, bool [n].
        second: Whether the second is, bool [n].
        groups: Who each image belongs to, [n]; an empty name stands for an image on its own.

    Returns:
        `value` (accuracy of the first less that of the second), `low`, `high`, `first_only` and `second_only` (images
        that one alone gets right), `statistic` (chi-squared, 1 degree of freedom, for comparison), `p` and `method`.

    >>> first, second = np.arange(21) < 2, (np.arange(21) > 1) & (np.arange(21) < 9) | (np.arange(21) == 0)
    >>> found = mcnemar(first, second)
    >>> found["first_only"], found["second_only"], round(found["p"], 4)
    (1, 7, 0.0391)
    """
    surplus = first.astype(int) - second.astype(int)
    owners = number_groups(groups)
    clustered = has_clusters(owners)
    owners = owners if clustered else None
    totals = np.bincount(owners, surplus).astype(int) if clustered else surplus
    steps = np.abs(totals[totals != 0])
    total = int(totals.sum())
    statistic = total**2 / float((steps**2).sum()) if len(steps) else 0.0
    exact = len(steps) <= _MOST_EXACT
    p = _flip_signs(steps, total) if exact else math.erfc(math.sqrt(statistic / 2))
    kind = ", mid-p (Fagerland et al. 2013)" if exact else ", asymptotic (McNemar 1947)"
    return {
        "value": float(surplus.mean()),
        **_bound_paired(first, second, owners),
        "first_only": int((surplus > 0).sum()),
        "second_only": int((surplus < 0).sum()),
        "statistic": statistic,
        "p": p,
        "method": ("McNemar by groups (Yang et al. 2010)" if clustered else "McNemar") + kind + _PAIRED,
    }


def _bound_paired(first, second, owners) -> dict:
    """Return the interval of the difference of two proportions of the same images, or a note why there is none."""
    if owners is not None and has_few_groups(owners):
        return {"low": None, "high": None, "note": f"Fewer than {LEAST_GROUPS} groups, {_NO_INTERVAL}"}
    entries = [proportion(right, owners) for right in (first, second)]
    influences = [right - right.mean() for right in (first, second)]
    if owners is None:
        low, high = newcombe_paired(first, second)
    else:
        low, high = combine(entries, influences, (1, -1), owners)
    return {"low": max(-1.0, low), "high": min(1.0, high)}


def _flip_signs(steps, total) -> float:
    """Return the two-sided mid-p of a sum of steps, each up or down with the same chance."""
    chances = np.ones(1)  # of the number of single steps up
    for step in steps.tolist():
        up = np.zeros(len(chances) + step)
        up[step:] = chances / 2
        up[: len(chances)] += chances / 2
        chances = up
    place_of = (int(steps.sum()) - abs(total)) // 2
    return float(min(1.0, 2 * chances[:place_of].sum() + chances[place_of]))


def newcombe_paired(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two proportions of the same images.

    Method 10 of Newcombe, Statistics in Medicine 1998, 17:2635-2650: Wilson's intervals, combined with the correlation,
    which is taken closer to zero where it is positive, as for a chi-squared with continuity correction.

    Args:
        first: Whether the first is right, bool [n].
        second: Whether the second is, bool [n].

    >>> first, second = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [36, 12, 2, 0], axis=0).T == 1
    >>> [round(float(bound), 4) for bound in newcombe_paired(first, second)]
    [0.0569, 0.3404]
    """
    n = len(first)
    both, neither = np.count_nonzero(first & second), np.count_nonzero(~first & ~second)
    one, other = np.count_nonzero(first & ~second), np.count_nonzero(~first & second)
    product = both * neither - one * other
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    surplus = max(product - n / 2, 0) if product > 0 else product
    correlation = surplus / math.sqrt(margins) if margins else 0.0
    shares = (both + one) / n, (both + other) / n
    (low, high), (least, most) = wilson(both + one, n), wilson(both + other, n)
    value = shares[0] - shares[1]
    ways = (shares[0] - low, most - shares[1]), (high - shares[0], shares[1] - least)
    down, up = (math.sqrt(max(0.0, a**2 - 2 * correlation * a * b + b**2)) for a, b in ways)
    return float(value - down), float(value + up)


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

    Each image adds something to the difference, its influence on the one metric less that on the other; their sum of
    squares is the variance, and the difference is tested by Student's t with the degrees of freedom of Welch and
    Satterthwaite (`tlmed.metrics.spreads`). Where groups have several images, the images of each are added up first,
    and there is at most one degree of freedom less than the smallest class has groups, as for the AUC.
    For a mean over images, as the Brier score is, that has the statistic of the paired t test, up to how the variance
    is divided among classes, and at most its n - 1 degrees of freedom; for two accuracies, or sensitivities or
    specificities of two classes, McNemar's test takes its place, for the AUC of two classes `compare_areas`.

    Args:
        labels: True classes, int [n], 0..k-1.
        first: Scores [n, k] and predicted classes [n] of the first.
        second: Those of the second.
        classes: The k names.
        positive: The positive of two classes, by default the second in the order of classes.
        groups: Who each image belongs to, [n]; an empty name stands for an image on its own.
        only: The metrics wanted, of `METRICS`.

    Returns:
        For each metric `value` (that of the first less that of the second), `low`, `high`, `p`, `method` and `units`
        (the images or groups that it rests on: `tlmed.metrics.evaluation.count_units`), and a `note` where there is no
        interval because the two do not differ in any image; undefined (None, with a `reason`) where a metric is, or
        where no interval follows.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> table = (scores, scores.argmax(axis=1))
    >>> found = compare_metrics(labels, table, table, ["a", "b"], only=["f1"])
    >>> found["f1"]["value"], found["f1"]["p"]
    (0.0, 1.0)
    """
    return compare_pairs(labels, (first, second), classes, positive, groups, only)[0, 1]


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
        groups: Who each image belongs to, [n]; an empty name stands for an image on its own.
        only: The metrics wanted, of `METRICS`.

    Returns:
        The places of two classifiers, the smaller first, to the difference of each metric.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> better, worse = (scores, np.array([0, 0, 1, 1])), (scores, np.array([0, 1, 1, 1]))
    >>> pairs = compare_pairs(labels, [better, worse, better], ["a", "b"], only=["accuracy"])
    >>> {pair: found["accuracy"]["value"] for pair, found in pairs.items()}
    {(0, 1): 0.25, (0, 2): 0.0, (1, 2): -0.25}
    """
    main = positive_index(classes, positive)
    cases, values, moves, owners = _move(labels, tables, main, groups, only)
    strata = find_strata(labels, owners)
    return {
        (i, j): {
            name: _compare_one((cases[i], cases[j]), groups, owners, name)
            or _test_difference(
                values[i][name] - values[j][name],
                [moves[place].get(name) for place in (i, j)],
                strata, owners, name, min(_count_both(cases[place], owners, name) for place in (i, j)),
                len(classes), _find_most(name, main),
            )
            for name in values[i]
        }
        for i, j in itertools.combinations(range(len(cases)), 2)
    }  # fmt: skip


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
    cases, values, moves, owners = _move(labels, tables, positive_index(classes, positive), groups, only)
    strata = find_strata(labels, owners)
    return {
        (i, j): {
            name: _bound_freedom(
                measure_spread(moves[i][name] - moves[j][name], strata, owners),
                name, min(_count_both(cases[place], owners, name) for place in (i, j)), len(classes),
            )
            for name in values[i]
            if name in moves[i] and name in moves[j]
        }
        for i, j in itertools.combinations(range(len(cases)), 2)
    }  # fmt: skip


def _move(labels, tables, main, groups, only):
    """Return the cases, the value of each metric, what each image adds to it, and the groups if some has several."""
    owners = number_groups(groups)
    owners = owners if has_clusters(owners) else None
    cases = [make_case(labels, np.asarray(scores, dtype=float), guesses, main) for scores, guesses in tables]
    whole = np.ones((len(labels), 1))
    values = [{name: found.item() for name, found in rate(case, whole, only)[None].items()} for case in cases]
    moves = [
        {name: influence_of_all(case, name) for name, value in own.items() if name != "ece" and not math.isnan(value)}
        for case, own in zip(cases, values, strict=True)
    ]
    return cases, values, moves, owners


def _bound_freedom(spread: Spread, name, units, classes) -> Spread:
    """Return a spread with at most the degrees of freedom that the groups of the smallest class give."""
    if not spread.grouped or name in CALIBRATED or classes >= MANY_CLASSES:
        return spread
    # As for the AUC: Welch's rule takes the variance of a class for as well known as groups of one size tell it.
    return dataclasses.replace(spread, freedom=min(spread.freedom, max(units - 1, 1)))


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


def _test_difference(value, moves, strata, owners, name, units, classes, most) -> dict:
    if math.isnan(value):
        return _leave_open("The metric is undefined for one of the two.")
    if any(move is None for move in moves):
        return _leave_open("What the calibration error of a few images differs by is mostly chance.", value)
    kind = "images" if owners is None else "groups"
    spread = measure_spread(moves[0] - moves[1], strata, owners)
    method = f"paired t of influences by {kind}"
    if not spread.variance:
        if abs(value) < 1e-12:
            note = f"The two do not differ in any of the {kind}, {_NO_INTERVAL}"
            return {"value": 0.0, "low": None, "high": None, "p": 1.0, "method": method, "units": units, "note": note}
        return _leave_open(f"All {kind} show the same difference, {_NO_INTERVAL}", value)
    least = _find_least(name, classes)
    if units < least:
        return _leave_open(f"It rests on {units} {kind}, fewer than {least}, {_NO_INTERVAL}", value)
    error, freedom = math.sqrt(spread.variance), _bound_freedom(spread, name, units, classes).freedom
    half, p = t_95(freedom) * error, _tail(value / error, freedom)
    bounds = {"low": max(-most, value - half), "high": min(most, value + half)}
    method += f" (Efron 1982), {freedom:.0f} df" + (" (Welch 1947)" if freedom == spread.freedom else "")
    return {"value": value, **bounds, "p": p, "method": method, "units": units}


def _count_both(case, owners, name) -> int:
    """Return on how many units a metric rests; predictive values on those of the class too, which they hit or miss."""
    names = (name, "f1") if name in ("ppv", "npv") else (name,)
    return min(count_units(case, owners, None, each) for each in names)


def _find_least(name, classes) -> int:
    """Return on how many units of the smallest class an influence must rest; of many classes they add up."""
    if name in CALIBRATED:
        return 2
    if classes >= MANY_CLASSES:
        return 1
    # Of predictive values of a rare class five are too few: 8 % of equal classifiers were found to differ.
    return FEW_UNITS if name in ("ppv", "npv") and classes > 2 else LEAST_UNITS


def _find_most(name, main) -> float:
    """Return the largest difference that a metric can have."""
    if name in ("mcc", "kappa", "quadratic_kappa") or (name == "brier" and main is None):
        return 2.0
    return math.inf if name == "log_loss" else 1.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number, so that one in twenty such lists has a false finding at 0.05.

    Holm, Scandinavian J. Statistics 1979, 6:65-70. An undefined one (None) stays so and does not count.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    defined = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected, largest = [None] * len(p_values), 0.0
    for rank, (p, i) in enumerate(defined):
        largest = max(largest, min(1.0, (len(defined) - rank) * p))
        corrected[i] = largest
    return corrected


def average_folds(
    values: Sequence[float | None],
    test_share: float,
    bounds: tuple[float, float] | None = None,
    spreads: Sequence[Spread | None] | None = None,
    repeats: int = 1,
) -> dict:
    """Return the mean of a metric over folds, or of a difference, with the corrected resampled t interval.

    Folds that agree by luck would make that interval narrower than the images allow, of which there are only so many.
    Where it is told how much the sample of images moves the value of each fold, the wider of two intervals is returned,
    with the larger p: this one, and that of the sampling error of the images, each with its own degrees of freedom. Two
    tests must both find a mean other than zero, so that it is found no more often by chance than either of them finds
    it.

    The training sets of folds overlap, so that their results vary less than new data would make them: the variance
    of the mean is s^2 (1 / folds + test / training images) (Nadeau & Bengio, Machine Learning 2003, 52:239-281; for
    repeated folds Bouckaert & Frank, PAKDD 2004).

    Args:
        values: One per fold, of all repeats; None where undefined.
        test_share: Test images divided by those that trained the weights. Validation images are not counted: they
            choose an epoch and a threshold, and no gradient comes from them, so that two folds share less than all
            that is not test. With 15 % of them the interval is 4.6 % wider than if they were.
        bounds: Between which a metric can lie; the interval is cut there.
        spreads: How much the sample of images moves each of the values (`measure_pairs`), None where it is undefined.
        repeats: How often the images were divided, each time into as many folds. The images stay the same, so that
            repeats do not make their sampling error smaller.

    Returns:
        `value`, `low`, `high`, `p` (of a mean of zero: for differences), `folds` and `method`, and a `note` where
        folds were left out; undefined (None, with a `reason`) with fewer than two.

    Raises:
        InputError: If the share is not more than 0.

    >>> found = average_folds([0.90, 0.92, 0.88, 0.91, 0.89], test_share=1 / 4)
    >>> round(found["value"], 3), round(found["low"], 4), round(found["high"], 4)
    (0.9, 0.8706, 0.9294)
    """
    if not test_share > 0:
        raise InputError(f"`test_share` must be more than 0. Received: test_share={test_share}.")
    defined = [value for value in values if value is not None]
    if len(defined) < 2:
        return _leave_open(f"Two folds are needed in which it is defined, of {len(values)} there are {len(defined)}.")
    mean, freedom = float(np.mean(defined)), len(defined) - 1
    error = math.sqrt(np.var(defined, ddof=1) * (1 / len(defined) + test_share))
    half, p = t_95(freedom) * error, _test_mean(mean, error, freedom)
    method = f"corrected resampled t with {freedom} df (Nadeau & Bengio 2003)"
    if spreads is not None:
        kept = [spread for spread, value in zip(spreads, values, strict=True) if value is not None]
        sampling = _add_spreads(kept, repeats)
        if sampling.variance > 0:
            error, freedom = math.sqrt(sampling.variance), sampling.freedom
            if t_95(freedom) * error > half:
                kind = "groups" if sampling.grouped else "images"
                how = f"sampling error of the {kind} of {len(kept)} folds, t with {freedom:.0f} df (Satterthwaite 1946)"
                half, method = t_95(freedom) * error, f"{how}, wider than the corrected resampled t"
            p = max(p, _test_mean(mean, error, freedom))
    low, high = mean - half, mean + half
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    found = {"value": mean, "low": low, "high": high, "p": p, "folds": len(defined), "method": method}
    missed = len(values) - len(defined)
    return found | ({"note": f"{missed} of {len(values)} folds, in which it is undefined, left out."} if missed else {})


def _add_spreads(spreads: Sequence[Spread], repeats) -> Spread:
    """Return the spread of the mean over folds: they have no image in common, and all repeats have the same images."""
    count, variances = len(spreads), [spread.variance for spread in spreads]
    total = sum(variances)
    below = sum(spread.variance**2 / spread.freedom for spread in spreads if spread.variance > 0)
    freedom = total**2 / below / repeats if total else math.nan
    grouped = any(spread.grouped for spread in spreads)
    return Spread(total * repeats / count**2, max(freedom, 1.0), 0.0, sum(spread.units for spread in spreads), grouped)


def _test_mean(mean, error, freedom) -> float:
    """Return the p-value of a mean of zero; of a mean without error it is 0 or 1."""
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return _tail(mean / error, freedom)


def _tail(statistic, freedom) -> float:
    """Return the two-sided p-value of Student's t."""
    from scipy.special import stdtr  # here, for importing it takes longer than a training loop should wait

    return float(2 * stdtr(freedom, -abs(statistic)))


def _leave_open(reason, value=None) -> dict:
    return {"value": value, "low": None, "high": None, "p": None, "method": None, "reason": reason}
