from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tlmed.advising.part_scores import count_sides, join_parts, list_parts, score_parts
from tlmed.evaluation.measures import Scoring, score
from tlmed.evaluation.predictions import Predictions
from tlmed.metrics import evaluate
from tlmed.metrics.label_metrics import evaluate_labels
from tlmed.sections import KFold

LABELS = ("mass", "noise")


def draw_labels(seed, images=60):
    """Return labels of which the second cannot be learnt, and scores of them, as `metrics.json` holds them."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, 2, (images, 2))
    scores = np.clip(0.5 + random.randn(images, 2) / 4 + 0.3 * (labels - 0.5) * [2, 0], 0, 1)
    found = evaluate_labels(labels, scores, (scores > 0.5).astype(int), LABELS, only=["auc"])
    return labels, scores, {**found, "task": "multi-label"}


def test_each_label_has_the_mean_over_folds_of_its_own_auc():
    folds = [draw_labels(seed) for seed in range(5)]
    found = score_parts([result for *_, result in folds], KFold(5), {name: (150, 150) for name in LABELS})
    for number, name in enumerate(LABELS):
        areas = [roc_auc_score(labels[:, number], scores[:, number]) for labels, scores, _ in folds]
        assert found[name].value == pytest.approx(np.mean(areas), abs=1e-12)
        assert found[name].low < found[name].value < found[name].high
    assert found["mass"].low > 0.5 > found["noise"].low


def test_a_label_is_shown_only_if_both_intervals_lie_above_guessing():
    development = {
        "mass": {"value": 0.9, "low": 0.8, "high": 0.95},
        "noise": {"value": 0.6, "low": 0.51, "high": 0.7},
        "rare": {"value": None, "low": None, "high": None},
    }
    tested = {
        "mass": {"value": 0.85, "low": 0.7, "high": 0.93},
        "noise": {"value": 0.379, "low": 0.175, "high": 0.637},
        "rare": {"value": 0.9, "low": 0.8, "high": 0.95},
    }
    parts = join_parts(development, tested)
    assert {each["name"]: each["shown"] for each in parts} == {"mass": True, "noise": False, "rare": False}
    assert [each["difference"] is None for each in parts] == [False, False, True]
    # Of two tests the smaller p-value is doubled.
    (alone,) = join_parts({"noise": development["noise"]}, {"noise": tested["noise"]})
    assert parts[1]["difference"]["p"] == pytest.approx(2 * alone["difference"]["p"])


def test_classes_have_parts_from_three_on_and_grades_have_cuts():
    random = np.random.RandomState(0)
    labels = np.arange(60) % 3
    scores = random.dirichlet(np.ones(3), 60)
    result = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b", "c"], only=["auc"])
    assert {name: entry["value"] for name, entry in list_parts(result).items()} == {
        name: pytest.approx(roc_auc_score(labels == number, scores[:, number])) for number, name in enumerate("abc")
    }
    assert list_parts(evaluate(labels % 2, scores[:, :2], labels % 2, ["a", "b"], only=["auc"])) == {}
    paths = tuple(f"{number}.png" for number in range(60))
    table = Predictions(paths, ("test",) * 60, labels, scores, scores.argmax(axis=1), ("a", "b", "c"), task="ordinal")
    cuts = list_parts(score(table, Scoring("test")))
    assert cuts["above b"]["value"] == pytest.approx(roc_auc_score(labels == 2, scores[:, 2]))
    assert list(cuts) == ["above a", "above b"]


@pytest.mark.parametrize(
    ("task", "labels", "sides"),
    [
        ("single-label", [0, 1, 2, 2, 2], {"a": (1, 2), "b": (1, 2), "c": (1, 2)}),
        ("ordinal", [0, 1, 2, 2, 2], {"above a": (2, 1), "above b": (1, 2)}),
        (
            "multi-label",
            [[1, 0, -1], [0, 1, 1], [1, 1, 0], [1, 1, 0], [0, 0, 1]],
            {"a": (2, 1), "b": (2, 1), "c": (1, 1)},
        ),
    ],
)
def test_patients_with_and_without_a_part_are_counted_in_development_alone(task, labels, sides):
    labels, several = np.array(labels), task == "multi-label"
    table = SimpleNamespace(
        classes=("a", "b", "c"),
        labels=labels,
        groups=("p", "q", "r", "r", "s"),
        has=lambda number: labels[:, number] == 1 if several else labels == number,
    )
    splits = np.array(["train", "val", "train", "train", "test"])
    assert count_sides(SimpleNamespace(table=table, splits=splits, sha256=tuple("vwxyz")), task) == sides
