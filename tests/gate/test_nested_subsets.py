"""Points of a learning curve: nested subsets, folds by owner, the AUC within folds and its variance."""

import numpy as np
import pytest

from tests.gate.test_learning_curves import draw_features
from tlmed.gate.nested_subsets import (
    Question,
    count_repeats,
    list_shares,
    measure_points,
    order_owners,
    rate_within,
)
from tlmed.metrics import binary_auc
from tlmed.metrics.areas import covariance, place


def test_one_fold_has_the_usual_auc_and_its_variance():
    random = np.random.RandomState(0)
    positive, scores = random.rand(80) < 0.4, random.rand(80).round(2)
    area, influences = rate_within(positive, scores, np.zeros(80, int))
    assert area == pytest.approx(binary_auc(positive, scores))
    exact = covariance(positive, place(positive, scores)[None]).item()
    assert (influences**2).sum() == pytest.approx(exact, rel=0.05)
    assert influences.sum() == pytest.approx(0, abs=1e-12)


def test_folds_count_by_their_pairs_and_those_of_one_kind_do_not():
    random = np.random.RandomState(0)
    positive, scores, folds = random.rand(90) < 0.4, random.rand(90), np.repeat([0, 1, 2], [20, 50, 20])
    positive[folds == 2] = False
    pairs = wins = 0
    for row in np.flatnonzero(positive):
        others = (folds == folds[row]) & ~positive
        pairs, wins = pairs + others.sum(), wins + (scores[row] > scores[others]).sum()
    area, influences = rate_within(positive, scores, folds)
    assert area == pytest.approx(wins / pairs)
    assert (influences[folds == 2] == 0).all()


def test_every_beginning_has_whole_owners_and_a_like_share_of_each_class():
    random = np.random.RandomState(0)
    owners = random.randint(0, 100, 400)
    answers = (owners % 5 == 0).astype(int)
    places = order_owners(answers, owners, random)
    assert len(set(zip(owners, places, strict=True))) == len(set(owners)) == places.max() + 1
    for share in (0.2, 0.5):
        first = set(owners[places < share * (places.max() + 1)])
        assert sum(owner % 5 == 0 for owner in first) == pytest.approx(share * 20, abs=1.5)


def test_a_small_class_makes_the_smallest_subset_larger():
    assert list_shares([1000, 1000])[0] == pytest.approx(0.1)
    assert list_shares([1000, 10])[0] == pytest.approx(0.25)
    assert list_shares([5])[0] == pytest.approx(0.5)


def test_more_images_and_questions_are_repeated_less():
    assert [count_repeats(*case) for case in ((100, 1), (5000, 1), (10_000, 1), (10_000, 14))] == [10, 4, 2, 2]


def test_a_head_never_sees_the_owner_that_it_is_tested_on():
    """Labels say nothing, and the images of an owner are equal: a head that had seen one would know the other."""
    random, owners = np.random.RandomState(0), np.arange(400) // 4
    answers = random.randint(0, 2, 100)[owners]
    features = random.standard_normal((100, 60))[owners].astype(np.float32)
    points = measure_points(
        features, [Question(np.arange(400), answers, 2, (1,))], owners, np.array([0.5, 1.0]), 4, random
    )
    assert abs(points.areas.mean(axis=0)[-1] - 0.5) < 0.15
    alone = measure_points(
        features, [Question(np.arange(400), answers, 2, (1,))], np.arange(400), np.array([0.5, 1.0]), 2, random
    )
    assert alone.areas.mean(axis=0)[-1] > 0.85


def test_the_spread_that_is_stated_is_that_of_other_images():
    areas, stated = [], []
    for seed in range(40):
        random, answers = np.random.RandomState(seed), np.arange(200) % 2
        features = draw_features(answers, np.arange(200), random)
        question = Question(np.arange(200), answers, 2, (1,))
        points = measure_points(features, [question], np.arange(200), np.array([0.25, 0.5, 1.0]), 3, random)
        areas.append(points.areas.mean(axis=0)[-1])
        stated.append(np.sqrt(points.tested[-1, -1] + points.drawn[-1, -1] + points.trained))
    assert np.std(areas) == pytest.approx(np.mean(stated), rel=0.3)


def test_images_outside_the_pool_are_only_tested():
    random, answers = np.random.RandomState(0), np.arange(200) % 2
    features = draw_features(answers, np.arange(200), random)
    question, pool = Question(np.arange(200), answers, 2, (1,)), np.arange(200) < 100
    points = measure_points(features, [question], np.arange(200), np.array([0.5, 1.0]), 2, random, pool)
    assert points.sizes[-1] == pytest.approx(80, abs=4)
    assert np.count_nonzero(points.influences[-1]) > 190
