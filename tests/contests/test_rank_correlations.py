import math

import numpy as np
import pytest
from scipy import stats

from tlmed.contests import correlate_ranks
from tlmed.errors import InputError

SIZES = np.array([5, 10, 25, 50, 100, 200, 400, 800, 1600, 3200])
SCORES = np.array([0.70, 0.75, 0.74, 0.80, 0.85, 0.83, 0.86, 0.90, 0.88, 0.91])


def test_value_and_p_are_those_of_scipy_and_the_interval_that_of_bonett_and_wright():
    found, scipy = correlate_ranks(SIZES, SCORES), stats.spearmanr(SIZES, SCORES)
    assert (found.value, found.p) == pytest.approx((scipy.statistic, scipy.pvalue))
    half = 1.959964 * math.sqrt((1 + found.value**2 / 2) / 7)
    assert (found.low, found.high) == pytest.approx([math.tanh(math.atanh(found.value) + s * half) for s in (-1, 1)])


def test_few_points_have_the_exact_p_with_ties():
    sizes, scores = np.array([1, 2, 3, 3, 5, 6]), np.array([0.5, 0.7, 0.6, 0.8, 0.8, 0.9])
    found = correlate_ranks(sizes, scores)
    exact = stats.permutation_test(
        (scores,), lambda x: stats.spearmanr(sizes, x).statistic, permutation_type="pairings", n_resamples=math.inf
    )
    assert found.value == pytest.approx(exact.statistic)
    assert found.p == pytest.approx(exact.pvalue, abs=1e-9)


def test_perfect_order_of_few_sizes_is_not_certain():
    found = correlate_ranks(np.array([5, 10, 25, 50, 100]), np.array([1.0, 2, 3, 4, 5]))
    assert (found.value, found.high) == (1, 1)
    assert found.low < 0.05
    assert found.p == pytest.approx(2 / 120)
    falls = correlate_ranks(np.array([5, 10, 25, 50, 100]), -np.array([1.0, 2, 3, 4, 5]))
    assert (falls.low, falls.high) == pytest.approx((-1, -found.low))


def test_what_has_no_correlation_says_so():
    assert correlate_ranks(SIZES, np.ones(10)).note == "All scores are the same."
    assert correlate_ranks(SIZES[:3], SCORES[:3]).low is None
    with pytest.raises(InputError, match="shapes"):
        correlate_ranks(SIZES, SCORES[:3])


def test_intervals_hold_the_true_correlation():
    rng, true = np.random.default_rng(0), 0.7
    true_ranks, held = 6 / math.pi * math.asin(true / 2), 0  # of a normal distribution (Pearson 1907)
    for _ in range(400):
        x = rng.standard_normal(12)
        found = correlate_ranks(x, true * x + math.sqrt(1 - true**2) * rng.standard_normal(12))
        held += found.low <= true_ranks <= found.high
    assert 0.92 < held / 400 < 0.99
