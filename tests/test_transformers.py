"""A vision transformer of keras-hub, tiny and random, in phases: prefix, certificate, block decay, plan, cache."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import tlmed
from tlmed.backbones import build
from tlmed.certificate import certify, fingerprint, make_claim
from tlmed.evaluation.explanations import grad_cam
from tlmed.heads.dense import attach_head
from tlmed.phases import learning_rates, split_blocks, thaw
from tlmed.plan.plan_json import cut, describe_block
from tlmed.recipe import load_recipe, override
from tlmed.sections import Dense, Phase

SIZE = (32, 32)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3)).astype("float32")


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)
    folder = tmp_path_factory.mktemp("presets") / "dino"
    hub.models.DINOV2Backbone(
        patch_size=8, num_layers=5, hidden_dim=16, num_heads=2, intermediate_dim=32, image_shape=(*SIZE, 3)
    ).save_to_preset(folder)
    hub.layers.DINOV2ImageConverter(image_size=SIZE, scale=1 / 255).save_to_preset(folder)
    return f"hub:{folder}"


@pytest.mark.parametrize(("thawed", "unit"), [(0, "block"), (2, "block"), (1, "layer"), ("all", "block")])
def test_a_phase_trains_what_it_thaws_and_the_prefix_gives_the_same_bits(preset, thawed, unit):
    model = attach_head(build(preset, "own", SIZE).model, 3, seed=1)
    phase = Phase("p", thaw=thawed, unit=unit, epochs=1, learning_rate=1e-2, block_decay=0.5)
    thaw(model, phase)
    claim, before = make_claim(model), fingerprint(model)
    if model.route.frozen is not None:
        prefix = model.route.frozen
        np.testing.assert_array_equal(prefix(IMAGES, training=True), prefix.net(IMAGES, training=False))
    model.train_on_batch(IMAGES, np.array([0, 1, 2, 0]))
    proof = certify("p", claim, before, fingerprint(model))
    count = {"all": 4}.get(thawed, thawed)
    assert list(proof["blocks"].values()).count("thawed") == count + 1
    _, parts = split_blocks(model.parts.backbone, phase)
    rates = list(learning_rates(parts, phase).values())
    assert sorted(rates, reverse=True) == [1e-2 * 0.5**step for step in range(count + 1)]


@pytest.mark.parametrize("pooling", ["avg", "class", "class+avg"])
def test_each_pooling_of_tokens_has_a_map_of_where_the_evidence_lies(preset, pooling):
    backbone = build(preset, "own", SIZE).model
    model = attach_head(backbone, 3, Dense(pooling=pooling), seed=1).plain()
    tokens = backbone(IMAGES).numpy()
    pooled = {"avg": [tokens[:, 1:].mean(axis=1)], "class": [tokens[:, 0]]}
    features = np.concatenate(pooled.get(pooling) or pooled["class"] + pooled["avg"], axis=1)
    head = model.get_layer("probabilities")
    np.testing.assert_allclose(model(IMAGES), head(features), atol=1e-6)
    # Some class of some image has evidence, and it is not everywhere the same.
    maps = np.concatenate([grad_cam(model, IMAGES, wanted) for wanted in range(3)])
    assert maps.max() == 1
    assert maps.std(axis=(1, 2)).max() > 1e-3


def test_the_plan_lists_four_blocks_of_encoder_layers(preset):
    blocks = [describe_block(block) for block in cut(build(preset, "own", SIZE).model)]
    assert [block["name"] for block in blocks] == ["block1", "block2", "block3", "block4"]
    assert all(block["shape"] == [17, 16] for block in blocks)


def test_a_run_caches_frozen_tokens_and_its_network_loads_in_plain_keras(preset, tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))
    settings = [
        "data.image_size=32,32",
        f"backbone={preset}",
        "weights=own",
        "phases.epochs=1",
        "keep=last",
        "cache=on",
    ]
    recipe = override(load_recipe("fine_tuning"), settings)
    run = tmp_path / "run"
    tlmed.train(recipe, out=run, data=make_images(tmp_path / "images"))
    plan = json.loads((run / "plan.json").read_text())
    assert [phase["blocks"] for phase in plan["phases"]] == [[], ["block3", "block4"]]
    assert all(phase["cache"]["on"] for phase in plan["phases"])
    # The tokens that come from the store, and the saved network on pixels, give the same scores.
    network = keras.models.load_model(run / "model.keras")
    with open(run / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        with Image.open(tmp_path / "images" / row["path"]) as image:
            scores = network(np.asarray(image, "float32")[None])
        assert float(scores[0, 1]) == pytest.approx(float(row["score_light"]), abs=1e-5)


def list_settings(preset, images):
    small = ("data.image_size=32,32", "weights=own", "head.pooling=avg", "examples=0", "phases.epochs=1")
    return [f"backbone={preset}", f"data.source={images}", *small]


@pytest.mark.slow
def test_a_transformer_is_fine_tuned_in_bfloat16(preset, tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))
    settings = [*list_settings(preset, make_images(tmp_path / "images")), "precision=bfloat16"]
    run = tlmed.train(override(load_recipe("fine_tuning_from_scratch"), settings), out=tmp_path / "run")
    assert np.isfinite(run.metrics["metrics"]["log_loss"]["value"])
    # What is saved computes in float32.
    assert {layer.compute_dtype for layer in run.model().layers} == {"float32"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fine_tuning", "vit_probe"])
def test_a_transformer_trains_on_two_devices(preset, name, tmp_path):
    settings = list_settings(preset, make_images(tmp_path / "images"))
    command = [sys.executable, "-m", "tests.every_recipe", "mirrored", tmp_path, name, *settings]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / name / "environment.json").read_text())["strategy"]["replicas"] == 2


def test_the_recipe_vit_probe_solves_a_head_on_class_token_and_patches(preset, tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))
    settings = ["data.image_size=32,32", f"backbone={preset}", "examples=0"]
    recipe = override(load_recipe("vit_probe"), settings)
    run = tlmed.train(recipe, out=tmp_path / "run", data=make_images(tmp_path / "images"))
    backbone, network = build(preset, "own", SIZE).model, keras.models.load_model(tmp_path / "run" / "model.keras")
    assert network.get_layer("probabilities").kernel.shape == (32, 2)
    tokens = backbone(IMAGES).numpy()
    wanted = np.concatenate([tokens[:, 0], tokens[:, 1:].mean(axis=1)], axis=1)
    features = keras.Model(network.input, network.get_layer("pool").output)
    np.testing.assert_allclose(features(IMAGES), wanted, atol=1e-5)
    assert run.metrics["metrics"]["auc"]["value"] > 0.9  # dark against light


def make_images(folder):
    rng = np.random.default_rng(1)
    for label in ("dark", "light"):
        (folder / label).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 128, (*SIZE, 3)) + (100 if label == "light" else 0)
            Image.fromarray(pixels.astype("uint8")).save(folder / label / f"{i}.png")
    return folder
