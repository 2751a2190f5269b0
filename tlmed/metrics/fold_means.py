"""The mean of a metric, or of a difference, over the folds of a cross-validation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.errors import InputError
from tlmed.metrics.names import RATIOS
from tlmed.metrics.paired_tests import leave_untested
from tlmed.metrics.proportions import t_95, t_tails
from tlmed.metrics.spreads import Spread


def mean_of(metric: str, values: Sequence[float]) -> float:
    """Return the mean of a metric's values, of a likelihood ratio the geometric one; 0 if a ratio is 0.

    >>> mean_of("auc", [0.5, 1.0]), mean_of("lr_positive", [2.0, 8.0]).__round__(9)
    (0.75, 4.0)
    """
    if metric not in RATIOS:
        return sum(values) / len(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if all(values) else 0.0


def average_folds(
    values: Sequence[float | None],
    test_share: float,
    bounds: tuple[float, float] | None = None,
    spreads: Sequence[Spread | None] | None = None,
    repeats: int = 1,
    common: Spread | None = None,
) -> dict:
    """Return the mean of a metric over folds, or of a difference, with the corrected resampled t interval.

    Folds that agree by luck would make that interval narrower than the number of images allows. If `spreads` says how
    much the sample of images moves the value of each fold, the wider of two intervals is returned, with the larger p:
    this one, and that of the sampling error of the images, each with its own degrees of freedom. Because both tests
    must find a mean other than zero, a chance finding is no more frequent than with either test alone.

    The training sets of folds overlap, so their results vary less than those of new data would: the variance
    of the mean is s^2 (1 / folds + test / training images) (Nadeau & Bengio, Machine Learning 2003, 52:239-281; for
    repeated folds Bouckaert & Frank, PAKDD 2004).

    Args:
        values: One per fold, of all repeats; None if undefined.
        test_share: Test images divided by the images that trained the weights. Validation images are not counted: they
            choose an epoch and a threshold, but give no gradient, so two folds share less than all images that are not
            tested. With 15 % of validation images the interval is 4.6 % wider than if they were counted.
        bounds: The lowest and highest value of the metric; the interval is cut there.
        spreads: How much the sample of images moves each of the values (`measure_pairs`), None if it is undefined.
        repeats: How often the images were divided, each time into as many folds. The images stay the same, so that
            repeats do not make their sampling error smaller.
        common: What moves all folds alike, so that they do not show it, such as the part of a seed that all folds
            have in common; it is added to the variance of both. The sum can have more degrees of freedom than the folds
            alone (Satterthwaite 1946), so that an interval of few folds can be narrower for it. None for nothing.

    Returns:
        `value`, `low`, `high`, `p` (of a mean of zero: for differences), `folds` and `method` (that of the interval,
        and after "; p from the" that of p where it is the other one), and a `note` where folds were left out;
        undefined (None, with a `reason`) with fewer than two.

    Raises:
        InputError: If the share is not more than 0, a value is NaN or infinite, or there is not a spread for each.

    >>> found = average_folds([0.90, 0.92, 0.88, 0.91, 0.89], test_share=1 / 4)
    >>> round(found["value"], 3), round(found["low"], 4), round(found["high"], 4)
    (0.9, 0.8706, 0.9294)
    """
    if not test_share > 0:
        raise InputError(f"`test_share` must be more than 0. Received: test_share={test_share}.")
    defined = [value for value in values if value is not None]
    if not np.isfinite(defined).all():
        raise InputError(f"`values` must be finite, and None where undefined. Received: values={list(values)}.")
    if spreads is not None and len(spreads) != len(values):
        raise InputError(f"`spreads` must be one per value, {len(values)}. Received: len(spreads)={len(spreads)}.")
    if len(defined) < 2:
        return leave_untested(
            f"It must be defined in two folds or more; of {len(values)} folds, it is defined in {len(defined)}."
        )
    mean, freedom = float(np.mean(defined)), len(defined) - 1
    error = math.sqrt(np.var(defined, ddof=1) * (1 / len(defined) + test_share))
    tests = [_Test(error, freedom, f"corrected resampled t with {freedom} df (Nadeau & Bengio 2003)")]
    if common is not None and common.variance > 0:
        tests = [_add_common(tests[0], common)]
    if spreads is not None:
        kept = [spread for spread, value in zip(spreads, values, strict=True) if value is not None]
        sampling = _add_spreads(kept, repeats)
        if sampling.variance > 0:
            kind = "groups" if sampling.grouped else "images"
            how = f"t with {sampling.freedom:.0f} df (Satterthwaite 1946)"
            words = f"sampling error of the {kind} of {len(kept)} folds, {how}"
            by_images = _Test(math.sqrt(sampling.variance), sampling.freedom, words)
            tests.append(_add_common(by_images, common) if common is not None and common.variance > 0 else by_images)
    half, p, method = _join_tests(tests, mean)
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
    # All repeats use the same images, so they add no degrees of freedom.
    freedom = total**2 / below / repeats if total else math.nan
    grouped = any(spread.grouped for spread in spreads)
    return Spread(total * repeats / count**2, max(freedom, 1.0), 0.0, sum(spread.units for spread in spreads), grouped)


@dataclass(frozen=True)
class _Test:
    """A test of a mean.

    Attributes:
        error: The standard error of the mean.
        freedom: Its degrees of freedom.
        method: What it is called.
    """

    error: float
    freedom: float
    method: str

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval."""
        return t_95(self.freedom) * self.error

    def find_p(self, mean: float) -> float:
        """Return the p-value of a mean of zero; of a mean without error it is 0 or 1."""
        if self.error == 0:
            return 1.0 if mean == 0 else 0.0
        return t_tails(mean / self.error, self.freedom)


def _add_common(test, common) -> _Test:
    """Return a test with the variance that all folds have in common, and the degrees of freedom of the sum."""
    variance = test.error**2 + common.variance
    below = test.error**4 / test.freedom + common.variance**2 / common.freedom
    freedom = variance**2 / below
    how = f"with the variance that all folds have in common: {freedom:.1f} df in all (Satterthwaite 1946)"
    return _Test(math.sqrt(variance), freedom, f"{test.method}, {how}")


def _join_tests(tests: Sequence[_Test], mean: float) -> tuple[float, float, str]:
    """Return half the widest interval, the largest p, and the method; both methods where p is of the other test."""
    first, wide, sure = tests[0], max(tests, key=lambda test: test.half), max(tests, key=lambda test: test.find_p(mean))
    method = wide.method if wide is first else f"{wide.method}, wider than the corrected resampled t"
    p = sure.find_p(mean)
    # Their degrees of freedom differ, so that the test with the narrower interval can have the larger p.
    return wide.half, p, method if p == wide.find_p(mean) else f"{method}; p from the {sure.method}"
