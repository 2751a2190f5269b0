"""The band of a ROC curve holds the curve, has a width everywhere, and covers the truth as often as it says."""

import numpy as np
import pytest
from scipy.stats import norm

from tlmed.metrics import roc_curve, wilson
from tlmed.metrics.bands import roc_band

RATES = np.linspace(0, 1, 101)


def draw(n, share, distance, seed=0):
    rng = np.random.default_rng(seed)
    positive = np.arange(n) < share * n
    return positive, rng.standard_normal(n) + distance * positive


@pytest.mark.parametrize("distance", [0, 1.5, 20])
def test_a_band_holds_its_curve_and_rises_with_it(distance):
    positive, scores = draw(80, 0.3, distance)
    low, high = roc_band(positive, scores, RATES)
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    assert 0 <= low.min() <= high.max() <= 1
    false, true = roc_curve(positive, scores)
    at_low, at_high = roc_band(positive, scores, false)
    assert (at_low <= true).all()
    assert (true <= at_high).all()


def test_a_perfect_curve_has_a_band_with_a_width():
    positive, scores = np.arange(50) >= 25, np.arange(50.0)
    low, high = roc_band(positive, scores, np.array([0.5]))
    assert low[0] == pytest.approx(wilson(25, 25)[0], abs=1e-12)  # far from the corner, that of the sensitivity alone
    assert high[0] == 1


def test_without_any_false_positive_rate_to_move_it_is_wilsons_interval():
    # So many negatives that the rate is known: what is left is the error of the sensitivity.
    positive = np.r_[np.ones(40, bool), np.zeros(400_000, bool)]
    scores = np.r_[np.linspace(0.501, 0.999, 40), np.linspace(0, 1, 400_000)]
    low, high = roc_band(positive, scores, np.array([0.25]))
    expected = wilson(np.count_nonzero(scores[:40] > 0.75), 40)
    np.testing.assert_allclose([low[0], high[0]], expected, atol=0.01)


def test_images_of_groups_tell_less():
    positive, scores = draw(120, 0.5, 1.5)
    owners = np.r_[np.arange(60) // 6, 10 + np.arange(60) // 6]
    alike = scores - scores + np.random.default_rng(1).standard_normal(20)[owners] + 1.5 * positive
    alone, together = (roc_band(positive, alike + 1e-6 * scores, RATES, groups) for groups in (None, owners))
    assert (together[1] - together[0]).mean() > 1.5 * (alone[1] - alone[0]).mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "share", "distance"), [(60, 0.3, 1.5), (117, 0.33, 1.0), (117, 0.1, 2.0), (400, 0.5, 1.5), (400, 0.1, 2.5)]
)
def test_a_band_covers_the_truth(n, share, distance):
    at = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8])
    true = norm.sf(norm.isf(at) - distance)
    covered = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        positive = rng.random(n) < share
        low, high = roc_band(positive, rng.standard_normal(n) + distance * positive, at)
        covered.append((low <= true) & (true <= high))
    assert np.mean(covered, axis=0).min() >= 0.945
    assert np.mean(covered) <= 0.99
