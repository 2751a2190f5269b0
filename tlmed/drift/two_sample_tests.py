"""Whether two samples are of one distribution: of scores (Kolmogorov-Smirnov), and of shares of kinds (chi-squared)."""

import warnings
from dataclasses import dataclass

import numpy as np

from tlmed.drift.owned_samples import TwoSamples, share_above

EXPECTED = 5  # rows of each kind that are expected at least, for the chi-squared distribution to hold
DRAWS = 1999


@dataclass(frozen=True)
class Tested:
    """The result of a test of two samples.

    Attributes:
        name: What was tested how, in words.
        statistic: Its statistic.
        p: Its p-value.
    """

    name: str
    statistic: float
    p: float


def compare_scores(first: np.ndarray, second: np.ndarray, samples: TwoSamples, seed: int, draws: int = DRAWS) -> Tested:
    """Test whether scores of two samples have one distribution, by Kolmogorov and Smirnov.

    Where patients have several rows, the statistic is of the mean of the patients' distributions, and its p-value by
    dealing whole patients to the two samples at random.

    Args:
        first: float [n].
        second: float [m].
        samples: Whose the rows are.
        seed: Decides the draws.
        draws: How often patients are dealt.

    >>> half = np.linspace(0, 1, 20)
    >>> compare_scores(half, half + 0.6, TwoSamples(np.arange(20), np.arange(20)), 0).p < 0.01
    True
    """
    if samples.are_single:
        from scipy.stats import ks_2samp  # here, because a command should not wait for this slow import

        with warnings.catch_warnings():  # where its exact way fails, the asymptotic one is as good with so many rows
            warnings.filterwarnings("ignore", "ks_2samp: Exact calculation unsuccessful", RuntimeWarning)
            found = ks_2samp(first, second)
        return Tested("Kolmogorov-Smirnov", float(found.statistic), float(found.pvalue))
    values = np.concatenate([first, second])
    order = np.argsort(values, kind="stable")
    # Only after the last of equal values both distributions are complete.
    ends = np.flatnonzero(np.append(np.diff(values[order]) > 0, True))
    owners, weights = samples.owners[order], samples.weights[order]

    def measure(dealt: np.ndarray) -> np.ndarray:
        n, m = samples.amounts
        steps = np.where(dealt, 1 / n, -1 / m)[:, owners] * weights
        return np.abs(np.cumsum(steps, axis=1)[:, ends]).max(axis=1)

    observed = float(measure((np.arange(sum(samples.amounts)) < samples.amounts[0])[None])[0])
    p = share_above([measure(dealt) for dealt in samples.deal(draws, seed)], observed)
    return Tested("Kolmogorov-Smirnov by groups", observed, p)


def compare_shares(first: np.ndarray, second: np.ndarray, samples: TwoSamples, seed: int, draws: int = DRAWS) -> Tested:
    """Test whether kinds, such as predicted classes, are as frequent in one sample as in the other, by chi-squared.

    Where patients have several rows, or a kind is rare, the p-value is by dealing patients, or rows, at random.

    Args:
        first: The kind of each row, int [n], from 0.
        second: Likewise, int [m].
        samples: Whose the rows are.
        seed: Decides the draws.
        draws: How often patients are dealt.

    >>> kinds = np.repeat([0, 1], 50)
    >>> round(compare_shares(kinds, kinds[20:], TwoSamples(np.arange(100), np.arange(80)), 0).p, 3)
    0.094
    """
    kinds = np.concatenate([first, second])
    amount = int(kinds.max()) + 1
    shares = np.zeros((sum(samples.amounts), amount))
    np.add.at(shares, (samples.owners, kinds), samples.weights)
    totals, owners = shares.sum(0), len(shares)
    shares, totals = shares[:, totals > 0], totals[totals > 0]

    def measure(dealt: np.ndarray) -> np.ndarray:
        here = dealt.astype(float) @ shares
        expected = dealt.sum(1, keepdims=True) * totals / owners
        there = owners - dealt.sum(1, keepdims=True)
        return ((here - expected) ** 2 * (1 / expected + owners / (there * totals))).sum(1)

    observed = float(measure((np.arange(owners) < samples.amounts[0])[None])[0])
    if len(totals) == 1:
        return Tested("Chi-squared", 0.0, 1.0)
    if samples.are_single and min(samples.amounts) * totals.min() / owners >= EXPECTED:
        from scipy.special import chdtrc  # here, because a command should not wait for this slow import

        return Tested("Chi-squared", observed, float(chdtrc(len(totals) - 1, observed)))
    p = share_above([measure(dealt) for dealt in samples.deal(draws, seed)], observed)
    how = "permuted" if samples.are_single else "by groups"
    return Tested(f"Chi-squared, {how}", observed, p)
