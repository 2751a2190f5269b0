"""The engine of frozen blocks is prepared while images are read: it is the one that runs, and no other weights' one."""

import dataclasses

import keras
import numpy as np
import pytest

import tlmed
from tlmed.data.reading import Pixels
from tlmed.features.early_engines import EarlyEngine, preparing
from tlmed.features.engines import CannotConvert, OpenVino, TensorFlow
from tlmed.features.kept import Means, keep_features
from tlmed.recipe import override
from tlmed.rundir import RunDir
from tlmed.voice import SILENT, Voice

pytestmark = pytest.mark.usefixtures("empty_figures")

MEANS = Means("small", "tensorflow", 2)
SETTINGS = ("backbone=CifarNet", "weights=none", "data.image_size=32,32", "phases.epochs=1", "examples=0", "cache=on")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def network():
    images = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Conv2D(2, 3, name="conv")(images)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D(name="pool")(x))


@pytest.fixture
def pixels():
    pictures = np.random.RandomState(0).randint(0, 256, (3, 8, 8, 3)).astype("uint8")
    return Pixels(None, (8, 8), pictures, np.ones(3, bool), tuple(bytes([number]) * 32 for number in range(3)))


@pytest.fixture
def prepared(monkeypatch):
    """Give the networks that engines were prepared for, each as often as that was."""
    found, prepare = [], TensorFlow._compile

    def note(engine):
        found.append(engine.prefix)
        return prepare(engine)

    monkeypatch.setattr(TensorFlow, "_compile", note)
    return found


def keep(network, pixels, early):
    return keep_features(network, pixels, "head", SILENT, MEANS, ready=early.take)


def test_the_engine_that_was_prepared_early_computes_what_a_late_one_would(network, pixels, prepared, monkeypatch):
    with preparing(network, MEANS) as early:
        pass
    assert len(prepared) == 1
    activations, done = keep(network, pixels, early)
    assert len(prepared) == 1
    assert (done["computed"], done["batches"]) == (3, 2)
    late = TensorFlow(network, 2)
    expected = np.concatenate([late(pixels.kept[:2]), late(pixels.kept[2:])])
    np.testing.assert_array_equal(activations.take(np.arange(3)), expected)


def test_an_engine_of_weights_that_changed_since_is_not_taken(network, pixels, prepared):
    with preparing(network, MEANS) as early:
        pass
    network.get_layer("conv").bias.assign([5.0, 7.0])
    activations, _ = keep(network, pixels, early)
    assert len(prepared) == 2
    np.testing.assert_allclose(activations.take(np.arange(2)), network.predict(pixels.kept[:2], verbose=0), rtol=1e-5)


def test_nothing_is_prepared_where_the_store_has_features(network, pixels, prepared):
    with preparing(network, MEANS) as early:
        pass
    keep(network, pixels, early)
    prepared.clear()
    with preparing(network, MEANS) as early:
        pass
    _, done = keep(network, pixels, early)
    assert prepared == []
    assert done["computed"] == 0


def test_an_engine_that_cannot_run_the_network_leaves_saying_so_to_who_needs_it(network, pixels, monkeypatch):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")

    def refuse(engine):
        raise CannotConvert("it is too odd")

    monkeypatch.setattr(OpenVino, "_compile", refuse)
    means, said = dataclasses.replace(MEANS, engine="openvino"), []
    with preparing(network, means) as early:
        pass
    _, done = keep_features(network, pixels, "head", Voice(warn=said.append), means, ready=early.take)
    assert done["engine"] == "tensorflow"
    assert [sentence for sentence in said if "it is too odd" in sentence] == said


@pytest.mark.parametrize(
    ("name", "settings", "used"),
    [
        ("feature_extractor", (), True),
        ("feature_extractor_hybrid", ("head.classifier=GaussianNB",), True),
        ("fine_tuning", ("phases.0.thaw=1",), False),
    ],
)
def test_a_run_takes_the_early_engine_where_all_blocks_are_frozen_first(
    images, tmp_path, monkeypatch, name, settings, used
):
    taken, take = [], EarlyEngine.take

    def note(early, key):
        taken.append(take(early, key))
        return taken[-1]

    monkeypatch.setattr(EarlyEngine, "take", note)
    chosen = [it for it in (*SETTINGS, *settings) if "phases" not in it or "hybrid" not in name]
    run = tlmed.train(override(tlmed.load_recipe(name), chosen), tmp_path / "run", images)
    assert [isinstance(engine, TensorFlow) for engine in taken] == ([True] if used else [])
    assert RunDir(run.path).json("timing.json")["extractions"][0]["computed"] > 0
