"""What one kind of training gained over another on other images, and what that says of new ones."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

from tlmed.advising.experience import PROBE, THAWED, Experience
from tlmed.advising.nearest_sets import Neighbour, find_nearest, read_backbone
from tlmed.advising.trials import AUC
from tlmed.words import count

_NOTHING = 1e-9  # a variance or a share that is none
_LEVEL = 0.975  # the upper end of an interval of 95 %


@dataclass(frozen=True)
class ExpectedGain:
    """What one kind of training gained over another on other sets.

    Attributes:
        mean: Over sets, those that are alike first; None: no set has both.
        low: Of the interval that a new set's gain lies in with 95 %.
        high: Likewise.
        sets: How many sets it rests on.
        rows: How many rows.
    """

    mean: float | None
    low: float
    high: float
    sets: int
    rows: int


def name_sets(expected: ExpectedGain) -> str:
    """Return what an expected gain rests on, in words.

    >>> name_sets(ExpectedGain(0.03, -0.2, 0.3, 5, 20))
    '5 sets of other images'
    """
    return f"{count(expected.sets, 'set')} of other images"


def is_gain_expected(expected: ExpectedGain | None) -> bool:
    """Tell whether other images let expect a gain; None: nothing is known.

    >>> is_gain_expected(ExpectedGain(0.03, -0.2, 0.3, 5, 20)), is_gain_expected(None)
    (True, False)
    """
    return expected is not None and expected.mean > 0


def expect_gain(
    rows: Iterable[Experience],
    fingerprint: Mapping,
    kind: str,
    over: str = PROBE,
    metric: str = AUC,
    backbone: str | None = None,
) -> ExpectedGain:
    """Return what a kind of training gained over another on sets that are alike, and how far sets differ in it.

    In each set the two are compared with the same backbone, weights, image size and provenance. The mean over sets has
    their weights. The interval is that of one more set, and not of the mean: Student's with the number of sets that the
    weights are worth, (sum w)² / sum w². With one set or two it is so wide that it says what is known: nothing.

    Args:
        rows: From `read_experience`.
        fingerprint: Of the new images, as `advice.json` has it.
        kind: A kind such as "all-layers", or the name of a recipe; "thaw": all that thaw some blocks, together.
        over: Likewise.
        metric: In which both are scored.
        backbone: The only one whose rows count, as NAME or NAME=WEIGHTS; None: all do.
    """
    wanted = None if backbone is None else read_backbone(backbone)
    chosen = [row for row in rows if row.metric == metric and wanted in (None, (row.backbone, row.weights))]
    by_set: dict[str, list[_Gains]] = {}
    for near in find_nearest(chosen, fingerprint):
        if (found := _measure_gains(near, kind, over)).gains:
            by_set.setdefault(near.name, []).append(found)
    if not by_set:
        return ExpectedGain(None, -1.0, 1.0, 0, 0)
    mean, half = _spread(list(by_set.values()))
    used = sum(part.rows for parts in by_set.values() for part in parts)
    return ExpectedGain(mean, max(mean - half, -1.0), min(mean + half, 1.0), len(by_set), used)


def weigh_gain(value: float, noise: float, expected: ExpectedGain) -> float:
    """Return the gain to be expected when a measured one and experience count together, each by its precision.

    It is the mean of the normal posterior: experience says what the gain of one more set is, within its interval.

    Args:
        value: The gain as it was measured.
        noise: One standard error of it; 0: the two options answer alike, and nothing else counts.
        expected: What other sets let expect; with a mean.

    >>> round(weigh_gain(-0.01, 0.02, ExpectedGain(0.03, -0.0092, 0.0692, 6, 20)), 4)
    0.01
    >>> round(weigh_gain(-0.01, 0.02, ExpectedGain(0.03, -1.0, 1.0, 3, 3)), 4)
    -0.0099
    """
    spread = _read_spread(expected)
    if noise == 0 or spread == 0:
        return value if noise == 0 else expected.mean
    return (value / noise**2 + expected.mean / spread**2) / (1 / noise**2 + 1 / spread**2)


def expect_improvement(expected: ExpectedGain, noise: float) -> float:
    """Return what a trial is worth: how much better the better of two options is, on average, once it was made.

    Until then the gain is normal, within the interval of experience; the trial tells it with its noise, and is followed
    only if the gain that is then expected lies above 0 (the expected value of sample information, Raiffa & Schlaifer,
    Applied statistical decision theory, 1961). So an option that gained nothing on average is worth a trial where sets
    differ much, and one that lost everywhere is not.

    Args:
        expected: What other sets let expect; with a mean.
        noise: One standard error of what the trial would measure.

    >>> round(expect_improvement(ExpectedGain(0.0, -0.098, 0.098, 5, 20), 0.05), 3)
    0.014
    >>> round(expect_improvement(ExpectedGain(-0.05, -0.148, 0.048, 5, 20), 0.05), 4)
    0.0013
    """
    spread = _read_spread(expected)
    told = spread**2 / math.hypot(spread, noise) if spread else 0.0  # the standard deviation of what is then expected
    if not told:
        return max(expected.mean, 0.0)
    ratio = expected.mean / told
    return expected.mean * float(ndtr(ratio)) + told * math.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)


def _read_spread(expected) -> float:
    return (expected.high - expected.low) / (2 * float(stdtrit(math.inf, _LEVEL)))


@dataclass(frozen=True)
class _Gains:
    """What each configuration gained on a set, with the variance of chance in it, the set's weight, and its rows.

    The variance is NaN where it is not known.
    """

    gains: tuple[float, ...]
    noises: tuple[float, ...]
    weight: float
    rows: int


def _measure_gains(near: Neighbour, kind: str, over: str) -> _Gains:
    gains, noises, used = [], [], 0
    for key in dict.fromkeys(map(_name_configuration, near.rows)):
        own = [row for row in near.rows if _name_configuration(row) == key]
        better, base = ([row for row in own if _is_of(row, name)] for name in (kind, over))
        probes = [row.probe for row in better if row.probe is not None]
        # A row's own probe is that of the same images, the row of the probe perhaps that of more folds.
        worse = (probes if over == PROBE else []) or [row.score for row in base]
        if better and worse:
            gains.append(float(np.mean([row.score for row in better]) - np.mean(worse)))
            known = [row.spread**2 / row.runs for row in better if row.spread is not None]
            noises.append(float(np.mean(known)) if known else math.nan)
            used += len(better) + len(base)
    return _Gains(tuple(gains), tuple(noises), near.weight, used)


def _is_of(row: Experience, name: str) -> bool:
    return name in (row.kind, row.recipe) or (name == THAWED and row.kind.startswith(THAWED))


def _name_configuration(row: Experience) -> tuple:
    # Only rows of one origin are of the same images: another study divides them otherwise.
    return row.backbone, row.weights, row.image_size, row.provenance


def _spread(sets: Sequence[Sequence[_Gains]]) -> tuple[float, float]:
    """Return the weighted mean gain of some sets, and half the width of the interval of one more.

    A set counts by its likeness, and the less, the more chance is in its gain: random effects, with the variance
    between sets by moments (Hedges, A random effects model for effect sizes, Psychological Bulletin 1983). So a set of
    a hundred images, on which each gain is mostly luck, does not decide beside larger ones.

    Sets whose gains agree by chance may not make the interval narrower than the chance within each of them.
    """
    totals = np.array([sum(part.weight for part in parts) for parts in sets])
    gains, noises = np.array(
        [
            np.average([(np.mean(part.gains), np.mean(part.noises)) for part in parts], axis=0, weights=own)
            for parts, own in ((parts, [part.weight for part in parts]) for parts in sets)
        ]
    ).T
    shares = totals / totals.sum()
    # What is not known is taken for as uncertain as the least certain.
    noises = np.nan_to_num(noises, nan=np.nanmax([0.0, *noises]))
    if (rest := 1 - np.square(shares).sum()) > _NOTHING:
        between = max(0.0, shares @ np.square(gains - shares @ gains) / rest - shares @ noises)
        shares = totals / (between + np.maximum(noises, _NOTHING))
        shares /= shares.sum()
    mean, worth = float(shares @ gains), float(1 / np.square(shares).sum())
    if worth <= 1 + _NOTHING:
        return mean, 2.0
    variance = max(shares @ np.square(gains - mean) * worth / (worth - 1), shares @ noises)
    return mean, float(stdtrit(worth - 1, _LEVEL) * math.sqrt(variance * (1 + 1 / worth)))
