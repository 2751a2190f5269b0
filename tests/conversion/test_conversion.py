"""A run as a model for other runtimes: what is written, that it answers as the run does, and what is refused."""

import dataclasses
import errno
import hashlib
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from tests.cli.test_cli import here
from tests.conftest import write_images
from tests.data.test_data_images import LOSSLESS
from tests.ensembles.test_ensembles import TWO, make, network, write_member
from tlmed.conversion import FORMATS, Request, describe_export, export_run
from tlmed.conversion import reference_reader as alone
from tlmed.conversion.absorbed_constants import absorb_constants, find_links
from tlmed.conversion.export_graph import Graph
from tlmed.conversion.quantization_loss import check_loss, describe_loss
from tlmed.conversion.short_numbers import find_needed
from tlmed.data.decode_and_resize import PixelRule, decode_resized
from tlmed.ensembles import write_ensemble
from tlmed.errors import CheckFailed, InputError, RunFailed
from tlmed.evaluation.answer_facts import describe_decision
from tlmed.evaluation.answer_rules import ExpectedCost, LogitAdjustment
from tlmed.evaluation.decisions import Decision
from tlmed.evaluation.pooling import pool_scores
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import write_predictions
from tlmed.heads.dense import attach_head
from tlmed.heads.hybrid import Search, fit_classifier, predict_probabilities
from tlmed.heads.skops_files import save_classifier
from tlmed.intensity import resolve
from tlmed.metrics import positive_index
from tlmed.sections import Dense, Hybrid
from tlmed.tasks import MULTI_LABEL, ORDINAL, SINGLE_LABEL
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_json

SHARED = Path(os.environ.get("TLMED_TEST_DATA", "/nowhere"))
SPLITS = ("train", "val", "test", "test")
SEED = 2


def write_run(folder, images, seed=0):
    """Write a finished run of a tiny network, with the scores that it gives."""
    files = sorted(images.rglob("*.png"))
    order = [file for pair in zip(files[: len(files) // 2], files[len(files) // 2 :], strict=True) for file in pair]
    splits = [SPLITS[i // 2 % 4] for i in range(len(order))]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in order]
    model, settings = network(16, seed), {"backbone": "LeNet5", "weights": "none", "data.source": images}
    write_member(folder, splits, seed, digests=digests, model=model, **settings)
    rows = [i for i, split in enumerate(splits) if split != "train"]
    pixels = np.stack([decode_resized(order[i].read_bytes(), (16, 16)) for i in rows])
    scores, labels = model.predict(pixels, verbose=0), np.array(rows) % 2
    names, splits = [order[i].relative_to(images).as_posix() for i in rows], [splits[i] for i in rows]
    write_predictions(folder / "predictions.csv", Predictions(names, splits, labels, scores, labels, TWO))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Give two classes of images, named as the members of an ensemble are in tests."""
    folder = write_images(tmp_path_factory.mktemp("conversion") / "images", 12, TWO)
    for label, name in enumerate(TWO):
        for i in range(12):
            (folder / name / f"{name} ({i}).png").rename(folder / name / f"{2 * i + label:03}.png")
    return folder


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    """Give a run whose network tells the classes apart better than chance."""
    return write_run(tmp_path_factory.mktemp("runs") / "run", images, SEED)


def facts_of(rule=None, **fields):
    return {
        "pixels": (rule or PixelRule((4, 5))).to_json(),
        "task": SINGLE_LABEL,
        "classes": list("abc"),
        "positive": None,
        **fields,
    }


# --- the reader


REFUSED = (  # what it refuses, of all that tlmed reads in the tests
    *("png 2 bits, transparent gray", "png 4 bits, transparent gray", "tiff 16 white is zero"),
)


@pytest.mark.parametrize("name", [name for name in LOSSLESS if not name.startswith("array")])
def test_the_reader_gives_the_pixels_of_tlmed_or_refuses(name):
    content = LOSSLESS[name][0]
    try:
        found = alone.read(content, facts_of())
    except ValueError:
        assert name in REFUSED
        return
    assert name not in REFUSED
    np.testing.assert_array_equal(found, decode_resized(content, (4, 5)))


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("window", ["auto", "full", (1000, 900), (100.0, 3000.0, "range")])
def test_the_reader_knows_windows_and_shapes(window, fit):
    intensity = resolve(window)
    rule = PixelRule((7, 12), intensity.measured((78.0, 2566.0)) if intensity.is_open else intensity, fit)
    for content in (LOSSLESS[name][0] for name in LOSSLESS if name.startswith(("png 16", "png 8"))):
        np.testing.assert_array_equal(alone.read(content, facts_of(rule)), decode_resized(content, rule))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs TLMED_TEST_DATA, the folder of real images")
@pytest.mark.parametrize("window", ["auto", (40, 400), "lung"])
def test_the_reader_gives_the_pixels_of_tlmed_for_real_dicom(window):
    files = sorted((SHARED / "ct-contrast-dicom").rglob("*.dcm"))[::7]
    intensity = resolve(window)
    rule = PixelRule((64, 64), intensity.measured((-1000.0, 900.0)) if intensity.is_open else intensity)
    for file in files:
        content = file.read_bytes()
        np.testing.assert_array_equal(alone.read(content, facts_of(rule)), decode_resized(content, rule))
    assert len(files) > 10


def test_the_reader_refuses_what_it_would_show_otherwise():
    deep = next(LOSSLESS[name][0] for name in LOSSLESS if name.startswith("png 16"))
    for rule, said in (
        (PixelRule((4, 5), resolve("lung")), "Hounsfield units"),
        (PixelRule((4, 5), resolve((1, 99, "file"))), "a range of its own"),
        (PixelRule((4, 5), spacing=0.5), "millimetres"),
    ):
        with pytest.raises(ValueError, match=said):
            alone.read(deep, facts_of(rule))


CALIBRATION = {"method": "temperature", "split": "val", "n": 20}


@pytest.mark.parametrize(
    ("task", "rule"),
    [
        (SINGLE_LABEL, None),
        (ORDINAL, None),
        (SINGLE_LABEL, ExpectedCost(np.array([[0, 1, 1], [5, 0, 1], [9, 2, 0.0]]))),
        (SINGLE_LABEL, LogitAdjustment(np.array([0.7, 0.2, 0.1]), 1.0)),
    ],
)
def test_the_reader_decides_between_several_classes_as_the_run_does(task, rule):
    scores = np.random.default_rng(0).dirichlet(np.ones(3), 200).astype("float32")
    decision = Decision(None, {**CALIBRATION, "temperature": 1.7}, rule)
    facts = facts_of(task=task, calibration={"temperature": 1.7}, decision=describe_decision(decision, None, task))
    json.dumps(facts["decision"])
    assert alone.answer(scores, facts) == [facts["classes"][i] for i in decision.choose(scores, None, task)]
    np.testing.assert_allclose(alone.calibrate(scores, facts), decision.calibrate(scores.astype(float)), atol=1e-12)


def test_the_reader_decides_by_thresholds_as_the_run_does():
    random = np.random.default_rng(1)
    two = Decision({"rule": "youden", "threshold": 0.3}, {**CALIBRATION, "temperature": 0.6})
    scores = random.dirichlet(np.ones(2), 50)
    facts = facts_of(classes=["ill", "well"], positive="ill", calibration={"temperature": 0.6})
    facts["decision"] = describe_decision(two, "ill", SINGLE_LABEL)
    main = positive_index(["ill", "well"], "ill")
    chosen = two.choose(scores, main, SINGLE_LABEL)
    assert alone.answer(scores, facts) == [facts["classes"][i] for i in chosen]
    several = Decision(
        None, {"method": "temperature"}, labels=(two, dataclasses.replace(two, calibration={"temperature": 2.0}))
    )
    scores = random.random((50, 2))
    facts = facts_of(classes=["a", "b"], task=MULTI_LABEL, calibration={"temperature": [0.6, 2.0]})
    facts["decision"] = describe_decision(several, None, MULTI_LABEL)
    found = several.choose(scores, None, MULTI_LABEL)
    assert alone.answer(scores, facts) == [[n for n, has in zip("ab", row, strict=True) if has] for row in found]
    np.testing.assert_allclose(alone.calibrate(scores, facts), several.calibrate(scores), atol=1e-12)


@pytest.mark.parametrize("how", ["mean", "max", "top3"])
@pytest.mark.parametrize(("task", "k", "main"), [(SINGLE_LABEL, 2, 0), (SINGLE_LABEL, 3, None), (MULTI_LABEL, 2, None)])
def test_the_reader_pools_as_the_run_does(how, task, k, main):
    classes = ["a", "b", "c"][:k]
    scores = np.random.default_rng(2).dirichlet(np.ones(k), 5)
    facts = facts_of(task=task, classes=classes, positive=None if main is None else classes[main], pooling={"how": how})
    np.testing.assert_allclose(alone.pool(scores, facts), pool_scores(scores, np.zeros(5, int), how, main, task))


def test_the_reader_needs_no_tlmed_and_no_tensorflow():
    run = f"import sys, runpy; runpy.run_path({alone.__file__!r})"
    code = f"{run}; print(sorted({{'tlmed', 'tensorflow'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert len(Path(alone.__file__).read_text().splitlines()) < 200


# --- the models

LIGHT = ("keras", "litert")
PARAMETERS = [name if name in LIGHT else pytest.param(name, marks=pytest.mark.slow) for name in FORMATS]


@pytest.mark.parametrize("name", PARAMETERS)
def test_an_exported_model_answers_as_the_run_does(name, run, images, tmp_path):
    form = FORMATS[name]
    for package in form.packages:
        pytest.importorskip(package)
    found = export_run(run, Request(form), tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert facts["agreement"]["images"] == facts["agreement"]["read_by_reader"] == 12
    assert facts["agreement"]["largest_difference"] < 1e-5
    assert facts["input"]["dtype"] == ("float32" if name == "keras" else "uint8")
    rows = [row for row in read_csv(run / "predictions.csv") if row["split"] == "test"]
    pixels = np.stack([alone.read(images / row["path"], facts) for row in rows])
    answers = form.open(tmp_path / "out" / facts["file"])(pixels)
    np.testing.assert_allclose(answers["scores"][:, 0], [float(row["score_ill"]) for row in rows], atol=1e-5)
    assert np.ptp(answers["scores"][:, 0]) > 0.01
    calibrated = answers["calibrated"] if form.calibrates else alone.calibrate(answers["scores"], facts)
    np.testing.assert_allclose(calibrated, alone.calibrate(answers["scores"], facts), atol=1e-5)
    assert not np.allclose(calibrated, answers["scores"], atol=1e-3)
    assert describe_export(found)[0].startswith(f"{form.file}: run on 12 test images")
    told = any("INFERENCE_PRECISION_HINT=f32" in line for line in describe_export(found))
    assert told == (name == "openvino") == ("runtime_settings" in facts)
    assert str(images) not in (tmp_path / "out" / "model.json").read_text()


def test_test_images_that_have_gone_or_changed_are_left_out_and_named(run, images, tmp_path):
    moved = shutil.copytree(images, tmp_path / "moved")
    tested = [row["path"] for row in read_csv(run / "splits.csv") if row["split"] == "test"]
    others = [row["path"] for row in read_csv(run / "splits.csv") if row["split"] != "test"]
    for path in (*tested[:2], *others[:2]):
        (moved / path).unlink()
    (moved / tested[2]).write_bytes((moved / tested[3]).read_bytes())
    (moved / TWO[0] / "new.png").write_bytes(b"not known to the run")
    warned, request = [], Request(FORMATS["keras"], source=str(moved))
    facts = export_run(run, request, tmp_path / "out", voice=Voice(warn=warned.append)).facts
    assert (facts["agreement"]["images"], facts["agreement"]["left_out"]) == (9, 3)
    assert (
        warned[1:]
        == [  # the first says that this run has no lock
            f"Since the run was trained, 2 images have gone and are not scored: {', '.join(sorted(tested[:2]))}.",
            f"Since the run was trained, 1 image has changed and is not scored: {tested[2]} (sha256).",
            "9 of the run's 12 test images are scored.",
        ]
    )
    for path in tested[3:7]:
        (moved / path).unlink()
    said = (
        r"at least 6 of its 12 test images must be as they were\. Received: .*, where 5 are; 6 gone: .* and 3 more; 1 "
    )
    with pytest.raises(InputError, match=said):
        export_run(run, request, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_several_networks_become_one_model(images, tmp_path):
    runs = [write_run(tmp_path / name, images, seed) for seed, name in enumerate("ab")]
    both = write_ensemble(tmp_path / "both", make(*runs))
    facts = export_run(both.path, Request(FORMATS["litert"]), tmp_path / "out").facts
    assert [entry["weight"] for entry in facts["runs"]] == [0.5, 0.5]
    first, second = (
        {row["path"]: float(row["score_ill"]) for row in read_csv(folder / "predictions.csv") if row["split"] == "test"}
        for folder in runs
    )
    pixels = np.stack([alone.read(images / path, facts) for path in first])
    answers = FORMATS["litert"].open(tmp_path / "out" / facts["file"])(pixels)["scores"][:, 0]
    np.testing.assert_allclose(answers, [(first[path] + second[path]) / 2 for path in first], atol=1e-5)


def test_a_model_that_answers_otherwise_is_refused_and_nothing_stays(run, tmp_path):
    def write_another(graph, path):
        network(16, 9).save(path)

    with pytest.raises(CheckFailed, match=r"within 0\.0001\. Received: model\.keras, which differs by up to "):
        export_run(run, Request(dataclasses.replace(FORMATS["keras"], write=write_another)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_terminal_says_what_was_written_and_force_replaces_only_what_was_made_here(run, tmp_path):
    out = tmp_path / "out"
    status, said, _ = here("export", run, "--format", "keras", "--out", out)
    assert status == 0
    assert "model.keras: run on 12 test images, it differs from the run by up to" in said
    assert {path.name for path in out.iterdir()} == {"model.keras", "model.json", "read_images.py"}
    model = keras.saving.load_model(out / "model.keras", safe_mode=True)
    assert model.output_shape == (None, 2)
    status, _, said = here("export", run, "--format", "keras", "--out", out)
    assert (status, "--force writes over" in said) == (2, True)
    assert here("export", run, "--format", "keras", "--out", out, "--force")[0] == 0
    (out / "notes.txt").write_text("mine")
    status, _, said = here("export", run, "--format", "keras", "--out", out, "--force")
    assert (status, "as it was made" in said.replace("\n", " ")) == (2, True)
    assert (out / "notes.txt").read_text() == "mine"


def test_what_cannot_be_exported_is_said_before_any_work(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        found = importlib.util.find_spec
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else found(name))
        with pytest.raises(
            InputError, match=r"pip install 'tlmed\[export\]'. Received: an installation without tf2onnx"
        ):
            export_run(run, Request(FORMATS["onnx"]), tmp_path / "out")
    with pytest.raises(InputError, match="must not be a part of a run"):
        export_run(run, Request(FORMATS["keras"]), run / "examples")
    (tmp_path / "new").mkdir()
    for file in run.iterdir():
        (tmp_path / "new" / file.name).symlink_to(file)
    (tmp_path / "new" / "UNFINISHED").write_text("training")
    with pytest.raises(InputError, match="RUN must be complete"):
        export_run(tmp_path / "new", Request(FORMATS["keras"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for options in (
        ["onnx"],
        ["keras", "--out", "a.keras", "--data", "b"],
        ["onnx", "--out", "a", "--max-loss", "0.1"],
        ["litert", "--out", "a", "--quantize", "int8", "--max-loss", "nan"],
    ):
        assert here("export", run, "--format", *options)[0] == 2


# --- shorter numbers

LAYERS = keras.layers


def offset_network(norms=True):
    """Return a network of two convolutions between which large constants are added and taken away again."""
    keras.utils.set_random_seed(3)
    images = keras.Input((16, 16, 3), name="images")
    values = LAYERS.ReLU()(LAYERS.Conv2D(8, 3, name="stem")(LAYERS.Rescaling(1 / 127.5, -1)(images)))
    values = LAYERS.Conv2D(6, 3, use_bias=not norms, name="narrow")(values)
    values = LAYERS.BatchNormalization(name="narrow_norm")(values) if norms else values
    values = LAYERS.Conv2D(8, 1, use_bias=not norms, name="wide")(values)
    values = LAYERS.ReLU()(LAYERS.BatchNormalization(name="wide_norm")(values) if norms else values)
    scores = LAYERS.Dense(2, activation="softmax", name="scores")(LAYERS.GlobalAveragePooling2D()(values))
    network = keras.Model(images, scores)
    constants = np.linspace(40, 90, 6)
    moved = constants @ np.asarray(network.get_layer("wide").kernel)[0, 0]
    if norms:
        network.get_layer("narrow_norm").beta.assign(constants)
        network.get_layer("wide_norm").moving_mean.assign(moved)
    else:
        network.get_layer("narrow").bias.assign(constants)
        network.get_layer("wide").bias.assign(-moved)
    return network


def draw_pixels():
    return np.random.default_rng(0).integers(256, size=(24, 16, 16, 3)).astype("uint8")


@pytest.mark.parametrize("norms", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_constants_are_moved_and_no_answer_changes(norms):
    network, floats = offset_network(norms), draw_pixels().astype("float32")
    assert [(link.first.name, link.second.name) for link in find_links(network)] == [("narrow", "wide")]
    same = absorb_constants(network, draw_pixels())
    np.testing.assert_allclose(same.predict(floats, verbose=0), network.predict(floats, verbose=0), atol=1e-4)
    both = keras.Model(
        network.inputs,
        LAYERS.Identity()(keras.Model(network.inputs, network.outputs[0], name="one")(network.inputs[0])),
    )
    inside = absorb_constants(both, draw_pixels())
    np.testing.assert_allclose(inside.predict(floats, verbose=0), network.predict(floats, verbose=0), atol=1e-4)
    means = [
        np.abs(keras.Model(model.inputs, model.get_layer("wide").input).predict(floats, verbose=0).mean(axis=(0, 1, 2)))
        for model in (network, same, inside.get_layer("one"))
    ]
    assert means[0].min() > 30
    assert max(means[1].max(), means[2].max()) < 0.01


def test_a_litert_file_scales_and_shifts_whole_rows_at_once(tmp_path):
    pytest.importorskip("ai_edge_litert")
    images = keras.Input((16, 8, 3), name="images")
    scaled = LAYERS.Rescaling([0.5, 0.25, 0.125], [1, 2, 3])(images)
    network = keras.Model(images, LAYERS.Softmax()(LAYERS.GlobalMaxPooling2D()(scaled)))
    FORMATS["litert"].write(Graph(network, 1.0), tmp_path / "model.tflite")
    [graph] = flatbuffer_utils.read_model(str(tmp_path / "model.tflite")).subgraphs
    constants = [list(graph.tensors[operator.inputs[1]].shape) for operator in graph.operators[1:3]]
    assert constants == [[8, 3], [8, 3]]
    pixels = draw_pixels()[:, :, :8]
    found = FORMATS["litert"].open(tmp_path / "model.tflite")(pixels)["scores"]
    np.testing.assert_allclose(found, network.predict(pixels.astype("float32"), verbose=0), atol=1e-6)


@pytest.mark.parametrize("wanted", [kept for size in range(6) for kept in itertools.combinations("abcde", size)])
def test_layers_stay_in_single_precision_only_where_scores_need_it(wanted):
    tried = []

    def measure(kept):
        tried.append(kept)
        return 1 + 0.1 * len(set(wanted).difference(kept))

    assert find_needed("abcde", measure) == list(wanted)
    assert len(tried) == 2 or wanted, "one trial is enough where no layer matters"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TensorFlow's debugger uses an interpreter that TensorFlow gives up
def test_integers_of_8_bits_answer_like_floats_only_where_constants_are_moved(tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr("tlmed.conversion.short_numbers.ROUGH", np.inf)
    network, pixels, litert = offset_network(), draw_pixels(), FORMATS["litert"]
    wanted, errors = network.predict(pixels.astype("float32"), verbose=0), []
    for change in (absorb_constants, lambda network, images: network):
        monkeypatch.setattr("tlmed.conversion.short_numbers.absorb_constants", change)
        litert.shorter["int8"](Graph(network, 1.0), tmp_path / "model.tflite", pixels)
        errors.append(np.abs(litert.open(tmp_path / "model.tflite")(pixels)["scores"] - wanted).mean())
    assert errors[0] < 0.2 * errors[1]


def join_heads(head, networks=1):
    """Return a network with convolutions and a head, or several that give the mean of their scores."""
    keras.utils.set_random_seed(4)
    images = keras.Input((16, 16, 3), name="images")
    members = []
    for number in range(networks):
        own = keras.Input((16, 16, 3))
        values = LAYERS.Conv2D(4, 3, activation="relu")(LAYERS.Conv2D(8, 3, activation="relu")(own / 127.5 - 1))
        member = attach_head(keras.Model(own, values), 3, head, several=head is LABELS)
        members.append(keras.Model(member.inputs, member.outputs[0], name=f"member{number}")(images))
    return keras.Model(images, LAYERS.Average()(members) if networks > 1 else members[0])


LABELS = Dense()
COSTS = ExpectedCost(np.array([[0, 1, 1], [5, 0, 1], [9, 2, 0.0]]))
DECIDING = {  # the head, the networks, the task, and the rule
    "the highest score": (Dense(), 1, SINGLE_LABEL, None),
    "costs": (Dense(), 1, SINGLE_LABEL, COSTS),
    "costs, of several networks": (Dense(), 2, SINGLE_LABEL, COSTS),
    "logit adjustment, a hidden layer": (
        Dense(units=(8,)),
        1,
        SINGLE_LABEL,
        LogitAdjustment(np.array([0.7, 0.2, 0.1]), 1.0),
    ),
    "grades": (Dense(ordinal="corn"), 1, ORDINAL, None),
    "labels": (LABELS, 1, MULTI_LABEL, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DECIDING)
@pytest.mark.filterwarnings("ignore")  # TensorFlow's debugger uses an interpreter that TensorFlow gives up
def test_integers_of_8_bits_give_probabilities_that_decide_as_those_of_the_run(name, tmp_path):
    pytest.importorskip("ai_edge_litert")
    head, networks, task, rule = DECIDING[name]
    network, pixels, litert = join_heads(head, networks), draw_pixels(), FORMATS["litert"]
    several = task == MULTI_LABEL
    litert.shorter["int8"](Graph(network, [1.7] * 3 if several else 1.7, several), tmp_path / "model.tflite", pixels)
    found = litert.open(tmp_path / "model.tflite")(pixels)
    one = Decision({"rule": "youden", "threshold": 0.3}, {**CALIBRATION, "temperature": 1.7})
    decision = Decision(None, one.calibration, labels=(one,) * 3) if several else Decision(None, one.calibration, rule)
    facts = facts_of(task=task, calibration={"temperature": [1.7] * 3 if several else 1.7})
    facts["decision"] = describe_decision(decision, None, task)
    steps = found["scores"] * 256
    assert np.abs(steps - steps.round()).max() > 0.1, "scores are rounded to 256 values"
    assert several or np.abs(found["scores"].sum(axis=1) - 1).max() < 1e-5
    np.testing.assert_allclose(found["calibrated"], alone.calibrate(found["scores"], facts), atol=1e-5)
    chosen = decision.choose(found["scores"], None, task)
    wanted = decision.choose(network.predict(pixels.astype("float32"), verbose=0), None, task)
    assert (chosen == wanted).mean() > 0.8


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("litert", "float16"),
        pytest.param("litert", "int8", marks=pytest.mark.slow),
        pytest.param("openvino", "float16", marks=pytest.mark.slow),
    ],
)
def test_shorter_numbers_are_kept_if_they_cost_little(name, kind, run, tmp_path):
    for package in FORMATS[name].packages:
        pytest.importorskip(package)
    found = export_run(run, Request(FORMATS[name], kind, most=0.05), tmp_path / "out")
    assert found.facts["quantized"]["to"] == kind
    assert found.facts["auc_loss"]["value"] <= 0.05
    assert found.facts["auc_loss"]["n"] == 12
    assert any("of the AUC, and changed" in line for line in describe_export(found))


def test_a_loss_is_judged_by_itself_and_shown_with_its_interval(run, tmp_path):
    loss = {"value": 0.004, "low": -0.002, "high": 0.01, "changed": 3, "n": 117}
    check_loss(loss, 0.005, "int8")
    said = describe_loss(loss, 0.005)
    assert said[0] == "Shorter numbers cost 0.0040 (-0.0020 to 0.0100) of the AUC, and changed 3 of 117 test answers."
    assert "do not show that the loss is no larger than 0.005" in said[1]
    assert len(describe_loss(loss, 0.01)) == 1
    with pytest.raises(CheckFailed, match=r"may lose 0\.003 of the AUC .* Received: a loss of 0\.0040 \(-0\.0020 to"):
        check_loss(loss, 0.003, "int8")
    with pytest.raises(InputError, match=r"`--quantize int8` goes with --format litert\. Received: --format onnx"):
        export_run(run, Request(FORMATS["onnx"], "int8"), tmp_path / "out")


def test_a_full_disk_ends_an_export_in_one_line_and_nothing_stays(run, tmp_path):
    def fill(graph, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    form = dataclasses.replace(FORMATS["keras"], write=fill)
    with pytest.raises(RunFailed, match=rf"on a disk that can be written to and has room; .* {tmp_path}/out: "):
        export_run(run, Request(form), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_shorter_numbers_that_spoil_the_answers_are_refused_and_nothing_stays(run, tmp_path):
    def write_turned(graph, path, images):
        turned = keras.Model(graph.network.inputs, graph.network.outputs[0][:, ::-1])
        FORMATS["keras"].write(Graph(turned, 1.0), path)
        return {}

    form = dataclasses.replace(FORMATS["keras"], shorter={"int8": write_turned})
    with pytest.raises(CheckFailed, match=r"numbers of int8 may lose 0\.005 of the AUC"):
        export_run(run, Request(form, "int8"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_a_converter_does_not_know_is_one_line_and_nothing_stays(run, tmp_path, monkeypatch):
    def write_sorted(graph, path):
        make = lambda pixels: keras.ops.sort(tf.py_function(lambda t: t, [graph.network(pixels)], tf.float32))  # noqa: E731
        function = graph.trace(1, make)
        path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module()).convert())

    form = dataclasses.replace(FORMATS["litert"], write=write_sorted)
    with pytest.raises(
        RunFailed, match=r"made of operations that LiteRT has; another format may have them\. Received: "
    ):
        export_run(run, Request(form), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# --- hybrids


def write_hybrid(folder, images, name):
    """Write a finished hybrid: the means of colours, and a classifier of scikit-learn."""
    write_run(folder, images, SEED)
    whole = network(16, SEED)
    features = keras.Model(whole.inputs, whole.get_layer("means").output)
    features.save(folder / "model.keras")
    rows = read_csv(folder / "splits.csv")
    pixels = np.stack([decode_resized((images / row["path"]).read_bytes(), (16, 16)) for row in rows])
    found, labels = features.predict(pixels, verbose=0), np.array([TWO.index(row["label"]) for row in rows])
    classifier = fit_classifier(found, labels, None, Search(Hybrid(name, folds=2))).classifier
    save_classifier(classifier, folder / "classifier.skops")
    metrics = json.loads((folder / "metrics.json").read_text())
    write_json(folder / "metrics.json", metrics | {"classifier": {"name": name}})
    kept = [i for i, row in enumerate(rows) if row["split"] != "train"]
    names, splits = [rows[i]["path"] for i in kept], [rows[i]["split"] for i in kept]
    scores = predict_probabilities(classifier, found[kept], 2)
    written = Predictions(names, splits, labels[kept], scores, labels[kept], TWO)
    write_predictions(folder / "predictions.csv", written)
    return folder


def test_hybrids_are_refused_where_their_classifier_is_no_network(images, tmp_path):
    folder = write_hybrid(tmp_path / "run", images, "GaussianNB")
    for request in (Request(FORMATS["litert"]), Request(FORMATS["keras"])):
        with pytest.raises(InputError, match=r"must go to --format onnx, without --quantize\. Received: .*run with"):
            export_run(folder, request, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GaussianNB", "RandomForest", "MLP"])
def test_a_hybrid_becomes_one_onnx_graph(name, images, tmp_path):
    for package in FORMATS["onnx"].packages:
        pytest.importorskip(package)
    folder = write_hybrid(tmp_path / "run", images, name)
    facts = export_run(folder, Request(FORMATS["onnx"]), tmp_path / "out").facts
    assert facts["agreement"]["largest_difference"] < 1e-4
    assert set(facts["runs"][0]["sha256"]) == {"model.keras", "classifier.skops"}
    rows = read_csv(folder / "predictions.csv")
    pixels = np.stack([alone.read(images / row["path"], facts) for row in rows])
    answers = FORMATS["onnx"].open(tmp_path / "out" / "model.onnx")(pixels)
    np.testing.assert_allclose(answers["scores"][:, 0], [float(row["score_ill"]) for row in rows], atol=1e-5)
    np.testing.assert_allclose(answers["calibrated"], alone.calibrate(answers["scores"], facts), atol=1e-5)


@pytest.mark.slow
def test_a_classifier_that_is_not_converted_is_one_line(images, tmp_path):
    pytest.importorskip("skl2onnx")
    folder = write_hybrid(tmp_path / "run", images, "LogisticRegression")
    with pytest.raises(InputError, match=r"one that skl2onnx converts\. Received: .*run with LogisticRegression: "):
        export_run(folder, Request(FORMATS["onnx"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
