"""Grades, and classes by what errors cost: one answer per patient, from a network of the user's own."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.conftest import SMALL, draw
from tlmed import inference
from tlmed.evaluation.lines import describe_metrics
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.metrics import apply_temperature, fill_costs
from tlmed.recipe import load_recipe, override
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv

GRADES = ("none", "mild", "severe")
SETTINGS = {
    "grades": ("data.pool=mean", "head.ordinal=soft-labels"),
    "costs": ("data.pool=top3", "costs.severe.none=4", "costs.severe.mild=0.5", "costs.none.severe=30"),
}


def write_patients(folder):
    """Write a table of 36 patients with one to three images each; those of a grade have its brightness."""
    rows = [("path", "label", "patient")]
    for patient in range(36):
        grade = patient % 3
        for i in range(1 + patient % 4 % 3):
            image = draw(grade, 10 * patient + i)[:32, :32]
            rows.append((f"{patient}-{i}.png", GRADES[grade], f"p{patient:02}"))
            Image.fromarray((image // 2 + 40 * grade).astype("uint8")).save(folder / rows[-1][0])
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "list.csv"


def draw_network():
    """Return a small network of a user's own, whose features tell brightness."""
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, name="mine")(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.ReLU()(x), name="user")


@pytest.fixture(scope="module", params=["grades", pytest.param("costs", marks=pytest.mark.slow)])
def finished(request, tmp_path_factory):
    """Give a run by one of the settings, and its data."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("patients")
    order = [f"data.order={','.join(GRADES)}"] if request.param == "grades" else []
    words = (
        *(*SMALL, "phases.epochs=1", "phases.learning_rate=0.05", "weights=own"),
        *("data.pool_by=group", "data.split=0.4,0.3,0.3", *order, *SETTINGS[request.param]),
    )
    recipe, data = override(load_recipe("feature_extractor"), words), write_patients(folder)
    return request.param, tlmed.train(recipe, folder / "run", data, backbone=draw_network()), data


def find_wanted(kind, rows, temperature):
    """Return the answer that is due for each row, by the pooled scores."""
    calibrated = apply_temperature(rows.scores, temperature)
    if kind == "grades":
        return (np.cumsum(calibrated, axis=1) < 0.5).sum(axis=1)  # the median
    costs = fill_costs({"severe": {"none": 4, "mild": 0.5}, "none": {"severe": 30}}, None, list(rows.classes), None)
    return (calibrated @ costs).argmin(axis=1)


def read_pooled(kind, run):
    task = {"order": GRADES, "task": "ordinal"} if kind == "grades" else {}
    return read_predictions(run.path / "pooled.csv", **task)


def test_each_patient_gets_the_answer_that_is_due_for_the_pooled_scores(finished):
    kind, run, _ = finished
    rows, result = read_pooled(kind, run), run.metrics
    assert len(rows.paths) == len({(row["group"], row["split"]) for row in read_csv(run.path / "predictions.csv")})
    assert (result["unit"], result["task"]) == ("group", "ordinal" if kind == "grades" else "single-label")
    wanted = find_wanted(kind, rows, result["calibration"]["temperature"])
    assert rows.predictions.tolist() == wanted.tolist()
    test = rows.of("test")
    if kind == "grades":
        off = np.abs(test.predictions - test.labels).mean()
        assert result["metrics"]["mean_absolute_error"]["value"] == pytest.approx(off)
        assert result["primary"] == "quadratic_kappa"
        return
    paid = [0 if guess == true else result["costs"][true][guess] for true, guess in _name(test)]
    assert result["metrics"]["expected_cost"]["value"] == pytest.approx(np.mean(paid))
    assert (test.predictions != test.scores.argmax(axis=1)).any()


def _name(rows):
    return [
        (rows.classes[true], rows.classes[guess]) for true, guess in zip(rows.labels, rows.predictions, strict=True)
    ]


@pytest.mark.slow
def test_the_run_is_scored_again_with_the_same_answers_and_answers_for_new_patients(finished):
    kind, run, data = finished
    folder = RunDir(run.path)
    assert inference.evaluate(folder)[1]["metrics"] == run.metrics["metrics"]
    pooled, result = inference.evaluate(folder, data)
    assert (result["n"], result["metrics"].keys()) == (36, run.metrics["metrics"].keys())
    rows = pooled.units
    wanted = find_wanted(kind, rows, run.metrics["calibration"]["temperature"])
    assert rows.predictions.tolist() == wanted.tolist()
    said = "\n".join(describe_metrics(run.metrics))
    assert ("median grade" if kind == "grades" else "the class of least expected cost") in said


def test_the_network_of_the_user_is_in_the_file_that_plain_keras_loads(finished):
    _, run, data = finished
    network = keras.saving.load_model(run.path / "model.keras")
    assert any(layer.name == "mine" for layer in network.layers)
    row = read_csv(run.path / "predictions.csv")[0]
    with Image.open(data.parent / row["path"]) as image:
        found = np.asarray(network(np.asarray(image, "float32")[None]))[0]
    np.testing.assert_allclose(found, [float(row[f"score_{name}"]) for name in run.metrics["classes"]], atol=1e-5)
    assert RunDir(run.path).json("recipe.json")["backbone"].startswith("own:")
