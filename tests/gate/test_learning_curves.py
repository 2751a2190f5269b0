"""What more images would bring, and how many a test needs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.gate.made_evidence import make_evidence
from tlmed.gate.learning_curves import forecast
from tlmed.gate.needed_images import hanley_mcneil


def draw_features(labels, owners, random, strength=0.5, dimensions=40):
    """Return features of which the first ten say something of the label, and something of the owner."""
    features = random.standard_normal((len(labels), dimensions))
    features[:, :10] += strength * np.asarray(labels)[:, None]
    features[:, :10] += random.standard_normal((owners.max() + 1, 10))[owners] if len(set(owners)) < len(owners) else 0
    return features.astype(np.float32)


def make_case(n=300, per_owner=1, classes=2, **options):
    random, owners = np.random.RandomState(0), np.arange(n) // per_owner
    labels = random.randint(classes, size=n)[owners * per_owner]
    splits = np.where(owners % 5 == 0, "test", "train")
    groups = None if per_owner == 1 else tuple(f"patient {owner}" for owner in owners)
    names = tuple(f"class {number}" for number in range(classes))
    evidence = make_evidence([f"{row}.png" for row in range(n)], labels, groups, splits, classes=names)
    return replace(evidence, features=draw_features(labels, owners, random, **options))


def test_the_curve_rises_and_is_carried_on():
    checked = forecast(make_case())
    found = checked.figures
    assert (checked.findings, checked.unchecked) == ((), ())
    assert (found["images"], found["owners"], found["folds"]) == (240, 240, 5)
    areas = [point["auc"] for point in found["points"]]
    assert areas[-1] > areas[0] + 0.05
    assert found["points"][-1]["n"] == 192
    two, four = found["forecast"]
    assert (two["times"], two["n"], four["n"]) == (2, 384, 768)
    assert areas[-1] < two["auc"] < four["auc"] < 1
    assert all(entry["low"] < entry["auc"] < entry["high"] for entry in found["forecast"] + found["points"])
    law = found["fit"]
    assert law["a"] - law["b"] * 192 ** -law["c"] == pytest.approx(areas[-1], abs=0.005)
    assert json.loads(json.dumps(found)) == found
    assert len(found["sentences"]) == 4


def test_images_outside_training_make_no_difference_to_the_curve():
    evidence = make_case()
    test = evidence.splits == "test"
    features, labels = evidence.features.copy(), evidence.table.labels.copy()
    features[test], labels[test] = 1000, 0
    other = replace(evidence, features=features, table=replace(evidence.table, labels=labels))
    found, expected = (forecast(one).figures for one in (other, evidence))
    assert {**found, "test": None, "sentences": []} == {**expected, "test": None, "sentences": []}
    assert found["sentences"] == expected["sentences"]


def test_the_same_seed_gives_the_same_figures_and_another_gives_others():
    evidence = make_case(150)
    assert forecast(evidence).figures == forecast(evidence).figures
    assert forecast(replace(evidence, seed=1)).figures["points"] != forecast(evidence).figures["points"]


def test_without_anything_to_learn_the_auc_stays_at_a_half():
    found = forecast(make_case(200, strength=0)).figures
    assert found["points"][-1]["low"] < 0.5 < found["points"][-1]["high"]
    assert found["forecast"][0]["low"] < 0.55


def test_images_of_one_owner_make_the_interval_wider_and_the_test_larger():
    alone, grouped = (forecast(make_case(600, per_owner, strength=0.3)).figures for per_owner in (1, 12))
    assert alone["needed"]["images_by_groups"] == alone["needed"]["images"]
    assert grouped["needed"]["images_by_groups"] > 1.2 * grouped["needed"]["images"]
    assert grouped["needed"]["groups"] == pytest.approx(grouped["needed"]["images_by_groups"] / 12, abs=1)
    assert grouped["owners"] == 40
    assert grouped["sentences"][4].startswith("If they have groups like the training images")


@pytest.mark.parametrize(("asked", "main"), [(None, 1), ("class 0", 0), ("class 1", 1)])
def test_the_positive_class_is_the_one_that_was_asked_for(asked, main):
    evidence = make_case(400, strength=1.0)
    # A third of the images of one class are left, so that it matters which class is positive.
    rows = np.flatnonzero((evidence.table.labels == 1) | (np.arange(400) % 3 == 0))
    table = replace(evidence.table.take(rows), classes=evidence.table.classes)
    fewer = {name: getattr(evidence, name)[rows] for name in ("splits", "features", "sketches", "frames")}
    kept = {name: tuple(getattr(evidence, name)[row] for row in rows) for name in ("sha256", "files")}
    digests = None if evidence.digests is None else tuple(evidence.digests[row] for row in rows)
    found = forecast(replace(evidence, table=table, positive=asked, digests=digests, **fewer, **kept)).figures
    tested = table.labels[fewer["splits"] == "test"]
    sizes = (int((tested == main).sum()), int((tested != main).sum()))
    assert found["test"]["width"] == pytest.approx(
        2 * 1.95996 * hanley_mcneil(found["needed"]["auc"], *sizes), rel=1e-3
    )


def test_wider_intervals_need_fewer_images():
    evidence = make_case(150)
    narrow, wide = (forecast(evidence, width).figures["needed"] for width in (0.05, 0.1))
    assert narrow["images"] == pytest.approx(4 * wide["images"], rel=0.02)


def test_several_classes_count_against_the_rest():
    found = forecast(make_case(300, classes=3)).figures
    assert found["metric"] == "mean AUC of 3 classes against the rest"
    assert found["points"][-1]["auc"] > 0.6


def test_a_rare_class_is_left_out_and_named():
    evidence = make_case(300, classes=3)
    labels = evidence.table.labels.copy()
    labels[labels == 2] = 0
    labels[1:4] = 2
    checked = forecast(replace(evidence, table=replace(evidence.table, labels=labels)))
    assert checked.figures["metric"] == "mean AUC of 2 classes against the rest"
    assert checked.unchecked == (
        "'class 2' has no learning curve: 3 groups or single images with it, and 237 without it, are in training, and "
        "5 of each are needed.",
    )


def test_each_label_has_a_curve_and_unknown_ones_are_left_out():
    evidence, random = make_case(240), np.random.RandomState(1)
    labels = np.stack([evidence.table.labels, random.randint(0, 2, 240), np.zeros(240, int)], axis=1)
    labels[::4, 1] = -1
    names = ("edema", "effusion", "nodule")
    checked = forecast(replace(evidence, table=replace(evidence.table, labels=labels, classes=names)))
    assert checked.figures["metric"] == "mean AUC of 2 labels"
    assert 0.55 < checked.figures["points"][-1]["auc"] < 0.9
    assert [text.partition(":")[0] for text in checked.unchecked] == ["'nodule' has no learning curve"]


def test_the_test_images_at_hand_are_counted_as_they_are():
    case = make_case(300)
    positive = np.flatnonzero(case.table.labels == 1)
    splits = np.array(["train"] * 300)
    splits[positive[:5]] = splits[np.flatnonzero(case.table.labels == 0)[:60]] = "test"
    figures = forecast(replace(case, splits=splits)).figures
    error = hanley_mcneil(figures["needed"]["auc"], 5, 60)
    assert figures["test"]["images"] == 65
    assert figures["test"]["width"] == pytest.approx(min(2 * 1.96 * error, 1), rel=1e-3)
    (said,) = figures["test"]["says"]
    assert said.startswith("The 65 test images here would give an interval of about 0.")
    splits[positive[:5]] = "train"
    checked = forecast(replace(case, splits=splits))
    assert checked.figures["test"]["width"] is None
    (said,) = checked.figures["test"]["says"]
    assert said == "The 60 test images here cannot give an interval: a class or label is missing in them."


@pytest.mark.parametrize(
    "change",
    [
        {"features": None, "lacking": "No weights were found."},
        {"splits": np.array(["test"] * 150)},
        {"sha256": ("copy",) * 150},
    ],
)
def test_what_cannot_be_measured_is_said(change):
    checked = forecast(replace(make_case(150), **change))
    assert not checked.figures
    assert not checked.findings
    assert checked.unchecked[0].startswith("How the AUC grows with the number of images: ")


@pytest.mark.parametrize(("n", "classes"), [(1, 1), (10, 1), (8, 2), (0, 2)])
def test_a_few_images_are_too_few(n, classes):
    names = tuple(f"class {number}" for number in range(classes))
    evidence = make_evidence([f"{row}.png" for row in range(n)], np.arange(n) % classes, classes=names)
    checked = forecast(replace(evidence, features=np.ones((n, 3), np.float32)))
    assert not checked.figures
    assert checked.unchecked


def test_equal_features_leave_an_auc_of_a_half():
    evidence = make_case(60)
    found = forecast(replace(evidence, features=np.ones((60, 5), np.float32))).figures
    assert [point["auc"] for point in found["points"]] == [0.5] * 8


def test_perfect_features_do_not_promise_a_perfect_test():
    evidence = make_case(100)
    features = np.tile(evidence.table.labels[:, None], (1, 4)).astype(np.float32)
    found = forecast(replace(evidence, features=features)).figures
    assert found["points"][-1]["auc"] == 1
    assert found["forecast"][1]["high"] <= 1
    assert found["needed"]["auc"] < 1
    assert found["needed"]["images"] > 20
