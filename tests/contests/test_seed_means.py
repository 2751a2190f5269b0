import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tlmed.contests import average_cells, compare_cells, draw_means
from tlmed.errors import InputError
from tlmed.metrics import average_folds, holm
from tlmed.metrics.spreads import Spread


def test_seeds_are_averaged_first_and_the_interval_is_that_of_repeated_folds():
    cells = np.random.RandomState(0).normal(0.8, 0.02, (10, 3))
    cells -= cells.mean(0) - cells.mean()  # no seed has a part of its own
    found, means = average_cells(cells, 1 / 9), cells.mean(1)
    # Bouckaert & Frank 2004, equation 3, by hand: t with k r - 1 degrees of freedom.
    half = stats.t.ppf(0.975, 9) * math.sqrt(means.var(ddof=1) * (1 / 10 + 1 / 9))
    assert (found.value, found.low, found.high) == pytest.approx(
        (means.mean(), means.mean() - half, means.mean() + half)
    )
    assert (found.folds, found.seeds) == (10, 3)
    # More seeds of the same numbers do not make it narrower.
    again = average_cells(np.tile(cells, 4), 1 / 9)
    assert (again.low, again.high) == pytest.approx((found.low, found.high))


def test_deviations_of_folds_and_seeds_are_those_of_the_analysis_of_variance():
    cells = np.random.RandomState(0).normal(0, 0.01, (400, 4)) + np.random.RandomState(1).normal(0, 0.03, (400, 1))
    found = average_cells(cells, 0.25)
    assert found.seed_deviation == pytest.approx(0.01, rel=0.05)
    assert found.fold_deviation == pytest.approx(0.03, rel=0.1)
    assert found.seed_deviation == pytest.approx(math.sqrt(cells.var(axis=1, ddof=1).mean()))
    assert average_cells(cells[:, :1], 0.25).seed_deviation is None


def test_what_a_seed_does_to_all_folds_widens_the_interval():
    rng = np.random.RandomState(0)
    cells = rng.normal(0.8, 0.001, (5, 3)) + np.array([0.05, 0.0, -0.05])
    found, folds_alone = average_cells(cells, 0.25), average_folds(cells.mean(1).tolist(), 0.25)
    by_seeds = stats.sem(cells.mean(0))
    assert folds_alone["high"] - folds_alone["low"] < 0.01
    # Nearly all is the seeds': the interval of a mean of three.
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 2) * by_seeds, rel=0.02)
    # Nearly all of the variance is that of three seeds, so that the sum has their degrees of freedom, and not four.
    assert found.method.endswith(
        ", with the variance that all folds have in common: 2.0 df in all (Satterthwaite 1946)"
    )


def test_an_interval_that_more_degrees_of_freedom_make_narrower_is_not_called_wider():
    folds = [0.3, 0.5, 0.8]
    alone = average_folds(folds, 0.5)
    half, error = (alone["high"] - alone["low"]) / 2, math.sqrt(np.var(folds, ddof=1) * (1 / 3 + 0.5))
    assert half == pytest.approx(stats.t.ppf(0.975, 2) * error)
    added = average_folds(folds, 0.5, common=Spread(0.1 * error**2, 2, 0.0, 3, False))
    freedom = 1.1**2 / (1 / 2 + 0.1**2 / 2)
    own = (added["high"] - added["low"]) / 2
    assert own == pytest.approx(stats.t.ppf(0.975, freedom) * error * math.sqrt(1.1))
    assert own < half
    assert f"{freedom:.1f} df in all" in added["method"]
    assert "wide" not in added["method"]


def test_pairs_use_cells_that_both_have_and_holm_counts_all_pairs():
    scores = np.random.RandomState(0).normal(0.8, 0.02, (3, 5, 3))
    scores[1, 2, 0] = np.nan
    found = compare_cells(scores, 0.25)
    assert [(pair.first, pair.second) for pair in found] == list(itertools.combinations(range(3), 2))
    assert found[0].mean.value == pytest.approx(np.nanmean(scores[0] - scores[1], axis=1).mean())
    assert [pair.p_holm for pair in found] == holm([pair.mean.p for pair in found])
    assert (found[0].mean.seeds, found[1].mean.seeds) == (2, 3)


def test_missing_folds_and_constant_folds_are_said():
    cells = np.full((4, 2), 0.8)
    constant = average_cells(cells, 0.25)
    assert (constant.value, constant.low, constant.p) == (pytest.approx(0.8), None, None)
    assert "same value" in constant.note
    assert average_cells(cells * 0, 0.25).p == 1  # a difference of zero everywhere is no finding
    cells[1], cells[2, 0] = np.nan, 0.7
    found = average_cells(cells, 0.25)
    assert found.folds == 3
    assert found.note.startswith("1 of 4 folds left out")
    assert average_cells(cells[:2], 0.25).low is None
    with pytest.raises(InputError, match="infinite"):
        average_cells(np.array([[np.inf], [1.0]]), 0.25)


def test_images_may_make_the_interval_wider():
    cells = 0.8 + np.random.RandomState(0).normal(0, 0.001, (5, 2))
    found = average_cells(cells, 0.25, spreads=[Spread(0.05**2, 99, 0.0, 100)] * 5)
    assert found.high - found.value == pytest.approx(1.965 * 0.05 / math.sqrt(5), rel=0.01)


def test_groups_are_drawn_together():
    right = np.repeat(np.random.RandomState(0).random_sample((1, 1, 40)) < 0.7, 5, axis=2).astype(float)
    groups = [str(number // 5) for number in range(200)]
    (alone, units), (grouped, patients) = draw_means(right), draw_means(right, groups)
    assert (units, patients) == (200, 40)
    assert grouped.std() / alone.std() == pytest.approx(math.sqrt(5), rel=0.1)
