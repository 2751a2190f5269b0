"""Rates of wrong labels are those that data were drawn with, and none are told where features tell too little."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from tlmed.gate.noise_rates import fit_noise


def draw(n, slope, lost, gained, seed):
    """Return scores, labels and which are wrong, of a logistic curve with rates of wrong labels."""
    random = np.random.RandomState(seed)
    scores = random.normal(size=n)
    truth = random.rand(n) < expit(slope * scores)
    wrong = random.rand(n) < np.where(truth, lost, gained)
    return scores, truth != wrong, wrong


@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.15, 0.08)])
def test_rates_that_data_were_drawn_with_are_found(rates):
    scores, has, wrong = draw(4000, 6, *rates, seed=1)
    found = fit_noise(scores, has, np.arange(4000), 0)
    assert found.told
    assert (found.lost, found.gained) == pytest.approx(rates, abs=0.03)
    low, high = np.percentile(found.expected[1:].sum(1), [2.5, 97.5])
    assert low <= wrong.sum() <= high
    # A probability is a share: of those called wrong with 0.8 and more, at least that many are.
    sure = found.wrong > 0.8
    assert sure.sum() > 100
    assert wrong[sure].mean() > 0.8


def test_the_fit_is_that_of_a_plain_search_for_the_greatest_likelihood():
    scores, has, _ = draw(256, 5, 0.1, 0.1, seed=3)  # as many images as bins
    found = fit_noise(scores, has, np.arange(256), 0, draws=0)
    scaled = (scores - scores.mean()) / scores.std()

    def lose(point):
        level, slope, lost, gained = point
        if not (0 <= lost <= 0.45 and 0 <= gained <= 0.45):
            return 1e9
        chance = np.clip(gained + (1 - gained - lost) * expit(level + np.exp(slope) * scaled), 1e-12, 1 - 1e-12)
        prior = (lost - gained) ** 2 / 0.05**2 / 2
        return prior - np.log(np.where(has, chance, 1 - chance)).sum()

    starts = ([0, 1, 0.05, 0.05], [0, 2, 0.15, 0.15])
    best = min(
        (minimize(lose, start, method="Nelder-Mead", options={"maxiter": 8000}) for start in starts),
        key=lambda one: one.fun,
    )
    assert (found.lost, found.gained) == pytest.approx(best.x[2:], abs=2e-3)


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_clean_labels_of_weak_features_are_not_told_to_be_wrong(slope):
    told = [
        fit_noise(*draw(n, slope, 0, 0, seed)[:2], np.arange(n), 0, draws=0).told
        for n in (120, 800)
        for seed in range(20)
    ]
    assert sum(told) <= 1


def test_labels_that_follow_from_nothing_are_not_told_to_be_wrong():
    random = np.random.RandomState(0)
    # Seven of ten on one side and three of ten on the other: a threshold that is right in 70 % looks like wrong labels.
    scores = random.normal(size=120)
    has = random.rand(120) < np.where(scores > 0, 0.7, 0.3)
    assert not fit_noise(scores, has, np.arange(120), 0, draws=0).told
