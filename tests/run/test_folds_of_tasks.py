"""Means over folds of several labels, of ordered classes and of costs, against figures from the folds' predictions."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from tlmed.evaluation.answer_rules import ExpectedCost
from tlmed.evaluation.decisions import apply_decision, decide
from tlmed.evaluation.label_lines import name_mean
from tlmed.evaluation.lines import describe_metrics
from tlmed.evaluation.measures import Scoring, score
from tlmed.evaluation.predictions import Predictions
from tlmed.recipe import KFold
from tlmed.run.averages import _average_all
from tlmed.rundir import RunDir

SPLIT = KFold(k=3)
GRADES = ("none", "mild", "severe")
COSTS = np.array([[0, 1, 2], [3, 0, 1], [10, 5, 0.0]])


def predict(fold, task, classes, labels, scores, **fields):
    """Return test predictions of one fold, decided on validation images that are like them."""
    paths = tuple(f"{fold}-{row}" for row in range(len(labels)))
    guess = np.zeros_like(labels)
    return Predictions(paths, ("test",) * len(labels), labels, scores, guess, classes, task=task, **fields)


@functools.cache
def draw_several(fold, without=(), unknown=()):
    random = np.random.default_rng(fold)
    labels = (random.random((80, 3)) < 0.4).astype(int)
    scores = 1 / (1 + np.exp(-(labels + random.normal(size=labels.shape))))
    labels[::7, 1] = -1
    labels[:, list(without)] = np.minimum(labels[:, list(without)], 0)
    rows = predict(fold, "multi-label", ("edema", "mass", "nodule"), labels, scores)
    decision = decide(rows, None, "youden")
    labels[:, list(unknown)] = -1  # of test images only
    rows = apply_decision(rows, decision, None)
    return rows, score(rows, Scoring("test", decision=decision)) | {"baselines": {}}


def average(parts):
    folds = [RunDir(Path(f"{number:02}")) for number in range(1, len(parts) + 1)]
    return _average_all(SPLIT, folds, [result for _, result in parts])


def bound(parts, take, least=0.0, most=1.0):
    """Return the wider of the corrected t interval and of that from the folds' own intervals, on each side."""
    value, low, high = np.array([[take(result)[key] for key in ("value", "low", "high")] for _, result in parts]).T
    spread = (1 / SPLIT.k + 1 / ((SPLIT.k - 1) * (1 - SPLIT.val))) * value.var(ddof=1)
    half, mean = stats.t.ppf(0.975, SPLIT.k - 1) * spread**0.5, value.mean()
    down, up = (np.sqrt(((value - end) ** 2).sum()) / SPLIT.k for end in (low, high))
    return pytest.approx((max(least, mean - max(half, down)), min(most, mean + max(half, up))), abs=1e-12)


def test_means_of_several_labels_are_those_of_the_folds_own_values():
    parts = [draw_several(fold) for fold in range(3)]
    found = average(parts)
    assert (found["task"], found["n"], "confusion" in found, "threshold" in found) == ("multi-label", 240, False, False)
    areas = np.array([[_area(rows, own) for own in range(3)] for rows, _ in parts])
    assert found["metrics"]["auc"]["value"] == pytest.approx(areas.mean(), abs=1e-12)
    wrong = [(rows.predictions != rows.labels)[rows.labels >= 0].mean() for rows, _ in parts]
    assert found["metrics"]["hamming_loss"]["value"] == pytest.approx(np.mean(wrong), abs=1e-12)
    whole = [(rows.predictions == rows.labels).all(axis=1)[(rows.labels >= 0).all(axis=1)].mean() for rows, _ in parts]
    assert found["metrics"]["exact_match"]["value"] == pytest.approx(np.mean(whole), abs=1e-12)
    for name in ("auc", "auc_micro", "exact_match", "hamming_loss"):
        entry = found["metrics"][name]
        assert (entry["low"], entry["high"]) == bound(parts, lambda result, name=name: result["metrics"][name])
    for own, name in enumerate(("edema", "mass", "nodule")):
        entry, known = found["per_class"][name], np.concatenate([rows.labels[:, own] for rows, _ in parts])
        assert entry["auc"]["value"] == pytest.approx(areas[:, own].mean(), abs=1e-12)
        area = entry["auc"]["low"], entry["auc"]["high"]
        assert area == bound(parts, lambda result, name=name: result["per_class"][name]["auc"])
        counts = (entry["n"], entry["positives"], entry["unknown"])
        assert counts == ((known >= 0).sum(), (known == 1).sum(), (known < 0).sum())
        half = [np.mean((rows.scores[:, own] >= 0.5)[rows.labels[:, own] == 1]) for rows, _ in parts]
        assert entry["operating_point"]["at_half"]["sensitivity"]["value"] == pytest.approx(np.mean(half), abs=1e-12)
        cooled = [_brier(rows, own) for rows, _ in parts]
        assert entry["calibration"]["metrics"]["brier"]["value"] == pytest.approx(np.mean(cooled), abs=1e-12)
    assert any(line.startswith("mass (") and "threshold" not in line for line in describe_metrics(found))


def _area(rows, own):
    known = rows.labels[:, own] >= 0
    return roc_auc_score(rows.labels[known, own], rows.scores[known, own])


def _brier(rows, own):
    known = rows.labels[:, own] >= 0
    return np.mean((rows.calibrated[known, own] - rows.labels[known, own]) ** 2)


def test_a_label_that_a_fold_cannot_measure_is_named_beside_the_mean():
    parts = [draw_several(0), draw_several(1, without=(2,)), draw_several(2)]
    found = average(parts)
    measured = found["per_class"]["nodule"]["auc"]
    assert measured["value"] == pytest.approx(np.mean([_area(parts[fold][0], 2) for fold in (0, 2)]), abs=1e-12)
    assert measured["low"] < measured["value"] < measured["high"]
    assert (measured["folds"], measured["note"]) == (["01", "03"], "Mean of 2 of 3 folds. In fold 02: no image has it.")
    assert "folds" not in found["per_class"]["nodule"]["specificity"]  # it needs images without the label alone
    assert re.search(
        r"^nodule .*: AUC \S+ \(\S+ to \S+\) in folds 01, 03, sens", "\n".join(describe_metrics(found)), re.M
    )
    auc = found["metrics"]["auc"]
    assert "In fold 02: mean without 'nodule', where it is undefined." in auc["note"]
    assert "absent" not in auc  # it counts in the other folds
    assert name_mean("auc", found) == "mean AUC of 3 labels"
    own = [np.mean([_area(rows, each) for each in range(3) if (rows.labels[:, each] == 1).any()]) for rows, _ in parts]
    assert auc["value"] == pytest.approx(np.mean(own), abs=1e-12)
    never = average([draw_several(fold, without=(2,)) for fold in range(3)])
    assert never["metrics"]["auc"]["absent"] == ["nodule"]
    assert never["metrics"]["auc"]["note"].startswith("Mean without 'nodule', where it is undefined.")
    assert name_mean("auc", never) == "mean AUC of 2 of 3 labels (without nodule)"


def test_a_label_that_is_known_of_no_image_of_a_fold_is_measured_in_the_others():
    parts = [draw_several(fold, unknown=(2,) * (fold == 1)) for fold in range(3)]
    found = average(parts)["per_class"]["nodule"]
    tested = [parts[fold][0] for fold in (0, 2)]
    assert (found["n"], found["unknown"]) == (160, 80)
    right = np.mean([(rows.predictions == rows.labels)[:, 2].mean() for rows in tested])
    assert found["accuracy"]["value"] == pytest.approx(right, abs=1e-12)
    assert found["accuracy"]["note"].startswith("Mean of 2 of 3 folds. In fold 02: it is not known of any image.")
    half = np.mean([((rows.scores >= 0.5) == rows.labels)[:, 2].mean() for rows in tested])
    assert found["operating_point"]["at_half"]["accuracy"]["value"] == pytest.approx(half, abs=1e-12)
    assert found["calibration"]["metrics"]["brier"]["folds"] == ["01", "03"]
    assert found["youden"]["folds"] == ["01", "03"]  # such a fold has no stated metrics at all
    nowhere = average([draw_several(fold, unknown=(2,)) for fold in range(3)])
    assert nowhere["per_class"]["nodule"]["auc"]["reason"].startswith("Two folds of 3 are needed, 0 can be used.")
    assert nowhere["metrics"]["auc"]["absent"] == ["nodule"]


def draw_grades(fold, rule, task="ordinal"):
    random = np.random.default_rng(10 + fold)
    labels = random.integers(0, 3, 90)
    logits = -np.abs(labels[:, None] - np.arange(3)) + random.normal(size=(90, 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = predict(fold, task, GRADES, labels, scores)
    decision = decide(rows, None, rule)
    rows = apply_decision(rows, decision, None)
    return rows, score(rows, Scoring("test", decision=decision, costs=COSTS)) | {"baselines": {}}


def test_means_of_grades_are_those_of_the_folds_own_values():
    parts = [draw_grades(fold, "youden") for fold in range(3)]
    found = average(parts)
    assert (found["task"], found["primary"]) == ("ordinal", "quadratic_kappa")
    own = [(rows.labels, rows.predictions) for rows, _ in parts]
    by_hand = {
        "quadratic_kappa": [cohen_kappa_score(*each, weights="quadratic") for each in own],
        "mean_absolute_error": [np.abs(true - guess).mean() for true, guess in own],
        "within_one": [(np.abs(true - guess) <= 1).mean() for true, guess in own],
        "expected_cost": [COSTS[true, guess].mean() for true, guess in own],
    }
    for name, values in by_hand.items():
        assert found["metrics"][name]["value"] == pytest.approx(np.mean(values), abs=1e-12)
        least, most = (-1, 1) if name == "quadratic_kappa" else (0, 1 if name == "within_one" else np.inf)
        ends = found["metrics"][name]["low"], found["metrics"][name]["high"]
        assert ends == bound(parts, lambda result, name=name: result["metrics"][name], least, most)
    cut = [roc_auc_score(rows.labels >= 2, rows.scores[:, 2]) for rows, _ in parts]
    assert list(found["cuts"].values())[1]["auc"]["value"] == pytest.approx(np.mean(cut), abs=1e-12)
    assert found["confusion"] is not None


def test_means_of_costs_are_those_of_the_folds_own_values():
    parts = [draw_grades(fold, ExpectedCost(COSTS), task="single-label") for fold in range(3)]
    found = average(parts)
    paid = [COSTS[rows.labels, rows.predictions].mean() for rows, _ in parts]
    by_score = [COSTS[rows.labels, rows.scores.argmax(axis=1)].mean() for rows, _ in parts]
    assert found["metrics"]["expected_cost"]["value"] == pytest.approx(np.mean(paid), abs=1e-12)
    assert found["decision"]["by_score"]["expected_cost"]["value"] == pytest.approx(np.mean(by_score), abs=1e-12)
    assert np.mean(paid) < np.mean(by_score)
    # One class for all images costs the least of the three means of its column.
    least = [min(COSTS[rows.labels, guess].mean() for guess in range(3)) for rows, _ in parts]
    ratio = np.mean([cost / most for cost, most in zip(paid, least, strict=True)])
    assert found["metrics"]["normalised_expected_cost"]["value"] == pytest.approx(ratio, abs=1e-12)


def test_means_of_costs_say_for_which_prevalence_classes_were_predicted():
    parts = [draw_grades(fold, ExpectedCost(COSTS), task="single-label") for fold in range(3)]
    assert "prevalence" not in average(parts)["metrics"]["expected_cost"].get("note", "")
    for _, result in parts:
        result["operating_point"] = {"rule": "expected-cost", "prevalence": 0.1, "at_half": {}}
    assert "predicted for a prevalence of 0.1." in average(parts)["metrics"]["expected_cost"]["note"]
