"""The mean of a configuration over seeds on one split, and differences of such means, for other images and seeds."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.contests.score_errors import add_spreads, measure_parts, measure_seeds, read_split, split_draws
from tlmed.contests.seed_means import ONE_SEED, SeedDifference, SeedMean, correct_pairs
from tlmed.errors import InputError
from tlmed.metrics.paired_means import bound_freedom
from tlmed.metrics.proportions import t_95, t_tails
from tlmed.metrics.spreads import Spread, measure_spread

ONE_SPLIT = "All seeds have the same training images: the interval says nothing of other training images."
_NOTHING = 1e-12  # a difference, or an influence, that is only rounding


@dataclass(frozen=True, eq=False)
class SplitImages:
    """The test images of one split, as far as they decide how uncertain a score is.

    Attributes:
        strata: The class of each image, or group (`tlmed.metrics.spreads.find_strata`).
        owners: The number of the group of each image, int [n]; None if images have no groups.
        units: How many images, or groups, decide (`tlmed.metrics.sample_sizes.count_units`).
        few: Why they are too few to estimate an error; empty if they are enough.
    """

    strata: np.ndarray
    owners: np.ndarray | None
    units: int
    few: str = ""

    @property
    def size(self) -> int:
        """Return how many images, or groups, there are."""
        return len(self.strata)

    def measure(self, moves: np.ndarray) -> Spread:
        """Return how much a number varies with the sample of images, by what each of them adds to it, float [n]."""
        return bound_freedom(measure_spread(moves, self.strata, self.owners), max(self.units - 1, 1))

    def add_up(self, moves: np.ndarray) -> np.ndarray:
        """Return what each image, or group, adds to numbers, [..., size], from what each image adds, [..., n]."""
        if self.owners is None:
            return moves
        return np.apply_along_axis(lambda row: np.bincount(self.owners, row, minlength=self.size), -1, moves)

    def resample(self, scores: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """Return scores of which the covariance is that of resamples without their luck, float [..., size].

        What each unit adds takes the place of a resample. `tlmed.contests.measure_split` and others multiply by
        size / (size - 1), and the covariance divides by size - 1.
        """
        return scores[..., None] + self.add_up(moves) * math.sqrt(self.size - 1)


def average_seeds(
    entries: Sequence[Mapping], moves: np.ndarray, images: SplitImages, bounds: tuple[float, float]
) -> SeedMean:
    """Return the mean of a configuration over seeds on one split, with an interval for other images and seeds.

    Seeds alone say nothing of other images: all of them are tested on the same ones. So the interval is made of those
    that the runs of the seeds have by themselves, with the correlation of what each image adds to them (MOVER: Zou &
    Donner, Statistics in Medicine 2008, 27:1693-1702). Where all seeds agree it is the interval of a run, and where a
    run has none, because too few images decide, the mean has none. It is widened by the variance of the mean over seeds
    as far as images do not explain it, on the logit scale, so that it stays between the bounds. It says nothing of
    other training images, for which folds are needed.

    Args:
        entries: The metric of each seed's run, with `value`, `low` and `high`; without an interval, a `note` says why.
        moves: What each test image adds to each score, float [seeds, n].
        images: The test images.
        bounds: The lowest and the highest value of the metric.

    Raises:
        InputError: With all faults of the arguments.

    >>> entry = {"value": 0.9, "low": 0.8, "high": 0.95, "method": "DeLong on the logit scale (1988)"}
    >>> images = SplitImages(np.arange(100) % 2, None, 50)
    >>> found = average_seeds([entry] * 3, np.tile(np.linspace(-1, 1, 100) / 1000, (3, 1)), images, (0, 1))
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2), found.seed_deviation
    (0.9, 0.8, 0.95, 0.0)
    """
    scores, moves = _read([[entry["value"] for entry in entries]], np.asarray(moves, float)[None], images)
    value, seeds = float(scores.mean()), scores.size
    deviation = float(scores[0].std(ddof=1)) if seeds > 1 else None
    if open_ := next((entry for entry in entries if entry["low"] is None), None):
        said = open_.get("note") or open_.get("reason", "")
        return SeedMean(value, None, None, None, 0, seeds, None, deviation, "", said)
    ways = _add_ways(entries, images.add_up(moves[0]))
    more = _widen(scores, moves, images)
    low, high = (_stretch(value, end, more, bounds) for end in (value - ways[0], value + ways[1]))
    kinds = [str(entry.get("method", "")).partition(" (")[0] for entry in entries]
    method = max(dict.fromkeys(kinds), key=kinds.count)
    if seeds > 1:
        method += f", of the mean of {seeds} seeds (Zou & Donner 2008) and of how seeds vary (Satterthwaite 1946)"
    return SeedMean(value, low, high, None, 0, seeds, None, deviation, method, _limit(seeds))


def _add_ways(entries, totals) -> list[float]:
    """Return the distances of a mean to its lower and its upper bound, by those of its parts and how they correlate."""
    sizes = np.sqrt((totals**2).sum(1))
    # A perfect seed does not vary in the sample; for other images, it errs as the other seeds do, or as one with them.
    middle = totals.sum(0) if (sizes > _NOTHING).any() else np.ones(totals.shape[1])
    middle = middle / max(float(np.sqrt(middle @ middle)), _NOTHING)
    units = np.where(sizes[:, None] > _NOTHING, totals / np.maximum(sizes, _NOTHING)[:, None], middle)
    ways = np.array([(entry["value"] - entry["low"], entry["high"] - entry["value"]) for entry in entries])
    return np.sqrt(((ways.T @ units / len(entries)) ** 2).sum(1)).tolist()


def _widen(scores, moves, images) -> float:
    """Return by how much seeds lengthen the half of an interval of images, as the side of a right-angled triangle."""
    _, by_images = split_draws(images.resample(scores, moves)[0], scores[0], images.size)
    seeds = measure_seeds(scores[0], by_images)
    if seeds is None or not seeds.variance > 0:
        return 0.0  # seeds show nothing that images do not explain
    own = images.measure(moves[0].mean(0))
    total = add_spreads([own, Spread(seeds.variance / scores.size, seeds.freedom, 0.0, 0)])
    before = t_95(own.freedom) ** 2 * own.variance if own.variance else 0.0
    return math.sqrt(max(0.0, t_95(total.freedom) ** 2 * total.variance - before))


def _stretch(value, end, more, bounds) -> float:
    """Return the end of an interval moved away from the value by what else varies, on the logit scale."""
    least, most = bounds
    share, limit = ((each - least) / (most - least) for each in (value, end))
    if not more or not 0 < share < 1:
        return min(max(end, least), most)
    middle, slope = math.log(share / (1 - share)), 1 / (share * (1 - share) * (most - least))
    if not 0 < limit < 1:
        return least if limit <= 0 else most
    half = math.hypot(math.log(limit / (1 - limit)) - middle, more * slope)
    edge = middle + (half if end > value else -half)
    return least + (most - least) * 0.5 * (1 + math.tanh(edge / 2))  # inverse logit


def compare_seeds(
    scores: np.ndarray, moves: np.ndarray, images: SplitImages, bounds: tuple[float, float] | None = None
) -> tuple[SeedDifference, ...]:
    """Return the difference of every two configurations on one split, with Holm's correction over all pairs.

    Images are paired: what each adds to the one counts against what it adds to the other. Seeds are not, because seed 1
    of one has nothing in common with seed 1 of another; their variance is estimated from all configurations together
    (`tlmed.contests.measure_split`). Where too few images decide, no interval and no test follows.

    Args:
        scores: float [m, seeds].
        moves: What each test image adds to each score, float [m, seeds, n].
        images: The test images.
        bounds: Of a difference; the interval is cut there.

    Raises:
        InputError: With all faults of the arguments.

    >>> right = np.arange(400).reshape(1, 400) % np.array([[10], [11], [4], [5]]) > 0  # 90, 91, 75 and 80 % of images
    >>> scores, images = right.mean(1).reshape(2, 2), SplitImages(np.zeros(400, int), None, 400)
    >>> pair = compare_seeds(scores, (right - right.mean(1, keepdims=True)).reshape(2, 2, 400) / 400, images)[0]
    >>> round(pair.mean.value, 2), pair.p_holm < 0.01
    (0.13, True)
    """
    scores, moves = _read(scores, moves, images)
    _, seeds = measure_parts(scores, images.resample(scores, moves), images.size)
    means, counts = scores.mean(1), scores.shape[1]
    pairs, found = list(itertools.combinations(range(len(scores)), 2)), []
    for i, j in pairs:
        by_images = images.measure(moves[i].mean(0) - moves[j].mean(0))
        by_seeds, deviation = None, None
        if seeds:
            by_seeds = Spread(float(seeds.covariance[i, i] + seeds.covariance[j, j]), seeds.freedom, 0.0, 0)
            deviation = math.sqrt(float(scores[[i, j]].var(axis=1, ddof=1).sum()))
        value = float(means[i] - means[j])
        if images.few:
            found.append(SeedMean(value, None, None, None, 0, counts, None, deviation, "", images.few))
        else:
            found.append(_bound_difference(value, by_images, by_seeds, (counts, deviation), bounds))
    return correct_pairs(pairs, found)


def _bound_difference(value, images, by_seeds, counted, bounds) -> SeedMean:
    """Return a difference with the interval of images and seeds together."""
    total, (seeds, deviation) = add_spreads([images, by_seeds] if by_seeds else [images]), counted
    if not total.variance > _NOTHING**2:
        p = 1.0 if abs(value) < _NOTHING else None
        notes = "Neither images nor seeds show any variance, from which no interval follows."
        return SeedMean(value, None, None, p, 0, seeds, None, deviation, "", notes)
    error = math.sqrt(total.variance)
    half, p = t_95(total.freedom) * error, t_tails(value / error, total.freedom)
    low, high = value - half, value + half
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    kind = "groups" if images.grouped else "images"
    method = f"t of the test {kind}{' and of seeds' if by_seeds else ''}, {total.freedom:.0f} df (Satterthwaite 1946)"
    return SeedMean(value, low, high, p, 0, seeds, None, deviation, method, _limit(seeds))


def _read(scores, moves, images) -> tuple[np.ndarray, np.ndarray]:
    """Return scores [m, seeds] and what images add to them [m, seeds, n] as arrays, or refuse them."""
    scores, moves = read_split(scores, moves, images.size)
    n = images.size if images.owners is None else len(images.owners)
    if np.isnan(scores).any() or moves.shape[2] != n:
        raise InputError(f"`moves` must be [m, seeds, {n}], and no score missing. Received: shape={moves.shape}.")
    return scores, moves


def _limit(seeds) -> str:
    """Say what an interval says nothing of."""
    return f"{ONE_SPLIT} {ONE_SEED}" if seeds == 1 else ONE_SPLIT
