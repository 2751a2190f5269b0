"""Runs whose frozen blocks are computed once: the same numbers as without, and nothing computed twice."""

import contextlib
import dataclasses
import errno
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tlmed
from tests.conftest import write_images
from tlmed import data, inference, run
from tlmed.augmentation import make_augmentation
from tlmed.backbones import build
from tlmed.backbones.graphs import find_unknown_code
from tlmed.cache import store as stores
from tlmed.data.reading import Pixels
from tlmed.errors import InputError, RunFailed
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.features.activations import Shelf, extract
from tlmed.features.engines import OpenVino, choose_engine, make_engine
from tlmed.features.views import Views
from tlmed.graph_runs import CannotConvert
from tlmed.heads.dense import attach_head
from tlmed.plan import Terms
from tlmed.plan.costs import choose_cache, count_flops, weigh
from tlmed.recipe import Augment, Phase, load_recipe, override
from tlmed.run import phase_training
from tlmed.run.previewing import preview
from tlmed.rundir import RunDir
from tlmed.voice import Voice
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")

SMALL = (
    *("data.image_size=32,32", "data.batch_size=16", "phases.epochs=3", "weights=none", "engine=tensorflow"),
    "examples=0",
)


TRAINED = ("backbone=CifarNet", "cache=on", "phases.epochs=1", "head.dropout=0.2")  # with dropout no head is solved


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """Give a folder with a run of a feature extractor, and the cache that holds its features and nothing else."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLMED_CACHE_DIR", str(folder / "cache"))
        train(images, folder / "run", *TRAINED, name="feature_extractor")
    return folder


@pytest.fixture
def first(trained, empty_cache):
    """Give a run whose features are in the cache."""
    shutil.copytree(trained / "cache", empty_cache)
    return RunDir(trained / "run")


def small(*settings, name="fine_tuning"):
    return override(load_recipe(name), [*SMALL, *settings])


def train(images, out, *settings, name="fine_tuning", **options):
    return RunDir(tlmed.train(small(*settings, name=name), out, images, **options).path)


def extractions(folder):
    return folder.json("timing.json")["extractions"]


def counts_of(folder):
    return [(entry["images"], entry["computed"], entry["batches"]) for entry in extractions(folder)]


def numbers(folder, name="history.csv"):
    rows = read_csv(folder / name)
    return np.array([[float(value) for key, value in row.items() if key not in TEXT] for row in rows])


TEXT = ("phase", "seconds", "path", "split", "label", "prediction")


def noisy():
    """Return a small backbone with BatchNorm, and with stochastic depth as EfficientNet has it."""
    inputs = keras.Input((32, 32, 3), name="pictures")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for i, width in enumerate((8, 12, 16), 1):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", name=f"down{i}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{i}")(x)
        branch = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=f"branch{i}")(x)
        branch = keras.layers.Dropout(0.3, noise_shape=(None, 1, 1, 1), seed=i, name=f"drop{i}")(branch)
        x = keras.layers.Add(name=f"add{i}")([x, branch])
    return keras.Model(inputs, x, name="noisy")


# EfficientNet has stochastic depth, and all three have BatchNorm.
@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["noisy", "MobileNet", "EfficientNetB0"])
def test_histories_are_those_without_the_cache(backbone, images, empty_cache, tmp_path):
    words = (f"backbone={backbone}", "head.dropout=0.3", "phases.1.batch_norm=affine")
    options = {"backbone": noisy()} if backbone == "noisy" else {}
    kept, plain = (train(images, tmp_path / mode, *words, f"cache={mode}", **options) for mode in ("on", "off"))
    assert [entry["computed"] for entry in extractions(kept)] == [60, 60]
    assert extractions(plain) == []
    np.testing.assert_allclose(numbers(kept), numbers(plain), atol=1e-4)
    np.testing.assert_allclose(numbers(kept, "predictions.csv"), numbers(plain, "predictions.csv"), atol=1e-4)
    weights = [keras.saving.load_model(each / "model.keras").get_weights() for each in (kept, plain)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


LEFT_ALONE = {
    "fine_tuning": (
        *("phases.1.thaw=1", "phases.1.learning_rate=1e-3", "head.units=8"),
        *("head.loss=focal", "sampling=balanced"),
    ),
    "feature_extractor_hybrid": ("head.classifier=LogisticRegression", "head.folds=2"),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_scores_do_not_depend_on_the_cache_where_the_engine_is_left_alone(name, images, empty_cache, tmp_path):
    words = [word for word in SMALL if "hybrid" not in name or not word.startswith("phases")]
    recipe = override(load_recipe(name), [*words, "backbone=CifarNet", "engine=auto", *LEFT_ALONE[name]])
    kept, plain = (
        RunDir(tlmed.train(dataclasses.replace(recipe, cache=mode), tmp_path / mode, images).path)
        for mode in ("on", "off")
    )
    assert {entry["engine"] for entry in extractions(kept)} == {"tensorflow"}  # which OpenVINO's numbers are not
    assert extractions(plain) == []
    np.testing.assert_allclose(numbers(kept, "predictions.csv"), numbers(plain, "predictions.csv"), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_several_backbones_are_kept_side_by_side(images, empty_cache, tmp_path):
    words = ("backbone=CifarNet,CifarNet", "phases.thaw=1")
    kept, plain = (
        train(images, tmp_path / mode, *words, f"cache={mode}", name="feature_extractor") for mode in ("on", "off")
    )
    assert [entry["computed"] for entry in extractions(kept)] == [60]
    np.testing.assert_allclose(numbers(kept), numbers(plain), atol=1e-4)


def test_the_saved_model_gives_on_raw_images_what_cached_training_saw(images, empty_cache, tmp_path):
    folder = train(images, tmp_path / "run", "cache=on", "phases.epochs=1", backbone=noisy())
    assert [(entry["images"], entry["computed"], entry["batches"]) for entry in extractions(folder)] == [
        (60, 60, 4)
    ] * 2
    model, rows = keras.saving.load_model(folder / "model.keras"), read_csv(folder / "predictions.csv")
    raw = [keras.utils.img_to_array(keras.utils.load_img(images / row["path"], target_size=None)) for row in rows]
    resized = np.stack([tlmed.data.resize(image.astype("uint8"), (32, 32)) for image in raw])
    written = [[float(row[f"score_{name}"]) for name in ("benign", "malignant", "normal")] for row in rows]
    np.testing.assert_allclose(written, model.predict(resized, verbose=0), rtol=0, atol=1e-5)


def test_a_second_run_computes_nothing(first, images, tmp_path):
    second = train(images, tmp_path / "second", *TRAINED, name="feature_extractor")
    assert (counts_of(first), counts_of(second)) == ([(60, 60, 4)], [(60, 0, 0)])
    assert (first / "predictions.csv").read_bytes() == (second / "predictions.csv").read_bytes()


@pytest.mark.slow
def test_other_heads_classifiers_and_splits_share_the_features(images, empty_cache, tmp_path):
    words = ("backbone=LeNet5", "weights=digits", "cache=on")
    train(images, tmp_path / "first", *words, "phases.epochs=1", name="feature_extractor")
    others = {
        "seed": ("feature_extractor", "seed=7", "phases.epochs=1"),
        "head": ("feature_extractor", "head.units=8", "phases.epochs=1"),
        "svc": ("feature_extractor_hybrid", "head.folds=2", "head.classifier=KNeighborsClassifier"),
    }
    for out, (name, *settings) in others.items():
        recipe = override(load_recipe(name), [*(w for w in SMALL if "phases" not in w), *words, *settings])
        done = RunDir(tlmed.train(recipe, tmp_path / out, images).path)
        assert [(entry["computed"], entry["batches"]) for entry in extractions(done)] == [(0, 0)], out


def evaluate(folder, source=None):
    """Evaluate a run, and return its scores by path, with how many of how many features were computed."""
    said = []
    predictions, _ = inference.evaluate(folder, source, voice=Voice(say=said.append))
    counts = []
    for line in said:
        assert line.startswith("Features (evaluation): ")
        found = [re.search(rf"(\d+) {where}", line) for where in ("computed by", "from the cache")]
        computed, stored = (int(match[1]) if match else 0 for match in found)
        counts.append((computed, computed + stored))
    return by_path(predictions.samples), counts


def by_path(predictions):
    return dict(zip(predictions.paths, predictions.scores.tolist(), strict=True))


def test_evaluation_finds_the_features_that_training_has_put_there(first):
    again, counts = evaluate(first)
    assert counts == [(0, len(again))]
    assert again == by_path(read_predictions(first / "predictions.csv"))


@pytest.mark.slow
def test_classifiers_are_evaluated_on_other_images_with_one_extraction(images, empty_cache, tmp_path):
    words = [w for w in SMALL if "phases" not in w] + ["backbone=LeNet5", "weights=digits", "head.folds=2"]
    other = write_images(tmp_path / "other", 23)  # three more of each class than there are for training
    found = []
    for name in ("SVC", "KNeighborsClassifier", "GaussianNB"):
        recipe = override(load_recipe("feature_extractor_hybrid"), [*words, f"head.classifier={name}"])
        folder = RunDir(tlmed.train(recipe, tmp_path / name, images).path)
        found += evaluate(folder, str(other))[1]
    assert found == [(9, 69), (0, 69), (0, 69)]


def list_features(cache):
    """Return the entries of a cache that hold features; what the check of the data keeps is bytes."""
    entries = [entry for entry in stores.Store(cache, 10**9).entries() if entry.dtype != np.uint8]
    assert entries
    return entries


def check_evaluated(folder, again):
    """Check that an evaluation gave the scores that the run wrote down."""
    for path, scores in by_path(read_predictions(folder / "predictions.csv")).items():
        assert again[path] == pytest.approx(scores, abs=1e-6)


def test_evaluation_computes_features_that_are_gone_and_those_of_thawed_blocks(images, empty_cache, tmp_path):
    folder = train(images, tmp_path / "run", "cache=on", "cache_dtype=float16", "phases.epochs=1", backbone=noisy())
    assert [entry.dtype for entry in list_features(empty_cache)] == [np.float16] * 2
    # What is written down is what the saved model gives, which rounds nothing.
    model, row = keras.saving.load_model(folder / "model.keras"), read_csv(folder / "predictions.csv")[0]
    image = tlmed.data.resize(tlmed.data.decode((images / row["path"]).read_bytes()), (32, 32))
    assert float(row["score_benign"]) == pytest.approx(float(model.predict(image[None], verbose=0)[0, 0]), abs=1e-6)
    shutil.rmtree(empty_cache)
    again, counts = evaluate(folder)
    assert counts == [(len(again), len(again))]
    check_evaluated(folder, again)


def test_evaluation_gives_the_same_without_the_store(uncached):
    again, counts = evaluate(uncached)
    assert counts == []
    check_evaluated(uncached, again)


def test_only_the_images_that_are_needed_are_computed_and_others_cannot_be_taken(empty_cache):
    prefix, digests = noisy(), tuple(bytes([number]) * 32 for number in range(4))
    pictures = np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3)).astype("uint8")
    pixels = Pixels(None, (32, 32), pictures, np.ones(4, bool), digests)
    found, done = extract(
        prefix,
        make_engine("tensorflow", prefix, 2),
        pixels,
        Shelf(stores.Store(empty_cache, 10**9), "x"),
        rows=np.array([3, 1]),
    )
    assert (done.images, done.computed) == (2, 2)
    np.testing.assert_allclose(
        found.take(np.array([3])), prefix.predict(pictures[3:], verbose=0).reshape(1, -1), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(IndexError, match=r"Received: \[0\]"):
        found.take(np.array([1, 0]))


def test_new_images_are_added_to_those_that_are_there(first, tmp_path):
    more = write_images(tmp_path / "more", 22)
    second = train(more, tmp_path / "second", *TRAINED, name="feature_extractor")
    alone = train(more, tmp_path / "alone", *TRAINED, "cache=off", name="feature_extractor")
    assert [entry["computed"] for entry in extractions(second)] == [6]
    np.testing.assert_allclose(numbers(second, "predictions.csv"), numbers(alone, "predictions.csv"), atol=1e-5)


def _fill_disk(folder, monkeypatch):
    def refuse(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stores.os, "fsync", refuse)


def _block(folder, monkeypatch):
    folder.write_text("in the way")


def _tighten(folder, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_LIMIT", "1KB")


@pytest.fixture(scope="module")
def uncached(images, tmp_path_factory):
    """Give a run of a feature extractor that kept no features."""
    return train(images, tmp_path_factory.mktemp("runs") / "uncached", *TRAINED, "cache=off", name="feature_extractor")


@pytest.mark.parametrize(
    ("trouble", "words"), [(_fill_disk, "No space left"), (_block, "ot a directory"), (_tighten, "limit")]
)
def test_a_run_goes_on_without_a_cache_that_cannot_be_used(
    trouble, words, uncached, images, empty_cache, tmp_path, monkeypatch
):
    trouble(empty_cache, monkeypatch)
    said = []
    voice = run.Voice(warn=said.append)
    folder = train(images, tmp_path / "run", *TRAINED, name="feature_extractor", voice=voice)
    assert any("cache cannot be used" in line and words in line for line in said)
    assert extractions(folder) == []
    assert (folder / "predictions.csv").read_bytes() == (uncached / "predictions.csv").read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_damaged_features_are_computed_again_and_the_run_says_so(first, images, empty_cache, tmp_path):
    entry = list_features(empty_cache)[0].path
    content = bytearray(entry.read_bytes())
    content[5] ^= 1
    entry.write_bytes(content)
    said = []
    second = train(images, tmp_path / "second", *TRAINED, name="feature_extractor", voice=run.Voice(warn=said.append))
    assert any("damaged" in line for line in said)
    assert [entry["computed"] for entry in extractions(second)] == [60]
    assert (first / "predictions.csv").read_bytes() == (second / "predictions.csv").read_bytes()


def test_a_prefix_that_an_engine_cannot_run_falls_back_to_tensorflow(images, empty_cache, tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")

    def refuse(self):
        raise CannotConvert("an operation is missing")

    monkeypatch.setattr(OpenVino, "_compile", refuse)
    said = []
    settings = ("backbone=CifarNet", "cache=on", "phases.epochs=1", "engine=openvino")
    folder = train(images, tmp_path / "run", *settings, name="feature_extractor", voice=run.Voice(warn=said.append))
    assert any("an operation is missing" in line and "TensorFlow" in line for line in said)
    assert [(entry["engine"], entry["computed"]) for entry in extractions(folder)] == [("tensorflow", 60)]


def lenet():
    return small("backbone=LeNet5", "weights=digits").build(3)


PIXELS = np.random.RandomState(0).randint(0, 256, (5, 32, 32, 3)).astype("uint8")


@pytest.mark.parametrize(
    ("name", "precision", "tolerance"),
    [("tensorflow", "float32", 1e-6), ("openvino", "float32", 1e-5), slow("openvino", "bfloat16", 0.05)],
)
def test_an_engine_gives_what_keras_gives_and_each_row_by_itself(name, precision, tolerance):
    if name == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = lenet()
    prefix = keras.Model(model.inputs[0], [model.parts.features, model.parts.backbone.outputs[0]])
    engine = make_engine(name, prefix, 4, precision)
    rows = engine(PIXELS[:4])
    vector, maps = (part.numpy() for part in prefix(PIXELS[:4].astype("float32"), training=False))
    wanted = np.concatenate([vector, maps.reshape(4, -1)], axis=1)
    assert np.abs(rows - wanted).max() <= tolerance * np.abs(wanted).max()
    np.testing.assert_array_equal(engine(PIXELS[2:3])[0], rows[2])
    assert (engine.name, engine.precision, engine.calls) == (name, precision, 2)


def test_ctrl_c_while_an_engine_converts_is_no_failure_of_the_engine(monkeypatch):
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")

    def stop(model):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("Check 'false' failed") from error

    monkeypatch.setattr(openvino, "convert_model", stop)
    with pytest.raises(KeyboardInterrupt):
        make_engine("openvino", lenet().parts.backbone, 2).prepare()


@pytest.mark.parametrize(("pixels", "share"), [slow(1, 1), (32 * 32 * 2, 2), slow(32 * 32 * 5, 3), slow(10**9, 6)])
def test_openvino_computes_a_batch_in_equal_shares_and_keeps_their_order(pixels, share, monkeypatch):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    monkeypatch.setattr("tlmed.features.engines.SHARE_PIXELS", pixels)
    engine = make_engine("openvino", lenet().parts.backbone, 6)
    assert engine.share == share
    expected = make_engine("tensorflow", lenet().parts.backbone, 6)(PIXELS)
    assert len(np.unique(expected, axis=0)) == len(PIXELS)
    np.testing.assert_allclose(engine(PIXELS), expected, rtol=1e-4, atol=1e-5)
    assert engine.calls == 1


@pytest.mark.slow
def test_openvino_reports_to_nobody(tmp_path):
    """In a process of its own, for OpenVINO looks for what reports when it is imported."""
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry" / "__init__.py").write_text("open('reported', 'w')\nraise ImportError")
    code = "from tlmed.features.engines import OpenVino; OpenVino.load(); import openvino.tools.ovc.telemetry_utils"
    found = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(tlmed.__file__).parent.parent}"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=found)
    assert not (tmp_path / "reported").exists()


def test_an_openvino_without_its_libraries_cannot_convert(monkeypatch):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(CannotConvert, match="openvino"):
        make_engine("openvino", lenet().parts.backbone, 2).prepare()


def test_an_openvino_that_breaks_at_its_import_is_told_of_where_it_is_needed(tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("raise RuntimeError('a library is too old')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "openvino")
    OpenVino.load()
    with pytest.raises(CannotConvert, match="too old"):
        make_engine("openvino", lenet().parts.backbone, 2).prepare()


def test_the_engine_is_chosen_by_what_is_installed(monkeypatch):
    from tlmed.features import engines

    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: object())
    assert choose_engine("auto", "float32") == "tensorflow"
    assert choose_engine("auto", "bfloat16") == choose_engine("openvino", "float32") == "openvino"
    assert choose_engine("tensorflow", "float32") == "tensorflow"
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    assert choose_engine("auto", "float32") == "tensorflow"
    with pytest.raises(InputError, match=r"pip install openvino.*engine='openvino'"):
        choose_engine("openvino", "float32")
    with pytest.raises(InputError, match=r"`engine_precision` must be 'float32'.*'bfloat16'"):
        choose_engine("auto", "bfloat16")


def terms(**fields):
    return Terms(**{"wanted": "auto", "dtype": "float32", "augmented": False, "images": 780, "room": 10**10, **fields})


@pytest.mark.parametrize(
    ("fields", "on", "reason"),
    [
        ({"wanted": "off"}, False, "the recipe says so"),
        ({"wanted": "on", "images": 3}, True, "the recipe says so"),
        ({"augmented": True}, False, "augmentation"),
        ({"images": 3}, False, "would cost more than computing them"),
        ({"room": 10**5, "images": 10**6}, False, "do not fit"),
        ({"images": 10**6}, True, "saved"),
    ],
)
def test_the_plan_says_whether_features_are_kept_and_why(fields, on, reason):
    model, phase = lenet(), small().phases[0]
    choice = choose_cache(model, phase, terms(**fields))
    assert choice.on is on
    assert reason in choice.reason


def test_a_phase_that_freezes_nothing_keeps_nothing():
    phase = dataclasses.replace(small().phases[0], thaw="all")
    assert choose_cache(lenet(), phase, terms(wanted="on")).reason == "nothing is frozen"


def test_a_continued_run_keeps_its_choices_and_its_record(images, empty_cache, tmp_path, monkeypatch):
    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise KeyboardInterrupt

    settings = ("backbone=CifarNet", "phases.epochs=2", "phases.0.epochs=300", "phases.0.patience=1")
    voice = run.Voice(
        progress=lambda phase, *_: contextlib.nullcontext(Stop() if phase == "top" else keras.callbacks.Callback())
    )
    with pytest.raises(KeyboardInterrupt):
        train(images, tmp_path / "run", *settings, voice=voice)
    begun = RunDir(tmp_path / "run").json("plan.json")["phases"]
    assert begun[0]["cache"]["on"]
    monkeypatch.setenv("TLMED_CACHE_LIMIT", "1KB")
    folder = train(images, tmp_path / "run", *settings)
    assert folder.json("plan.json")["phases"] == begun
    assert [entry["name"] for entry in extractions(folder)] == ["head"]


@pytest.mark.parametrize(("cache", "name"), [("on", "feature_extractor"), ("off", "fine_tuning")])
def test_a_run_in_half_precision_writes_down_what_the_saved_model_gives(cache, name, images, empty_cache, tmp_path):
    settings = ("backbone=CifarNet", f"cache={cache}", "phases.epochs=1", "precision=bfloat16")
    folder = train(images, tmp_path / "run", *settings, name=name)
    model = keras.saving.load_model(folder / "model.keras")
    assert "bfloat16" not in str(model.get_config())
    row = read_csv(folder / "predictions.csv")[0]
    image = tlmed.data.resize(tlmed.data.decode((images / row["path"]).read_bytes()), (32, 32))
    assert float(row["score_benign"]) == pytest.approx(float(model.predict(image[None], verbose=0)[0, 0]), abs=1e-6)


@pytest.mark.slow
def test_steps_that_run_together_give_the_same_history(images, empty_cache, tmp_path):
    settings = ("backbone=CifarNet", "cache=off", "phases.epochs=2")
    one, several = (
        train(images, tmp_path / str(steps), *settings, f"steps_per_execution={steps}", name="feature_extractor")
        for steps in (1, 3)
    )
    np.testing.assert_allclose(numbers(several), numbers(one), atol=1e-6)
    with pytest.raises(InputError, match=r"must divide the steps of an epoch \(3\), or be None. Received: .*=2"):
        train(images, tmp_path / "uneven", *settings, "steps_per_execution=2", name="feature_extractor")


def test_half_precision_takes_half_the_room():
    sizes = [weigh(10**9, 1000, dtype, 780, 10, 10**9).bytes_per_image for dtype in ("float32", "float16")]
    assert sizes == [4000, 2000]


@keras.saving.register_keras_serializable("tests")
class Halve(keras.layers.Layer):
    def call(self, inputs):
        return inputs / 2


@keras.saving.register_keras_serializable("tests")
class Half:
    def __call__(self, inputs):
        return inputs / 2

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls()


@keras.saving.register_keras_serializable("tests")
def halve(inputs):
    return inputs / 2


def with_own(layer):
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=4)(layer(inputs)), name="mine")


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (lambda: keras.Sequential([keras.layers.Conv2D(3, 1, activation=halve)]), "tests>halve"),
        (lambda: keras.layers.Activation(Half()), "Half"),
    ],
    ids=["function inside", "callable"],
)
def test_code_of_ones_own_is_found(layer, name):
    assert find_unknown_code(with_own(layer())) == name


def test_code_of_ones_own_is_not_kept(images, empty_cache, tmp_path):
    settings = ("cache=on", "phases.epochs=1")
    folder = train(images, tmp_path / "run", *settings, name="feature_extractor", backbone=with_own(Halve()))
    assert extractions(folder) == []
    assert folder.json("plan.json")["phases"][0]["cache"]["reason"].startswith("Halve")


AUGMENT = ("augment.flip=both", "augment.rotation=0.1", "augment.contrast=0.3")


@pytest.mark.slow
def test_versions_of_training_images_are_made_once_and_take_turns(images, empty_cache, tmp_path):
    settings = ("backbone=CifarNet", "cache=on", "phases.epochs=5", *AUGMENT, "augment.views=2")
    first, second = (
        train(images, tmp_path / name, *settings, name="feature_extractor") for name in ("first", "second")
    )
    train_images = len([row for row in read_csv(first / "splits.csv") if row["split"] == "train"])
    assert [entry["computed"] for entry in extractions(first)] == [60 + 2 * train_images]
    assert [entry["computed"] for entry in extractions(second)] == [0]
    assert (first / "predictions.csv").read_bytes() == (second / "predictions.csv").read_bytes()
    other = train(images, tmp_path / "other", *settings, "augment.rotation=0.2", name="feature_extractor")
    assert [entry["computed"] for entry in extractions(other)] == [2 * train_images]
    plain = train(images, tmp_path / "plain", *settings[:3], name="feature_extractor")
    assert numbers(plain)[0, 1] != numbers(first)[0, 1]


def test_a_version_depends_on_its_image_its_number_and_the_seed(images, tmp_path):
    everything = data.load(images, (32, 32), known=data.KnownPixels(tmp_path, (32, 32)))
    noise = {"brightness": 0.1, "gamma": 0.2, "stain": 0.1, "blur": 1.0, "speckle": 0.1, "noise": 0.1}
    layer = make_augmentation(Augment("both", 0.1, 0.2, 0.3, **noise))
    layer.build((None, 32, 32, 3))
    chosen = everything.indices("train")
    views = Views(everything.pixels, chosen, layer, 3, seed=1)
    rows = np.arange(60, 60 + 3 * len(chosen))
    made = views.take(rows).reshape(3, len(chosen), 32, 32, 3)
    np.testing.assert_array_equal(views.take(np.arange(60)), everything.pixels.take(np.arange(60)))
    assert len(views.digests) == 60 + 3 * len(chosen) == len(set(views.digests))
    originals = everything.pixels.take(chosen)
    assert all((one != other).any() for one, other in itertools.combinations([originals, *made], 2))
    np.testing.assert_array_equal(views.take(rows[::-1])[::-1], made.reshape(-1, 32, 32, 3))
    assert (Views(everything.pixels, chosen, layer, 3, seed=2).take(rows[:4]) != made[0, :4]).any()
    assert not set(Views(everything.pixels, chosen, layer, 3, seed=2).digests[60:]) & set(views.digests)
    kept = data.reading.Pixels(None, (32, 32), views.take(np.arange(60 + len(rows))), np.ones(60 + len(rows), bool))
    # Version 1 of the training images is what epochs 1 and 4 visit, each image with its own label, or labels.
    versions = dataclasses.replace(everything, pixels=kept, views=3)
    rounds = versions.training_batches(chosen, 16, seed=5)
    steps = -(-len(chosen) // 16)
    seen = list(rounds.take(5 * steps).as_numpy_iterator())
    for epoch in (1, 4):
        pixels, labels = (np.concatenate(part) for part in zip(*seen[epoch * steps : (epoch + 1) * steps], strict=True))
        order = data.epoch_order(len(chosen), 5, epoch)
        np.testing.assert_array_equal(pixels, made[1][order])
        np.testing.assert_array_equal(labels, everything.table.labels[chosen][order])
    vectors = np.eye(len(everything.table.classes), dtype=np.int64)[everything.table.labels]
    several = dataclasses.replace(versions, table=dataclasses.replace(everything.table, labels=vectors))
    first = next(several.training_batches(chosen, 16, seed=5).as_numpy_iterator())[1]
    np.testing.assert_array_equal(first, vectors[chosen][data.epoch_order(len(chosen), 5, 0)][:16])


def test_versions_end_the_run_where_the_cache_cannot_be_used(images, empty_cache, tmp_path):
    empty_cache.write_text("in the way")
    settings = ("backbone=CifarNet", "phases.epochs=1", *AUGMENT, "augment.views=2")
    with pytest.raises(RunFailed, match=r"`augment\.views` must be 0 where the cache cannot be used"):
        train(images, tmp_path / "run", *settings, name="feature_extractor")


def test_an_image_that_changes_while_a_run_reads_it_ends_the_run(images, empty_cache, tmp_path):
    folder = shutil.copytree(images, tmp_path / "images")
    known = data.KnownPixels(empty_cache, (32, 32))
    data.load(folder, (32, 32), known=known)
    again = data.load(folder, (32, 32), known=data.KnownPixels(empty_cache, (32, 32)))
    victim = folder / again.table.paths[3]
    shutil.copyfile(folder / again.table.paths[4], victim)
    np.testing.assert_array_equal(
        again.pixels.take(np.arange(3)), data.load(images, (32, 32)).pixels.take(np.arange(3))
    )
    with pytest.raises(
        RunFailed, match=r"An image must not change while a run reads it\. Received: '.*', which has other"
    ):
        again.pixels.take(np.arange(12))


def test_versions_need_augmentation_and_a_cache():
    with pytest.raises(InputError, match=r"`augment\.views` must be 0 where augmentation is off"):
        small("augment.views=2")
    with pytest.raises(InputError, match=r"`augment\.views` must be 0 with cache='off'"):
        small("augment.views=2", "augment.flip=both", "cache=off")


def test_random_augmentation_and_a_forced_cache_contradict_each_other():
    with pytest.raises(InputError, match="`cache` must be 'auto' or 'off' with augmentation"):
        dataclasses.replace(small(), cache="on", augment=Augment(flip="horizontal"))


def test_operations_are_counted_as_papers_count_them():
    # MobileNetV2 (Sandler et al. 2018): 300 million multiply-adds at 224 x 224, with its classifier of 1.28 million.
    model = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(224, 224, 3))
    assert count_flops(model) / 2 == pytest.approx(300e6, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "sizes"), [("flat", (8, 4)), ("nested", (8, 8)), ("any size", (8, 4)), ("deep", (8, 4))]
)
def test_operations_of_a_layer_that_is_used_more_than_once_are_counted_at_each_use(kind, sizes):
    conv, inputs = keras.layers.Conv2D(3, 3, strides=2, padding="same"), keras.Input((16, 16, 3))
    if kind == "nested":
        inner = keras.Input((16, 16, 3))
        conv = keras.Model(inner, keras.layers.UpSampling2D(2)(conv(inner)))
    for _ in range({"any size": 1, "deep": 2}.get(kind, 0)):
        inner = keras.Input((None, None, 3))
        conv = keras.Model(inner, conv(inner))
    net = keras.Model(inputs, conv(conv(inputs)))
    assert count_flops(net) == sum(2 * 3 * 3 * 3 * 3 * size**2 for size in sizes)
    # By brute force: TensorFlow's own count of what runs, without the bias.
    graph = (
        tf.function(lambda images: net(images, training=False)).get_concrete_function(tf.zeros((1, 16, 16, 3))).graph
    )
    found = [operation for operation in graph.get_operations() if operation.type == "Conv2D"]
    assert count_flops(net) == sum(2 * 3 * 3 * 3 * np.prod(operation.outputs[0].shape) for operation in found)


def test_a_phase_counts_each_use_of_a_frozen_layer_and_no_use_after_it():
    conv, inputs = keras.layers.Conv2D(3, 3, padding="same"), keras.Input((16, 16, 3), name="images")
    small = keras.layers.MaxPooling2D(2)(conv(inputs))
    top = keras.layers.Conv2D(4, 3, padding="same", name="top")(keras.layers.MaxPooling2D(2)(conv(small)))
    model = attach_head(keras.Model(inputs, top), 2)
    choices = [choose_cache(model, Phase("p", thaw, 2, 1e-3), Terms("off", "float32", False, 9, 0)) for thaw in (0, 1)]
    shared, last = 2 * 81 * (16**2 + 8**2), 2 * 9 * 3 * 4 * 4**2
    assert [choice.flops for choice in choices] == [shared + last, shared]


def test_a_stopped_run_finds_its_features_again(trained, images, empty_cache, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise KeyboardInterrupt

    voice = run.Voice(progress=lambda *_: contextlib.nullcontext(Stop()))
    with pytest.raises(KeyboardInterrupt):
        train(images, tmp_path / "run", *TRAINED, name="feature_extractor", voice=voice)
    again = train(images, tmp_path / "run", *TRAINED, name="feature_extractor")
    assert [entry["computed"] for entry in extractions(again)] == [0]
    assert (again / "predictions.csv").read_bytes() == (trained / "run" / "predictions.csv").read_bytes()


def test_the_plan_holds_the_choice(images, empty_cache):
    _, plan, _ = preview(small("backbone=CifarNet", "phases.epochs=1", f"data.source={images}"))
    head, top = (phase["cache"] for phase in plan["phases"])
    assert head == {
        "on": False,
        "reason": "one epoch passes over the images once in any case",
        "flops": count_flops(build("CifarNet", "none", (32, 32)).model),
        "bytes_per_image": 4 * 64,
    }
    assert top["on"] is False


@pytest.mark.parametrize("cache", ["on", pytest.param("off", marks=pytest.mark.slow)])
def test_only_the_phase_that_is_kept_is_scored_on_test_images(cache, images, empty_cache, tmp_path, monkeypatch):
    scored, measure = [], phase_training.measure
    monkeypatch.setattr(
        phase_training, "measure", lambda scores, labels: scored.append(len(labels)) or measure(scores, labels)
    )
    words = (f"cache={cache}", "engine=tensorflow", "backbone=CifarNet")
    once = train(images, tmp_path / "once", *words)
    splits = [row["split"] for row in read_csv(once / "splits.csv")]
    assert scored == [splits.count("val")] * 2
    every = train(images, tmp_path / "every", *words, "score_degrees=true")
    rows, more = read_csv(once / "degrees.csv"), read_csv(every / "degrees.csv")
    assert [row["test_auc"] + row["test_accuracy"] for row in rows] == ["", ""]
    assert all(0 <= float(row["test_auc"]) <= 1 for row in more)
    assert [row["val_auc"] for row in rows] == [row["val_auc"] for row in more]
    # It is scored on what it was trained on, whenever that is: the same bits.
    assert (once / "predictions.csv").read_bytes() == (every / "predictions.csv").read_bytes()
    assert once.json("metrics.json")["metrics"] == every.json("metrics.json")["metrics"]


def test_a_gpu_keeps_less_for_it_computes_faster(images, monkeypatch):
    assert weigh(10**9, 10**5, "float32", images=1000, epochs=20, room=10**12).on
    assert not weigh(10**9, 10**5, "float32", images=1000, epochs=20, room=10**12, device="GPU").on
    recipe = override(load_recipe("fine_tuning"), [*SMALL, "backbone=VGG16", f"data.source={images}"])

    def saved():
        _, plan, _ = preview(recipe)
        return plan["phases"][0]["cache"]["reason"]

    alone = saved()
    monkeypatch.setattr("tlmed.replicas.tf.config.get_visible_devices", lambda kind: ["/physical_device:GPU:0"])
    assert "saved" in alone or "against" in alone
    assert saved() != alone
