"""Runs with adapters: what is saved, what is certified, and that a killed run ends in the same bits."""

import contextlib
import html
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tlmed
from tests.adapters.test_adapters import ONE_AT_ONCE
from tests.conftest import SMALL
from tests.run.test_distribution import check_same, run_strategies
from tests.run.test_resuming import FLIPPED, Killed, fit
from tests.run.test_settings_of_phases import read_image
from tlmed.phases import merge
from tlmed.recipe import override
from tlmed.sections.adaptation import ADAPTERS
from tlmed.training.checkpoints import Checkpoints
from tlmed.voice import Voice
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")

LORA, OTHERS = ("phases.1.rank=2",), ("phases.1.rank=none",)
SETTINGS = (*(it for it in SMALL if not it.startswith(("backbone", "weights"))), "keep=last", "phases.1.thaw=2")


def build_network():
    """Draw a backbone of three blocks with kernels of one pixel and of three, BatchNorm and biases."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255, name="scaled")(inputs)
    for number, filters in enumerate((8, 8, 16), 1):
        x = keras.layers.Conv2D(filters, 3, strides=2, name=f"wide{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
        x = keras.layers.Conv2D(filters, 1, activation="relu", name=f"thin{number}")(x)
    return keras.Model(inputs, x, name="mine")


def train(images, out, kind, *settings, **options):
    words = (*SETTINGS, f"phases.1.adapt={kind}", *(LORA if kind == "lora" else OTHERS), *settings)
    recipe = override(tlmed.load_recipe("lora"), words)
    return tlmed.train(recipe, out, images, backbone=build_network(), **options).path


@pytest.fixture(scope="module")
def runs(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted")
    return {kind: train(images, folder / kind, kind, "cache=on", "engine=tensorflow") for kind in ADAPTERS}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_the_saved_network_is_plain_and_gives_the_scores_of_the_run(runs, kind):
    run = runs[kind]
    saved = keras.saving.load_model(run / "model.keras")
    assert [layer.name for layer in saved.layers][1:-3] == [layer.name for layer in build_network().layers][1:]
    assert sum(np.prod(weight.shape) for weight in saved.weights) == build_network().count_params() + 16 * 3 + 3
    assert not any(word in json.dumps(saved.get_config(), default=str) for word in ("lora", "ssf", "tlmed"))
    rows = read_csv(run / "predictions.csv")
    pixels = np.concatenate([read_image(run, row) for row in rows])
    names = [name for name in rows[0] if name.startswith("score_")]
    scores = np.array([[float(row[name]) for name in names] for row in rows])
    np.testing.assert_allclose(saved.predict(pixels, verbose=0), scores, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "moves"),
    [("lora", {"kernel"}), ("ssf", {"kernel", "bias", "gamma", "beta"}), ("bitfit", {"bias", "beta"})],
)
def test_the_certificate_names_what_stayed_until_it_was_merged(runs, kind, moves):
    entries = json.loads((runs[kind] / "freeze.json").read_text())["phases"]
    assert "adapted" not in entries[0]
    entry = entries[1]
    backbone = {name for name in entry["moved"] if not name.startswith("probabilities")}
    assert {name.rsplit("/")[-1] for name in backbone} == moves
    assert not any("norm1" in name or "wide1" in name or "thin1" in name for name in backbone)
    if kind == "bitfit":
        assert "adapted" not in entry
        assert any(name.endswith("kernel") for name in entry["frozen"])
        return
    assert backbone <= set(entry["adapted"])
    assert all(entry["adapted"][name] == entry["moved"][name][0] for name in backbone)
    if kind == "lora":
        assert set(entry["adapted"]) == {"thin2/kernel", "thin3/kernel"}
        assert "wide3/kernel" in entry["frozen"]
    page = (runs[kind] / "report.html").read_text()
    assert "merged" in page


def test_plan_and_report_say_what_was_adapted(runs):
    plan = json.loads((runs["lora"] / "plan.json").read_text())["phases"][1]
    assert plan["adapters"] == {"layers": 2, "parameters": 2 * (8 + 8) + 2 * (16 + 16), "rank": 2}
    said = "lora: LoRA of rank 2 in place of the thawed blocks' weights (96 numbers for 2 layers)"
    assert said in html.unescape((runs["lora"] / "report.html").read_text())


@pytest.mark.parametrize("kind", ONE_AT_ONCE)
def test_the_same_recipe_gives_the_same_bits_without_kept_features_as_far_as_rounding_goes(
    runs, images, kind, tmp_path
):
    off = train(images, tmp_path / "off", kind, "cache=off", "engine=tensorflow")
    losses = [[float(row["loss"]) for row in read_csv(run / "history.csv")] for run in (runs[kind], off)]
    # Dropout draws the same; the steps differ in their rounding alone.
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


class KillAfter(keras.callbacks.Callback):
    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise Killed


@pytest.mark.parametrize("kind", ONE_AT_ONCE[:2])
def test_a_run_that_is_killed_in_the_adapted_phase_ends_in_the_same_bits(runs, images, kind, tmp_path, monkeypatch):
    def stop(phase, *_):
        return contextlib.nullcontext(KillAfter(4) if phase == "lora" else keras.callbacks.Callback())

    monkeypatch.setattr(Checkpoints, "due", True)  # a checkpoint after each step
    settings = ("cache=on", "engine=tensorflow")
    with pytest.raises(Killed):
        train(images, tmp_path / "run", kind, *settings, voice=Voice(progress=stop))
    monkeypatch.undo()
    again = train(images, tmp_path / "run", kind, *settings)
    for name in ("predictions.csv", "splits.csv"):
        assert (again / name).read_bytes() == (runs[kind] / name).read_bytes()
    networks = [keras.saving.load_model(run / "model.keras") for run in (again, runs[kind])]
    for one, other in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_array_equal(one, other)
    phases = [json.loads((run / "freeze.json").read_text())["phases"] for run in (again, runs[kind])]
    assert phases[0] == phases[1]


@pytest.fixture
def deterministic():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(0)


@pytest.mark.parametrize(
    "fields",
    [{"adapt": "ssf", "average": "top3"}, {"adapt": "bitfit", "l2_sp": 0.1}, {"adapt": "ssf", "average": "ema"}],
    ids=str,
)
def test_a_phase_goes_on_in_the_same_bits_and_averages_its_adapters(fields, deterministic, tmp_path):
    model, result, rows = fit(tmp_path / "whole", **FLIPPED, **fields)
    with pytest.raises(Killed):
        fit(tmp_path / "killed", 8, **FLIPPED, **fields)
    again, resumed, more = fit(tmp_path / "killed", **FLIPPED, **fields)
    assert more == rows
    assert (resumed.averaged, resumed.moving_average) == (result.averaged, result.moving_average)
    for network in (model, again):
        merge(network)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ONE_AT_ONCE)
def test_adapters_compute_in_bfloat16(images, kind, tmp_path):
    run = train(images, tmp_path / "run", kind, "precision=bfloat16", "phases.epochs=1")
    saved = keras.saving.load_model(run / "model.keras")
    assert {str(weight.dtype) for weight in saved.weights} == {"float32"}
    assert all(np.isfinite(float(row["loss"])) for row in read_csv(run / "history.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ADAPTERS)
def test_two_devices_end_where_one_ends(images, kind, tmp_path):
    settings = ["backbone=MobileNet:0.25", "weights=none", "data.image_size=32,32", "data.batch_size=12"]
    settings += ["phases.epochs=1", "examples=0", "keep=last", "phases.optimizer=sgd", "head.dropout=0"]
    settings += [
        f"phases.1.adapt={kind}",
        f"phases.1.rank={4 if kind == 'lora' else 'none'}",
        "phases.learning_rate=0.0003",  # at 0.1 a random network diverges, which makes rounding grow
    ]
    check_same(*run_strategies(tmp_path, images, ["one", "mirrored"], settings, recipe="lora"))
