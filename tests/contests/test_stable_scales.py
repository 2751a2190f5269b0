"""The root of what is missed, against simulated counts of mistakes."""

import numpy as np
import pytest

from tlmed.contests.stable_scales import stabilise


def test_errors_are_as_large_as_those_of_simulated_counts_near_the_top_and_far_from_it():
    rng, n = np.random.default_rng(0), 100
    true = np.array([0.98, 0.95, 0.9, 0.8])
    values, sizes = [], []
    for counts in rng.binomial(n, 1 - true, (2000, 4)):
        missed = counts / n
        scale = stabilise(1 - missed, np.diag(missed * (1 - missed) / n), top=1.0)
        values.append(scale.values)
        sizes.append(np.diag(scale.covariance))
    ratios = np.mean(sizes, axis=0) / np.var(values, axis=0)
    np.testing.assert_allclose(ratios[1:], 1, atol=0.15)
    assert 0.65 < ratios[0] < 1  # of two mistakes


def test_the_error_of_a_perfect_score_is_not_nothing_and_not_more_than_that_of_others():
    missed = np.array([0.0, 0.04, 0.08])
    sizes = np.diag(stabilise(1 - missed, np.diag(missed / 100), top=1.0).covariance)
    assert 0.3 < sizes[0] / sizes[2] < 1


def test_the_way_back_ends_at_the_highest_score():
    scores = np.array([1.0, 0.97, 0.5])
    scale = stabilise(scores, np.diag([0.0, 0.03, 0.25]) / 100, top=1.0)
    np.testing.assert_allclose(scale.restore(scale.values), scores)
    assert (np.diff(scale.values) < 0).all()
    assert scale.restore(np.array([-0.01, 0.0, 3.0])).tolist() == [1.0, 1.0, 1.0]


def test_errors_in_common_stay_in_common():
    covariance = 0.03 / 100 * (0.5 + 0.5 * np.eye(3))
    found = stabilise(np.full(3, 0.97), covariance, top=1.0).covariance
    assert found[0, 1] / found[0, 0] == pytest.approx(0.5)


def test_all_perfect_have_an_error():
    assert (np.diag(stabilise(np.ones(2), np.eye(2) * 0.002**2, top=1.0).covariance) > 0).all()
