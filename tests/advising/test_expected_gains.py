"""What a kind of training gained on other images, against the same computed by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.advising.experience_rows import make_row
from tlmed.advising.expected_gains import ExpectedGain, expect_gain, expect_improvement, weigh_gain
from tlmed.advising.experience import read_experience
from tlmed.advising.nearest_sets import find_nearest

NEW = make_row().fingerprint


def make_gains(gains, **changes):
    """Return a probe and a training of all layers for each set."""
    rows = []
    for name, gain in gains.items():
        rows.append(make_row(set=name, score=0.8, spread=0.0, **changes))
        rows.append(
            make_row(set=name, kind="all-layers", recipe="lp_ft", score=0.8 + gain, probe=0.8, spread=0.0, **changes)
        )
    return rows


def test_an_expected_gain_is_the_mean_over_sets_with_the_interval_of_one_more():
    gains = np.array([0.03, -0.01, 0.02, 0.05])
    found = expect_gain(make_gains(dict(zip("abcd", gains.tolist(), strict=True))), NEW, "all-layers")
    half = stats.t.ppf(0.975, 3) * gains.std(ddof=1) * math.sqrt(1 + 1 / 4)
    assert (found.mean, found.low, found.high) == pytest.approx(
        (gains.mean(), gains.mean() - half, gains.mean() + half)
    )
    assert (found.sets, found.rows) == (4, 8)
    by_recipe = expect_gain(
        make_gains(dict(zip("abcd", gains.tolist(), strict=True))), NEW, "lp_ft", "feature_extractor"
    )
    assert by_recipe == found


def test_thawed_blocks_count_together_however_many_they_are():
    thawed = [("thaw1", 0.82, "a"), ("thaw2", 0.84, "a"), ("thawing", 0.81, "b"), ("adapters", 0.99, "b")]
    rows = make_gains({"a": 0.05, "b": 0.03})
    rows += [make_row(set=name, kind=kind, recipe=kind, score=score) for kind, score, name in thawed]
    found = expect_gain(rows, NEW, "lp_ft", "thaw")
    assert found.mean == pytest.approx(np.mean([0.85 - 0.83, 0.83 - 0.81]))
    assert found.sets == 2


def test_few_sets_tell_little_and_none_nothing():
    one, two = make_gains({"a": 0.03}), make_gains({"a": 0.03, "b": 0.01})
    assert (expect_gain(one, NEW, "all-layers").low, expect_gain(one, NEW, "all-layers").high) == (-1.0, 1.0)
    found = expect_gain(two, NEW, "all-layers")
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 1) * math.sqrt(0.0002 * 1.5))
    nothing = expect_gain(two, NEW, "adapters")
    assert (nothing.mean, nothing.low, nothing.high, nothing.sets, nothing.rows) == (None, -1.0, 1.0, 0, 0)
    assert expect_gain(two, NEW, "all-layers", metric="accuracy").mean is None


def test_sets_that_agree_by_chance_leave_the_chance_within_each():
    rows = make_gains(dict.fromkeys("abcde", 0.02))
    assert expect_gain(rows, NEW, "all-layers").high == pytest.approx(0.02)
    noisy = [make_row(**{**vars(row), "spread": 0.06, "runs": 4}) for row in rows]
    half = stats.t.ppf(0.975, 4) * 0.03 * math.sqrt(1 + 1 / 5)
    assert expect_gain(noisy, NEW, "all-layers").high == pytest.approx(0.02 + half)


def test_a_set_on_which_a_gain_is_mostly_luck_does_not_decide():
    gains, spreads = {"a": 0.004, "b": 0.006, "c": -0.09}, {"a": 0.01, "b": 0.01, "c": 0.3}
    rows = [make_row(**{**vars(row), "spread": spreads[row.set], "runs": 4}) for row in make_gains(gains)]
    assert expect_gain(rows, NEW, "all-layers").mean == pytest.approx(0.005, abs=0.0005)
    # Hedges 1983: the variance between sets by moments, and each set by the inverse of both variances.
    gains["c"] = -0.4
    rows = [make_row(**{**vars(row), "spread": spreads[row.set], "runs": 4}) for row in make_gains(gains)]
    values, noises = np.array(list(gains.values())), np.square(list(spreads.values())) / 4
    between = values.var(ddof=1) - noises.mean()
    assert between > 0
    by_hand = np.average(values, weights=1 / (between + noises))
    assert expect_gain(rows, NEW, "all-layers").mean == pytest.approx(by_hand)
    # Rows without a spread, as an advice contributes them, are taken for the least certain.
    alone = [make_row(**{**vars(row), "spread": None, "runs": 1}) for row in make_gains({"d": 0.5})]
    expected = np.average(
        [*values, 0.5],
        weights=1 / (np.var([*values, 0.5], ddof=1) - np.mean([*noises, noises[2]]) + np.array([*noises, noises[2]])),
    )
    assert expect_gain(rows + alone, NEW, "all-layers").mean == pytest.approx(expected)


def test_a_gain_is_measured_with_the_same_network_size_and_images_alone():
    rows = [*make_gains({"a": 0.02, "b": 0.02}), make_row(set="a", image_size="224x224", score=0.1)]
    rows += [make_row(set="c", kind="all-layers", backbone="VGG16", score=0.99, probe=None)]
    assert expect_gain(rows, NEW, "all-layers").mean == pytest.approx(0.02)
    rows += [make_row(set="c", kind="all-layers", backbone="VGG16", image_size="48x48", score=0.9, probe=0.7)]
    assert expect_gain(rows, NEW, "all-layers").sets == 3  # the score of its probe stands beside it
    assert expect_gain(rows, NEW, "all-layers", backbone="VGG16").mean == pytest.approx(0.2)
    assert expect_gain(rows, NEW, "all-layers", backbone="VGG16=bsds500").mean is None


def test_the_sets_that_are_alike_count_most():
    far = {"images": 90_000, "classes": 40, "gray": False, "modality": "photography"}
    rows = make_gains({"a": 0.0, "b": 0.01, "d": 0.02}) + make_gains({"c": 0.3}, **far)
    found = expect_gain(rows, NEW, "all-layers")
    weights = {each.name: each.weight for each in find_nearest(rows, NEW)}
    assert weights["c"] < 0.3 * weights["a"]
    assert found.mean == pytest.approx(np.average([0, 0.01, 0.02, 0.3], weights=[weights[name] for name in "abdc"]))


def test_the_shipped_table_knows_of_five_sets_or_more_what_all_layers_gained():
    assert expect_gain(read_experience(), NEW, "all-layers").sets >= 5


@pytest.mark.parametrize(("mean", "spread", "noise"), [(0.0, 0.05, 0.05), (-0.02, 0.05, 0.02), (0.03, 0.02, 0.1)])
def test_what_a_trial_is_worth_is_what_following_it_gives_on_average(mean, spread, noise):
    draws = np.random.default_rng(3)
    true = draws.normal(mean, spread, 200_000)
    measured = true + draws.normal(0, noise, len(true))
    expected = ExpectedGain(mean, mean - 1.959964 * spread, mean + 1.959964 * spread, 5, 20)
    followed = weigh_gain(measured, noise, expected) > 0
    assert expect_improvement(expected, noise) == pytest.approx(np.where(followed, true, 0).mean(), abs=5e-4)
