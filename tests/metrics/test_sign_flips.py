"""Intervals of paired proportions by groups, and the test that they belong to."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tlmed.metrics import mcnemar
from tlmed.metrics.sign_flips import bound_difference, bound_share, flip_signs


def draw(rng, groups, sizes, accuracies, alike):
    """Return whether two classifiers are right on images of groups, and the groups; errors of a group are alike."""
    owners = np.repeat(np.arange(groups), rng.choice(sizes, groups))
    shared, own = rng.normal(size=(3, groups))[:, owners], rng.normal(size=(3, len(owners)))
    both = math.sqrt(alike / 2) * shared[0] + math.sqrt((1 - alike) / 2) * own[0]  # hard images are hard for both
    return *(
        both + math.sqrt(alike / 2) * shared[i] + math.sqrt((1 - alike) / 2) * own[i] < stats.norm.ppf(accuracy)
        for i, accuracy in enumerate(accuracies, 1)
    ), owners


def excludes_zero(found):
    return found["low"] > 0 or found["high"] < 0


@pytest.mark.parametrize("groups", [10, 17, 30])
def test_an_interval_by_groups_leaves_out_zero_exactly_where_p_is_below_005(groups):
    rng, shown = np.random.default_rng(groups), []
    for accuracies in itertools.product((0.6, 0.75, 0.9), (0.8, 0.97)):
        for alike in (0.0, 0.5, 0.9):
            for _ in range(8):
                first, second, owners = draw(rng, groups, [1, 2, 3, 8], accuracies, alike)
                found = mcnemar(first, second, [f"p{owner}" for owner in owners])
                assert excludes_zero(found) == (found["p"] < 0.05)
                assert -1 <= found["low"] <= found["value"] <= found["high"] <= 1
                shown.append(found["p"] < 0.05)
    assert 0.05 < np.mean(shown) < 0.95


def test_more_than_a_thousand_discordant_groups_agree_too():
    surplus = np.repeat([1, -1], [1170, 1075])
    found = []
    for more in range(-3, 25):
        totals = np.append(surplus, [2] * max(more, 0) + [-2] * max(-more, 0))
        low, _ = bound_difference(totals, np.full(len(totals), 3))
        assert (low > 0) == (flip_signs(totals) < 0.05)
        found.append(low > 0)
    assert set(found) == {False, True}


@pytest.mark.parametrize(("ups", "downs"), [(8, 2), (5, 5), (3, 0), (40, 17)])
def test_the_share_of_equal_groups_has_the_mid_p_interval_of_a_binomial(ups, downs):
    low, high = bound_share(np.array([2] * ups + [-2] * downs + [0] * 4))
    n = ups + downs
    if low > 0:
        assert stats.binom.sf(ups, n, low) + stats.binom.pmf(ups, n, low) / 2 == pytest.approx(0.025, abs=1e-9)
    if high < 1:
        assert stats.binom.cdf(ups - 1, n, high) + stats.binom.pmf(ups, n, high) / 2 == pytest.approx(0.025, abs=1e-9)
    assert (high == 1) == (downs == 0)


def test_the_share_of_unequal_groups_is_that_of_all_signs():
    totals = np.array([3, 1, 2, -1, 4, -2, 1, 0])
    low, _ = bound_share(totals)
    steps = np.abs(totals[totals != 0])
    ups = np.array(list(itertools.product((0, 1), repeat=len(steps))))
    chances = low ** ups.sum(axis=1) * (1 - low) ** (1 - ups).sum(axis=1)
    sums, seen = ups @ steps, totals[totals > 0].sum()
    assert chances[sums > seen].sum() + chances[sums == seen].sum() / 2 == pytest.approx(0.025, abs=1e-9)


def test_who_is_called_first_turns_the_interval():
    totals, sizes = np.array([2, 1, 0, -1, 3, 1, 0, 0, 1, 2]), np.full(10, 4)
    low, high = bound_difference(totals, sizes)
    assert bound_difference(-totals, sizes) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize("groups", [12, 20])
@pytest.mark.parametrize(("accuracies", "alike"), [((0.9, 0.7), 0.5), ((0.95, 0.95), 0.5), ((0.6, 0.85), 0.9)])
def test_intervals_by_few_groups_cover(groups, accuracies, alike):
    rng, covered, draws = np.random.default_rng(1), 0, 120
    for _ in range(draws):
        first, second, owners = draw(rng, groups, [1, 2, 3, 4, 8], accuracies, alike)
        found = mcnemar(first, second, [f"p{owner}" for owner in owners])
        covered += found["low"] <= accuracies[0] - accuracies[1] <= found["high"]
    assert covered >= 0.92 * draws
