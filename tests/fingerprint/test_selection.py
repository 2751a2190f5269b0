"""The table of metrics: right for known questions, and whole and without contradiction for all others."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tlmed.fingerprint import QUESTIONS, SOURCES, Fingerprint, choose_metrics
from tlmed.metrics import METRICS, evaluate_stated
from tlmed.metrics.expected_costs import COST_METRICS
from tlmed.metrics.grades import GRADE_METRICS
from tlmed.metrics.label_metrics import TOGETHER

CASES = {
    "two balanced classes": ({}, ["accuracy"], ["auc"]),
    "a rare class": ({"balance": "unbalanced"}, ["balanced_accuracy", "mcc"], ["accuracy", "auc"]),
    "another prevalence": (
        {"prevalence": "other"},
        ["balanced_accuracy"],
        ["mcc", "f1", "ppv", "npv", "accuracy", "auc"],
    ),
    "grades": ({"classes": 5, "order": "yes"}, ["quadratic_kappa"], ["accuracy", "auc"]),
    "costs": ({"costs": "unequal"}, ["normalised_expected_cost"], ["accuracy", "f1", "auc"]),
    "costs at another prevalence": (
        {"costs": "unequal", "prevalence": "other"},
        ["sensitivity", "specificity"],
        ["accuracy", "mcc", "f1", "ppv", "npv", "auc"],
    ),
    "costs of grades": (
        {"costs": "unequal", "classes": 5, "order": "yes"},
        ["quadratic_kappa", "normalised_expected_cost"],
        ["accuracy", "auc"],
    ),
    "costs of several findings": (
        {"costs": "unequal", "findings": "several"},
        ["sensitivity", "specificity"],
        ["accuracy", "f1", "auc"],
    ),
    "several findings, one of them rare": (
        {"balance": "unbalanced", "findings": "several"},
        ["balanced_accuracy", "mcc"],
        ["accuracy", "hamming_loss", "auc"],
    ),
    "a work list": ({"use": ("ranking",)}, ["auc"], []),
    "a work list of rare findings": (
        {"use": ("ranking",), "balance": "unbalanced"},
        ["auc", "average_precision"],
        [],
    ),
    "probabilities": ({"use": ("probability",)}, ["brier", "log_loss"], ["auc"]),
}
LABELS, SCORES = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8]])


def ask(**answers):
    plain = {"findings": "one", "classes": 2, "order": "no", "balance": "balanced", "prevalence": "same"}
    return Fingerprint(**{**plain, "costs": "equal", "use": ("class",), **answers})


def ask_everything():
    choices = {question.name: list(question.choices) for question in QUESTIONS}
    uses = choices.pop("use")
    choices["classes"] = [2, 3]
    choices["use"] = [part for size in (1, 2, 3) for part in itertools.combinations(uses, size)]
    return [Fingerprint(**dict(zip(choices, row, strict=True))) for row in itertools.product(*choices.values())]


@pytest.mark.parametrize(("answers", "first", "not_by"), CASES.values(), ids=CASES)
def test_known_questions_get_the_metrics_of_the_framework(answers, first, not_by):
    found = choose_metrics(ask(**answers))
    assert [choice.metric for choice in found["first"]] == first
    assert [choice.metric for choice in found["not"]] == not_by


def test_every_question_gets_a_metric_to_decide_by_that_is_nowhere_advised_against():
    for asked in ask_everything():
        found = choose_metrics(asked)
        first, not_by = ([choice.metric for choice in found[role]] for role in ("first", "not"))
        assert first, asked
        assert not set(first) & set(not_by), asked
        keys = {role: [choice.key for choice in found[role]] for role in found}
        assert all(len(set(part)) == len(part) for part in keys.values()), asked
        assert not set(keys["first"]) & set(keys["also"]), asked


def test_metrics_are_those_that_tlmed_reports_and_every_source_is_used():
    rows = [choice for asked in ask_everything() for choices in choose_metrics(asked).values() for choice in choices]
    further = evaluate_stated(LABELS, SCORES, SCORES.argmax(axis=1), ["well", "ill"])["metrics"]
    assert {row.metric for row in rows} <= {*METRICS, *COST_METRICS, *GRADE_METRICS, *TOGETHER, *further, "confusion"}
    assert {row.source for row in rows} == set(SOURCES)


def test_predictive_values_are_those_at_the_stated_prevalence_where_it_is_another_one():
    places = {
        prevalence: [choice.key for choice in choose_metrics(ask(prevalence=prevalence))["also"]]
        for prevalence in ("same", "other", "unknown")
    }
    assert "metrics.ppv" in places["same"]
    assert "at_prevalence.ppv" in places["other"]
    assert not any("ppv" in key for key in places["unknown"])


def test_the_expected_cost_is_that_at_the_stated_prevalence_where_it_is_another_one():
    keys = {
        prevalence: [choice.key for choice in choose_metrics(ask(costs="unequal", prevalence=prevalence))["also"]]
        for prevalence in ("same", "other")
    }
    assert "metrics.expected_cost" in keys["same"]
    assert "at_prevalence.expected_cost" in keys["other"]
    assert "metrics.expected_cost" not in keys["other"]


def test_the_auc_of_more_than_two_classes_is_not_said_to_be_free_of_their_shares():
    # The same images, weighted to other shares: the mean of one class against the rest is another one. Classes 0 and 1
    # are mixed up with each other, not with 2.
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 40)
    scores = rng.normal(size=(120, 3)) + 3 * np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])[labels]
    areas = [
        np.mean([roc_auc_score(labels == c, scores[:, c], sample_weight=np.array(shares)[labels]) for c in range(3)])
        for shares in ((1, 1, 1), (1, 1, 9))
    ]
    assert abs(areas[0] - areas[1]) > 0.01
    why = {}
    for classes in (2, 3):
        (why[classes],) = (c.why for c in choose_metrics(ask(classes=classes, use=("ranking",)))["first"])
    assert "does not depend on the shares" in why[2]
    assert "depends on the shares of the classes only as they make up the rest" in why[3]


@pytest.mark.parametrize("classes", [2, 3])
def test_a_calibration_intercept_is_advised_where_it_is_defined(classes):
    labels = np.arange(60) % classes
    scores = np.random.default_rng(0).dirichlet(np.ones(classes), 60)
    found = evaluate_stated(labels, scores, scores.argmax(axis=1), list("abc")[:classes])
    (place,) = (
        choice.key
        for choice in choose_metrics(ask(classes=classes, use=("probability",)))["also"]
        if choice.metric == "calibration_intercept"
    )
    *_, scope, name = place.split(".")
    entries = [found["metrics"][name]] if scope == "metrics" else [entry[name] for entry in found["per_class"].values()]
    assert all(entry["value"] is not None for entry in entries)


def test_probabilities_are_said_to_hold_for_the_shares_of_the_test_images_alone():
    answers = {"findings": "one", "classes": 2, "order": "no", "balance": "balanced", "costs": "equal"}
    why = {
        prevalence: [
            choice.why
            for choice in choose_metrics(Fingerprint(**answers, prevalence=prevalence, use=("probability",)))["first"]
            if choice.metric == "brier"
        ]
        for prevalence in ("same", "other", "unknown")
    }
    assert {prevalence: len(reasons) for prevalence, reasons in why.items()} == {"same": 1, "other": 1, "unknown": 1}
    assert ["must be fitted anew" in why[prevalence][0] for prevalence in why] == [False, True, True]
