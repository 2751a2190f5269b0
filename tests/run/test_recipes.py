"""Every shipped recipe, trained for an epoch a phase on small phantoms."""

import contextlib
import functools
import itertools

import keras
import numpy as np
import pytest

import tlmed
from tests.test_certificate import FAMILIES
from tlmed.batch_statistics import reestimate_statistics
from tlmed.blocks import partition
from tlmed.building import build_backbone
from tlmed.certificate import fingerprint, make_claim
from tlmed.phases import thaw
from tlmed.plan import expand
from tlmed.recipe import Degrees, Hybrid, load_recipe, override, read_recipe, shipped_recipes
from tlmed.run_files import DEGREES_CSV
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL
from tlmed.whole_files import read_csv

PHANTOMS = "data.source=tfds:tlmed_phantoms/images=45,size=64,seed=1"
SMALL = (PHANTOMS, "data.image_size=64,64", "data.batch_size=16", "phases.epochs=1", "examples=0")
# Where the study does not fix the backbone, LeNet5 with its digits stands in: live weights, and quick.
LENET5 = ("backbone=LeNet5", "weights=digits")
STAND_INS = {
    "vgg16_blockwise": (
        *("weights=none", "data.source=tfds:tlmed_phantoms/images=24,size=64,seed=1", "data.image_size=32,32"),
    ),
    "multi_label": (*LENET5, f"{PHANTOMS},several_labels=True"),
    "two_backbones": ("backbone=LeNet5,CifarNet", "weights=digits,none"),
    "random_initialisation": ("backbone=LeNet5",),
    "feature_extractor_hybrid": (*LENET5, "head.folds=3"),
    "lora": ("backbone=MobileNet:0.25", "weights=none"),  # LeNet5 has no kernel that it adapts
    "vit_probe": (*LENET5, "head.pooling=avg"),  # of a network without tokens; tests/test_transformers.py has one
}
NAMES = sorted(shipped_recipes())


def small(name, *settings):
    return override(load_recipe(name), [*SMALL, *STAND_INS.get(name, LENET5), *settings])


def train(name, out, *settings):
    return tlmed.train(small(name, *settings), out, recipe_file=read_recipe(name))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, drawing):
    """Give a function that trains a recipe, once however many tests look at the run.

    By default the pictures of one page are drawn: that with those of most kinds.
    """
    folder = tmp_path_factory.mktemp("recipes")

    def train_once(name):
        with drawing() if name in ("blockwise", *SLOW) else contextlib.nullcontext():
            return RunDir(train(name, folder / name).path)

    return functools.cache(train_once)


def test_the_table_holds_every_approach():
    assert len(NAMES) >= 14
    assert {
        *("feature_extractor", "feature_extractor_hybrid", "fine_tuning", "fine_tuning_from_scratch"),
        *("random_initialisation", "vgg16_blockwise", "layerwise", "blockwise", "incremental", "two_backbones"),
        *("discriminative_rates", "multi_stage", "quickstart", "cost_sensitive", "ordinal_grading", "multi_label"),
        *("vit_probe", "lp_ft", "surgical", "lora"),
    } <= set(NAMES)


# The others differ from one of these by a word or a backbone; three run as locks too. `finished` of most tests is a run
# of `fine_tuning`; tests/run/test_run_hybrid.py has hybrids, and tests/adapters `lora` on a network quicker to trace.
QUICK = ("blockwise", "lp_ft")
SLOW = tuple(name for name in NAMES if name not in QUICK)


@pytest.mark.parametrize("name", [pytest.param(it, marks=pytest.mark.slow if it in SLOW else ()) for it in NAMES])
def test_every_recipe_trains_and_moves_exactly_what_it_thaws(name, trained):
    run = trained(name)
    assert run.complete
    assert (run / "report.html").stat().st_size > 10_000
    recipe = small(name)
    before = {weight.path: weight.numpy() for weight in build_backbone(recipe).model.weights}
    after = {weight.path: weight.numpy() for weight in keras.saving.load_model(run / "model.keras").weights}
    changed = {path for path in before if path in after and not np.array_equal(before[path], after[path])}
    if isinstance(recipe.head, Hybrid):
        assert not changed
        assert (run / "classifier.skops").exists()
        return
    certificate, history = run.json("freeze.json")["phases"], read_csv(run / "history.csv")
    trained = list(dict.fromkeys(row["phase"] for row in history))
    assert [entry["phase"] for entry in certificate] == trained
    names = trained[: trained.index(run.json("metrics.json")["kept"]["name"]) + 1]
    # The kept network holds what its own phase moved, and where phases follow each other, what those before it did.
    plans = {plan["name"]: plan for plan in run.json("plan.json")["phases"]}
    chain = names if plans[names[-1]]["start"] == "previous" else names[-1:]
    moved = {weight for entry in certificate if entry["phase"] in chain for weight in entry["moved"]}
    fixed = set.intersection(*(set(entry["frozen"]) for entry in certificate if entry["phase"] in chain))
    if recipe.weights != "none":
        random = {path for path in before if path.startswith("branch2")}  # their statistics are re-estimated
        assert changed - random <= moved
        assert not fixed - random & changed
    if plans[names[-1]]["thaw"]:
        assert changed & moved


@pytest.mark.parametrize("name", [name for name in NAMES if name != "vgg16_blockwise"])
def test_every_recipe_with_more_than_one_phase_writes_its_degrees(name):
    recipe = small(name)
    assert isinstance(recipe.phases, Degrees) or len(recipe.phases) <= 2


def test_degrees_tell_what_each_is_worth(trained):
    run = trained("blockwise")
    rows = read_csv(run / "degrees.csv")
    assert list(rows[0]) == list(DEGREES_CSV.columns)
    count = len(partition(build_backbone(small("blockwise")).model))
    assert [int(row["blocks"]) for row in rows] == list(range(count + 1))
    sizes = [int(row["trainable_parameters"]) for row in rows]
    assert sizes == sorted(set(sizes))
    assert [float(row["fine_tuning_ratio"]) for row in rows][0::count] == [0, 1]
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("val_auc", "test_auc", "val_accuracy"))
    assert [row["kept"] for row in rows].count("yes") == 1
    best = max(rows, key=lambda row: (float(row["val_auc"]), -int(row["blocks"])))
    assert best["kept"] == "yes"
    assert best["phase"] == run.json("metrics.json")["kept"]["name"]
    phases = run.json("plan.json")["phases"]
    assert [row["fine_tuning_ratio"] for row in rows] == [str(phase["fine_tuning_ratio"]) for phase in phases]


def test_independent_degrees_start_from_the_pretrained_weights(trained):
    certificate = trained("blockwise").json("freeze.json")["phases"]
    first = {
        entry["phase"]: {**entry["frozen"], **{k: v[0] for k, v in entry["moved"].items()}} for entry in certificate
    }
    head, *degrees = first
    kernel = "c1/kernel"
    assert len({first[name][kernel] for name in first}) == 1
    trained = certificate[0]["moved"]["probabilities/kernel"][1]
    assert all(first[name]["probabilities/kernel"] == trained for name in degrees)
    assert first[head]["probabilities/kernel"] != trained


@pytest.mark.slow
def test_progressive_degrees_start_from_the_one_before(trained):
    for before, after in itertools.pairwise(trained("vgg16_blockwise").json("freeze.json")["phases"]):
        moved = {name: hashes[1] for name, hashes in before["moved"].items()}
        begin = {**after["frozen"], **{name: hashes[0] for name, hashes in after["moved"].items()}}
        assert all(begin[name] == value for name, value in moved.items() if name in begin)


class StopBefore(keras.callbacks.Callback):
    def __init__(self, phase, last):
        super().__init__()
        self.stops = phase == last

    def on_train_begin(self, logs=None):
        if self.stops:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_stopped_comparison_of_degrees_continues_to_the_same_result(trained, tmp_path):
    whole, recipe = trained("blockwise"), small("blockwise")
    voice = tlmed.run.Voice(progress=lambda phase, *_: contextlib.nullcontext(StopBefore(phase, "block1")))
    with pytest.raises(KeyboardInterrupt):
        tlmed.train(recipe, tmp_path / "run", voice=voice)
    run = RunDir(tmp_path / "run")
    assert [entry["phase"] for entry in run.json("freeze.json")["phases"]] == ["head", "block2"]
    tlmed.train(recipe, run.path)
    assert (run / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    assert run.json("freeze.json")["phases"] == whole.json("freeze.json")["phases"]
    rows, others = ([{**row, "seconds": 0} for row in read_csv(each / "degrees.csv")] for each in (run, whole))
    assert rows == others


@pytest.mark.slow
def test_a_second_stage_starts_from_the_weights_of_the_first(trained, tmp_path):
    first = trained("multi_stage").path
    second = RunDir(train("multi_stage", tmp_path / "second", f"weights={first}", "seed=1").path)
    assert second.json("environment.json")["weights"]["name"] == f"run:{first}"
    learned = keras.saving.load_model(first / "model.keras")
    built = build_backbone(small("multi_stage", f"weights={first}")).model
    for layer in built.layers:
        for new, old in zip(layer.get_weights(), learned.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)


@pytest.mark.slow
def test_two_backbones_train_at_full_size(tmp_path):
    recipe = override(load_recipe("two_backbones"), [*SMALL, "weights=none"])
    run = RunDir(tlmed.train(recipe, tmp_path / "run").path)
    assert [phase["blocks"] for phase in run.json("plan.json")["phases"]] == [[], ["block5"]]
    moved = {name.split("_")[0] for name in run.json("freeze.json")["phases"][1]["moved"]}
    assert {"branch1", "branch2"} <= moved


# Not every family has kernels for LoRA of rank 8; tests/adapters trains in those that have.
FIXED = ("vgg16_blockwise", "two_backbones", "feature_extractor_hybrid", "vit_probe", "lora")
MATRIX = [name for name in NAMES if name not in FIXED]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize("name", MATRIX)
def test_every_recipe_fits_every_family(name, backbone):
    keras.backend.clear_session()
    size = FAMILIES[backbone]
    words = [f"backbone={backbone}", "weights=none", f"data.image_size={size},{size}"]
    recipe = override(load_recipe(name), words)
    model = recipe.build(3)
    images = np.random.RandomState(0).randint(0, 256, (2, size, size, 3)).astype("uint8")
    labels = np.eye(3, dtype=int)[:2] if recipe.resolved_task == MULTI_LABEL else np.arange(2)
    reestimate_statistics(model.parts.backbone, [images])
    model.remember()
    phases = expand(recipe.phases, model.parts.backbone)
    for phase in dict.fromkeys((phases[0], phases[-1])):
        thaw(model, phase)
        claim, before = make_claim(model), fingerprint(model)
        model.run_eagerly = True
        model.train_on_batch(images, labels)
        after = fingerprint(model)
        moved = {name for name in before if before[name] != after[name]}
        # One step through random weights need not reach every block: gradients vanish, and stochastic depth skips some.
        assert moved
        assert not moved & claim.frozen
