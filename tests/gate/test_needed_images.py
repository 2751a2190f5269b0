"""How many test images an interval needs: against published numbers and against drawing tests again and again."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from tlmed.gate.needed_images import (
    Expected,
    correlate_owners,
    count_needed,
    find_width,
    hanley_mcneil,
    simulate_design,
)
from tlmed.metrics import binary_auc

ALONE = np.eye(1)


@pytest.mark.parametrize(("power", "published"), [(0.8, 652), (0.9, 897), (0.95, 1131)])
def test_the_error_gives_the_numbers_of_the_table_of_hanley_and_mcneil(power, published):
    """Table III of the paper: subjects of each kind that tell an AUC of 0.75 from one of 0.70, one-sided 5 %."""
    one, two = (1000 * hanley_mcneil(area, 10**6, 10**6) ** 2 * 1000 for area in (0.70, 0.75))
    root = norm.ppf(0.95) * math.sqrt(2 * one) + norm.ppf(power) * math.sqrt(one + two)
    assert (root / 0.05) ** 2 == pytest.approx(published, rel=0.005)


def test_the_error_is_that_of_exponential_scores():
    random, area = np.random.RandomState(0), 0.8
    odds = area / (1 - area)
    found = [
        binary_auc(np.arange(100) < 30, np.append(random.exponential(odds, 30), random.exponential(1, 70)))
        for _ in range(3000)
    ]
    assert np.std(found) == pytest.approx(hanley_mcneil(area, 30, 70), rel=0.05)


@pytest.mark.parametrize("expected", [Expected(0.9, 0.5), Expected(0.7, 0.1), Expected(0.95, 0.3, 2.5)])
def test_no_image_fewer_would_do(expected):
    needed = count_needed([expected], ALONE, 0.05)
    assert find_width([expected], ALONE, needed) <= 0.05 < find_width([expected], ALONE, needed - 1)


def test_a_mean_of_independent_areas_needs_fewer_images_than_one_of_equal_ones():
    three = [Expected(0.85, 0.3)] * 3
    equal, apart = (count_needed(three, correlations, 0.05) for correlations in (np.ones((3, 3)), np.eye(3)))
    assert equal == count_needed(three[:1], ALONE, 0.05)
    assert apart == pytest.approx(equal / 3, rel=0.02)


def draw_test(groups, sizes, alike, area, random, one_class):
    owners = np.repeat(np.arange(groups), random.choice(sizes, groups))
    flags = (random.rand(groups) < 0.4)[owners] if one_class else random.rand(len(owners)) < 0.4
    common, own = random.standard_normal(groups)[owners], random.standard_normal(len(owners))
    scores = math.sqrt(2) * norm.ppf(area) * flags + math.sqrt(alike) * common + math.sqrt(1 - alike) * own
    return owners, flags, scores


@pytest.mark.parametrize(("alike", "one_class"), [(0.6, True), (0.6, False), (0.0, True)])
def test_groups_need_as_many_images_as_drawing_tests_again_and_again_says(alike, one_class):
    random, sizes, area = np.random.RandomState(0), (1, 2, 8), 0.85
    owners, flags, scores = draw_test(1500, sizes, alike, area, random, one_class)
    found = correlate_owners(scores, flags, owners)
    assert found == pytest.approx(alike, abs=0.07)
    design = simulate_design(area, flags, owners, found, random)
    needed = count_needed([Expected(area, flags.mean(), design)], ALONE, 0.08)
    groups = round(needed / np.mean(sizes))
    areas = []
    for _ in range(400):
        _, flags, scores = draw_test(groups, sizes, alike, area, random, one_class)
        areas.append(binary_auc(flags, scores))
    # Hanley and McNeil's error is for exponential scores; these are normal, which makes up to 10 % of difference.
    assert 2 * 1.96 * np.std(areas) == pytest.approx(0.08, rel=0.15)


def test_single_images_are_not_alike():
    random = np.random.RandomState(0)
    assert correlate_owners(random.rand(50), np.arange(50) % 2 == 0, np.arange(50)) == 0
