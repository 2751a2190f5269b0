"""p-values over many tests."""

import numpy as np
import pytest

from tlmed.gate.significance import _correct, find_significance


def test_step_down_is_that_of_westfall_and_young():
    random = np.random.RandomState(0)
    values = random.randn(6, 2, 200)
    values[0, 0, 0], values[3, 1, 0] = 6, 2.9
    found = _correct(values)
    # Algorithm 2.8 of Westfall and Young (1993), by loops.
    flat = values.reshape(12, 200)
    order, expected, last = np.argsort(-flat[:, 0]), np.empty(12), 0.0
    for place in range(12):
        rest = order[place:]
        last = max(last, np.mean(flat[rest].max(axis=0) >= flat[order[place], 0]))
        expected[order[place]] = last
    np.testing.assert_allclose(found.ravel(), expected)
    assert found[0, 0] == 1 / 200


def make_measure(values, labels):
    def measure(rows):
        taken = labels[rows] - labels.mean()
        return (taken @ values)[None].transpose(2, 0, 1) / len(labels) + 0.5

    return measure


@pytest.mark.parametrize("size", [1, 7])
def test_few_of_many_searches_without_anything_to_find_alarm(size):
    alarms = []
    for seed in range(300):
        random = np.random.RandomState(seed)
        owners = np.repeat(np.arange(30), size)
        labels = random.randint(0, 2, 30)[owners].astype(float)
        values = random.randn(30, 12)[owners] + 0.2 * random.randn(len(owners), 12)  # owners are alike
        found = find_significance(make_measure(values, labels), owners, 199, random)
        alarms.append(found.corrected.min() <= 0.05)
    assert 0.01 <= np.mean(alarms) <= 0.08


def test_a_search_ends_early_only_where_nothing_is_found():
    random = np.random.RandomState(0)
    labels = random.randint(0, 2, 200).astype(float)
    noise = random.randn(200, 10)
    none = find_significance(make_measure(noise, labels), np.arange(200), 999, random)
    noise[:, 4] += 2 * labels
    one = find_significance(make_measure(noise, labels), np.arange(200), 999, random)
    assert (none.permutations, one.permutations) == (99, 999)
    assert one.corrected.ravel().argmin() == 4
    assert one.corrected.min() == one.p.min() == 1 / 1000


def test_no_tests_are_no_fault():
    found = find_significance(lambda rows: np.zeros((0, 1, len(rows))), np.arange(5), 99, np.random.RandomState(0))
    assert found.areas.shape == found.corrected.shape == (0, 1)
