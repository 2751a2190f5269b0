"""Posterior draws of true scores, against sums over a fine grid of all that is unknown."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import beta

from tlmed.contests.true_scores import PRIOR, draw_true_scores


def integrate_group(scores, error):
    """Return how probable the scores of a group are, whatever its mean, by sums over a grid of mean and spread."""
    means = np.linspace(min(scores) - 60 * error, max(scores) + 60 * error, 2001)
    angles = (np.arange(100) + 0.5) / 100 * math.pi / 2
    evidence = 0.0
    for spread in PRIOR * error * np.tan(angles):
        size = math.hypot(spread, error)
        likelihood = np.prod(stats.norm.pdf((np.array(scores)[:, None] - means) / size) / size, axis=0)
        evidence += likelihood.sum() * (means[1] - means[0]) / len(angles)
    return evidence


def test_one_far_below_is_left_out_of_the_group_as_often_as_bayes_rule_says():
    error, scores = 0.01, np.array([0.83, 0.82, 0.74])
    together = integrate_group(scores / error, 1.0) * beta(1, 19 + 3)
    below = (scores[:2].mean() - scores[2]) / error
    apart = integrate_group(scores[:2] / error, 1.0) * stats.halfcauchy.pdf(below, scale=10) * beta(1 + 1, 19 + 2)
    chance = apart / (apart + together)
    assert 0.1 < chance < 0.9

    # In a group of three the third is drawn upwards; left out, it is not: its mean tells how often it was.
    def find_mean(values):
        return float((values[:, :2].mean(1) - values[:, 2]).mean()) / error

    alone = find_mean(draw_true_scores(scores, np.eye(3) * error**2, math.inf, 200_000, seed=0))
    shrunk = shrink_gap(scores / error)
    assert alone == pytest.approx(chance * below + (1 - chance) * shrunk, abs=0.03)


def shrink_gap(scores):
    """Return the posterior mean of the gap of the third below the mean of the others, in a group of three."""
    spreads = PRIOR * np.tan((np.arange(20_000) + 0.5) / 20_000 * math.pi / 2)
    apart = ((scores - scores.mean()) ** 2).sum()
    weights = np.exp(-0.5 * apart / (1 + spreads**2)) / (1 + spreads**2)
    shrink = float(weights @ (spreads**2 / (1 + spreads**2)) / weights.sum())
    return shrink * float(scores[:2].mean() - scores[2])


def test_what_all_have_in_common_changes_no_difference_even_of_those_left_out():
    scores, own = np.array([0.83, 0.70, 0.82, 0.60]), np.diag([1.0, 2.0, 1.5, 1.0]) * 0.01**2
    first = draw_true_scores(scores, own, 60, 40_000, seed=1)
    second = draw_true_scores(scores, own + 0.2**2, 60, 40_000, seed=1)
    for name in (np.mean, np.std):
        np.testing.assert_allclose(name(first - first[:, :1], axis=0), name(second - second[:, :1], axis=0), atol=3e-4)


def test_a_seed_repeats_and_the_order_of_scores_does_not_matter():
    scores, errors = np.array([0.7, 0.9, 0.8]), np.diag([1.0, 2.0, 3.0]) * 0.02**2
    values = draw_true_scores(scores, errors, 30, 500, seed=3)
    turned = draw_true_scores(scores[::-1], errors[::-1, ::-1], 30, 500, seed=3)
    np.testing.assert_allclose(values, turned[:, ::-1])
    assert not np.allclose(values, draw_true_scores(scores, errors, 30, 500, seed=4))
