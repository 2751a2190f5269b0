"""Pages of several labels: what means over labels are called; and on which scales the intervals of errors are drawn."""

import re

import numpy as np
import pytest

from tlmed.evaluation.label_lines import name_mean, name_monitor
from tlmed.evaluation.lines import describe_metrics
from tlmed.metrics.label_metrics import evaluate_labels
from tlmed.report.answers import _say_values
from tlmed.report.frame import frame
from tlmed.report.scores import list_all, show_baselines, show_subgroups
from tlmed.report.summary import say_primary

NAMES = ("edema", "mass", "nodule")
RNG = np.random.default_rng(3)
LABELS = (RNG.random((60, 3)) < 0.4).astype(int)
SCORES = 1 / (1 + np.exp(-(2 * LABELS - 1 + RNG.normal(size=LABELS.shape))))


def score(labels):
    found = evaluate_labels(labels, SCORES, (SCORES >= 0.5).astype(int), NAMES)
    part = {name: found["metrics"][name] for name in ("auc", "accuracy", "sensitivity", "specificity")}
    baselines = {"majority_class": {**part, "log_loss": found["metrics"]["log_loss"], "answers": ["nothing"]}}
    return {
        **found,
        "task": "multi-label",
        "baselines": baselines,
        "subgroups": {"sex": {"F": {"n": 60, "metrics": part}}},
    }


def test_a_mean_over_labels_is_called_so_and_names_the_labels_that_have_no_value():
    whole, result = score(LABELS), score(np.where([False, False, True], 0, LABELS))
    assert result["per_class"]["nodule"]["auc"]["value"] is None
    said = "ean AUC of 2 of 3 labels (without nodule)"
    assert say_primary(result).startswith(f"the m{said} is {result['metrics']['auc']['value']:.3f}")
    page = frame("Run", result, {}, False, "run")
    assert re.search(rf">M{re.escape(said)}</a><b>{result['metrics']['auc']['value']:.3f}", page)
    assert ">Mean specificity of 3 labels</a>" in page
    assert _say_values(result, ["auc"]).startswith(f"M{said} ")
    monitors = name_monitor("val_auc", whole), name_monitor("val_loss", whole), name_monitor("val_auc", {})
    assert monitors == ("mean validation AUC of the labels", "validation loss", "validation AUC")
    assert name_mean("auc", whole) == "mean AUC of 3 labels"
    assert name_mean("exact_match", whole) == "exact match"


def test_every_table_of_means_over_labels_says_so():
    result = score(LABELS)
    lines = describe_metrics(result)
    assert lines[0] == "Test (60 images), means over the labels, with 95 % intervals:"
    assert "Baseline majority class, always 'nothing', means over the labels:" in lines
    assert "sex F (60 images), means over the labels:" in lines
    assert "without transfer learning, means over the labels." in show_baselines(result)
    assert ">sex, means over the labels<" in show_subgroups(result)
    worse = {**result["metrics"]["auc"], "value": 0.1, "low": 0.05, "high": 0.2}
    lines = describe_metrics({**result, "metrics": {**result["metrics"], "auc": worse}})
    assert any(line.startswith("The whole interval of the mean AUC lies below 0.5") for line in lines)
    assert any("has a higher mean AUC, " in line for line in lines)
    for content in ({**result, "task": "single-label", "positive": None}, {**result, "task": "ordinal"}):
        assert not show_subgroups(content).count("means over")


@pytest.mark.parametrize(("costs", "end"), [({true: dict.fromkeys("abcd", 8.0) for true in "abcd"}, 8), (None, None)])
def test_errors_in_grades_and_costs_are_drawn_on_their_own_scales(costs, end):
    entry = {"value": 1.2, "low": 0.9, "high": 1.5, "method": "bootstrap"}
    content = {
        "task": "ordinal",
        "classes": ["a", "b", "c", "d"],
        "metrics": {"accuracy": {**entry, "value": 0.5, "low": 0.4, "high": 0.6}}
        | dict.fromkeys(("mean_absolute_error", "expected_cost"), entry),
    }
    table = list_all(content if costs is None else {**content, "costs": costs})
    accuracy, error, cost = (row[2] for row in table.rows)
    assert accuracy.interval == (0.4, 0.5, 0.6)
    assert error.interval == pytest.approx((0.3, 0.4, 0.5))
    assert str(error) == "0.900 to 1.500 (drawn from 0 to 3)"
    assert cost.interval == (end and pytest.approx((0.9 / end, 1.2 / end, 1.5 / end)))
    assert str(cost) == "0.900 to 1.500" + " (drawn from 0 to 8)" * (costs is not None)
