import numpy as np
import pytest

from tlmed.contests import find_front
from tlmed.errors import InputError


def test_the_front_is_that_of_a_search_over_all_pairs():
    rng = np.random.RandomState(0)
    scores, costs = rng.randint(0, 5, 60) / 5, rng.randint(0, 5, (60, 2))
    ways = np.column_stack([-scores, costs])
    expected = [not any((other <= own).all() and (other < own).any() for other in ways) for own in ways]
    assert find_front(scores, costs).tolist() == expected
    assert 0 < sum(expected) < 60


def test_equal_ones_are_on_the_front_together_and_numbers_must_be_numbers():
    assert find_front(np.array([0.9, 0.9, 0.8]), np.array([1, 1, 1])).tolist() == [True, True, False]
    with pytest.raises(InputError, match="NaN"):
        find_front(np.array([0.9, np.nan]), np.array([1, 2]))
    with pytest.raises(InputError, match="shapes"):
        find_front(np.array([0.9, 0.8]), np.array([1]))
