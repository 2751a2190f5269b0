"""Hybrid runs, and how a phase is chosen."""

import csv
import dataclasses
import html
import re

import keras
import numpy as np
import pytest

import tlmed
from tests.conftest import CLASSES, draw, write_images
from tlmed import inference
from tlmed.errors import InputError
from tlmed.evaluation.predictions import Predictions
from tlmed.export import write_card
from tlmed.export.hub_folder import write_hub_folder
from tlmed.heads.skops_files import load_classifier
from tlmed.recipe import load_recipe, override
from tlmed.run import hybrids, scoring
from tlmed.run.phase_training import _show_score, choose
from tlmed.rundir import FILES, RunDir
from tlmed.training import PhaseResult
from tlmed.voice import Voice
from tlmed.whole_files import read_csv

TINY = ("data.image_size=32,32", "data.batch_size=16")


def hybrid(*settings):
    words = ("backbone=CifarNet", "weights=none", "head.folds=3", "examples=0", *TINY, *settings)
    return override(load_recipe("feature_extractor_hybrid"), words)


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    return RunDir(tlmed.train(hybrid("baselines=true"), tmp_path_factory.mktemp("hybrid") / "run", images).path)


def test_a_hybrid_run_holds_its_own_files(finished):
    files = {path.name for path in finished.path.iterdir()}
    trained = {"history.csv", "freeze.json", "degrees.csv", "strengths.csv"}
    assert files == set(FILES) - trained - {"examples.json", "pooled.csv", "novelty.sealed"}
    assert finished.complete
    plan = finished.json("plan.json")
    assert plan["phases"] == []
    assert plan["classifier"]["name"] == "SVC"
    assert plan["classifier"]["points"] == len(read_csv(finished / "search.csv"))


def test_a_hybrid_is_shared_with_its_classifier(finished, tmp_path):
    write_hub_folder(finished.path, tmp_path / "hub")
    files = {path.name: path for path in (tmp_path / "hub").iterdir()}
    assert files.keys() == {"README.md", "model.keras", "classifier.skops", "preprocessing.json", "metrics.json"}
    assert files["classifier.skops"].read_bytes() == (finished / "classifier.skops").read_bytes()
    assert '"gives": "features"' in files["preprocessing.json"].read_text()
    card = files["README.md"].read_text()
    assert "it gives the features." in card
    assert "`classifier.skops` is the classifier of scikit-learn" in card
    images = np.stack([draw(label, 0, 32) for label in range(3)]).astype("float32")
    features = keras.saving.load_model(files["model.keras"], safe_mode=True).predict(images, verbose=0)
    assert load_classifier(files["classifier.skops"]).predict_proba(features).shape == (3, 3)
    assert str(finished.path).encode() not in b"".join(path.read_bytes() for path in files.values())


def test_metrics_say_which_classifier_was_chosen(finished):
    content = finished.json("metrics.json")
    notes = content["classifier"]
    best = max(float(row["mean_score"]) for row in read_csv(finished / "search.csv"))
    assert notes["cv_score"] == pytest.approx(best)
    assert notes["scoring"] == "macro_auc"
    assert (notes["name"], notes["folds"], notes["features"]) == ("SVC", 3, 64)
    assert notes["parameters"]["C"] in finished.json("plan.json")["classifier"]["grid"]["C"]
    assert set(content["baselines"]) == {"majority_class", "colour_histograms", "random_weights"}


def test_the_network_gives_features_and_the_classifier_their_probabilities(finished, images):
    rows = read_csv(finished / "predictions.csv")
    pixels = np.stack([draw(CLASSES.index(row["label"]), int(row["path"].split("(")[1][:-5])) for row in rows])
    small = np.stack([tlmed.data.resize(image, (32, 32)) for image in pixels])
    features = tlmed.run.Run(finished.path).model().predict(small, verbose=0)
    given = np.array([[float(row[f"score_{name}"]) for name in CLASSES] for row in rows])
    np.testing.assert_allclose(load_classifier(finished / "classifier.skops").predict_proba(features), given, atol=1e-6)
    np.testing.assert_allclose(given.sum(axis=1), 1)


def test_a_hybrid_is_evaluated_and_predicts_as_in_training(finished, images):
    _, again = inference.evaluate(finished)
    assert again["metrics"] == finished.json("metrics.json")["metrics"]
    row = read_csv(finished / "predictions.csv")[0]
    columns, rows, _ = inference.predict(finished, [images / row["path"]])
    assert columns[2:-1] == [f"{kind}_{name}" for kind in ("score", "calibrated") for name in CLASSES]
    np.testing.assert_allclose(rows[0][2:-1], [float(row[name]) for name in columns[2:-1]], atol=1e-6)
    assert rows[0][1] == row["prediction"]


def test_a_skops_file_with_a_foreign_type_is_refused_by_name(finished, images, tmp_path):
    import shutil

    import skops.io
    from sklearn.linear_model import Ridge

    copy = shutil.copytree(finished.path, tmp_path / "run", ignore=shutil.ignore_patterns("lock.json"))
    skops.io.dump(Ridge(), copy / "classifier.skops")
    with pytest.raises(InputError, match="Ridge"):
        inference.predict(RunDir(copy), [images])


def test_planning_names_every_fault_of_a_hybrid_at_once(images, tmp_path):
    recipe = hybrid("head.tap=block9", "head.classifier=SupportVectors", "head.folds=40")
    with pytest.raises(InputError, match="tap") as caught:
        tlmed.train(recipe, tmp_path / "run", images)
    words = str(caught.value)
    assert "block9" in words
    assert "SupportVectors" in words
    assert "folds" in words
    assert not (tmp_path / "run").exists()


def test_two_hybrid_runs_of_one_seed_are_equal(finished, images, tmp_path):
    again = tlmed.train(hybrid(), tmp_path / "run", images).path
    assert (again / "predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()


@pytest.mark.slow
def test_a_block_can_be_tapped_and_build_gives_the_features(images, tmp_path):
    recipe = hybrid("head.tap=block2", "head.classifier=LogisticRegression", "head.grid.C=0.1")
    assert recipe.build(3).output_shape == (None, 32)
    run = tlmed.train(recipe, tmp_path / "run", images)
    assert run.metrics["classifier"]["features"] == 32
    assert run.metrics["classifier"]["parameters"] == {"C": 0.1}


def test_a_run_says_of_which_classes_its_folds_found_no_order(images, tmp_path, monkeypatch):
    fit, said = hybrids.fit_classifier, []
    monkeypatch.setattr(hybrids, "fit_classifier", lambda *data: dataclasses.replace(fit(*data), turned=(1,)))
    recipe = hybrid("head.classifier=LinearSVC")
    run = tlmed.train(recipe, tmp_path / "run", images, voice=Voice(warn=said.append))
    name = CLASSES[1]
    assert any(line.startswith(f"In the folds, images of {name} were not ranked above others:") for line in said)
    assert run.metrics["classifier"]["turned"] == [name]
    assert f"the folds did not rank images of {name} above others;" in (run.path / "report.html").read_text()


def result(name, score):
    return PhaseResult(name, score, 1, 1, 0.0)


@pytest.mark.parametrize(
    ("scores", "monitor", "keep", "kept"),
    [
        ((0.5, 0.9, 0.8), "val_auc", "best", 1),
        ((0.5, 0.9, 0.8), "val_loss", "best", 0),
        ((0.9, 0.9, 0.8), "val_auc", "best", 0),
        ((0.2, 0.1, 0.1), "val_loss", "best", 1),
        ((0.5, 0.9, 0.8), "val_auc", "last", 2),
    ],
)
def test_the_best_phase_is_kept_and_of_equal_ones_the_one_that_thaws_least(scores, monitor, keep, kept):
    results = [result(f"p{i}", score) for i, score in enumerate(scores)]
    assert choose(results, [{"fine_tuning_ratio": i / 2} for i in range(3)], keep, monitor) == kept
    reverse = [{"fine_tuning_ratio": 1 - i / 2} for i in range(3)]
    if keep == "best":
        best = (max if monitor != "val_loss" else min)(scores)
        assert choose(results, reverse, keep, monitor) == max(i for i in range(3) if scores[i] == best)


@pytest.mark.parametrize(
    ("scores", "kept", "shown"),
    [((0.98001, 0.98004, 0.7), 1, "0.98004"), ((0.9, 0.9), 0, "0.9000"), ((0.1,), 0, "0.1000")],
)
def test_the_score_of_the_kept_phase_does_not_read_like_a_worse_one(scores, kept, shown):
    assert _show_score([result(f"p{i}", score) for i, score in enumerate(scores)], kept) == shown


@pytest.mark.slow
def test_test_labels_do_not_decide_what_is_kept(tmp_path):
    folder = write_images(tmp_path / "data", 12)
    rows = [
        [f"{name}/{name} ({i}).png", name, "train" if i < 6 else "val" if i < 9 else "test"]
        for name in CLASSES
        for i in range(12)
    ]
    runs = []
    for turn in (0, 1):
        names = [CLASSES[(CLASSES.index(row[1]) + (turn if row[2] == "test" else 0)) % 3] for row in rows]
        file = folder / f"labels{turn}.csv"
        with file.open("w", newline="") as target:
            csv.writer(target).writerows(
                [["path", "label", "split"], *([row[0], name, row[2]] for row, name in zip(rows, names, strict=True))]
            )
        recipe = override(
            load_recipe("fine_tuning"),
            ["backbone=CifarNet", "weights=none", "phases.epochs=1", "score_degrees=True", *TINY],
        )
        runs.append(RunDir(tlmed.train(recipe, tmp_path / f"run{turn}", file).path))
    one, other = (read_csv(run / "degrees.csv") for run in runs)
    for column in ("phase", "val_loss", "val_auc", "val_accuracy", "best_epoch", "kept"):
        assert [row[column] for row in one] == [row[column] for row in other]
    assert [row["test_auc"] for row in one] != [row["test_auc"] for row in other]
    assert runs[0].json("metrics.json")["kept"]["score"] == runs[1].json("metrics.json")["kept"]["score"]


@pytest.mark.slow
def test_phases_that_no_longer_help_are_not_tried(images, tmp_path):
    said = []
    recipe = override(
        load_recipe("incremental"),
        ["backbone=LeNet5", "weights=digits", "phases.epochs=1", "phases.learning_rate=1e-9", *TINY],
    )
    run = RunDir(tlmed.train(recipe, tmp_path / "run", images, voice=tlmed.run.Voice(say=said.append)).path)
    assert [row["phase"] for row in read_csv(run / "degrees.csv")] == ["head", "block2"]
    assert [phase["name"] for phase in run.json("plan.json")["phases"]] == ["head", "block2", "block1"]
    assert any("Not tried: 'block1'" in line for line in said)


@pytest.mark.slow
def test_a_network_of_ones_own_is_trained_and_recorded(images, tmp_path):
    import keras

    net = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        ],
        name="mine",
    )
    recipe = override(load_recipe("fine_tuning"), ["phases.epochs=1", *TINY])
    run = RunDir(tlmed.train(recipe, tmp_path / "run", images, backbone=net).path)
    assert run.json("recipe.json")["backbone"] == "own:mine"
    assert run.json("environment.json")["weights"]["name"] == "own"
    assert [phase["blocks"] for phase in run.json("plan.json")["phases"]] == [[], ["block1", "block2"]]
    again = inference.evaluate(run)[1]
    assert again["metrics"] == run.json("metrics.json")["metrics"]
    said = "On which images the network's own weights were trained is not known: if test or validation images are among"
    page = html.unescape((run / "report.html").read_text())
    for found in (run.json("environment.json")["warnings"], again["evaluated"]["warnings"], [page]):
        assert said in "\n".join(found)
    assert "On which images the weights were trained: to be filled in by the author" in re.sub("<[^>]*>", "", page)
    assert "On which images its first weights were trained is not fully known." in write_card(run)


@pytest.mark.parametrize("swapped", [True, False])
def test_validation_images_that_are_ranked_the_wrong_way_round_are_told(swapped, tmp_path):
    two, said = CLASSES[:2], []
    write_images(tmp_path, 24, two)
    lines = ["path,label,split"]
    for label, name in enumerate(two):
        for i in range(24):
            split = "train" if i < 12 else "val" if i < 20 else "test"
            given = two[1 - label] if swapped and split == "val" else name
            lines.append(f"{name}/{name} ({i}).png,{given},{split}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    run = RunDir(tlmed.train(hybrid(), tmp_path / "run", tmp_path / "list.csv", voice=Voice(say=said.append)).path)
    words = "On the 16 validation images the AUC of what was kept is 0.000 (0.000 to 0."
    page = html.unescape((run / "report.html").read_text())
    for found in ("\n".join(map(str, said)), page.partition("<b>Found:</b>")[2].partition("</p>")[0]):
        assert (words in found) == swapped
    assert ("validation" in run.json("metrics.json")) == swapped


@pytest.mark.parametrize(
    ("second", "classes", "told"),
    [
        ([0.9, 0.1] * 10, 2, True),  # AUC 0
        (np.linspace(0.9, 0.1, 20), 2, False),  # AUC 0.45, which is noise
        ([0.9, 0.1] * 10, 1, False),  # no AUC
    ],
)
def test_a_validation_auc_below_a_half_is_told_only_where_its_whole_interval_is(second, classes, told):
    scores = np.stack([1 - np.array(second), second], axis=1)
    labels, paths = np.arange(20) % classes, tuple(map(str, range(20)))
    predictions = Predictions(paths, ("val",) * 20, labels, scores, scores.argmax(axis=1), ("a", "b"))
    assert bool(scoring._note_validation(predictions, hybrid())) == told
