import itertools

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from tlmed.drift.owned_samples import TwoSamples, share_above
from tlmed.drift.stability_index import measure_stability, population_stability
from tlmed.drift.two_sample_tests import compare_scores, compare_shares


def single(n, m):
    return TwoSamples(np.arange(n), np.arange(m))


@pytest.mark.parametrize(("n", "m", "shift"), [(40, 30, 0.0), (40, 30, 0.8), (300, 500, 0.1), (7, 9, 1.0)])
def test_scores_are_compared_as_scipy_does(n, m, shift):
    random = np.random.RandomState(n)
    first, second = random.normal(size=n).round(1), (random.normal(size=m) + shift).round(1)  # with ties
    found, expected = compare_scores(first, second, single(n, m), 0), ks_2samp(first, second)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_dealing_patients_of_one_image_gives_the_p_value_of_scipy(shift):
    random = np.random.RandomState(0)
    first, second = random.normal(size=60), random.normal(size=50) + shift
    # One patient of two equal images makes rows depend on each other, but hardly.
    samples = TwoSamples(np.append(np.arange(60), 59), np.arange(50))
    found = compare_scores(np.append(first, first[-1]), second, samples, 0, 4999)
    expected = ks_2samp(first, second)
    assert found.name.endswith("by groups")
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)  # the patient counts once
    assert found.p == pytest.approx(expected.pvalue, abs=4 * np.sqrt(0.25 / 5000))


@pytest.mark.parametrize("shares", [(0.2, 0.3, 0.5), (0.5, 0.3, 0.2)])
def test_shares_are_compared_as_scipy_does(shares):
    random = np.random.RandomState(1)
    first, second = random.choice(3, 200, p=(0.2, 0.3, 0.5)), random.choice(3, 100, p=shares)
    found = compare_shares(first, second, single(200, 100), 0)
    table = np.array([np.bincount(part, minlength=3) for part in (first, second)])
    expected = chi2_contingency(table, correction=False)
    assert found.name == "Chi-squared"
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)


def test_rare_kinds_are_dealt_out():
    first, second = np.repeat([0, 1], [58, 2]), np.repeat([0, 1], [30, 10])
    found = compare_shares(first, second, single(60, 40), 0, 9999)
    table = np.array([[58, 2], [30, 10]])
    assert found.statistic == pytest.approx(chi2_contingency(table, correction=False).statistic)
    # As extreme by chi-squared are tables with at most 2, or at least 12, of the 12 in the first sample.
    from scipy.stats import hypergeom

    rare = hypergeom(100, 12, 60)
    statistics = [chi2_contingency([[60 - k, k], [28 + k, 12 - k]], correction=False).statistic for k in range(13)]
    exact = sum(rare.pmf(k) for k in range(13) if statistics[k] >= found.statistic - 1e-9)
    assert found.name == "Chi-squared" or found.p == pytest.approx(exact, abs=0.003)
    assert compare_shares(first * 0, second * 0, single(60, 40), 0).p == 1


def count_false_alarms(compare, draw, draws=400):
    return np.mean([compare(*draw(np.random.RandomState(seed)), seed) < 0.05 for seed in range(draws)])


def draw_patients(random):
    """Return two samples of 12 patients with 10 alike images each, of one distribution, and whose they are."""
    owners = np.repeat(np.arange(12), 10)
    first, second = (random.normal(size=12)[owners] + 0.3 * random.normal(size=120) for _ in range(2))
    return first, second, owners


def test_patients_with_several_images_give_no_false_alarms():
    def by_groups(first, second, owners, seed):
        return compare_scores(first, second, TwoSamples(owners, owners), seed, 99).p

    def as_if_independent(first, second, owners, seed):
        return compare_scores(first, second, single(120, 120), seed).p

    assert count_false_alarms(by_groups, draw_patients, 200) < 0.09
    assert count_false_alarms(as_if_independent, draw_patients, 100) > 0.3

    def classes(first, second, owners, seed):
        kinds = (first > 0).astype(int), (second > 0).astype(int)
        return compare_shares(*kinds, TwoSamples(owners, owners), seed, 99).p

    assert count_false_alarms(classes, draw_patients, 200) < 0.09


def test_the_index_is_the_sum_over_bins():
    random = np.random.RandomState(2)
    first, second = random.rand(500), random.rand(300) ** 2
    edges = np.quantile(first, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        f = (((first > low) & (first <= high)).sum() + 0.5) / 505
        s = (((second > low) & (second <= high)).sum() + 0.5) / 305
        expected += (s - f) * np.log(s / f)
    assert population_stability(first, second) == pytest.approx(expected, rel=1e-12)
    assert population_stability(np.ones(30), np.ones(20)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(400, 400), (150, 60)])
def test_the_index_by_chance_is_that_of_yurdakul_and_naranjo(n, m):
    from scipy.stats import chi2

    random = np.random.RandomState(3)
    found = measure_stability(random.rand(n), random.rand(m), single(n, m), 0)
    assert found.by_chance == pytest.approx((1 / n + 1 / m) * chi2(9).ppf(0.95), rel=0.25)
    moved = measure_stability(random.rand(n), random.rand(m) * 0.6, single(n, m), 0)
    assert (moved.verdict, moved.p) == ("large", 1 / 200)


def test_with_few_rows_the_index_is_large_by_chance_and_is_not_called_so():
    random = np.random.RandomState(4)
    found = [measure_stability(random.rand(100), random.rand(30), single(100, 30), seed) for seed in range(20)]
    assert np.mean([one.value > 0.25 for one in found]) > 0.5
    assert np.mean([one.verdict in ("large", "moderate") for one in found]) < 0.2
    assert "by chance as large" in {one.verdict for one in found}


def test_p_values_of_draws_count_the_sample_itself():
    assert share_above([np.array([1.0, 2.0, 3.0])], 2.0) == 0.75
    assert share_above([np.array([0.0])], 2.0) == 0.5
