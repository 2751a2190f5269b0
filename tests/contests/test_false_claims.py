"""Studies whose truth is known: few of equal configurations find a difference, and stated probabilities come true."""

import numpy as np
import pytest

from benchmarks.false_claims import KINDS, count_nothing, judge_studies, list_bins


def test_few_studies_of_equal_configurations_find_a_difference():
    found = count_nothing(20, seed=0)
    assert len(found) == 7
    assert max(found.values()) <= 0.2  # 4 of 20: at 7 % each, one list in 20 has more


@pytest.mark.slow
def test_at_most_seven_percent_of_studies_of_equal_configurations_find_a_difference():
    assert max(count_nothing(500, seed=1).values()) <= 0.07


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stated_of_the_best_is_about_right(kind):
    found = judge_studies(kind, 60, seed=0, draws=200)
    assert abs(found[:, 0].mean() - found[:, 1].mean()) < 0.15  # of 60 studies two and a half standard errors


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_stated_probabilities_come_true(kind):
    found = judge_studies(kind, 4000, seed=0)
    assert abs(found[:, 0].mean() - found[:, 1].mean()) < 0.02
    for said, was, number in list_bins(found):
        chance = 3 * np.sqrt(said * (1 - said) / number)
        assert abs(said - was) < 0.02 + chance, (said, was, number)
