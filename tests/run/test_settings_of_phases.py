"""What a run writes down of the schedule and the regularisers of its phases."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import tlmed
from tests.conftest import SMALL
from tlmed.data.decode_and_resize import decode_resized
from tlmed.digests import list_history
from tlmed.export import write_card
from tlmed.plan.tables import describe_phases
from tlmed.recipe import override
from tlmed.run.story import rehearse
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")

SETTINGS = (
    *SMALL,
    *("phases.1.schedule=linear", "phases.1.warmup=0.25", "phases.clip_norm=1", "phases.1.weight_decay=0.01"),
)


@pytest.fixture(scope="module")
def recipe():
    return override(tlmed.load_recipe("fine_tuning"), SETTINGS)


@pytest.fixture(scope="module")
def run(recipe, images, tmp_path_factory):
    return tlmed.train(recipe, tmp_path_factory.mktemp("runs") / "run", images).path


def test_the_history_has_a_rate_for_each_epoch_of_all_phases(run, recipe):
    rows = read_csv(run / "history.csv")
    assert list(rows[0])[-2:] == ["seconds", "learning_rate"]
    head, top = recipe.phases
    assert [float(row["learning_rate"]) for row in rows[:2]] == [head.learning_rate] * 2
    # Three steps an epoch; the first two of six rise.
    expected = [top.learning_rate * factor for factor in (1, 1 / 4)]
    assert [float(row["learning_rate"]) for row in rows[2:]] == pytest.approx(expected, rel=1e-5)


def test_plan_report_and_card_say_what_is_set(run):
    plan = json.loads((run / "plan.json").read_text())
    said = (
        "top: the learning rate falls to 0 in equal steps, after a warm-up in 25 % of the steps; "
        "gradients of a norm of 1 at most; weight decay 0.01, not of biases and norms"
    )
    lines = [line for line in describe_phases(plan) if isinstance(line, str)]
    assert lines == ["head: gradients of a norm of 1 at most", said]
    assert [phase["optimizer_settings"].get("weight_decay") for phase in plan["phases"]] == [None, 0.01]
    assert f"<p>{said}.</p>" in (run / "report.html").read_text()
    card = write_card(RunDir(run))
    assert "| phases.schedule | head: constant, top: linear |" in card
    assert "| phases.clip\\_norm | 1.0 |" in card or "| phases.clip_norm | 1.0 |" in card


REGULARISED = ("phases.label_smoothing=0.1", "phases.mixup=0.4", "phases.optimizer=sgd", "head.dropout=0")


def test_a_run_on_kept_features_is_one_without_them(images, tmp_path):
    """What is mixed comes after the frozen blocks, so that it is the same whether these are computed once or always."""
    runs = {}
    for cache in ("on", "off"):
        settings = (*SMALL, *REGULARISED, f"cache={cache}", "engine=tensorflow")
        runs[cache] = tlmed.train(override(tlmed.load_recipe("fine_tuning"), settings), tmp_path / cache, images).path
    on, off = ([float(row["loss"]) for row in read_csv(run / "history.csv")] for run in runs.values())
    assert on == pytest.approx(off, abs=1e-5)
    choices = [phase["cache"]["on"] for phase in json.loads((runs["on"] / "plan.json").read_text())["phases"]]
    assert choices == [True, True]
    page = (runs["on"] / "report.html").read_text()
    assert "<p>head: labels smoothed by 0.1; mixup with alpha 0.4.</p>" in page
    assert "the loss of training is that of smoothed labels; training mixes images" in page


def test_the_distance_is_that_from_the_weights_before_the_first_phase(run, images, tmp_path):
    """A pull that outweighs the loss holds the second phase at the weights of the run that it started from."""
    settings = [it for it in SMALL if not it.startswith("weights")]
    settings += [f"weights={run}", "phases.optimizer=sgd", "phases.learning_rate=1e-4"]
    start = keras.saving.load_model(run / "model.keras").get_weights()
    moves = {}
    for strength in (0, 5000):
        recipe = override(tlmed.load_recipe("fine_tuning"), [*settings, f"phases.1.l2_sp={strength}", "keep=last"])
        out = tlmed.train(recipe, tmp_path / str(strength), images).path
        after = keras.saving.load_model(out / "model.keras").get_weights()
        moves[strength] = max(np.abs(a - b).max() for a, b in zip(start[:-2], after[:-2], strict=True))
    assert 0 < moves[5000] < 0.7 * moves[0]


def test_the_first_epochs_alone_have_the_rates_of_the_whole_phase(images, tmp_path):
    settings = (*SMALL, "phases.epochs=3", "phases.schedule=cosine", "phases.patience=none")
    recipe = override(tlmed.load_recipe("feature_extractor"), [*settings, f"data.source={images}"])
    whole = tlmed.train(recipe, tmp_path / "whole").path
    rehearse(recipe, tmp_path / "first", 2)
    assert list_history(RunDir(tmp_path / "first")) == list_history(RunDir(whole))[:3]


@pytest.mark.parametrize("average", ["top3", "ema"])
def test_a_run_ends_with_an_average_that_is_no_worse_than_its_best_epoch(average, images, tmp_path):
    inputs = keras.Input((32, 32, 3))
    norm = keras.layers.BatchNormalization(name="norm")
    x = keras.layers.Conv2D(8, 3, strides=2)(keras.layers.Rescaling(1 / 255)(inputs))
    backbone = keras.Model(inputs, keras.layers.ReLU()(norm(x)), name="mine")
    changes = ("thaw=all", "batch_norm=update", f"average={average}", "epochs=5", "patience=none", "learning_rate=0.01")
    settings = [*(it for it in SMALL if "=" in it and it.split("=")[0] in ("data.image_size", "data.batch_size"))]
    settings += ["examples=0", "monitor=val_loss", *(f"phases.0.{change}" for change in changes)]
    recipe = override(tlmed.load_recipe("feature_extractor"), settings)
    run = tlmed.train(recipe, tmp_path / "run", images, backbone=backbone).path
    kept = json.loads((run / "metrics.json").read_text())["kept"]
    rows = read_csv(run / "history.csv")
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert kept["best_epoch"] == int(best["epoch"])
    assert kept["score"] <= float(best["val_loss"])
    if average == "top3":
        assert kept["averaged"][0] == kept["best_epoch"]
        assert len(kept["averaged"]) > 1
        said = f"mean of epochs {kept['averaged'][0]}"
    else:
        assert kept["moving_average"] in (kept["best_epoch"], len(rows))
        said = f"moving average of the weights after epoch {kept['moving_average']}"
    assert said in (run / "report.html").read_text()
    saved = keras.saving.load_model(run / "model.keras")
    pixels = np.concatenate([read_image(run, row) for row in read_csv(run / "splits.csv") if row["split"] == "train"])
    inside = keras.Model(saved.inputs, saved.get_layer("norm").input).predict(pixels, verbose=0)
    np.testing.assert_allclose(saved.get_layer("norm").moving_mean, inside.mean((0, 1, 2)), rtol=1e-3, atol=1e-4)


def read_image(run, row):
    root = Path(json.loads((run / "recipe.json").read_text())["data"]["source"])
    return decode_resized((root / row["path"]).read_bytes(), (32, 32))[None].astype("float32")
