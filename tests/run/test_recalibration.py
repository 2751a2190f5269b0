import json

import keras
import numpy as np
import pytest

import tlmed
from tests.conftest import SMALL
from tlmed.recipe import load_recipe, override
from tlmed.report import write_report
from tlmed.run.recalibration import compare_recalibration, warn_of_recalibration
from tlmed.rundir import RunDir
from tlmed.training import measure
from tlmed.voice import Voice
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")

CLASSES = ["a", "b", "c"]
LABELS = np.arange(60) % 3


def draw(certainty, seed=0):
    """Return class probabilities that are right as often as they are certain."""
    scores = certainty * np.eye(3)[LABELS] + np.random.RandomState(seed).rand(60, 3)
    return scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("monitor", ["val_auc", "val_accuracy", "val_loss"])
def test_a_score_that_falls_by_more_than_its_noise_is_told_from_one_that_does_not(monitor):
    good, poor, other = draw(0.5), draw(0.0, 1), draw(0.48, 2)
    fell = compare_recalibration("p", monitor, LABELS, good, poor, CLASSES)
    assert fell["worse"]
    assert fell["low"] > 0 or fell["high"] < 0
    assert "95 % interval" in warn_of_recalibration(fell)
    assert not compare_recalibration("p", monitor, LABELS, poor, good, CLASSES)["worse"]
    noise = [compare_recalibration("p", monitor, LABELS, *pair, CLASSES) for pair in ((good, other), (other, good))]
    assert noise[0]["before"] != noise[0]["after"]
    assert [entry["worse"] for entry in noise] == [False, False]


def test_groups_make_noise_of_what_images_alone_would_not():
    good, poor = draw(1.0), draw(0.0, 1)
    few = compare_recalibration("p", "val_auc", LABELS, good, poor, CLASSES, [CLASSES[label] for label in LABELS])
    assert (few["low"], few["worse"]) == (None, True)
    assert "too few" in warn_of_recalibration(few)
    same = compare_recalibration("p", "val_auc", LABELS, good, good, CLASSES)
    assert not same["worse"]


def with_norm():
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, strides=4, name="conv")(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.BatchNormalization(name="norm")(x), name="mine")


def test_a_run_tells_the_score_before_and_after_statistics_are_estimated_again(images, tmp_path):
    said, warned = [], []
    keras.utils.set_random_seed(0)
    settings = ["phases.epochs=2", "phases.batch_norm=recalibrate", "phases.learning_rate=0.01", "monitor=val_loss"]
    recipe = override(load_recipe("fine_tuning_from_scratch"), [*SMALL, *settings])
    voice = Voice(say=said.append, warn=warned.append)
    tlmed.train(recipe, tmp_path / "run", images, backbone=with_norm(), voice=voice)
    run = RunDir(tmp_path / "run")
    (entry,) = run.json("metrics.json")["recalibration"]
    epochs = {int(row["epoch"]): float(row["val_loss"]) for row in read_csv(run / "history.csv")}
    kept = run.json("metrics.json")["kept"]
    assert entry["before"] == pytest.approx(min(epochs.values()), abs=1e-6)
    assert epochs[kept["best_epoch"]] == min(epochs.values())
    assert entry["after"] == kept["score"] != entry["before"]
    (line,) = (line for line in said if "estimated again" in str(line))
    assert f"val_loss {entry['before']:.4f} before, {entry['after']:.4f} after" in line
    assert any("estimated again" in line for line in warned) == entry["worse"]
    write_report(run.path)
    page = (run / "report.html").read_text()
    assert f"{entry['before']:.4f}" in page
    assert f"{entry['after']:.4f}" in page
    assert ("Worse, by more than its noise" in page) == entry["worse"]
    assert json.loads((run / "freeze.json").read_text())["phases"][0]["moved"].keys() >= {"norm/moving_mean"}


def test_a_phase_that_thaws_nothing_is_not_said_to_have_new_statistics(images, tmp_path):
    said = []
    settings = ["phases.epochs=1", "phases.batch_norm=recalibrate"]
    recipe = override(load_recipe("feature_extractor"), [*SMALL, *settings])
    tlmed.train(recipe, tmp_path / "run", images, backbone=with_norm(), voice=Voice(say=said.append))
    assert not [line for line in said if "estimated again" in str(line)]
    assert "recalibration" not in RunDir(tmp_path / "run").json("metrics.json")


SEVERAL = np.random.RandomState(3).randint(-1, 2, (80, 3))


def draw_labels(certainty, seed=0):
    """Return probabilities of labels that are right as often as they are certain."""
    return np.clip(
        0.5 + certainty * ((SEVERAL == 1) - 0.5) + np.random.RandomState(seed).normal(0, 0.3, (80, 3)), 0.01, 0.99
    )


@pytest.mark.parametrize("monitor", ["val_auc", "val_accuracy", "val_loss"])
def test_scores_of_several_labels_that_fall_by_more_than_their_noise_are_told_from_others(monitor):
    good, poor, other = draw_labels(0.8), np.random.RandomState(1).rand(80, 3), draw_labels(0.78, 2)
    fell = compare_recalibration("p", monitor, SEVERAL, good, poor, CLASSES)
    assert fell["worse"]
    assert (fell["before"], fell["after"]) == tuple(measure(it, SEVERAL)[monitor[4:]] for it in (good, poor))
    assert not compare_recalibration("p", monitor, SEVERAL, poor, good, CLASSES)["worse"]
    noise = [compare_recalibration("p", monitor, SEVERAL, *pair, CLASSES) for pair in ((good, other), (other, good))]
    assert [entry["worse"] for entry in noise] == [False, False]
    twice = [f"patient {i // 2}" for i in range(80)]
    by_groups = compare_recalibration("p", monitor, SEVERAL, good, poor, CLASSES, twice)
    assert by_groups["high"] != fell["high"]
    few = compare_recalibration("p", monitor, SEVERAL[:4], good[:4], poor[:4], CLASSES)
    assert (few["low"], few["high"]) == (None, None)


@pytest.mark.parametrize("monitor", ["val_auc", "val_accuracy", "val_loss"])
def test_the_interval_of_several_labels_is_as_wide_as_resampling_says(monitor):
    good, other, rows = draw_labels(0.6), draw_labels(0.4, 2), np.random.RandomState(0)
    found = compare_recalibration("p", monitor, SEVERAL, good, other, CLASSES)
    drawn = []
    for _ in range(300):
        chosen = rows.randint(0, 80, 80)
        first, second = (measure(it[chosen], SEVERAL[chosen])[monitor[4:]] for it in (good, other))
        drawn.append(first - second)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.99 * np.std(drawn), rel=0.15)


def simulate(random, patients, images):
    """Return labels, and two tables of probabilities, of patients with images that look alike."""
    owners = np.repeat(np.arange(patients), images)
    labels = np.where(random.rand(len(owners), 3) < 0.1, -1, random.rand(len(owners), 3) < (0.5, 0.4, 0.3)).astype(int)
    shared, noise = random.normal(size=(patients, 3))[owners], random.normal(size=(2, len(owners), 3))
    tables = [
        1 / (1 + np.exp(-(ease * (labels == 1) + shared + own - 1)))
        for ease, own in zip((2.0, 1.5), noise, strict=True)
    ]
    return labels, tables, [f"p{owner}" for owner in owners] if images > 1 else None


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "images"), [(60, 1), (400, 1), (40, 5)])
@pytest.mark.parametrize("monitor", ["val_auc", "val_accuracy", "val_loss"])
def test_the_interval_of_several_labels_covers(monitor, patients, images):
    labels, tables, _ = simulate(np.random.RandomState(0), 60_000, 1)
    true = np.subtract(*(measure(table, labels)[monitor[4:]] for table in tables))
    random, held = np.random.RandomState(1), 0
    for _ in range(400):
        labels, tables, groups = simulate(random, patients, images)
        found = compare_recalibration("p", monitor, labels, *tables, CLASSES, groups)
        held += found["low"] <= true <= found["high"]
    assert 0.92 <= held / 400 <= 0.98
