"""Whether two classifiers differ on the same images, and by how much; many such questions at once; and over folds."""

import itertools
import math
from collections.abc import Collection, Sequence

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.areas import covariance, place
from tlmed.metrics.classes import positive_index
from tlmed.metrics.evaluation import count_units
from tlmed.metrics.proportions import Z_95, t_95
from tlmed.metrics.rates import METRICS, make_case, rate
from tlmed.metrics.resampling import bound, draw_weights, has_clusters, number_groups, plan_resampling

FEW_UNITS = 20  # images or groups: what resamples of fewer say is marked
_MOST_EXACT = 1000  # discordant images or groups up to which the exact distribution is computed
_NO_WIDTH = "Every resample gave the same value, from which no interval follows."


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
    difference = float(np.subtract(*placements[:, positive].mean(axis=1)))
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

    Args:
        first: Whether the first is right, bool [n].
        second: Whether the second is, bool [n].
        groups: Who each image belongs to, [n]; an empty name stands for an image on its own.

    Returns:
        `value` (accuracy of the first less that of the second), `first_only` and `second_only` (images that one
        alone gets right), `statistic` (chi-squared, 1 degree of freedom, for comparison), `p` and `method`.

    >>> first, second = np.arange(21) < 2, (np.arange(21) > 1) & (np.arange(21) < 9) | (np.arange(21) == 0)
    >>> found = mcnemar(first, second)
    >>> found["first_only"], found["second_only"], round(found["p"], 4)
    (1, 7, 0.0391)
    """
    surplus = first.astype(int) - second.astype(int)
    owners = number_groups(groups)
    clustered = has_clusters(owners)
    totals = np.bincount(owners, surplus).astype(int) if clustered else surplus
    steps = np.abs(totals[totals != 0])
    total = int(totals.sum())
    statistic = total**2 / float((steps**2).sum()) if len(steps) else 0.0
    exact = len(steps) <= _MOST_EXACT
    p = _flip_signs(steps, total) if exact else math.erfc(math.sqrt(statistic / 2))
    kind = ", mid-p (Fagerland et al. 2013)" if exact else ", asymptotic (McNemar 1947)"
    return {
        "value": float(surplus.mean()),
        "first_only": int((surplus > 0).sum()),
        "second_only": int((surplus < 0).sum()),
        "statistic": statistic,
        "p": p,
        "method": ("McNemar by groups (Yang et al. 2010)" if clustered else "McNemar") + kind,
    }


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


def bootstrap_differences(
    labels: np.ndarray,
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    classes: Sequence[str],
    positive: str | None = None,
    groups: Sequence[str] | None = None,
    split: str = "test",
    draws: int = 2000,
    seed: int = 0,
    only: Collection[str] = METRICS,
) -> dict[str, dict]:
    """Return the differences of two classifiers' metrics on the same images, from the same resamples.

    Images are drawn within each class, or whole groups where they have several images, for both alike. The p-value
    comes from the share of resamples on the other side of zero, one added to both numbers (Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, chapter 4). Resamples of a few images or groups vary too little:
    the share is corrected as the levels of the interval are (`tlmed.metrics.resampling.widen`), so that the p-value
    is below 0.05 where the 95 % interval leaves zero out, as far as so many draws can tell.

    Args:
        labels: True classes, int [n], 0..k-1.
        first: Scores [n, k] and predicted classes [n] of the first.
        second: Those of the second.
        classes: The k names.
        positive: The positive of two classes, by default the second in sorted order.
        groups: Who each image belongs to, [n]; an empty name stands for an image on its own.
        split: The name of the split, for the stream of random numbers.
        draws: Resamples.
        seed: Decides them.
        only: The metrics wanted, of `METRICS`.

    Returns:
        For each metric `value` (that of the first less that of the second), `low`, `high`, `p`, `method` and `units`
        (the images or groups that it rests on, of the smallest class where it is not of all images), and a `note`
        where resamples were left out, units are few, or all resamples agree that there is no difference; undefined
        (None, with a `reason`) where a metric is, or where no interval follows.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> table = (scores, scores.argmax(axis=1))
    >>> found = bootstrap_differences(labels, table, table, ["a", "b"], only=["accuracy"])
    >>> found["accuracy"]["value"], found["accuracy"]["p"]
    (0.0, 1.0)
    """
    pairs = bootstrap_pairs(labels, (first, second), classes, positive, groups, split, draws, seed, only)
    return pairs[0, 1]


def bootstrap_pairs(
    labels: np.ndarray,
    tables: Sequence[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    positive: str | None = None,
    groups: Sequence[str] | None = None,
    split: str = "test",
    draws: int = 2000,
    seed: int = 0,
    only: Collection[str] = METRICS,
) -> dict[tuple[int, int], dict[str, dict]]:
    """Return what `bootstrap_differences` does for every pair of several classifiers.

    Each classifier's metrics are computed once per resample, not once per pair: the cost grows with the number of
    classifiers, not with its square.

    Args:
        labels: True classes, int [n], 0..k-1.
        tables: Scores [n, k] and predicted classes [n] of each classifier.
        classes: The k names.
        positive: The positive of two classes, by default the second in sorted order.
        groups: Who each image belongs to, [n]; an empty name stands for an image on its own.
        split: The name of the split, for the stream of random numbers.
        draws: Resamples.
        seed: Decides them.
        only: The metrics wanted, of `METRICS`.

    Returns:
        The places of two classifiers, the smaller first, to the difference of each metric.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> better, worse = (scores, np.array([0, 0, 1, 1])), (scores, np.array([0, 1, 1, 1]))
    >>> pairs = bootstrap_pairs(labels, [better, worse, better], ["a", "b"], only=["accuracy"])
    >>> {pair: found["accuracy"]["value"] for pair, found in pairs.items()}
    {(0, 1): 0.25, (0, 2): 0.0, (1, 2): -0.25}
    """
    main, owners = positive_index(classes, positive), number_groups(groups)
    cases = [make_case(labels, np.asarray(scores, dtype=float), guesses, main) for scores, guesses in tables]
    sampling = plan_resampling(labels, owners)
    clusters = owners if has_clusters(owners) else None
    units = {name: count_units(cases[0], clusters, None, name) for name in only}
    kind = "images" if clusters is None else "groups"
    whole = np.ones((len(labels), 1))
    values = [rate(case, whole, only)[None] for case in cases]
    parts = [
        [rate(case, weights, only)[None] for case in cases] for weights in draw_weights(sampling, draws, seed, split)
    ]
    drawn = [{name: np.concatenate([part[i][name] for part in parts]) for name in values[i]} for i in range(len(cases))]
    method = f"paired bootstrap {sampling.how}, {draws} draws ({sampling.source}, Hesterberg 2015)"

    return {
        (i, j): {
            name: _bound_difference(
                values[i][name].item() - values[j][name].item(),
                drawn[i][name] - drawn[j][name],
                units[name],
                kind,
                method,
            )
            for name in values[i]
        }
        for i, j in itertools.combinations(range(len(cases)), 2)
    }


def _bound_difference(value, drawn, units, kind, method) -> dict:
    if math.isnan(value):
        return _leave_open("The metric is undefined for one of the two.")
    low, high, note = bound(drawn, units, value)
    if low is None:
        return _leave_open(note, value)
    flat = high - low < 1e-12
    if flat and abs(value) < 1e-12:
        none = {"value": 0.0, "low": None, "high": None, "p": 1.0}
        return {**none, "method": method, "units": units, "note": _NO_WIDTH}
    if flat or units < 2:
        return _leave_open(_NO_WIDTH if flat else f"It rests on fewer than two {kind}: no interval follows.", value)
    few = f"{units} {kind} are few: what resamples tell of them is rough." if units < FEW_UNITS else None
    entry = {"value": value, "low": low, "high": high, "p": _cross_zero(drawn, units), "method": method, "units": units}
    notes = [said for said in (note, few) if said]
    return entry | ({"note": " ".join(notes)} if notes else {})


def _cross_zero(drawn, units) -> float:
    """Return the p at which the interval of level 1 - p, widened as `widen` does that of 95 %, would touch zero."""
    from scipy.special import ndtri  # here, for importing it takes longer than a training loop should wait

    drawn = drawn[~np.isnan(drawn)]
    # Sums in another order differ in the last digit, and a difference of zero is on neither side.
    fewer = min(np.count_nonzero(drawn >= -1e-12), np.count_nonzero(drawn <= 1e-12))
    share = min(0.5, (fewer + 1) / (len(drawn) + 1))
    return min(1.0, _tail(ndtri(share) * math.sqrt((units - 1) / units), units - 1))


def count_draws(units: int, level: float) -> float:
    """Return how many resamples it takes for a p-value of this level; infinite for fewer than two units.

    Args:
        units: Images or groups that a metric rests on.
        level: Of a p-value, above 0.

    >>> [round(count_draws(units, 0.05)) for units in (5, 20, 1000)]
    [1048, 63, 40]
    """
    from scipy.special import ndtr, stdtrit  # here, for importing it takes longer than a training loop should wait

    if units < 2:
        return math.inf
    return float(1 / ndtr(math.sqrt(units / (units - 1)) * stdtrit(units - 1, level / 2)))


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


def average_folds(values: Sequence[float | None], test_share: float, bounds: tuple[float, float] | None = None) -> dict:
    """Return the mean of a metric over folds, or of a difference, with the corrected resampled t interval.

    The training sets of folds overlap, so that their results vary less than new data would make them: the variance
    of the mean is s^2 (1 / folds + test / training images) (Nadeau & Bengio, Machine Learning 2003, 52:239-281; for
    repeated folds Bouckaert & Frank, PAKDD 2004).

    Args:
        values: One per fold, of all repeats; None where undefined.
        test_share: Test images divided by training images: 1 / (k - 1) for k folds.
        bounds: Between which a metric can lie; the interval is cut there.

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
    p = (1.0 if mean == 0 else 0.0) if error == 0 else _tail(mean / error, freedom)
    half = t_95(freedom) * error
    low, high = mean - half, mean + half
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    method = f"corrected resampled t with {freedom} df (Nadeau & Bengio 2003)"
    found = {"value": mean, "low": low, "high": high, "p": p, "folds": len(defined), "method": method}
    missed = len(values) - len(defined)
    return found | ({"note": f"{missed} of {len(values)} folds, in which it is undefined, left out."} if missed else {})


def _tail(statistic, freedom) -> float:
    """Return the two-sided p-value of Student's t."""
    from scipy.special import stdtr  # here, for importing it takes longer than a training loop should wait

    return float(2 * stdtr(freedom, -abs(statistic)))


def _leave_open(reason, value=None) -> dict:
    return {"value": value, "low": None, "high": None, "p": None, "method": None, "reason": reason}
