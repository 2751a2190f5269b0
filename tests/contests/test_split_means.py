import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.seed_coverage import Population, cover, draw_seeds, measure
from tlmed.contests import SplitImages, average_seeds, compare_seeds
from tlmed.contests.seed_means import ONE_SEED
from tlmed.contests.split_means import ONE_SPLIT
from tlmed.errors import InputError
from tlmed.metrics import evaluate

RNG = np.random.RandomState


def measure_of(seeds=3, seed=0, area=0.85, units=40, prevalence=0.5, grouped=False, own=0.0):
    """Return entries, moves and test images of seeds that are drawn."""
    population = Population(area, units, prevalence, grouped, own, seeds)
    return measure(*draw_seeds(np.random.default_rng(seed), population))


@pytest.mark.parametrize("area", [0.85, 0.999])
@pytest.mark.parametrize("grouped", [False, True])
def test_seeds_that_agree_have_the_interval_of_a_run(area, grouped):
    (entry, *_), moves, images = measure_of(area=area, grouped=grouped)
    found = average_seeds([entry] * 4, np.repeat(moves[:1], 4, axis=0), images, (0, 1))
    assert (found.value, found.low, found.high) == pytest.approx((entry["value"], entry["low"], entry["high"]))
    assert (found.seed_deviation, found.note) == (0, ONE_SPLIT)
    alone = average_seeds([entry], moves[:1], images, (0, 1))
    assert (alone.low, alone.high) == pytest.approx((entry["low"], entry["high"]))
    assert (alone.seed_deviation, alone.note) == (None, f"{ONE_SPLIT} {ONE_SEED}")


def test_an_interval_of_the_mean_over_classes_is_that_of_its_run_too():
    rng = RNG(0)
    labels = np.arange(90) % 3
    scores = rng.dirichlet(np.ones(3), 90) + np.eye(3)[labels] * 0.3
    scores /= scores.sum(1, keepdims=True)
    entry = evaluate(labels, scores, scores.argmax(1), ["a", "b", "c"], only=["auc"])["metrics"]["auc"]
    found = average_seeds([entry] * 2, np.tile(rng.normal(0, 1e-3, 90), (2, 1)), SplitImages(labels, None, 30), (0, 1))
    assert (found.low, found.high) == pytest.approx((entry["low"], entry["high"]))
    assert found.method.startswith("MOVER of 3 classes")


def test_perfect_seeds_do_not_make_it_sure_and_it_stays_within_the_range():
    entries, moves, images = measure_of(area=0.97, units=18, seed=2)
    perfect = {"value": 1.0, "low": 0.78, "high": 1.0, "method": "Newcombe score"}
    found = average_seeds([perfect, entries[0]], np.stack([0 * moves[0], moves[0]]), images, (0, 1))
    assert entries[0]["value"] < found.value < 1
    # The perfect one is taken to err as the other does, as far as its own bound says.
    assert found.low == pytest.approx((0.78 + entries[0]["low"]) / 2, abs=0.02)
    assert found.value < found.high < 1
    both = average_seeds([perfect] * 2, 0 * moves[:2], images, (0, 1))
    assert (both.low, both.high) == pytest.approx((0.78, 1.0))


def test_what_seeds_do_beyond_images_widens_it():
    (entry, *_), moves, images = measure_of(units=100)
    apart = [entry | {"value": entry["value"] + move} for move in (-0.05, 0, 0.05)]
    same, moved = (
        average_seeds(each, np.repeat(moves[:1], 3, axis=0), images, (0, 1)) for each in ([entry] * 3, apart)
    )
    assert moved.seed_deviation == pytest.approx(0.05)
    assert moved.high - moved.low > 1.3 * (same.high - same.low)
    # By hand: nothing of how seeds differ is that of images, which move all of them alike.
    error = math.sqrt(images.measure(moves[0]).variance + 0.05**2 / 3)
    assert moved.high - moved.low > 2 * 1.9 * error


def test_too_few_groups_give_no_interval_no_difference_and_the_reason():
    entries, moves, images = measure_of(prevalence=0.05, grouped=True, units=40, seed=1)
    said = "Fewer than 5 groups decide, from which no interval follows."
    assert images.units < 5
    assert images.few == said
    found = average_seeds(entries, moves, images, (0, 1))
    assert (found.low, found.high) == (None, None)
    assert found.note == said
    values = np.array([[each["value"]] for each in entries])
    for pair in compare_seeds(values, moves[:, None], images):
        assert (pair.mean.low, pair.mean.p, pair.p_holm) == (None, None, None)
        assert pair.mean.note == said
    enough = measure_of(prevalence=0.5, grouped=True, units=40, seed=1)
    assert average_seeds(*enough, (0, 1)).low is not None
    assert not enough[2].few


def test_differences_are_those_of_paired_images():
    right = RNG(0).random_sample((2, 1, 400)) < np.array([0.8, 0.7])[:, None, None]
    moves = (right - right.mean(2, keepdims=True)) / 400
    pair = compare_seeds(right.mean(2), moves, SplitImages(np.zeros(400, int), None, 400))[0].mean
    expected = stats.ttest_rel(*right[:, 0].astype(float))
    assert pair.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert (pair.low, pair.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    owners = np.arange(400) // 4
    grouped = compare_seeds(right.mean(2), moves, SplitImages(np.zeros(100, int), owners, 100))[0].mean
    sums = (right[0, 0].astype(float) - right[1, 0]).reshape(100, 4).mean(1)
    assert grouped.p == pytest.approx(stats.ttest_1samp(sums, 0).pvalue, rel=0.2)
    with pytest.raises(InputError, match="must be"):
        compare_seeds(right.mean(2), moves[..., :9], SplitImages(np.zeros(400, int), None, 400))


@pytest.mark.slow
@pytest.mark.parametrize("area", [0.85, 0.97])
@pytest.mark.parametrize(("units", "prevalence", "grouped"), [(20, 0.5, False), (100, 0.1, False), (20, 0.5, True)])
@pytest.mark.parametrize("own", [0.0, 0.3])
def test_it_covers(area, units, prevalence, grouped, own):
    assert 0.925 <= cover(Population(area, units, prevalence, grouped, own), 600, seed=5)[0] <= 1
