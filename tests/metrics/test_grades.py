"""Metrics of ordered classes equal those of scikit-learn and SciPy, and their intervals cover the truth."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.metrics import mean_absolute_error, recall_score, roc_auc_score

from tlmed.metrics.grades import GRADE_METRICS, measure_cuts, measure_grades, move_tau

GRADES = ["0", "1", "2", "3", "4"]
SHARES = (0.5, 0.2, 0.15, 0.1, 0.05)
NOISE = {"few errors": 0.7, "many errors": 1.2}


def draw_grades(rng, images, noise, grouped=False):
    """Return true and predicted grades and patients of five images of one grade, whose errors go together by half."""
    owners = np.arange(images) // 5 if grouped else np.arange(images)
    labels = rng.choice(5, owners.max() + 1, p=SHARES)[owners]
    errors = (rng.normal(size=owners.max() + 1)[owners] + rng.normal(size=images)) / np.sqrt(2)
    return labels, np.clip(np.rint(labels + noise * errors), 0, 4).astype(int), owners


@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_grades_are_those_of_scikit_learn_and_scipy(seed):
    labels, guesses, _ = draw_grades(np.random.default_rng(seed), 80, 1.0)
    found = measure_grades(labels, guesses, GRADES)
    assert found["mean_absolute_error"]["value"] == pytest.approx(mean_absolute_error(labels, guesses), abs=1e-12)
    assert found["within_one"]["value"] == pytest.approx((np.abs(labels - guesses) < 2).mean(), abs=1e-12)
    assert found["kendall_tau"]["value"] == pytest.approx(kendalltau(labels, guesses).statistic, abs=1e-12)
    for entry in found.values():
        assert entry["low"] < entry["value"] < entry["high"]


def test_cuts_are_two_class_answers_of_their_own():
    rng = np.random.default_rng(0)
    labels, guesses, _ = draw_grades(rng, 80, 1.0)
    scores = rng.dirichlet(np.ones(5), 80)
    found = measure_cuts(labels, scores, guesses, GRADES)
    assert list(found) == GRADES[:-1]
    for grade, cut in enumerate(found.values()):
        above = labels > grade
        assert cut["n"] == above.sum()
        assert cut["auc"]["value"] == pytest.approx(roc_auc_score(above, scores[:, grade + 1 :].sum(axis=1)), abs=1e-10)
        assert cut["sensitivity"]["value"] == pytest.approx(recall_score(above, guesses > grade), abs=1e-12)


def test_influences_on_tau_are_its_derivatives():
    table = np.array([[9.0, 2.0, 0.0], [3.0, 4.0, 1.0], [0.0, 2.0, 5.0]])
    _, moves = move_tau(table)
    for cell in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[cell] = 1e-6
        slope = (move_tau(table + step)[0] - move_tau(table - step)[0]) / 2e-6
        assert moves[cell] == pytest.approx(slope, abs=1e-8)


def test_grades_that_are_all_right_have_an_upper_bound_of_their_error():
    labels = np.arange(60) % 5
    found = measure_grades(labels, labels, GRADES)["mean_absolute_error"]
    assert (found["value"], found["low"]) == (0.0, 0.0)
    assert 0.05 < found["high"] < 0.2


def test_too_few_groups_and_a_single_grade_are_said():
    labels, guesses = np.arange(60) % 5, (np.arange(60) % 5 + np.arange(60) % 2) % 5
    few = measure_grades(labels, guesses, GRADES, [str(i // 10) for i in range(60)])
    assert {entry["low"] for entry in few.values()} == {None}
    assert few["within_one"]["note"].startswith("Fewer than 10 groups")
    constant = measure_grades(labels, np.full(60, 2), GRADES)["kendall_tau"]
    assert (constant["value"], constant["reason"]) == (None, "Every image was predicted as class '2'.")
    alike = measure_grades(np.full(60, 2), guesses, GRADES)["kendall_tau"]
    assert alike["reason"] == "All images are of class '2'."


def count_grade_coverage(images: int, noise: float, grouped: bool, draws: int = 1000) -> dict[str, Counter]:
    """Return for each metric in how many draws it has an interval, and in how many of these the truth lies in it."""
    many = draw_grades(np.random.default_rng(1), 1_000_000, noise)
    off, table = np.abs(many[0] - many[1]), np.bincount(many[0] * 5 + many[1], minlength=25).reshape(5, 5)
    truth = {"mean_absolute_error": off.mean(), "within_one": (off < 2).mean(), "kendall_tau": move_tau(1.0 * table)[0]}
    counts, rng = {name: Counter() for name in GRADE_METRICS}, np.random.default_rng(2)
    for _ in range(draws):
        labels, guesses, owners = draw_grades(rng, images, noise, grouped)
        for name, entry in measure_grades(labels, guesses, GRADES, list(map(str, owners))).items():
            counts[name]["bounded"] += entry["low"] is not None
            counts[name]["held"] += entry["low"] is not None and entry["low"] <= truth[name] <= entry["high"]
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize(("images", "grouped"), [(60, False), (400, False), (200, True)])
def test_intervals_of_grades_cover_the_truth(images, grouped, noise):
    found = count_grade_coverage(images, NOISE[noise], grouped)
    for name, counts in found.items():
        assert counts["bounded"] > 900
        assert 92 <= 100 * counts["held"] / counts["bounded"] <= 98.5, name
