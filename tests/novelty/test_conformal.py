import itertools

import numpy as np
import pytest

from tlmed.novelty.conformal import Calibration, calibrate, join_judgements, judge_halves


def test_p_values_count_held_out_scores_that_are_as_large():
    random = np.random.RandomState(0)
    known, new = random.randint(0, 20, 60).astype(float), random.randint(-5, 25, 40).astype(float)  # with ties
    expected = [(1 + sum(score >= one for score in known)) / 61 for one in new]
    np.testing.assert_allclose(calibrate(known).judge(new), expected, rtol=1e-12)


def test_p_values_of_groups_are_the_mean_over_all_ways_to_take_one_image_of_each():
    scores, owners = np.array([3.0, 1.0, 5.0, 2.0, 2.5, 4.0]), np.array([7, 7, 7, 2, 5, 5])
    new = np.array([0.0, 1.0, 2.2, 3.0, 4.5, 9.0])
    ways = list(itertools.product(*[scores[owners == owner] for owner in (2, 5, 7)]))
    expected = np.mean([calibrate(np.array(way)).judge(new) for way in ways], axis=0)
    assert len(ways) == 6
    np.testing.assert_allclose(calibrate(scores, owners).judge(new), expected, rtol=1e-9)


def test_rounding_makes_no_p_value_exceed_1_and_none_fall_below_what_it_is():
    for seed in range(50):
        random = np.random.RandomState(seed)
        owners = np.repeat(np.arange(39), random.randint(1, 12, 39))
        scores = random.gamma(2.0, size=len(owners))
        assert calibrate(scores, owners).judge(np.array([-1.0])) == [1.0]
        # Exactly one owner's images are all farther: 2 / 40 is 0.05 and not below it.
        far = np.where(owners == seed % 39, scores + 100, scores)
        assert calibrate(far, owners).judge(np.array([50.0])) == [0.05]
        shares = random.gamma(1.0, size=5)
        assert join_judgements([np.ones(1)] * 5, shares) <= 1


def test_images_that_cannot_be_measured_are_the_most_unusual():
    known = calibrate(np.arange(9.0))
    assert known.judge(np.array([np.nan, np.inf])).tolist() == [0.1, 0.1] == [known.least] * 2


def alarms(draw, judge, seeds):
    """Return the share of images called unusual at 0.05, over draws of held-out and new images."""
    return np.mean([judge(*draw(np.random.RandomState(seed))) < 0.05 for seed in range(seeds)])


def draw_patients(random, patients=30, images=8):
    """Return scores and owners of held-out images, and the score of an image of a new patient: images are alike."""
    sizes = random.randint(1, images, patients)
    owners = np.repeat(np.arange(patients), sizes)
    return (
        random.normal(size=patients)[owners] + 0.3 * random.normal(size=len(owners)),
        owners,
        random.normal(size=1) + 0.3 * random.normal(size=1),
    )


def test_false_alarms_stay_at_their_level_also_where_patients_have_several_images():
    def few(random):
        return draw_patients(random, 8, 60)

    by_owner = alarms(draw_patients, lambda known, owners, new: calibrate(known, owners).judge(new), 600)
    assert 0.01 < by_owner < 0.06
    assert alarms(few, lambda known, owners, new: calibrate(known, owners).judge(new), 100) == 0  # 1 / 9 at least
    # As if all images were independent, p-values are too small.
    assert alarms(few, lambda known, owners, new: calibrate(known).judge(new), 600) > 0.07


def test_halves_judge_each_other_and_keep_owners_whole():
    random = np.random.RandomState(0)
    scores, owners = random.normal(size=400), np.arange(400) // 2
    found = judge_halves(calibrate(scores, owners), seed=3)
    assert found.min() >= 1 / 101
    assert found.max() <= 1
    assert 0.01 < (found < 0.05).mean() < 0.12
    # An image without any other of its half as large gets the least p-value of one half.
    assert found[scores.argmax()] == pytest.approx(1 / 101)
    assert (judge_halves(calibrate(scores, owners), seed=4) != found).any()


def test_joined_p_values_are_weighted_means():
    found = join_judgements([np.array([0.1, 1.0]), np.array([0.4, 0.0])], [1, 3])
    np.testing.assert_allclose(found, [0.325, 0.25])


def test_a_calibration_numbers_owners_itself():
    assert Calibration(np.arange(3.0), np.array([5, 5, 9])).units == 2
    assert calibrate(np.arange(3.0)).units == 3
