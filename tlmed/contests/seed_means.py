"""The mean of a configuration over folds and seeds, and differences of such means, with what each adds to chance."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics import average_folds, holm
from tlmed.metrics.spreads import Spread

ONE_SEED = "There is one seed: the interval says nothing of another training."
_NOTHING = 1e-12  # a difference that is only rounding


@dataclass(frozen=True)
class SeedMean:
    """A mean over folds and seeds, or a difference of two.

    Attributes:
        value: The mean; None if no cell is there.
        low: The lower end of the 95 % interval; None if none follows.
        high: The upper end.
        p: Of a mean of zero, for differences; None if no test follows.
        folds: Over how many folds, of all repeats; 0 if there is one split.
        seeds: The fewest seeds of a fold.
        fold_deviation: The standard deviation over folds of what seeds leave; None without folds.
        seed_deviation: The standard deviation over seeds where all else is the same; None if there is one seed.
        method: Of the interval; empty if there is none.
        note: What is missing, and what the interval says nothing of; empty if nothing is.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    folds: int
    seeds: int
    fold_deviation: float | None
    seed_deviation: float | None
    method: str
    note: str = ""


@dataclass(frozen=True)
class SeedDifference:
    """How two configurations differ.

    Attributes:
        first: The place of one.
        second: The place of the other.
        mean: Of the first less the second.
        p_holm: p, corrected for all pairs (Holm); None where there is no test.
    """

    first: int
    second: int
    mean: SeedMean
    p_holm: float | None


def average_cells(
    scores: np.ndarray,
    test_share: float,
    bounds: tuple[float, float] | None = None,
    spreads: Sequence[Spread | None] | None = None,
    repeats: int = 1,
) -> SeedMean:
    """Return the mean of a configuration over folds and seeds, with an interval that keeps the two apart.

    More seeds do not make more images. So seeds are averaged within each fold first, and the interval is that of the
    means of the folds, the corrected resampled t (Nadeau & Bengio, Machine Learning 2003, 52:239-281; for repeated
    folds Bouckaert & Frank, PAKDD 2004). What a seed adds to all folds alike, such as its random weights, does not
    show in how the folds vary; its variance over the seeds that all folds have, as far as it exceeds what seeds vary
    within folds, is added.

    Args:
        scores: float [folds, seeds], the folds of all repeats; NaN where a cell is missing.
        test_share: Test images divided by the images that trained the weights (`tlmed.metrics.average_folds`).
        bounds: The lowest and the highest value of the metric; the interval is cut there.
        spreads: How much the sample of images moves the mean of each fold; the wider interval is returned.
        repeats: How often the images were divided.

    Raises:
        InputError: If the arrays are of another form, a score is infinite or the share is not above 0.

    >>> found = average_cells(np.array([[0.90, 0.92], [0.88, 0.86], [0.91, 0.93], [0.90, 0.90]]), test_share=1 / 3)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.9, 0.847, 0.953)
    """
    scores = _read_cells(scores, 2)
    kept = ~np.isnan(scores).all(1)
    cells = scores[kept]
    if spreads is not None:
        spreads = [spread for spread, there in zip(spreads, kept, strict=True) if there]
    note = [f"{int((~kept).sum())} of {len(kept)} folds left out, in which no cell is done."] if not kept.all() else []
    seeds = int((~np.isnan(cells)).sum(1).min()) if len(cells) else 0
    if len(cells) < 2:
        value = float(np.nanmean(cells)) if len(cells) else None
        note.append(f"An interval needs two folds or more; there are {len(cells)}.")
        return SeedMean(value, None, None, None, len(cells), seeds, None, None, "", " ".join(note))
    means, (fold_part, seed_part) = np.nanmean(cells, axis=1), _find_deviations(cells)
    parts = (len(cells), seeds, fold_part, seed_part)
    if np.ptp(means) < _NOTHING and not any(spread and spread.variance for spread in spreads or ()):
        note.append("All folds have the same value, from which no interval follows.")
        p = 1.0 if abs(means[0]) < _NOTHING else None
        return SeedMean(float(means.mean()), None, None, p, *parts, "", " ".join(note))
    note += [ONE_SEED] if seeds == 1 else []
    found = average_folds(means.tolist(), test_share, bounds, spreads, repeats, _find_common(cells))
    return SeedMean(found["value"], found["low"], found["high"], found["p"], *parts, found["method"], " ".join(note))


def compare_cells(
    scores: np.ndarray,
    test_share: float,
    bounds: tuple[float, float] | None = None,
    spreads: Mapping[tuple[int, int], Sequence[Spread | None]] | None = None,
    repeats: int = 1,
) -> tuple[SeedDifference, ...]:
    """Return the difference of every two configurations over the same folds, with Holm's correction over all pairs.

    Only cells that both have count; the differences are averaged as in `average_cells`.

    Args:
        scores: float [m, folds, seeds]; NaN where a cell is missing.
        test_share: As for `average_cells`, as are the others.
        bounds: Of a difference.
        spreads: For every two places, the smaller first, those of the differences in each fold.
        repeats: How often the images were divided.

    >>> rng = np.random.default_rng(0)
    >>> scores = 0.8 + rng.normal(0, 0.01, (2, 5, 3)) + np.array([0.1, 0.0])[:, None, None]
    >>> pair = compare_cells(scores, test_share=1 / 4)[0]
    >>> pair.first, pair.second, round(pair.mean.value, 2), pair.p_holm < 0.01
    (0, 1, 0.1, True)
    """
    scores = _read_cells(scores, 3)
    pairs = list(itertools.combinations(range(len(scores)), 2))
    found = [
        average_cells(scores[i] - scores[j], test_share, bounds, spreads and spreads[i, j], repeats) for i, j in pairs
    ]
    return correct_pairs(pairs, found)


def _read_cells(scores, dimensions) -> np.ndarray:
    scores = np.asarray(scores, float)
    names = ("m", "folds", "seeds")[-dimensions:]
    if scores.ndim != dimensions or not scores.size:
        raise InputError(f"`scores` must be [{', '.join(names)}], none of them 0. Received: shape={scores.shape}.")
    if np.isinf(scores).any():
        raise InputError("`scores` must be finite, and NaN where a cell is missing. Received: infinite scores.")
    return scores


def _find_deviations(cells) -> tuple[float, float | None]:
    """Return the standard deviations over folds, without what seeds add, and over seeds within folds."""
    counts, means = (~np.isnan(cells)).sum(1), np.nanmean(cells, axis=1)
    freedom = int((counts - 1).sum())
    if not freedom:
        return float(means.std(ddof=1)), None
    within = float(np.nansum((cells - means[:, None]) ** 2)) / freedom
    left = float(means.var(ddof=1)) - within * float((1 / counts).mean())
    return math.sqrt(max(0.0, left)), math.sqrt(within)


def _find_common(cells) -> Spread | None:
    """Return the variance of the mean over seeds of what a seed adds to all folds; None if it cannot be told."""
    whole = cells[:, ~np.isnan(cells).any(0)]
    folds, seeds = whole.shape
    if seeds < 2 or folds < 2:
        return None
    over_seeds = whole.mean(0)
    rest = whole - whole.mean(1, keepdims=True) - over_seeds + whole.mean()
    # The expected mean squares of two crossed random factors: what remains is the variance of a seed's own part.
    own = float(over_seeds.var(ddof=1)) - float((rest**2).sum()) / ((folds - 1) * (seeds - 1)) / folds
    return Spread(own / seeds, seeds - 1, 0.0, seeds) if own > 0 else None


def correct_pairs(pairs: Sequence[tuple[int, int]], found: Sequence[SeedMean]) -> tuple[SeedDifference, ...]:
    """Return the differences of pairs of places with their p-values, corrected for all of them (Holm)."""
    corrected = holm([mean.p for mean in found])
    return tuple(SeedDifference(i, j, mean, p) for (i, j), mean, p in zip(pairs, found, corrected, strict=True))
