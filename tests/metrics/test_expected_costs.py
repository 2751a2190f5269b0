"""What errors cost, and which answer costs least."""

import numpy as np
import pytest
import sklearn.metrics

from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import LogitAdjustment
from tlmed.metrics import apply_temperature, wilson
from tlmed.metrics.decision_rules import (
    fill_costs,
    find_cutoff,
    name_costs,
    predict_adjusted,
    predict_cheapest,
    uncalibrate,
)
from tlmed.metrics.expected_costs import COST_METRICS, costs_at_prevalence, measure_costs

THREE = np.array([[0.0, 1.0, 2.5], [10.0, 0.0, 10.0], [3.0, 4.0, 0.0]])


def draw(seed=0, n=200, classes=3):
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=n)
    return labels, np.where(random.random(n) < 0.7, labels, random.integers(classes, size=n))


def test_values_are_those_of_the_confusion_matrix():
    labels, guesses = draw()
    found = measure_costs(labels, guesses, THREE)
    confusion = sklearn.metrics.confusion_matrix(labels, guesses, normalize="all")
    expected = (confusion * THREE).sum()
    constant = min((confusion.sum(axis=1) * THREE[:, answer]).sum() for answer in range(3))
    assert found["expected_cost"]["value"] == pytest.approx(expected, abs=1e-12)
    assert found["normalised_expected_cost"]["value"] == pytest.approx(expected / constant, abs=1e-12)


def test_equal_costs_give_the_share_of_errors_with_its_own_interval():
    labels, guesses = draw(1)
    found = measure_costs(labels, guesses, 1 - np.eye(3))["expected_cost"]
    errors = 1 - sklearn.metrics.accuracy_score(labels, guesses)
    assert found["value"] == pytest.approx(errors, abs=1e-12)
    assert (found["low"], found["high"]) == pytest.approx(wilson(round(errors * 200), 200), abs=1e-9)


def test_units_of_cost_change_only_the_expected_cost():
    labels, guesses = draw(2)
    once, tenfold = (measure_costs(labels, guesses, costs) for costs in (THREE, 10 * THREE))
    for end in ("value", "low", "high"):
        assert tenfold["expected_cost"][end] == pytest.approx(10 * once["expected_cost"][end])
        assert tenfold[COST_METRICS[1]][end] == pytest.approx(once[COST_METRICS[1]][end])


def test_the_best_constant_answer_costs_one_and_an_error_that_did_not_happen_is_possible():
    labels = np.array([0] * 30 + [1] * 10)
    costs = np.array([[0.0, 1.0], [20.0, 0.0]])
    found = measure_costs(labels, np.ones(40, int), costs)
    assert found["normalised_expected_cost"]["value"] == 1
    right = measure_costs(labels, labels, costs)
    assert right["expected_cost"]["value"] == right["expected_cost"]["low"] == 0
    assert right["expected_cost"]["high"] > 20 * 0.05  # Wilson's upper bound of 0 of 40 is 0.088


def test_one_class_leaves_the_ratio_open_and_few_groups_leave_intervals_open():
    labels = np.zeros(20, int)
    found = measure_costs(labels, labels, 1 - np.eye(2))["normalised_expected_cost"]
    assert found["value"] is None
    assert found["reason"] == "To give every image of the split the same answer costs nothing."
    labels, guesses = draw(3, 20, 2)
    entries = measure_costs(labels, guesses, 1 - np.eye(2), np.arange(20) // 5)
    for entry in entries.values():
        assert entry["value"] is not None
        assert entry["low"] is None
        assert entry["note"] == "Fewer than 10 groups, from which no interval follows."


def test_groups_widen_the_interval():
    labels, guesses = (np.repeat(column, 5) for column in draw(4, 40, 2))
    costs = np.array([[0.0, 1.0], [5.0, 0.0]])
    alone, grouped = (measure_costs(labels, guesses, costs, owners) for owners in (None, np.arange(200) // 5))
    for name in COST_METRICS:
        assert alone[name]["value"] == grouped[name]["value"]
        assert grouped[name]["high"] - grouped[name]["low"] > 1.5 * (alone[name]["high"] - alone[name]["low"])
        assert "groups" in grouped["expected_cost"]["method"]


def test_at_the_share_of_the_images_the_cost_is_that_on_the_images():
    labels, guesses = draw(5, 300, 2)
    costs = np.array([[0.0, 1.0], [8.0, 0.0]])
    there, here = measure_costs(labels, guesses, costs), costs_at_prevalence(labels, guesses, (8, 1), labels.mean())
    for name in COST_METRICS:
        assert here[name]["value"] == pytest.approx(there[name]["value"], abs=1e-12)
        assert here[name]["low"] < here[name]["value"] < here[name]["high"]
    free = costs_at_prevalence(labels, guesses, (8, 0), 0.5)["normalised_expected_cost"]
    assert (free["value"], free["reason"]) == (None, "To give every image the same answer costs nothing.")
    grouped = costs_at_prevalence(labels, guesses, (8, 1), 0.5, np.arange(300) // 60)["expected_cost"]
    assert (grouped["low"], grouped["note"][:7]) == (None, "A class")


@pytest.mark.parametrize(
    ("costs", "prevalence", "said"), [((1, 1), 1.0, "`prevalence` must be"), ((-1, 1), 0.5, "`costs` must be two")]
)
def test_what_is_no_cost_or_no_share_is_refused(costs, prevalence, said):
    with pytest.raises(InputError, match=said):
        costs_at_prevalence([0, 1], [0, 1], costs, prevalence)


@pytest.mark.parametrize(
    "costs", [[[0.0, -1.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]], [[0, np.inf], [1, 0]], [[0, 1]]]
)
def test_other_tables_are_refused(costs):
    for call in (lambda: measure_costs([0, 1], [0, 1], np.array(costs)), lambda: predict_cheapest(np.eye(2), costs)):
        with pytest.raises(InputError, match="`costs` must be a square table"):
            call()


def test_the_cheapest_answer_is_found_by_trying_all():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 300)
    expected = [
        min(range(3), key=lambda guess: sum(row[true] * THREE[true, guess] for true in range(3)))
        for row in probabilities
    ]
    assert predict_cheapest(probabilities, THREE).tolist() == expected
    assert predict_cheapest(probabilities, 1 - np.eye(3)).tolist() == probabilities.argmax(axis=1).tolist()


@pytest.mark.parametrize("ratio", [0.0, 0.2, 1, 9, 10, 99])
@pytest.mark.parametrize("temperature", [0.25, 0.7, 1.0, 2.3, 10.0])
@pytest.mark.parametrize("main", [0, 1])
def test_the_threshold_on_scores_decides_as_calibrated_probabilities_do_also_exactly_there(ratio, temperature, main):
    random = np.random.default_rng(0)
    costs, priors = fill_costs(None, ratio, ["a", "b"], main), np.array([0.7, 0.3])
    rules = {
        find_cutoff(costs, main): lambda table: predict_cheapest(table, costs, main),
        LogitAdjustment(priors, 1.5).find_cutoff(main): lambda table: predict_adjusted(table, priors, 1.5, main),
    }
    for cutoff, choose in rules.items():
        threshold = uncalibrate(cutoff, temperature)
        at = min(threshold, 1.0)
        near = [at, at * (1 - 1e-6), min(at * (1 + 1e-6), 1.0)]
        positive = np.concatenate([random.random(500), 10.0 ** -random.uniform(0, 15, 200), [0.0, 1.0, 0.5], near])
        scores = np.stack([1 - positive, positive][:: 1 if main else -1], axis=1)
        expected = np.where(positive >= threshold, main, 1 - main)
        np.testing.assert_array_equal(choose(apply_temperature(scores, temperature)), expected)


def test_adjusted_logits_follow_the_formula_and_raise_the_mean_sensitivity():
    random = np.random.default_rng(1)
    priors = np.array([0.9, 0.07, 0.03])
    labels = random.choice(3, 4000, p=priors)
    densities = np.exp(-((random.normal(labels, 0.8)[:, None] - np.arange(3)) ** 2) / (2 * 0.8**2))
    probabilities = priors * densities / (priors * densities).sum(axis=1, keepdims=True)
    for tau in (0.0, 0.5, 1.0):
        expected = (np.log(probabilities) - tau * np.log(priors)).argmax(axis=1)
        assert predict_adjusted(probabilities, priors, tau).tolist() == expected.tolist()
    plain, adjusted = (
        sklearn.metrics.balanced_accuracy_score(labels, guesses)
        for guesses in (probabilities.argmax(axis=1), predict_adjusted(probabilities, priors))
    )
    assert adjusted > plain + 0.1
    assert (predict_adjusted(probabilities, priors) == densities.argmax(axis=1)).all()  # Bayes with equal priors


def test_costs_are_filled_and_named_by_class():
    named = {"b": {"a": 4}, "c": {"b": 0}}
    costs = fill_costs(named, None, ["a", "b", "c"], None)
    assert costs.tolist() == [[0, 1, 1], [4, 0, 1], [1, 0, 0]]
    assert fill_costs(name_costs(costs, ["a", "b", "c"]), None, ["a", "b", "c"], None).tolist() == costs.tolist()
    assert fill_costs(None, None, ["a", "b"], 1) is None
    assert fill_costs(None, 3, ["a", "b"], 0).tolist() == [[0, 3], [1, 0]]


@pytest.mark.parametrize(
    ("named", "ratio", "said"),
    [
        ({"malignat": {"benign": 2}}, None, "Did you mean 'malignant'? Received: 'malignat'."),
        ({"malignant": {"bening": 2}}, None, "Did you mean 'benign'? Received: 'bening'."),
        ({"malignant": {"benign": 0}, "benign": {"malignant": 0}}, None, "above 0 for one error at least"),
    ],
)
def test_costs_of_unknown_classes_are_refused(named, ratio, said):
    with pytest.raises(InputError) as raised:
        fill_costs(named, ratio, ["benign", "malignant"], 1)
    assert said in str(raised.value)


def test_a_ratio_needs_two_classes():
    with pytest.raises(InputError, match="`cost_ratio` needs exactly two classes"):
        fill_costs(None, 2, ["a", "b", "c"], None)


ROWS = {
    "two": ([0.7, 0.3], [[0.9, 0.1], [0.1, 0.9]], [[0, 1], [10, 0]]),
    "three": ([0.56, 0.27, 0.17], [[0.8, 0.15, 0.05], [0.08, 0.9, 0.02], [0.1, 0.03, 0.87]], THREE),
}


def simulate(random, priors, rates, n, groups):
    """Draw labels and predictions; of groups of five, each has its own rates, drawn around `rates`."""
    owners = np.arange(n) // 5 if groups else np.arange(n)
    labels = random.choice(len(priors), owners.max() + 1, p=priors)
    own = np.array([random.dirichlet(3 * np.array(rates[label])) if groups else rates[label] for label in labels])
    labels, own = labels[owners], own[owners]
    guesses = (random.random(n)[:, None] > own.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return labels, guesses, owners if groups else None


@pytest.mark.slow
@pytest.mark.parametrize(("n", "groups"), [(60, False), (400, False), (200, True)])
@pytest.mark.parametrize("case", ROWS)
def test_intervals_cover(case, n, groups):
    priors, rates, costs = map(np.array, ROWS[case])
    expected = (priors[:, None] * rates * costs).sum()
    true = dict(zip(COST_METRICS, (expected, expected / (priors @ costs).min()), strict=True))
    random, hits = np.random.default_rng(0), {name: 0 for name in COST_METRICS}
    for _ in range(1000):
        labels, guesses, owners = simulate(random, priors, rates, n, groups)
        found = measure_costs(labels, guesses, costs, owners)
        for name, value in true.items():
            hits[name] += found[name]["low"] <= value <= found[name]["high"]
    assert all(920 <= count <= 985 for count in hits.values()), hits


@pytest.mark.slow
@pytest.mark.parametrize(("n", "groups"), [(60, False), (400, False), (200, True)])
@pytest.mark.parametrize("prevalence", [0.02, 0.3])
def test_intervals_at_a_prevalence_cover(prevalence, n, groups):
    priors, rates, _ = map(np.array, ROWS["two"])
    true = 10 * prevalence * rates[1, 0] + (1 - prevalence) * rates[0, 1]
    random, inside = np.random.default_rng(0), []
    for _ in range(1000):
        labels, guesses, owners = simulate(random, priors, rates, n, groups)
        found = costs_at_prevalence(labels, guesses, (10, 1), prevalence, owners)["expected_cost"]
        if found["low"] is not None:  # with fewer than ten patients of a class there is none
            inside.append(found["low"] <= true <= found["high"])
    assert len(inside) > 750
    assert 0.92 <= np.mean(inside) <= 0.985, np.mean(inside)
