"""Temperatures, thresholds, reliability and decision curves do what their definitions say."""

import numpy as np
import pytest

from tests.metrics.test_metrics import draw_case
from tlmed.errors import InputError
from tlmed.metrics import (
    apply_temperature,
    choose_threshold,
    evaluate,
    fit_temperature,
    net_benefit,
    reliability,
    wilson,
)
from tlmed.metrics.calibration import pair
from tlmed.metrics.definitions import make_case, rate
from tlmed.metrics.resampling import draw_weights, widen


def draw_logits(seed, n=8_000, k=3):
    """Draw logits, and labels that follow their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, k))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), chances


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("k", [2, 5])
def test_the_temperature_is_found_again(temperature, k):
    logits, labels, _ = draw_logits(0, k=k)
    assert fit_temperature(logits * temperature, labels, logits=True) == pytest.approx(temperature, rel=0.06)


def test_no_other_temperature_fits_better():
    labels, scores, _ = draw_case(0, n=200)
    found = fit_temperature(scores, labels)

    def loss(temperature):
        return -np.log(apply_temperature(scores, temperature)[np.arange(200), labels]).mean()

    assert 0.25 < found < 10
    assert loss(found) < min(loss(found * 1.02), loss(found / 1.02), loss(1.0))
    again = fit_temperature(apply_temperature(scores, found), labels)
    assert again == pytest.approx(1, abs=1e-6)


def test_probabilities_and_their_logits_have_one_temperature():
    logits, labels, chances = draw_logits(1, n=500)
    assert fit_temperature(3 * logits, labels, logits=True) == pytest.approx(
        fit_temperature(apply_temperature(chances, 1 / 3), labels), abs=1e-9
    )


def test_separable_and_hopeless_scores_stay_within_bounds():
    scores = np.array([[0.8, 0.2], [0.3, 0.7]])
    assert fit_temperature(scores, np.array([0, 1])) == pytest.approx(0.25)
    assert fit_temperature(scores, np.array([1, 0])) == pytest.approx(10)
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert 0.25 <= fit_temperature(sure, np.array([0, 1, 1])) <= 10
    assert np.isfinite(apply_temperature(sure, 0.25)).all()
    with pytest.raises(InputError, match="`scores` must be finite"):
        fit_temperature(np.array([[np.nan, 1.0]]), np.array([0]))


def test_a_temperature_keeps_the_order_and_the_sum():
    _, scores, guesses = draw_case(2, k=5)
    warm = apply_temperature(scores, 3.0)
    np.testing.assert_allclose(warm.sum(axis=1), 1)
    np.testing.assert_array_equal(warm.argmax(axis=1), guesses)
    np.testing.assert_allclose(apply_temperature(scores, 1.0), scores, atol=1e-12)


@pytest.mark.parametrize("k", [2, 4])
def test_the_points_of_the_diagram_make_up_the_calibration_error(k):
    labels, scores, guesses = draw_case(0, n=300, k=k)
    points = reliability(*pair(labels, scores, guesses, 1 if k == 2 else None))
    error = sum(point["n"] * abs(point["share"] - point["confidence"]) for point in points) / 300
    found = evaluate(labels, scores, guesses, list("abcd")[:k], draws=10)["metrics"]["ece"]["value"]
    assert found == pytest.approx(error)
    assert sum(point["n"] for point in points) == 300
    for point in points:
        assert point["from"] <= point["confidence"] <= point["to"]
        assert (point["low"], point["high"]) == wilson(round(point["share"] * point["n"]), point["n"])


def test_calibrated_scores_have_an_interval_from_zero_and_sharpened_ones_have_not():
    _, labels, chances = draw_logits(0, n=600, k=2)
    for temperature, note in ((1.0, True), (0.25, False)):
        scores = apply_temperature(chances, temperature)
        result = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], draws=300)["metrics"]["ece"]
        assert ("note" in result) is note
        assert (result["low"] == 0) is note
        assert result["low"] <= result["value"] <= result["high"]
    # The interval is the percentiles' reflected at the value, which lies below their middle.
    case = make_case(labels, scores, scores.argmax(axis=1), 1)
    (weights,) = draw_weights(np.arange(600), 300, 0, "test")
    drawn = rate(case, weights, ["ece"])[None]["ece"]
    high = np.percentile(drawn, widen(600)[1])
    assert drawn.mean() > result["value"]
    assert result["low"] == pytest.approx(2 * result["value"] - high)
    assert result["high"] == pytest.approx(max(high - drawn.mean() + result["value"], result["value"]))


def list_all(positive, scores):
    """Return every threshold that tells scores apart, with sensitivity and specificity, one by one."""
    found = sorted(set(scores))
    for value in [*found, found[-1] + 1]:
        guess = scores >= value
        yield guess[positive].mean(), (~guess[~positive]).mean()


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", range(4))
def test_rules_choose_the_best_of_all_thresholds(seed, digits):
    labels, scores, _ = draw_case(seed, k=2, digits=digits)
    positive, scores = labels == 1, scores[:, 1]
    every = list(list_all(positive, scores))
    expected = {
        "youden": max(every, key=lambda pair: (round(sum(pair), 12), pair[0])),
        "sensitivity>=0.95": max((pair for pair in every if pair[0] >= 0.95), key=lambda pair: (pair[1], pair[0])),
        "specificity>=0.9": max((pair for pair in every if pair[1] >= 0.9), key=lambda pair: (pair[0], pair[1])),
    }
    for rule, pair_of in expected.items():
        found = choose_threshold(positive, scores, rule)
        guess = scores >= found.value
        reached = guess[positive].mean(), (~guess[~positive]).mean()
        assert reached == pytest.approx((found.sensitivity, found.specificity))
        assert reached == pytest.approx(pair_of), rule
        assert found.rule == rule


def test_a_threshold_lies_between_scores_and_ties_go_to_sensitivity():
    positive = np.array([False, True, False, True])
    found = choose_threshold(positive, np.array([0.2, 0.4, 0.6, 0.8]))
    # From 0.3 on (1, 0.5) and from 0.7 on (0.5, 1) are as good by Youden.
    assert (found.value, found.sensitivity, found.specificity) == (pytest.approx(0.3), 1, 0.5)
    near = np.nextafter(0.5, 1)
    assert choose_threshold(np.array([False, True]), np.array([0.5, near])).value == near


def test_a_target_that_only_one_answer_for_all_meets_is_noted():
    positive = np.array([True, False, False, True])
    lowest = choose_threshold(positive, np.array([0.1, 0.4, 0.6, 0.9]), "sensitivity>=0.95")
    assert (lowest.sensitivity, lowest.specificity) == (1, 0)
    assert lowest.note == "No threshold does better than to predict every image as positive."
    highest = choose_threshold(positive, np.array([0.1, 0.4, 1.0, 0.9]), "specificity>=0.9")
    assert (highest.sensitivity, highest.specificity) == (0, 1)
    assert highest.value > 1
    assert highest.note == "No threshold does better than to predict every image as negative."
    assert choose_threshold(positive, np.array([0.7, 0.4, 0.6, 0.9]), "sensitivity>=1").note is None


@pytest.mark.parametrize(
    "rule", ["Youden", "sensitivity>0.9", "sensitivity>=95", "specificity>=1.5", "f1", "accuracy>=0.9"]
)
def test_an_unknown_rule_and_one_class_are_refused(rule):
    with pytest.raises(InputError) as caught:
        choose_threshold(np.ones(2, bool), np.array([0.5, np.nan]), rule)
    assert [fault.partition(" must ")[0] for fault in caught.value.faults] == ["`rule`", "`positive`", "`scores`"]


def test_net_benefit_is_counted():
    labels, scores, _ = draw_case(1, k=2)
    positive, chance = labels == 1, scores[:, 1]
    curves = net_benefit(positive, chance)
    assert len(curves["thresholds"]) == 99
    for i in (0, 9, 49, 80):
        t = curves["thresholds"][i]
        guess = chance >= t
        hits, false = (guess & positive).sum(), (guess & ~positive).sum()
        assert curves["model"][i] == pytest.approx((hits - false * t / (1 - t)) / len(labels))
        assert curves["all"][i] == pytest.approx(positive.mean() - (~positive).mean() * t / (1 - t))
    assert not curves["none"].any()


def test_net_benefit_at_another_prevalence():
    # Sensitivity 0.9, specificity 0.8, prevalence 0.1, acting from 20 % on: 0.09 - 0.18 / 4.
    positive = np.repeat([True, False], 10)
    chance = np.r_[np.full(9, 0.9), 0.1, np.full(2, 0.9), np.full(8, 0.1)]
    curves = net_benefit(positive, chance, np.array([0.2]), prevalence=0.1)
    assert curves["model"] == pytest.approx([0.09 - 0.18 / 4])
    # A score as high as the threshold is acted on.
    assert net_benefit(positive, chance, np.array([0.9]))["model"] == pytest.approx([9 / 20 - 2 / 20 * 9])
    with pytest.raises(InputError, match="`thresholds` must be from 0 to below 1"):
        net_benefit(positive, chance, np.array([1.0]))
