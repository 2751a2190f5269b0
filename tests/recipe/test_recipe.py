import dataclasses
import json
import math
import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import tlmed
from tlmed.errors import InputError, Interrupted, Terminated
from tlmed.recipe import (
    Augment,
    Degrees,
    Dense,
    Hybrid,
    Images,
    Phase,
    Recipe,
    Stated,
    digest,
    find_recipe,
    from_json,
    load_recipe,
    override,
    read_recipe,
    shipped_recipes,
    summary,
    to_json,
    to_source,
)
from tlmed.sections.augment_presets import PRESETS, SOURCES, preset_values
from tlmed.sections.augment_words import say_augmentation
from tlmed.sections.image_attributes import BODY_PARTS, MODALITIES, SUBJECTS, SYNONYMS


def make(**fields):
    fields = {
        "data": Images("images"),
        "backbone": "MobileNetV2",
        "phases": (Phase("head", thaw=0, epochs=1, learning_rate=1e-3),),
        **fields,
    }
    return Recipe(**fields)


def hybrid(**fields):
    return {"head": Hybrid(**fields), "phases": ()}


def degrees(**fields):
    return Degrees(**{"epochs": 4, "learning_rate": 1e-4, **fields})


def phase(**fields):
    return Phase(**{"name": "head", "thaw": 0, "epochs": 1, "learning_rate": 1e-3, **fields})


FAULTS = [
    ({"backbone": ""}, "`backbone`", "backbone=''"),
    ({"weights": None}, "`weights`", "weights=None"),
    ({"seed": -1}, "`seed`", "seed=-1"),
    ({"seed": 1.5}, "`seed`", "seed=1.5"),
    ({"seed": True}, "`seed`", "seed=True"),
    ({"keep": "first"}, "'best', 'last'", "keep='first'"),
    ({"monitor": "auc"}, "'val_auc'", "monitor='auc'"),
    ({"class_weight": "auto"}, "'balanced'", "class_weight='auto'"),
    ({"sampling": "even"}, "`sampling` must be one of 'none', 'balanced'", "sampling='even'"),
    (
        {"sampling": "balanced", "class_weight": "balanced"},
        "`sampling` must be 'none' with class_weight=",
        "'balanced'",
    ),
    ({"head": Hybrid(), "phases": (), "sampling": "balanced"}, "`sampling` must be 'none' for a Hybrid", "'balanced'"),
    ({"phases": ()}, "`phases`", "phases=()"),
    ({"phases": [phase()]}, "`phases`", "in a tuple"),
    ({"phases": (phase(), phase())}, "names of their own", "'head' more than once"),
    ({"phases": (phase(thaw=-1),)}, "`phases.0.thaw`", "thaw=-1"),
    ({"phases": (phase(thaw="most"),)}, "`phases.0.thaw`", "thaw='most'"),
    ({"phases": (phase(epochs=0),)}, "`phases.0.epochs`", "epochs=0"),
    ({"phases": (phase(learning_rate=0),)}, "`phases.0.learning_rate`", "learning_rate=0"),
    ({"phases": (phase(learning_rate=float("nan")),)}, "`phases.0.learning_rate`", "learning_rate=nan"),
    ({"phases": (phase(patience=0),)}, "`phases.0.patience`", "patience=0"),
    ({"phases": (phase(batch_norm="off"),)}, "`phases.0.batch_norm`", "batch_norm='off'"),
    ({"phases": (phase(optimizer="lion king"),)}, "`phases.0.optimizer`", "optimizer='lion king'"),
    ({"phases": (phase(name="a/b"),)}, "`phases.0.name`", "name='a/b'"),
    ({"data": Images("x", image_size=(64,))}, "`data.image_size`", "image_size=(64,)"),
    ({"data": Images("x", image_size=(8, 64))}, "`data.image_size`", "image_size=(8, 64)"),
    ({"data": Images("x", split=(0.5, 0.5, 0.5))}, "`data.split`", "split=(0.5, 0.5, 0.5)"),
    ({"data": Images("x", batch_size=0)}, "`data.batch_size`", "batch_size=0"),
    ({"data": Images("")}, "`data.source`", "source=''"),
    ({"head": Dense(dropout=1.0)}, "`head.dropout`", "dropout=1.0"),
    ({"head": Dense(pooling="mean")}, "`head.pooling`", "pooling='mean'"),
    ({"head": Dense(units=(0,))}, "`head.units`", "units=(0,)"),
    ({"head": Dense(loss="hinge")}, "`head.loss` must be one of 'cross-entropy', 'focal'", "loss='hinge'"),
    ({"head": Dense(loss="focal", gamma=-1)}, "`head.gamma` must be a number, 0 or more", "gamma=-1"),
    ({"head": Dense(ordinal="coral"), "task": "ordinal"}, "`head.ordinal` must be 'soft-labels'", "ordinal='coral'"),
    ({"head": Dense(ordinal="corn")}, "`head.ordinal` must be None where classes have no order", "ordinal='corn'"),
    (
        {"head": Dense(ordinal="corn", loss="focal"), "task": "ordinal"},
        "`head.loss` must be 'cross-entropy' where",
        "loss='focal'",
    ),
    ({"head": Hybrid(ordinal="corn"), "phases": ()}, "`head.ordinal` is not a field of Hybrid", "ordinal='corn'"),
    ({"head": Dense(gamma=1.0)}, "`head.gamma` must be 2.0 unless `head.loss` is 'focal'", "gamma=1.0"),
    ({"augment": Augment(flip="diagonal")}, "`augment.flip`", "flip='diagonal'"),
    ({"augment": Augment(rotation=2)}, "`augment.rotation`", "rotation=2"),
    ({"augment": Augment(brightness=1)}, "`augment.brightness` must be a fraction from 0 to below 1", "brightness=1"),
    ({"augment": Augment(gamma=1.1)}, "`augment.gamma` must be a number from 0 to 1", "gamma=1.1"),
    ({"augment": Augment(stain=-0.1)}, "`augment.stain`", "stain=-0.1"),
    ({"augment": Augment(blur=6)}, "`augment.blur` must be a number of pixels from 0 to 5", "blur=6"),
    ({"augment": Augment(noise=2)}, "`augment.noise`", "noise=2"),
    ({"augment": Augment(flip="both", from_preset="x")}, "`augment.from_preset` must be the name of a preset", "'x'"),
    ({"augment": Augment.preset("ct", zoom=2)}, "`augment.zoom`", "zoom=2"),
    (
        {"augment": Augment.preset("ct", zom=0)},
        "`augment.zom` is not a field of Augment.",
        "zom=0",
    ),
    ({"phases": (phase(unit="blocks"),)}, "`phases.0.unit`", "unit='blocks'"),
    ({"phases": (phase(start="scratch"),)}, "`phases.0.start`", "start='scratch'"),
    ({"phases": (phase(block_decay=0),)}, "`phases.0.block_decay`", "block_decay=0"),
    ({"phases": (phase(block_decay=1.1),)}, "`phases.0.block_decay`", "block_decay=1.1"),
    ({"phases": (phase(rates="rgn"),)}, "`phases.0.rates` must be one of 'given', 'auto-rgn'", "rates='rgn'"),
    ({"phases": (phase(rates="auto-rgn"),)}, "`phases.0.rates` must be 'given' with thaw=0", "rates='auto-rgn'"),
    (
        {"phases": (phase(thaw=1, rates="auto-rgn", block_decay=0.5),)},
        "`phases.0.rates` must be 'given' with a `block_decay`",
        "rates='auto-rgn' with block_decay=0.5",
    ),
    ({"phases": (phase(schedule="cos"),)}, "`phases.0.schedule` must be one of 'constant', 'cosine'", "schedule='cos'"),
    ({"phases": (phase(warmup=1.5),)}, "`phases.0.warmup` must be a share of the phase's steps, 0 to 1", "warmup=1.5"),
    ({"phases": (phase(clip_norm=0),)}, "`phases.0.clip_norm` must be a number above 0, or None", "clip_norm=0"),
    ({"phases": (phase(weight_decay=-1),)}, "`phases.0.weight_decay` must be a number of 0 or more", "weight_decay=-1"),
    ({"phases": (phase(warmup=1, schedule="cosine"),)}, "`phases.0.warmup` must be below 1 with", "warmup=1"),
    ({"phases": degrees(warmup=1, schedule="step")}, "`phases.warmup` must be below 1 with", "warmup=1"),
    ({"phases": (phase(average="top5"),)}, "`phases.0.average` must be one of 'none', 'top3', 'ema'", "='top5'"),
    (
        {"phases": (phase(solver="LBFGS"),), "head": Dense(units=(8,))},
        "must be 'lbfgs', 'auto' or None",
        "solver='LBFGS'",
    ),
    ({"phases": (phase(solver="lbfgs", l2=0),)}, "`phases.0.l2` must be a number above 0, or 'auto'", "l2=0"),
    (
        {"phases": (phase(learning_rate=0.5, weight_decay=2.0),)},
        "`phases.0.weight_decay` must be below 2 at a learning rate of 0.5",
        "weight_decay=2.0",
    ),
    ({"phases": degrees(head_learning_rate=0.1, weight_decay=10)}, "must be below 10 at a", "weight_decay=10"),
    ({"phases": (phase(patience=1, schedule="plateau"),)}, "must be 2 or more, or None, with", "patience=1"),
    ({"phases": (phase(label_smoothing=1),)}, "`phases.0.label_smoothing` must be a share from 0 to below 1", "=1"),
    ({"phases": (phase(mixup=-1),)}, "`phases.0.mixup` must be alpha of a beta distribution, 0 or more", "mixup=-1"),
    ({"phases": (phase(l2_sp=float("inf")),)}, "`phases.0.l2_sp` must be a strength, 0 or more", "l2_sp=inf"),
    ({"phases": (phase(l2_sp=0.1),)}, "`phases.0.l2_sp` must be 0 with thaw=0", "l2_sp=0.1"),
    (
        {"phases": (phase(thaw=1, adapt="dora"),)},
        "`phases.0.adapt` must be 'lora', 'ssf', 'bitfit' or None",
        "adapt='dora'",
    ),
    ({"phases": (phase(adapt="lora"),)}, "`phases.0.adapt` must be None with thaw=0: only thawed blocks", "thaw=0"),
    (
        {"phases": (phase(thaw=1, rank=4),)},
        "`phases.0.rank` must be None without adapt='lora'",
        "rank=4 with adapt=None",
    ),
    (
        {"phases": (phase(thaw=1, adapt="ssf", rank=4),)},
        "`phases.0.rank` must be None without",
        "rank=4 with adapt='ssf'",
    ),
    ({"phases": (phase(thaw=1, adapt="lora", rank=0),)}, "`phases.0.rank` must be a whole number of 1 or", "rank=0"),
    (
        {"phases": (phase(thaw=1, adapt="ssf", batch_norm="affine"),)},
        "`phases.0.batch_norm` must be 'frozen' with an adapter",
        "batch_norm='affine' with adapt='ssf'",
    ),
    (
        {"phases": (phase(thaw=1, adapt="lora", rates="auto-rgn"),)},
        "`phases.0.rates` must be 'given' with an adapter",
        "rates='auto-rgn' with adapt='lora'",
    ),
    ({"phases": (phase(thaw=1, adapt="lora", l2_sp=1),)}, "`phases.0.l2_sp` must be 0 with adapt='lora'", "l2_sp=1"),
    (
        {"phases": (phase(thaw=1, adapt="lora", solver="lbfgs"),)},
        "`phases.0.solver` must be None unless thaw=0",
        "solver='lbfgs'",
    ),
    ({"phases": degrees(l2_sp=0.1), "weights": "none"}, "`l2_sp` must be 0 with weights='none'", "l2_sp=0.1"),
    ({"phases": degrees(patience=1, schedule="plateau")}, "`phases.patience` must be 2 or more", "patience=1"),
    ({"phases": (phase(), degrees())}, "`phases`", "one Phase(...) or more in a tuple, or a Degrees(...)"),
    ({"phases": degrees(epochs=0)}, "`phases.epochs`", "epochs=0"),
    ({"phases": degrees(falloff=0.0)}, "`phases.falloff`", "falloff=0.0"),
    ({"phases": degrees(falloff=2)}, "above 0 and up to 1", "falloff=2"),
    ({"phases": degrees(head_learning_rate=0)}, "`phases.head_learning_rate`", "head_learning_rate=0"),
    ({"phases": degrees(unit="stage")}, "'block', 'layer'", "unit='stage'"),
    ({"phases": degrees(thaw=2)}, "`phases.thaw` is not a field of Degrees", "thaw=2"),
    ({"backbone": ("VGG16",)}, "`backbone`", "two names or more"),
    ({"backbone": ("VGG16", "")}, "`backbone`", "backbone=('VGG16', '')"),
    (
        {"weights": ("none", "none")},
        "`weights` must be one for all backbones or one for each",
        "backbone='MobileNetV2'",
    ),
    ({"backbone": ("VGG16", "VGG19"), "weights": ("none",) * 3}, "one for each of them (2)", "'none', 'none', 'none'"),
    ({"phase_patience": 0}, "`phase_patience`", "phase_patience=0"),
    ({"phase_patience": 2, "keep": "last"}, "`phase_patience` must be None unless keep='best'", "phase_patience=2"),
    ({"head": Hybrid()}, "`phases` must be empty for a Hybrid", "Phase(name='head'"),
    ({"head": Hybrid(), "phases": degrees()}, "`phases` must be empty for a Hybrid", "Degrees(epochs=4"),
    ({**hybrid(), "augment": Augment(zoom=0.1)}, "`augment` must be off for a Hybrid", "zoom=0.1"),
    ({**hybrid(), "phase_patience": 1}, "`phase_patience` must be None for a Hybrid", "phase_patience=1"),
    (hybrid(classifier=""), "`head.classifier`", "classifier=''"),
    (hybrid(classifier="svm.SVC"), "`head.classifier`", "classifier='svm.SVC'"),
    (hybrid(grid={"C": [1, 2]}), "`head.grid` must be a dictionary", "grid={'C': [1, 2]}"),
    (hybrid(grid={"C": ()}), "`head.grid`", "grid={'C': ()}"),
    (hybrid(grid={1: (1,)}), "`head.grid`", "grid={1: (1,)}"),
    (hybrid(grid={"C": (math,)}), "`head.grid`", "module 'math'"),
    (hybrid(scale="yes"), "`head.scale`", "scale='yes'"),
    (hybrid(pca=0), "`head.pca`", "pca=0"),
    (hybrid(pca=1.0), "`head.pca`", "pca=1.0"),
    (hybrid(folds=1), "`head.folds`", "folds=1"),
    (hybrid(tap=""), "`head.tap`", "tap=''"),
    (hybrid(pooling="mean"), "`head.pooling`", "pooling='mean'"),
    (hybrid(dropout=0.5), "`head.dropout` is not a field of Hybrid", "dropout=0.5"),
    ({"head": "SVC"}, "`head` must be a Dense(...) or a Hybrid(...)", "head='SVC'"),
    ({"name": ""}, "`name` must be a text of one line", "name=''"),
    ({"name": " \u3000"}, "`name`", "name="),
    ({"name": "two\nlines"}, "`name`", r"name='two\nlines'"),
    ({"name": "half \udc80"}, "`name`", r"name='half \udc80'"),
    ({"name": "x" * 201}, "at most 200 characters", "name='xxx"),
    ({"name": 7}, "`name`", "name=7"),
    ({"data": Images("x", batchsize=3)}, "Did you mean 'batch_size'?", "batchsize=3"),
    ({"sed": 3}, "Did you mean 'seed'?", "sed=3"),
    (
        {"data": Images("x", modality="Xray")},
        "`data.modality` must be a known modality, or None. Did you mean 'x-ray'?",
        "",
    ),
    ({"data": Images("x", modality="ultrasonic")}, "Did you mean 'sonography'?", "modality='ultrasonic'"),
    ({"data": Images("x", body_part="thorax")}, "Did you mean 'chest'?", "body_part='thorax'"),
    ({"data": Images("x", subject="thorax")}, "Choose from patient, fetus, specimen,", "subject='thorax'"),
    ({"data": Images("x", subject=1)}, "`data.subject` must be a known subject, or None.", "subject=1"),
    ({"data": Images("x", codes={"ill": ("1", "SCT")})}, "its code, coding scheme and meaning", "codes={'ill'"),
    ({"data": Images("x", codes={"ill": ("1", "S" * 17, "x")})}, "of up to 64, 16 and 64 characters", "codes={'ill'"),
    ({"data": Images("x", codes={"ill": ("1\\2", "SCT", "x")})}, "its code", "codes={'ill'"),
]


@pytest.mark.parametrize(("fields", "rule", "received"), FAULTS)
def test_a_fault_names_field_rule_and_received_value(fields, rule, received):
    with pytest.raises(InputError) as caught:
        make(**fields)
    assert len(caught.value.faults) == 1
    assert rule in str(caught.value)
    assert received in str(caught.value)


def test_codes_of_classes_come_back_and_a_recipe_without_any_has_the_digest_that_it_had():
    coded = make(data=Images("x", codes={"ill": ("86049000", "SCT", "Malignant neoplasm")}))
    assert from_json(json.loads(json.dumps(to_json(coded)))) == coded
    assert digest(coded) != digest(make(data=Images("x")))
    content = to_json(make(data=Images("x")))
    del content["data"]["codes"]  # as versions without this field wrote it
    assert digest(from_json(content)) == digest(make(data=Images("x")))


@pytest.mark.parametrize(
    "name", ["None", "a, b", "<b>&'\"", "\u8d85\u97f3\u6ce2 2026", "\u0928\u092e\u0938\u094d\u200d\u0924\u0947"]
)
def test_a_title_is_any_text_of_one_line_and_decides_nothing(name, tmp_path):
    recipe = dataclasses.replace(make(), name=name)
    assert digest(recipe) == digest(make())
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe
    (tmp_path / "titled.py").write_text(to_source(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "titled.py") == recipe


def test_all_faults_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        Recipe(data=Images("x", batch_size=0), keep="first", phases=(phase(epochs=0), Phase("b", 0, epoch=1)))
    fields = ["data.batch_size", "backbone", "keep", "phases.0.epochs", "phases.1.epoch", "phases.1.learning_rate"]
    assert all(f"`{field}`" in str(caught.value) for field in fields)


def test_faults_of_fields_and_of_fields_together_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        make(
            head=Hybrid(folds=0), augment=Augment(flip="both"), weights=("none", "none"), keep="last", phase_patience=1
        )
    parts = ["head.folds", "augment", "weights", "phases", "phase_patience"]
    assert all(f"`{part}`" in str(caught.value) for part in parts)


def test_degrees_are_the_head_and_one_block_more_each():
    fields = {"patience": 2, "batch_norm": "affine", "optimizer": "sgd", "unit": "layer"}
    head, *phases = degrees(falloff=0.3, head_learning_rate=0.01, start="pretrained", **fields).expand(["a", "b", "c"])
    assert head == Phase("head", thaw=0, epochs=4, learning_rate=0.01, **fields)
    assert [(p.name, p.thaw, p.learning_rate) for p in phases] == [("c", 1, 1e-4), ("b", 2, 3e-5), ("a", 3, 9e-6)]
    assert all(
        p == dataclasses.replace(phases[0], name=p.name, thaw=p.thaw, learning_rate=p.learning_rate) for p in phases
    )
    assert phases[0] == Phase("c", thaw=1, epochs=4, learning_rate=1e-4, start="pretrained", **fields)


def test_a_recipe_is_frozen_and_equal_to_its_twin():
    recipe = make()
    with pytest.raises(AttributeError):
        recipe.seed = 1
    assert recipe == make()
    assert recipe != make(seed=1)


OVERRIDES = [
    ("data.image_size=64,48", lambda r: r.data.image_size, (64, 48)),
    ("data.batch_size=8", lambda r: r.data.batch_size, 8),
    ("data.positive=malignant", lambda r: r.data.positive, "malignant"),
    ("data.positive=none", lambda r: r.data.positive, None),
    ('data.positive="none"', lambda r: r.data.positive, "none"),
    ("data.positive='None'", lambda r: r.data.positive, "None"),
    ("data.positive=1", lambda r: r.data.positive, "1"),
    ("data.positive=1,2", lambda r: r.data.positive, "1,2"),
    ("data.source='none'", lambda r: r.data.source, "none"),
    ('weights="a,b.h5"', lambda r: r.weights, "a,b.h5"),
    ("data.source=a=b", lambda r: r.data.source, "a=b"),
    ("backbone=VGG16", lambda r: r.backbone, "VGG16"),
    ("weights=none", lambda r: r.weights, "none"),
    ("seed=7", lambda r: r.seed, 7),
    ("keep=last", lambda r: r.keep, "last"),
    ("monitor=val_loss", lambda r: r.monitor, "val_loss"),
    ("head.dropout=0", lambda r: r.head.dropout, 0.0),
    ("head.units=64,32", lambda r: r.head.units, (64, 32)),
    ("augment.flip=horizontal", lambda r: r.augment.flip, "horizontal"),
    ("augment.preset=histology", lambda r: r.augment, Augment.preset("histology")),
    ("augment.preset=none", lambda r: r.augment, Augment()),
    ("augment.stain=0.1", lambda r: r.augment.stain, 0.1),
    ("baselines=True", lambda r: r.baselines, True),
    ("phases.0.epochs=3", lambda r: [p.epochs for p in r.phases], [3, 20]),
    ("phases.epochs=1", lambda r: [p.epochs for p in r.phases], [1, 1]),
    ("phases.1.thaw=all", lambda r: r.phases[1].thaw, "all"),
    ("phases.1.thaw=3", lambda r: r.phases[1].thaw, 3),
    ("phases.patience=none", lambda r: [p.patience for p in r.phases], [None, None]),
    ("phases.0.patience=4", lambda r: r.phases[0].patience, 4),
    ("phases.learning_rate=1e-5", lambda r: r.phases[1].learning_rate, 1e-5),
    ("phases.1.batch_norm=affine", lambda r: r.phases[1].batch_norm, "affine"),
    ("phases.1.name=top2", lambda r: r.phases[1].name, "top2"),
]


@pytest.mark.parametrize(("setting", "read", "value"), OVERRIDES)
def test_set_gives_a_field_a_value_of_its_type(setting, read, value):
    before = load_recipe("fine_tuning")
    after = override(before, [setting])
    assert read(after) == value
    assert type(read(after)) is type(value)
    assert before == load_recipe("fine_tuning")


# Each would be something else if it were read: no value, a number, a list, a section, a text in quotes.
LITERALS = ("none", "None", "1", "1.0", "True", "1e3", "1,2", "[x]", "(a)", '"q"', "a=b", "KFold(5)", " a ", "-1")


@pytest.mark.parametrize("text", LITERALS)
def test_values_are_taken_as_they_are(text):
    recipe = override(load_recipe("fine_tuning"), [], {"data.positive": text, "data.source": text, "seed": 3})
    assert (recipe.data.positive, recipe.data.source, recipe.seed) == (text, text, 3)


def test_values_win_over_settings_and_are_checked_with_them():
    settings = ["data.positive=b", "data.image_size=64,64"]
    assert override(load_recipe("fine_tuning"), settings, {"data.positive": "a"}).data.positive == "a"
    with pytest.raises(InputError) as caught:
        override(load_recipe("fine_tuning"), ["sed=1"], {"data.positive": "", "seed": -1})
    assert [word in str(caught.value) for word in ("`sed`", "positive=''", "seed=-1")] == [True] * 3


HYBRID = "feature_extractor_hybrid"
OVERRIDES_ELSEWHERE = [
    ("blockwise", "phases.epochs=1", lambda r: r.phases.epochs, 1),
    ("blockwise", "phases.patience=none", lambda r: r.phases.patience, None),
    ("blockwise", "phases.unit=layer", lambda r: r.phases.unit, "layer"),
    ("blockwise", "phases.start=previous", lambda r: r.phases.start, "previous"),
    ("blockwise", "phases.falloff=0.5", lambda r: r.phases.falloff, 0.5),
    ("incremental", "phase_patience=2", lambda r: r.phase_patience, 2),
    ("incremental", "phase_patience=none", lambda r: r.phase_patience, None),
    ("discriminative_rates", "phases.1.block_decay=0.5", lambda r: r.phases[1].block_decay, 0.5),
    ("fine_tuning", "phases.1.unit=layer", lambda r: r.phases[1].unit, "layer"),
    ("fine_tuning", "backbone=LeNet5,MobileNetV2", lambda r: r.backbone, ("LeNet5", "MobileNetV2")),
    ("two_backbones", "backbone=VGG16", lambda r: r.backbone, "VGG16"),
    ("two_backbones", "weights=imagenet,digits", lambda r: r.weights, ("imagenet", "digits")),
    ("two_backbones", "weights=none", lambda r: r.weights, "none"),
    (HYBRID, "head.classifier=RandomForestClassifier", lambda r: r.head.classifier, "RandomForestClassifier"),
    (HYBRID, "head.grid.C=0.1,1,10", lambda r: r.head.grid, {"C": (0.1, 1, 10)}),
    (HYBRID, "head.grid.gamma=scale,0.01", lambda r: r.head.grid, {"gamma": ("scale", 0.01)}),
    (HYBRID, 'head.grid.kernel="none",none', lambda r: r.head.grid, {"kernel": ("none", None)}),
    (HYBRID, 'head.grid.C="1",1', lambda r: r.head.grid, {"C": ("1", 1)}),
    ("two_backbones", 'weights="a,b.h5", c(1).h5', lambda r: r.weights, ("a,b.h5", "c(1).h5")),
    ("two_backbones", "weights=a(1).h5,b(2)", lambda r: r.weights, ("a(1).h5", "b(2)")),
    (HYBRID, "head.grid.max_depth=none,3", lambda r: r.head.grid, {"max_depth": (None, 3)}),
    (HYBRID, "head.grid.shrinking=true,false", lambda r: r.head.grid, {"shrinking": (True, False)}),
    (HYBRID, "head.pca=0.95", lambda r: r.head.pca, 0.95),
    (HYBRID, "head.pca=50", lambda r: r.head.pca, 50),
    (HYBRID, "head.pca=none", lambda r: r.head.pca, None),
    (HYBRID, "head.scale=false", lambda r: r.head.scale, False),
    (HYBRID, "head.tap=block3", lambda r: r.head.tap, "block3"),
]


@pytest.mark.parametrize(("name", "setting", "read", "value"), OVERRIDES_ELSEWHERE)
def test_set_works_on_degrees_hybrids_and_several_backbones(name, setting, read, value):
    result = read(override(load_recipe(name), [setting]))
    assert (result, type(result)) == (value, type(value))


def test_set_adds_to_a_grid_and_replaces_in_it():
    recipe = override(load_recipe(HYBRID), ["head.grid.C=1", "head.grid.gamma=0.1,1", "head.grid.C=2,3"])
    assert recipe.head.grid == {"C": (2, 3), "gamma": (0.1, 1)}
    assert load_recipe(HYBRID).head.grid == {}


def test_all_phases_can_be_set_where_there_are_none():
    assert override(load_recipe(HYBRID), ["phases.epochs=1", "phases.patience=none"]) == load_recipe(HYBRID)


BAD_SETTINGS_ELSEWHERE = [
    ("blockwise", "phases.0.epochs=3", "tlmed plan --write"),
    ("blockwise", "phases.0.epochs=3", "set `phases.epochs`"),
    ("blockwise", "phases=3", "set one of them"),
    ("blockwise", "phases.epoch=3", "Did you mean 'epochs'?"),
    (HYBRID, "phases.0.epochs=3", "`phases` must not be empty"),
    (HYBRID, "phases.epoch=3", "Did you mean 'epochs'?"),
    (HYBRID, "head=Dense", "set one of them"),
    (HYBRID, "head.grid=1", "set one of them"),
    (HYBRID, "head.grid.C=", "`head.grid`"),
    (HYBRID, "head.pca=many", "pca='many'"),
    (HYBRID, "head.dropout=0.5", "is not a field of Hybrid. Its fields: classifier, "),
    (HYBRID, "augment.zoom=0.1", "`augment` must be off"),
    (HYBRID, "augment.preset=ct", "`augment` must be off"),
    ("two_backbones", "weights=none,none,none", "one for each of them (2)"),
    ("fine_tuning", "weights=none,none", "one for each of them (1)"),
    ("fine_tuning", "phases.thaw=most", "thaw='most'"),
]


@pytest.mark.parametrize(("name", "setting", "words"), BAD_SETTINGS_ELSEWHERE)
def test_a_bad_setting_of_degrees_or_hybrids_is_an_error_too(name, setting, words):
    with pytest.raises(InputError, match="Received") as caught:
        override(load_recipe(name), [setting])
    assert words in str(caught.value)


BAD_SETTINGS = [
    ("cost.ill.well=10", "`cost` is not a field of Recipe. Did you mean 'costs'?"),
    ("augment.preset=chest-xray", "There must be such a preset of augmentation. Did you mean 'chest-x-ray'?"),
    ("augment.presets=ct", "`augment.presets` is not a field of Augment."),
    ("augment.from_preset=ct", "`augment.from_preset` must be None where nothing is on; `Augment.preset('ct')` sets"),
    ("sed=1", "Did you mean 'seed'?"),
    ("data.image=1,2", "Did you mean 'image_size'?"),
    ("lr=1e-4", "Did you mean 'phases.learning_rate'?"),
    ("epochs=3", "Did you mean 'phases.epochs'?"),
    ("phases.0.lr=1", "Did you mean 'learning_rate'?"),
    ("data.dropout=0.5", "Did you mean 'head.dropout'?"),
    ("size=64,64", "Did you mean 'data.image_size' or 'data.batch_size'?"),
    ("model=VGG16", "Did you mean 'backbone'?"),
    ("quux=1", "Its fields: data, backbone, "),
    ("phases.--1.epochs=3", "`phases.--1` is not a field of Phase"),
    ("phases.-1.epochs=3", "from 0 to 1"),
    ("phases.\N{SUPERSCRIPT TWO}.epochs=3", "is not a field of Phase"),
    (f"phases.{'9' * 5000}.epochs=3", "from 0 to 1"),
    (f"data.batch_size={'9' * 5000}", "(5,002 characters)"),
    ("keep=a\nb\x1b[31m", r"a\nb\x1b[31m"),
    ("seed", "KEY=VALUE"),
    ("seed=many", "seed='many'"),
    ("data=x", "set one of them"),
    ("seed.x=1", "holds no fields"),
    ("phases.5.epochs=1", "from 0 to 1"),
    ("phases.0=1", "a field"),
    ("baselines=maybe", "baselines='maybe'"),
    ("data.image_size=64", "image_size=(64,)"),
]


@pytest.mark.parametrize(("setting", "words"), BAD_SETTINGS)
def test_a_bad_setting_is_an_error_that_shows_it(setting, words):
    with pytest.raises(InputError, match="Received") as caught:
        override(load_recipe("fine_tuning"), [setting])
    assert words in str(caught.value)


def test_all_bad_settings_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        override(load_recipe("fine_tuning"), [setting for setting, _ in BAD_SETTINGS])
    assert len(caught.value.faults) == len(BAD_SETTINGS)


def test_the_table_of_shipped_recipes_is_not_empty():
    assert {
        *("quickstart", "feature_extractor", "feature_extractor_hybrid", "fine_tuning", "fine_tuning_from_scratch"),
        *("random_initialisation", "vgg16_blockwise", "layerwise", "blockwise", "incremental", "two_backbones"),
        *("discriminative_rates", "multi_stage", "cost_sensitive", "ordinal_grading", "multi_label"),
        *("vit_probe", "lp_ft", "surgical", "lora"),
    } == set(shipped_recipes())


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_a_shipped_recipe_loads_is_described_and_stands_alone(name):
    text = find_recipe(name).read_text()
    assert isinstance(load_recipe(name), Recipe)
    assert summary(find_recipe(name)).endswith(".")
    assert f"tlmed train {name}" in text
    assert "tlmed.recipes" not in text


def expand(recipe, *names):
    phases = recipe.phases.expand(names) if isinstance(recipe.phases, Degrees) else recipe.phases
    return dataclasses.replace(recipe, phases=phases)


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_source_made_from_a_recipe_makes_that_recipe(name, tmp_path):
    for recipe in (load_recipe(name), expand(load_recipe(name), "block1", "block2")):
        (tmp_path / "again.py").write_text(to_source(recipe, summary(find_recipe(name))))
        assert load_recipe(tmp_path / "again.py") == recipe
        assert summary(tmp_path / "again.py") == summary(find_recipe(name))


UNUSUAL = {
    "quotes": make(data=Images('it\'s "x"\\n\n\udcff.csv', positive='"')),
    "numbers": make(phases=(phase(learning_rate=1.25e-7), phase(name="b", learning_rate=1 / 300, block_decay=1 / 2.6))),
    "grid": make(**hybrid(grid={"C": (1e-5, math.inf, -0.0), "a" * 130: (None, True, "x", (32,), (64, 2.5), -1e-4)})),
    "hidden layers": make(head=Dense(units=(64,))),
    "two": make(backbone=("VGG16", "VGG19"), weights=("none", "imagenet")),
    "everything": override(
        load_recipe("fine_tuning"),
        ["data.batch_size=7", "data.split=0.5,0.25,0.25", "augment.flip=both", "class_weight=balanced", "keep=last"],
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_source_says_unusual_values_exactly(name, tmp_path):
    (tmp_path / "again.py").write_text(to_source(UNUSUAL[name], 'Says """ and \\ and ends in "'), encoding="utf-8")
    assert load_recipe(tmp_path / "again.py") == UNUSUAL[name]


def test_source_reads_as_a_person_would_write_it():
    recipe = override(load_recipe("incremental"), ["data.image_size=64,64", "seed=3"])
    assert to_source(expand(recipe, "block1", "block2"), "Mine.\n\ntlmed train mine.py") == (
        '''"""Mine.

tlmed train mine.py
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(64, 64)),
    backbone="MobileNetV2",
    phases=(
        Phase("head", thaw=0, epochs=20, learning_rate=1e-3, patience=6),
        Phase("block2", thaw=1, epochs=20, learning_rate=1e-4, patience=6),
        Phase("block1", thaw=2, epochs=20, learning_rate=5e-5, patience=6),
    ),
    head=Dense(dropout=0.2),
    seed=3,
    phase_patience=1,
)
'''
    )


def test_a_section_too_long_for_a_line_has_a_field_a_line():
    grid = {"C": tuple(range(24)), "gamma": ("scale", 0.01)}
    text = to_source(make(**hybrid(classifier="NuSVC", grid=grid, tap="block3")))
    assert max(map(len, text.splitlines())) <= 120
    assert 'head=Hybrid(\n        classifier="NuSVC",\n        grid={\n            "C": (0, 1, 2, ' in text
    assert text.endswith('            "gamma": ("scale", 0.01),\n        },\n        tap="block3",\n    ),\n)\n')


GOOD = b"""from tlmed.recipe import Images, Phase, Recipe
recipe = Recipe(data=Images("x"), backbone="VGG16", phases=(Phase("head", thaw=0, epochs=1, learning_rate=1e-3),))
"""
BAD_FILES = {
    "syntax": (b"x = 1\nrecipe = (", "line 2: '(' was never closed"),
    "indent": (b"if 1:\nx = 1", "line 2: expected an indented block"),
    "await": (b"await x", "line 1: 'await' outside function"),
    "latin-1": (b"# one\n# caf\xe9\n" + GOOD, "UTF-8. Received: bad.py, line 2: the byte 0xe9"),
    "declared latin-1": (b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + GOOD, "line 2: the byte 0xe9"),
    "utf-16": (GOOD.decode().encode("utf-16"), "line 1: the byte 0xff"),
    "null": (GOOD + b"\0", "line 3: a null character"),
    "binary": (bytes(range(256)), "line 2: the byte 0x80"),
    "long": (GOOD + b"#" * 2**20, "at most 1,048,576 bytes"),
    "brackets": (b"x = " + b"(" * 5000, "too many nested parentheses"),
    "signs": (b"x = " + b"-" * 100_000 + b"1", "nested too deeply"),
    "sum": (b"x = " + b"+".join([b"1"] * 100_000), "nested too deeply"),
    "import": (b"\nimport nonexistent_module", "line 2: ModuleNotFoundError: No module named 'nonexistent_module'"),
    "relative import": (b"from tests import x", "line 1: Import"),
    "name": (b"recipe = Recip()", "line 1: NameError"),
    "value": (b"\n\nraise ValueError('two\\nlines')", "line 3: ValueError: two lines."),
    "assertion": (b"assert False", "line 1: AssertionError."),
    "file": (b"open('/nonexistent')", "line 1: FileNotFoundError"),
    "net": (b"raise ConnectionError('net')", "line 1: ConnectionError: net."),
    "pipe": (b"raise BrokenPipeError", "line 1: BrokenPipeError."),
    "memory": (b"raise MemoryError", "line 1: MemoryError."),
    "recursion": (b"def f():\n    return f()\n\nf()", "line 2: RecursionError"),
    "end of file": (b"raise EOFError", "line 1: EOFError."),
    "group": (b"raise ExceptionGroup('g', [ValueError('a')])", "line 1: ExceptionGroup"),
    "no text": (b"class E(Exception):\n    def __str__(self): 1 / 0\n\nraise E", "line 4: "),
    "exit": (b"import sys\nsys.exit(0)", "line 2: SystemExit: 0."),
    "end": (b"exit('bye')", "line 1: SystemExit: bye."),
    "base": (b"raise BaseException('x')", "line 1: BaseException: x."),
    "generator": (b"raise GeneratorExit", "line 1: GeneratorExit."),
    "click": (b"import click\nraise click.UsageError('u')", "line 2: click.exceptions.UsageError: u."),
    "empty": (b"", "which defines no `recipe`"),
    "number": (b"recipe = 3", "where `recipe` is an int"),
    "function": (b"def recipe(): pass", "where `recipe` is a function"),
    "class": (b"from tlmed.recipe import Recipe as recipe", "where `recipe` is a type"),
    "no repr": (b"class R:\n    def __repr__(self): 1 / 0\n\nrecipe = R()", "where `recipe` is a R"),
    "huge": (b"recipe = 'x' * 10**7", "where `recipe` is a str"),
    "another name": (GOOD.replace(b"recipe =", b"mine ="), "which calls it `mine`"),
    "unknown field": (
        b"from tlmed.recipe import *\nrecipe = Recipe(bakbone='x')",
        "Did you mean 'backbone'? Received: bakbone='x'.\n",
    ),
    "faults": (b"from tlmed.recipe import *\n\nrecipe = Recipe(1, 2, 3)", "Received in bad.py, line 3."),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_recipe_file_is_one_clear_error(name, tmp_path, monkeypatch):
    content, words = BAD_FILES[name]
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_recipe("bad.py")
    assert words in str(caught.value)
    assert "bad.py" in str(caught.value)
    assert all(fault.isprintable() and len(fault) < 500 for fault in caught.value.faults)
    assert name in ("unknown field", "faults") or len(caught.value.faults) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted, Terminated])
def test_a_request_to_stop_ends_the_loading_of_a_recipe(error, tmp_path):
    (tmp_path / "slow.py").write_text(f"from tlmed.errors import *\nraise {error.__name__}('stop')")
    with pytest.raises(error, match="stop"):
        load_recipe(tmp_path / "slow.py")


def test_what_is_no_file_is_no_recipe(tmp_path):
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(InputError, match=r"must be a file\. Received: .*folder\.py, which is a folder"):
        load_recipe(tmp_path / "folder.py")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    for name in ("pipe.py", "zero.py"):
        with pytest.raises(InputError, match="which is no regular file"):
            load_recipe(tmp_path / name)
    (tmp_path / "lost.py").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"lost\.py', which does not exist"):
        load_recipe(tmp_path / "lost.py")
    (tmp_path / "mine.py").write_bytes(GOOD)
    with pytest.raises(InputError, match=r"Did you mean '.*mine.py'\?"):
        load_recipe(tmp_path / "mine")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + GOOD, GOOD.replace(b"\n", b"\r\n"), b"# caf\xc3\xa9\n" + GOOD])
def test_a_recipe_may_begin_with_a_mark_and_have_line_ends_of_windows(content, tmp_path):
    (tmp_path / "mine.py").write_bytes(content)
    file = read_recipe(tmp_path / "mine.py")
    assert file.recipe.backbone == "VGG16"
    assert file.text == content.decode("utf-8-sig")


def test_an_unknown_recipe_gets_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean 'fine_tuning'"):
        load_recipe("fine_tunning")


def test_shipped_recipes_are_found_in_the_source_folder_of_a_tlmed_that_is_not_installed():
    root = Path(tlmed.__file__).parents[1]
    if not (root / "setup.cfg").is_file():
        pytest.skip("tlmed does not run from its source")
    code = "import tlmed, tlmed.recipe as r; print(tlmed.load_recipe('quickstart').backbone, *r.shipped_recipes())"
    # -S: no installed packages, so that nothing knows of `tlmed.recipes`.
    found = subprocess.run([sys.executable, "-S", "-c", code], cwd=root, check=True, capture_output=True, text=True)
    assert found.stdout.split() == [load_recipe("quickstart").backbone, *shipped_recipes()]


def test_loading_a_recipe_imports_neither_keras_nor_tensorflow():
    code = (
        "import sys, tlmed; from tlmed.recipes import feature_extractor; tlmed.load_recipe('fine_tuning');"
        "heavy = {'keras', 'tensorflow', 'sklearn', 'numpy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parts_of_the_body_and_subjects_are_called_as_in_dicom():
    pytest.importorskip("pydicom", reason="needs pydicom: pip install '.[dicom]'")
    from pydicom.sr._cid_dict import cid_concepts

    parts = {name for group in (4, 4030, 4031, 7166, 8134) for names in cid_concepts[group].values() for name in names}
    assert {word.title().replace(" ", "") for word in BODY_PARTS} <= parts
    assert {word.title() for word in SUBJECTS[:3]} <= set(cid_concepts[271]["DCM"])
    assert set(SYNONYMS.values()) <= {*MODALITIES, *BODY_PARTS, *SUBJECTS}
    assert not set(SYNONYMS) & {*MODALITIES, *BODY_PARTS, *SUBJECTS}


def test_the_page_on_data_names_every_word_for_images():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `")}
    for field, words in {"modality": MODALITIES, "body_part": BODY_PARTS, "subject": SUBJECTS}.items():
        assert rows[field].count("`") == 2 * len(words) + 2
        assert all(f"`{word}`" in rows[field] for word in words)


def test_there_is_a_preset_for_each_modality_and_one_for_chest_x_rays():
    assert {*MODALITIES, "chest-x-ray", "histology"} <= set(PRESETS)
    assert {choice.source for choices in PRESETS.values() for choice in choices} == set(SOURCES)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_plain_fields_in_every_form_of_a_recipe(name, tmp_path):
    recipe = make(augment=Augment.preset(name, views=2))
    fields = to_json(recipe)["augment"]
    assert {key: fields[key] for key in preset_values(name)} == preset_values(name)
    assert (fields["views"], fields["from_preset"]) == (2, name)
    assert from_json(to_json(recipe)) == recipe
    file = tmp_path / "recipe.py"
    file.write_text(to_source(recipe))
    assert read_recipe(file).recipe == recipe
    assert f"Augment.preset({name!r})" not in file.read_text()
    assert say_augmentation(fields).startswith(f"preset {name}: ")
    for choice in PRESETS[name]:
        assert choice.reason.endswith(".")
        assert preset_values(name)[choice.field] == choice.value  # no field twice


def test_where_sides_matter_no_preset_mirrors():
    for name in ("chest-x-ray", "ct", "mri", "pet", "spect", "photography"):
        assert Augment.preset(name).flip == "none"
    # Shadows fall away from the probe, and the layers of the retina have an order.
    for name in ("sonography", "oct"):
        assert Augment.preset(name).flip == "horizontal"


def test_a_preset_is_said_with_what_differs_from_it():
    changed = dataclasses.asdict(Augment.preset("chest-x-ray", zoom=0, noise=0.02))
    said = say_augmentation(changed)
    assert said == (
        "preset chest-x-ray with another zoom, noise: never mirrored, rotated by 10 degrees, contrast changed by 25 %, "
        "brightness changed by 26 of 255, noise of 5.1 of 255"
    )
    assert say_augmentation(dataclasses.asdict(Augment())) == say_augmentation({}) == ""


def test_an_unknown_preset_names_the_nearest_one():
    for name, near in {"ultrasund": "sonography", "Chest-X-Ray": "chest-x-ray", "histopathology": "histology"}.items():
        with pytest.raises(InputError, match=f"Did you mean '{near}'. Received: preset='{name}'"):
            Augment.preset(name)
    with pytest.raises(InputError, match=r"Choose from chest-x-ray, x-ray, .*Received: preset=3"):
        Augment.preset(3)


def test_numbers_of_metrics_are_stated_in_every_form_of_a_recipe(tmp_path):
    plain = load_recipe("feature_extractor")
    asked = ["stated.beta=1", "stated.net_benefit=0.05", "stated.kappa_weights=((0, 2), (1, 0))"]
    recipe = override(plain, asked)
    assert recipe.stated == Stated(beta=1.0, net_benefit=(0.05,), kappa_weights=((0, 2), (1, 0)))
    assert from_json(to_json(recipe)) == recipe
    (tmp_path / "again.py").write_text(to_source(recipe))
    assert load_recipe(tmp_path / "again.py") == recipe
    older = to_json(plain)
    del older["stated"]  # as an older version wrote it
    assert from_json(older) == plain
    with pytest.raises(InputError, match=r"`stated.net_benefit` must be different risks above 0 and below 1"):
        override(plain, ["stated.net_benefit=0.1,1"])


def test_degrees_and_phases_have_the_same_rules_for_the_fields_that_both_have():
    of_phase, of_degrees = ({spec.name: spec for spec in dataclasses.fields(kind)} for kind in (Phase, Degrees))
    both = of_phase.keys() & of_degrees.keys()
    assert both >= {"epochs", "schedule", "l2_sp", "average"}
    hints = [typing.get_type_hints(kind) for kind in (Phase, Degrees)]
    for name in both:
        one, other = of_phase[name], of_degrees[name]
        assert (one.metadata["must"], one.default) == (other.metadata["must"], other.default), name
        assert hints[0][name] == hints[1][name], name


def test_each_degree_has_the_fields_that_are_the_same_for_all():
    given = {"schedule": "step", "warmup": 0.2, "clip_norm": 2.0, "weight_decay": 0.1, "label_smoothing": 0.2}
    given |= {
        "mixup": 0.3,
        "average": "ema",
        "optimizer": "sgd",
        "patience": 3,
        "batch_norm": "affine",
        "unit": "layer",
    }
    head, *others = degrees(**given, l2_sp=0.4, start="pretrained").expand(["block1", "block2"])
    for phase in (head, *others):
        assert {name: getattr(phase, name) for name in given} == given
    assert [phase.l2_sp for phase in (head, *others)] == [0, 0.4, 0.4]
    assert [phase.start for phase in (head, *others)] == ["previous", "pretrained", "pretrained"]
