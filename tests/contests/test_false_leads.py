import math

import numpy as np
import pytest
from scipy import integrate, stats

from tlmed.contests import ScoreErrors, judge_best, measure_split
from tlmed.contests.true_scores import PRIOR
from tlmed.errors import InputError

WHITE = 0.02**2


def test_two_scores_have_the_probability_that_integration_gives():
    found = judge_best(np.array([0.80, 0.83]), ScoreErrors(np.eye(2) * WHITE, math.inf), margin=0.01, draws=200_000)
    apart, error = 0.03 / math.sqrt(2), math.sqrt(WHITE)  # in the direction of the difference, of length 1

    def integrate_over(function):
        def weigh(tau):
            size = math.hypot(tau, error)
            return stats.norm.pdf(apart, scale=size) * stats.halfcauchy.pdf(tau, scale=PRIOR * error) * function(tau)

        return integrate.quad(weigh, 0, 20, points=[0.01, 0.1, 1], limit=200)[0]

    def fall_short(margin):
        def chance(tau):
            shrink = tau**2 / (tau**2 + error**2)
            return stats.norm.cdf(margin / math.sqrt(2), apart * shrink, math.sqrt(shrink) * error)

        return integrate_over(chance) / integrate_over(lambda tau: 1)

    assert found.false == pytest.approx(fall_short(0), abs=0.004)
    assert found.close == pytest.approx(fall_short(0.01), abs=0.004)
    assert found.chances == pytest.approx((found.false, 1 - found.false))


def test_the_same_lead_is_less_sure_the_more_were_tried():
    rng, said = np.random.RandomState(0), []
    for m in (2, 5, 20):
        others = np.linspace(-1, 1, m - 1) * 0.02 + rng.normal(0, 1e-4, m - 1)
        found = judge_best(np.append(others, others.max() + 0.02), ScoreErrors(np.eye(m) * WHITE, math.inf))
        said.append(found.false)
        assert (found.best, found.tried) == (m - 1, m)
        assert sum(found.chances) == pytest.approx(1)
    assert said == sorted(said)
    assert said[-1] > said[0] + 0.1


def test_a_large_lead_is_sure_and_a_failure_far_behind_changes_nothing():
    scores, errors = np.array([0.90, 0.80, 0.79]), ScoreErrors(np.eye(3) * 0.005**2, 60)
    assert judge_best(scores, errors).false < 0.001
    near, ten = np.linspace(0.80, 0.81, 10), np.eye(10) * 0.005**2
    alone = judge_best(near, ScoreErrors(ten, 60))
    failed = judge_best(np.append(near, 0.5), ScoreErrors(np.eye(11) * 0.005**2, 60))
    assert failed.false == pytest.approx(alone.false, abs=0.01)
    assert (failed.within_reach, failed.chances[10]) == (10, 0)


def test_errors_in_common_do_not_count():
    scores = np.array([0.80, 0.81, 0.83])
    apart = judge_best(scores, ScoreErrors(np.eye(3) * 0.01**2, 60))
    common = judge_best(scores, ScoreErrors(np.eye(3) * 0.01**2 + 0.3**2, 60))
    assert common.false == pytest.approx(apart.false, abs=0.01)


@pytest.mark.parametrize("m", [2, 3, 10])
def test_exactly_equal_configurations_are_never_sure(m):
    right = np.tile((np.arange(100) < 90).astype(float), (m, 1, 1))
    draws = right @ np.random.RandomState(0).multinomial(100, np.full(100, 0.01), 200).T / 100
    for step in (0.0, 0.01):
        found = judge_best(right.mean(2)[:, 0], measure_split(right.mean(2), draws, 100, step))
        assert found.false == pytest.approx(1 - 1 / m, abs=0.02)
        assert found.low < 0.001


@pytest.mark.parametrize("top", [1.0, np.inf])
@pytest.mark.parametrize("noise", [0.0, 5e-17])
def test_configurations_that_do_the_same_in_every_cell_share_the_chance(top, noise):
    errors = ScoreErrors(np.eye(2) * noise**2, 2)  # rounding leaves a little of what cancels
    lead = judge_best(np.full(2, 0.3366024539031785), errors, 0.01, top=top)
    assert (lead.chances, lead.false, lead.close, lead.lead) == ((0.5, 0.5), 0.5, 1.0, 0.0)


def test_the_lead_stays_within_the_scale_of_the_score():
    scores, own = np.array([1.0, 0.99, 0.97, 0.6]), np.array([0.0, 0.01, 0.03, 0.24]) / 50
    found = judge_best(scores, ScoreErrors(np.diag(own), 12), margin=0.01, top=1.0)
    assert -1 <= found.low <= found.lead <= found.high <= 1 - 0.97
    # Without `top` nobody knows that nothing is above 1.
    assert judge_best(scores, ScoreErrors(np.diag(own + 1e-3), 12)).high > 1 - 0.97
    assert 0.1 < found.false < 0.5
    with pytest.raises(InputError, match="or less"):
        judge_best(scores, ScoreErrors(np.diag(own), 12), top=0.95)


def test_a_seed_repeats_and_what_cannot_be_judged_is_refused():
    scores, errors = np.array([0.8, 0.81]), ScoreErrors(np.eye(2) * WHITE, 10)
    assert (
        judge_best(scores, errors, seed=1) == judge_best(scores, errors, seed=1) != judge_best(scores, errors, seed=2)
    )
    with pytest.raises(InputError, match="must know an error"):
        judge_best(scores, ScoreErrors(np.ones((2, 2)), 10))
    with pytest.raises(InputError, match="two or more"):
        judge_best(scores[:1], errors)
    with pytest.raises(InputError, match="margin=-1"):
        judge_best(scores, errors, margin=-1)
