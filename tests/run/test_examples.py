"""A run's most telling images are explained, the same way each time, and where that is impossible it is said."""

import dataclasses
import os
import signal
import threading
import time

import keras
import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.conftest import SMALL
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import read_rule
from tlmed.evaluation.explanations import Case, Explainer, overlay, pick_cases
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.inference.scorer import Scorer, load_scorer
from tlmed.plan.costs import count_flops
from tlmed.recipe import override
from tlmed.run import example_pictures
from tlmed.rundir import RunDir

SETTINGS = (*SMALL, "phases.epochs=1", "engine=tensorflow", "examples=2")


def train(images, out, name="fine_tuning", *settings):
    return tlmed.train(override(tlmed.load_recipe(name), [*SETTINGS, *settings]), out, images)


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    return RunDir(train(images, tmp_path_factory.mktemp("runs") / "run").path)


def read_all(run):
    return {path.name: path.read_bytes() for path in sorted((run / "examples").iterdir())}


def test_the_cases_are_those_that_are_picked(run):
    predictions, result = read_predictions(run / "predictions.csv"), run.json("metrics.json")
    cases = pick_cases(predictions, 2, None, result["threshold"])
    written = run.json("examples.json")["examples"]
    assert [(each["kind"], each["path"]) for each in written] == [
        (kind, predictions.paths[row]) for kind, rows in cases.items() for row in rows
    ]
    for each in written:
        row = predictions.paths.index(each["path"])
        assert each["label"] == predictions.classes[predictions.labels[row]]
        assert each["prediction"] == predictions.classes[predictions.predictions[row]]
        assert each["score"] == predictions.scores[row, predictions.predictions[row]]
        assert each["method"] == "grad-cam, last block"
    assert sorted(each["file"] for each in written) == [f"examples/{name}" for name in read_all(run)]


@pytest.mark.parametrize(
    "settings", [("costs.normal.malignant=9", "costs.benign.malignant=4"), ("logit_adjustment=1",)]
)
def test_the_rule_of_a_run_of_three_classes_picks_its_cases(settings, images, tmp_path):
    made = RunDir(train(images, tmp_path / "run", "feature_extractor", *settings).path)
    predictions, result = read_predictions(made / "predictions.csv"), made.json("metrics.json")
    rated = read_rule(result["decision"], predictions.classes).rate(predictions.calibrated)
    first, second = np.sort(rated, axis=1)[:, ::-1][:, :2].T
    test = [row for row, split in enumerate(predictions.splits) if split == "test"]
    nearest = sorted(test, key=lambda row: (first[row] - second[row], predictions.paths[row]))
    written = [each["path"] for each in made.json("examples.json")["examples"] if each["kind"] == "uncertain"]
    assert written == [predictions.paths[row] for row in nearest[:2]]


def test_a_picture_shows_the_image_and_its_map(run, images):
    first = next(each for each in run.json("examples.json")["examples"] if each["kind"] == "wrong")
    with Image.open(run / first["file"]) as picture:
        drawn = np.asarray(picture)
    pixels = tlmed.data.decode_and_resize.decode_resized((images / first["path"]).read_bytes(), (32, 32))
    explainer = load_scorer(run).explainer()
    label = run.json("metrics.json")["classes"].index(first["prediction"])
    (heat,) = explainer(pixels[None], label)
    pair = [np.kron(part, np.ones((7, 7, 1))) for part in (pixels, overlay(pixels, heat))]
    np.testing.assert_array_equal(drawn[8:232, 8:232], pair[0])
    np.testing.assert_allclose(drawn[8:232, 240:464], pair[1], atol=2)  # of a batch of one the last bits differ


def test_they_are_in_the_report_and_in_the_timing(run):
    page = (run / "report.html").read_text()
    assert page.count("data:image/jpeg") == len(run.json("examples.json")["examples"])
    assert "examples" in [stage["name"] for stage in run.json("timing.json")["stages"]]


@pytest.mark.slow
def test_two_runs_write_the_same_bytes_and_none_are_left_of_an_earlier_one(run, images, tmp_path):
    again = RunDir(train(images, tmp_path / "run").path)
    assert read_all(again) == read_all(run)
    assert (again / "examples.json").read_bytes() == (run / "examples.json").read_bytes()
    recipe = override(tlmed.load_recipe("fine_tuning"), [*SETTINGS, "examples=0"])
    tlmed.train(recipe, again.path, images, fresh=True)
    assert not (again / "examples").exists()
    assert not (again / "examples.json").exists()
    assert "Most confident" not in (again / "report.html").read_text()


def test_what_cannot_be_explained_is_shown_with_the_reason(run, tmp_path, monkeypatch):
    def refuse(scorer, *words, **options):
        raise InputError("`model` must end in a softmax. Received: another end.")

    monkeypatch.setattr("tlmed.inference.scorer.Scorer.explainer", refuse)
    pixels = {(row, 1): np.zeros((32, 32, 3), "uint8") for row in range(3)}
    predictions, cases = read_predictions(run / "predictions.csv"), [Case("right", 1, 0, 1)]
    maps, method, notes = example_pictures._explain_aside(run, cases, pixels)
    assert (maps, method) == ({}, "")
    assert notes == ["The images are shown without explanations: `model` must end in a softmax. Received: another end."]
    example_pictures._write_picture(tmp_path / "a.png", pixels[0, 1], None, predictions, cases[0], method)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (32, 32)


@pytest.mark.slow
def test_a_hybrid_is_explained_by_large_squares(images, tmp_path):
    settings = [word for word in SETTINGS if "phases" not in word]
    settings += ["head.classifier=LogisticRegression", "head.folds=2"]
    recipe = override(tlmed.load_recipe("feature_extractor_hybrid"), settings)
    run = RunDir(tlmed.train(recipe, tmp_path / "run", images).path)
    found = run.json("examples.json")
    assert {each["method"] for each in found["examples"]} == {"occlusion"}
    assert found["notes"] == []
    with Image.open(run / found["examples"][0]["file"]) as picture:
        colours = np.asarray(picture)[8:232, 240:464]
    assert colours.std() > 0


def be_slow(calls):
    calls.append(1)
    time.sleep(0.1)


def explain_by_gradients(calls, monkeypatch):
    """Return a scorer whose explainer takes a while for each batch."""
    explainer = Explainer("grad-cam", "last", lambda images, wanted: be_slow(calls) or np.zeros(images.shape[:3]))
    monkeypatch.setattr("tlmed.inference.scorer.Scorer.explainer", lambda *words: explainer)
    return Scorer(None, None, None)


def explain_by_occlusion(calls, monkeypatch):
    """Return the scorer of a hybrid whose classifier takes a while for each batch."""
    features = keras.Sequential([keras.Input((7, 7, 3)), keras.layers.Flatten()])
    return Scorer(features, lambda found: be_slow(calls) or np.full((len(found), 3), 1 / 3))


@pytest.mark.parametrize("make", [explain_by_gradients, explain_by_occlusion])
def test_who_presses_ctrl_c_waits_for_no_more_than_a_batch(run, monkeypatch, make, request):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background switches off
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    calls = []
    scorer = make(calls, monkeypatch)
    monkeypatch.setattr(example_pictures, "load_scorer", lambda run: scorer)
    amount = 24 if make is explain_by_occlusion else 12 * 32
    pixels = {(row, 0): np.zeros((7, 7, 3), "uint8") for row in range(amount)}
    threads = set(threading.enumerate())
    press = threading.Timer(0.25, os.kill, (os.getpid(), signal.SIGINT))
    press.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        example_pictures._explain_aside(run, [Case("right", row + 1, row, 0) for row in range(amount)], pixels)
    assert time.monotonic() - start < 0.7  # all of it takes more than a second
    for thread in set(threading.enumerate()) - threads:
        thread.join(0.7)
        assert not thread.is_alive()
    assert 0 < len(calls) < 8


def test_heavy_networks_have_fewer_images_explained():
    rows = {"right": [3, 1], "wrong": [2, 5], "uncertain": [2, 4]}
    cases = [Case(kind, rank, row, 0) for kind, own in rows.items() for rank, row in enumerate(own, 1)]
    light = example_pictures.MOST_WORK / (50 * 5)

    def limit(work):
        return [row for row, _ in example_pictures._limit(cases, work)]

    assert limit(light) == [1, 2, 3, 4, 5]
    assert limit(1.01 * light) == [2, 3]
    assert limit(1e20) == [2, 3]  # one of each kind in any case


@pytest.mark.parametrize(
    ("name", "billions"),
    # Of Sandler et al. 2018, table 4, and He et al. 2016, table 1 and the text above it.
    [
        ("MobileNetV2", 0.30),
        pytest.param("ResNet50", 3.8, marks=pytest.mark.slow),
        pytest.param("VGG16", 15.3, marks=pytest.mark.slow),
    ],
)
def test_work_is_that_of_the_papers(name, billions):
    network = getattr(keras.applications, name)(weights=None)
    assert count_flops(network) / 2e9 == pytest.approx(billions, rel=0.05)


def test_the_number_is_checked():
    recipe = tlmed.load_recipe("fine_tuning")
    assert recipe.examples == 3
    with pytest.raises(InputError, match=r"`examples` must be a whole number, 0 or more\. Received: examples=-1"):
        dataclasses.replace(recipe, examples=-1)
    assert override(recipe, ["examples=0"]).examples == 0
