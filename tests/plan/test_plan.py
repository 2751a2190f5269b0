import dataclasses
import json
import re
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import tlmed
from tests import conftest
from tlmed import backbones
from tlmed.certificate import list_weights, make_claim
from tlmed.cli import cli
from tlmed.errors import InputError
from tlmed.findings import Finding, shorten
from tlmed.heads.dense import attach_head
from tlmed.phases import thaw
from tlmed.plan import (
    describe_backbone,
    describe_blocks,
    describe_classifier,
    describe_phases,
    expand,
    find_schedule_faults,
    make_plan,
    memory_needed,
)
from tlmed.recipe import Degrees, Dense, Hybrid, Phase, load_recipe, override, shipped_recipes
from tlmed.screen import to_lines
from tlmed.voice import Voice


@pytest.fixture(scope="module")
def vgg16():
    return backbones.build("VGG16", "none", (32, 32)).model


@pytest.fixture(scope="module")
def mobilenet():
    return backbones.build("MobileNet", "none", (32, 32)).model


@pytest.fixture(scope="module")
def pair():
    return backbones.build(("LeNet5", "MobileNet"), "none", (32, 32)).model


@pytest.fixture(scope="module")
def tokens():
    images = keras.Input((32, 32, 3))
    return keras.Model(images, keras.layers.Dense(4)(keras.layers.Flatten()(images)), name="tokens")


@pytest.fixture(scope="module")
def twice():
    """A backbone that uses one layer twice, with a drop of the resolution between."""
    images, conv = keras.Input((32, 32, 3)), keras.layers.Conv2D(3, 3, padding="same", name="shared")
    x = keras.layers.MaxPool2D()(conv(keras.layers.MaxPool2D()(conv(images))))
    return keras.Model(images, keras.layers.Conv2D(8, 3, name="last")(x), name="twice")


@pytest.fixture(scope="module")
def dense_end():
    """A backbone with weights after its last feature map."""
    images = keras.Input((32, 32, 3))
    x = keras.layers.MaxPool2D()(keras.layers.Conv2D(3, 3, name="first")(images))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, name="second")(x))
    return keras.Model(images, keras.layers.Dense(8, name="end")(x), name="dense_end")


def phase(name, thaw, **fields):
    return Phase(name, thaw=thaw, **{"epochs": 1, "learning_rate": 1e-3, **fields})


def independent(name, thaw, **fields):
    return phase(name, thaw, start="pretrained", **fields)


DEGREES = Degrees(epochs=2, learning_rate=1e-4, falloff=0.5)
HEAD, TWO, ALL = phase("head", 0), phase("two", 2), phase("all", "all")


def test_a_list_of_phases_stays_as_it_is(vgg16):
    assert expand((HEAD, TWO), vgg16) == (HEAD, TWO)


def test_degrees_become_as_many_phases_as_the_backbone_has_blocks_or_layers(vgg16, mobilenet, pair):
    names = [phase.name for phase in expand(DEGREES, vgg16)]
    assert names == ["head", "block5", "block4", "block3", "block2", "block1"]
    assert [phase.learning_rate for phase in expand(DEGREES, vgg16)[1:4]] == [1e-4, 5e-5, 2.5e-5]
    layers = expand(Degrees(epochs=1, learning_rate=1e-4, unit="layer"), vgg16)
    assert [phase.thaw for phase in layers] == list(range(14))
    assert (layers[1].name, layers[-1].name) == ("layer13", "layer1")
    assert len(expand(DEGREES, pair)) == 1 + max(2, 5)
    for network in (vgg16, mobilenet, pair):
        for unit in ("block", "layer"):
            schedule = Degrees(epochs=1, learning_rate=1e-4, unit=unit, start="pretrained")
            assert find_schedule_faults(network, expand(schedule, network)) == []


def test_what_cannot_be_cut_offers_the_head_or_all(tokens):
    with pytest.raises(InputError, match="thaw=0 or thaw='all' for tokens, which cannot be cut into blocks"):
        expand(DEGREES, tokens)
    assert find_schedule_faults(tokens, (HEAD, ALL)) == []
    (fault,) = find_schedule_faults(tokens, (HEAD, phase("top", 1)))
    assert "0 or 'all'" in fault
    model = attach_head(tokens, 2)
    phases = make_plan(model, (HEAD, dataclasses.replace(ALL, optimizer="adamw")))["phases"]
    assert [entry["fine_tuning_ratio"] for entry in phases] == [0, 1]
    decays = [entry["optimizer_settings"].get("weight_decay") for entry in phases]
    assert decays == [None, keras.optimizers.AdamW().weight_decay]  # a default that no recipe states


RIGHT = {
    "from the head to everything": (HEAD, TWO, ALL),
    "one phase": (ALL,),
    "degrees that start afresh behind a phase that thaws all": (HEAD, ALL, independent("one", 1), TWO),
    "the same blocks, first progressive, then from the pretrained weights": (HEAD, TWO, independent("again", 2)),
    "the head once more": (HEAD, TWO, phase("head2", 0), phase("four", 4)),
    "layers inside a block": (HEAD, phase("a", 1, unit="layer"), phase("b", 1)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_schedule_with_a_purpose_has_no_faults(name, vgg16):
    assert find_schedule_faults(vgg16, RIGHT[name]) == []


WRONG = {
    "more blocks than there are": (
        (HEAD, phase("top", 6)),
        ["from 0 to 5 (blocks of vgg16) or 'all'. Received: thaw=6 in phase 'top'"],
    ),
    "more layers than there are": (
        (HEAD, phase("top", 14, unit="layer")),
        ["from 0 to 13 (layers of vgg16) or 'all'. Received: thaw=14 in phase 'top'"],
    ),
    "nothing new": ((HEAD, TWO, phase("twice", 2)), ["something new: 'twice' thaws what 'two' does"]),
    "the head twice": ((HEAD, phase("head2", 0)), ["something new: 'head2' thaws what 'head' does"]),
    "all twice, by name and by number": ((ALL, phase("five", 5)), ["something new: 'five' thaws what 'all' does"]),
    "a block, then its layers": (
        (HEAD, phase("block", 1), phase("layers", 3, unit="layer")),
        ["'layers' thaws what 'block' does", "thaw=1 (unit='block') in phase 'block', thaw=3 (unit='layer')"],
    ),
    "a degree twice": (
        (HEAD, independent("one", 1), independent("two", 2), independent("again", 1)),
        ["something new: 'again' thaws what 'one' does"],
    ),
    "the head alone, from the pretrained weights": (
        (HEAD, TWO, independent("again", 0)),
        ["something new: 'again' thaws what 'head' does"],
    ),
    "behind everything": (
        (HEAD, ALL, TWO),
        ["after 'all' nothing is left to thaw, so 'two' can never be reached", "Received: thaw='all'"],
    ),
    "behind everything, once more": ((ALL, TWO, HEAD), ["'two' can never be reached", "'head' can never be reached"]),
    "everything, in layers": (
        (phase("layers", 13, unit="layer"), phase("four", 4)),
        ["after 'layers' nothing is left to thaw"],
    ),
    "all kinds together": (
        (phase("six", 6), HEAD, ALL, phase("again", 5), phase("one", 1), independent("big", 9)),
        ["thaw=6", "'again' thaws what 'all' does", "'one' can never be reached", "thaw=9"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_fault_of_a_schedule_is_reported_in_one_sentence(name, vgg16):
    phases, words = WRONG[name]
    faults = find_schedule_faults(vgg16, phases)
    assert all(word in " ".join(faults) for word in words)
    assert len(faults) == len([word for word in words if "thaw=1 (unit" not in word and "thaw='all'" not in word])
    assert all("Received: " in fault for fault in faults)
    with pytest.raises(InputError) as caught:
        make_plan(attach_head(vgg16, 2), phases)
    assert list(caught.value.faults) == faults


def test_thawing_batch_norm_too_is_something_new(mobilenet):
    steps = [phase(mode, "all", batch_norm=mode) for mode in ("frozen", "affine", "update")]
    assert find_schedule_faults(mobilenet, steps) == []
    (fault,) = find_schedule_faults(mobilenet, [*steps, phase("recalibrate", "all", batch_norm="recalibrate")])
    assert "'recalibrate' thaws what 'update' does" in fault
    (fault,) = find_schedule_faults(mobilenet, steps[::-1][:2])
    assert "'affine' can never be reached" in fault


@pytest.mark.slow
def test_nasnet_has_two_blocks():
    nasnet = backbones.build("NASNetMobile", "none", (32, 32)).model
    (fault,) = find_schedule_faults(nasnet, (HEAD, TWO, phase("three", 3)))
    assert "from 0 to 2 (blocks of nasnet_mobile) or 'all'. Received: thaw=3 in phase 'three'" in fault


def test_the_plan_says_all_of_each_phase(mobilenet):
    fields = {"patience": 3, "batch_norm": "affine", "optimizer": "sgd", "start": "pretrained", "block_decay": 0.5}
    schedule = (HEAD, phase("top", 2, **fields))
    plan = make_plan(attach_head(mobilenet, 3), schedule, backbone="MobileNet")
    assert plan["backbone"] == "MobileNet"
    assert plan == json.loads(json.dumps(plan, allow_nan=False))
    head, top = plan["phases"]
    assert {name: top[name] for name in fields} == fields
    assert top["unit"] == "block"
    assert top["blocks"] == ["block4", "block5"]
    assert top["learning_rates"] == {"head": 1e-3, "block5": 5e-4, "block4": 2.5e-4}
    assert head["learning_rates"] == {"head": 1e-3}
    assert (head["fine_tuning_ratio"], head["weighted_layers"]) == (0, 0)
    assert top["weighted_layers"] == sum(block["layers"] for block in plan["blocks"][-2:])
    assert top["fine_tuning_ratio"] == round(top["weighted_layers"] / 27, 4)
    assert top["trainable_parameters"] + top["frozen_parameters"] == plan["parameters"]


SCHEDULES = [
    *(("mobilenet", phase("p", thaw, batch_norm=mode)) for thaw in (0, 2, "all") for mode in ("frozen", "affine")),
    ("mobilenet", phase("p", 3, batch_norm="update")),
    ("mobilenet", phase("p", 3, batch_norm="recalibrate")),
    ("mobilenet", phase("p", "all", batch_norm="update")),
    ("mobilenet", phase("p", 3, unit="layer")),
    ("vgg16", phase("p", 4, unit="layer")),
    ("pair", phase("p", 1)),
    ("pair", phase("p", 4, batch_norm="affine")),
    ("pair", phase("p", "all", unit="layer")),
    *((name, phase("p", thaw)) for name in ("twice", "dense_end") for thaw in (0, 1, 2)),
]


def test_statistics_that_follow_the_batches_are_not_called_frozen(mobilenet):
    plan = make_plan(attach_head(mobilenet, 3), (HEAD, phase("all", "all", batch_norm="update")))
    table = describe_phases(plan)[0]
    head, row, last = (line.split() for line in table.lines())
    assert [name for name in head if name == "statistics"] == ["statistics"]
    assert row[head.index("statistics")] == "0"
    assert "21,888" in last
    assert plan["phases"][1]["frozen_parameters"] == 0
    assert "statistics" not in describe_phases(make_plan(attach_head(mobilenet, 3), (HEAD,)))[0].lines()[0]


@pytest.mark.parametrize(("network", "step"), SCHEDULES)
def test_the_plan_counts_what_keras_trains(network, step, request):
    model = attach_head(request.getfixturevalue(network), 2, Dense(units=(8,)))
    for layer in model.layers:
        layer.trainable = True  # another test's phase may have frozen it
    plan = make_plan(model, (step,))
    (planned,) = plan["phases"]
    assert sum(block["parameters"] for block in plan["blocks"]) == model.parts.backbone.count_params()
    moved = planned.get("moving_statistics", 0)
    assert planned["trainable_parameters"] + planned["frozen_parameters"] + moved == model.count_params()
    thaw(model, step)
    claim = make_claim(model)  # counts weights by another way
    sizes = {name: int(np.prod(weight.shape)) for name, weight in list_weights(model).items()}
    assert planned["frozen_parameters"] == sum(sizes[name] for name in claim.frozen)
    assert (moved > 0) == (step.batch_norm in {"update", "recalibrate"})
    assert planned["trainable_parameters"] == sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    moving = {layer.name for layer in model._flatten_layers() if layer.trainable_weights and layer.built}
    assert set(planned["layers"]) <= moving


def test_ratios_of_phases_that_thaw_nearly_as_much_read_differently(mobilenet):
    plan = make_plan(attach_head(mobilenet, 3), (HEAD, ALL))
    for phase, ratio in zip(plan["phases"], (0.0041, 0.0049), strict=True):
        phase["fine_tuning_ratio"] = ratio
    lines = "\n".join(describe_phases(plan)[0].lines())
    assert "0.0041" in lines
    assert "0.0049" in lines


def test_the_plan_says_what_recalibration_does_and_by_which_scores_is_chosen(mobilenet):
    model = attach_head(mobilenet, 2)
    _, said = describe_phases(make_plan(model, (phase("p", 1, batch_norm="recalibrate"),)))
    assert "after the phase" in said
    assert "512 training images" in said
    assert "scores before" in said
    assert len(describe_phases(make_plan(model, (phase("p", 0, batch_norm="recalibrate"),)))) == 1


def test_layers_that_are_used_twice_are_told_with_the_blocks_and_where_too_many_are_thawed(twice, dense_end):
    plan = make_plan(attach_head(twice, 2), (HEAD,))
    said = "Used more than once: layer 'shared'. All its uses lie in one block."
    assert describe_blocks(plan)[1:] == [said]
    assert "reused" not in make_plan(attach_head(dense_end, 2), (HEAD,))
    (fault,) = find_schedule_faults(twice, [phase("p", 3)])
    assert "from 0 to 2 (blocks of twice) or 'all'; between two uses of a layer (shared) no block ends." in fault


def test_several_backbones_have_a_shape_each(pair):
    plan = make_plan(attach_head(pair, 2), (HEAD, phase("one", 1)))
    last = plan["blocks"][-1]
    assert last["shape"] == [list(output.shape[1:]) for output in pair.outputs]
    assert last["name"] in plan["phases"][1]["blocks"]
    shown = " + ".join(" x ".join(map(str, shape)) for shape in last["shape"])
    assert shown in to_lines(describe_blocks(plan))[-1]


def test_what_training_keeps_counts_as_memory(vgg16, pair):
    model = attach_head(vgg16, 2)
    block1 = 32 * 32 * 64
    assert memory_needed(model, (HEAD,), 10) == 4 * 10 * block1
    # Into block5 goes what block4 gives, 2 x 2 x 512, and that size again into its other two convolutions.
    assert memory_needed(model, (phase("one", 1),), 10) == 4 * 10 * block1
    everything = memory_needed(model, (HEAD, ALL), 10)
    assert everything == memory_needed(model, (phase("layers", 13, unit="layer"),), 10)
    assert everything > 2 * memory_needed(model, (HEAD,), 10)
    assert memory_needed(model, (), 10) == memory_needed(model, (HEAD,), 10)
    assert memory_needed(model, (ALL,), 20) == 2 * everything
    both = attach_head(pair, 2)
    assert memory_needed(both, (ALL,), 1) >= memory_needed(both, (HEAD,), 1) > 0


def test_a_hybrid_shows_its_classifier_instead_of_phases(vgg16):
    head = Hybrid(classifier="SVC", pca=0.95, folds=3, tap="block3")
    classifier = describe_classifier(head, {"C": (0.1, 1), "gamma": ("scale", 0.1, 1)})
    assert classifier["name"] == "SVC"
    assert classifier["points"] == 6
    plan = make_plan(vgg16, (), classifier=classifier)
    assert plan == json.loads(json.dumps(plan))
    assert plan["phases"] == []
    text = "\n".join(to_lines(describe_phases(plan)))
    for words in ("SVC", "of block3, average pooling", "0.95", "0.1, 1", "scale, 0.1, 1", "6 grid points", "3 folds"):
        assert words in text
    assert describe_classifier(Hybrid(), {})["points"] == 1


def test_the_table_of_phases_is_aligned_and_short(vgg16):
    model = attach_head(vgg16, 2)
    schedule = (HEAD, phase("two", 2, block_decay=0.1), independent("deep", 13, unit="layer"))
    head, *lines = to_lines(describe_phases(make_plan(model, schedule)))
    assert [line.split()[0] for line in lines] == ["head", "two", "deep"]
    assert "block4 block5 head" in lines[1]
    assert "0.001 .. 1e-05" in lines[1]
    assert "layer1 .. layer13 (13) head" in lines[2]
    assert lines[2].endswith("pretrained")
    assert all(line[head.index("start") :] in ("previous", "pretrained") for line in lines)


def test_a_backbone_is_described_with_its_blocks(vgg16):
    first, head, *blocks = to_lines(describe_backbone("VGG16", vgg16))
    assert first.startswith("VGG16: 5 blocks, 13 weighted layers, 14,714,688 parameters without a head")
    assert head.split()[:4] == ["block", "layers", "parameters", "output"]
    assert len(blocks) == 5


SMALL = (*conftest.SMALL, "backbone=VGG16")


def small(images, *settings):
    values = (*SMALL, f"data.source={images}", *settings)
    return [word for setting in values for word in ("--set", setting)]


def run_plan(*words):
    return CliRunner().invoke(cli, ["plan", *map(str, words)])


def test_plan_shows_the_images_of_each_class_and_split(images):
    done = run_plan("feature_extractor", *small(images))
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["class", "train", "val", "test", "all"] in lines
    assert ["all", "42", "9", "9", "60"] in lines
    assert "synthetic" not in done.output


def test_amounts_of_a_thousand_and_more_have_one_form(tmp_path):
    sizes, random = {"train": 1001, "val": 8, "test": 8}, np.random.RandomState(0)
    arrays = {f"{split}_images": random.randint(0, 256, (n, 16, 16)).astype("uint8") for split, n in sizes.items()}
    labels = {f"{split}_labels": np.arange(n)[:, None] % 2 for split, n in sizes.items()}
    np.savez(tmp_path / "set.npz", **arrays, **labels)
    done = run_plan("feature_extractor", *small(tmp_path / "set.npz"), "--set", "backbone=CifarNet")
    assert "Images: 1,017 from" in done.output
    assert "(train 1,001, val 8, test 8)" in done.output
    assert re.search(r"all +1,001 +8 +8 +1,017", done.output)
    # The folder of the 1,017th session of pytest has this number, too.
    assert "1017" not in done.output.replace(str(tmp_path), "")


def test_plan_names_copies_and_leaks(tmp_path):
    folder = conftest.write_images(tmp_path / "train", 6).parent
    shutil.copytree(folder / "train", folder / "test")
    done = run_plan("feature_extractor", *small(folder))
    assert done.exit_code == 0, done.output
    assert "Found: Byte-identical files are in" in done.output
    assert re.search(r"Found: 1\d more like these are not shown", done.output)


def test_plan_and_train_show_every_kind_of_finding_in_the_same_order(tmp_path):
    folder = conftest.write_images(tmp_path / "set", 10)
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.png"))
    rows = [f"{path},{path.split('/')[0]},{i // 2},{('train', 'val', 'test')[i % 3]}" for i, path in enumerate(files)]
    (folder / "benign" / "copy.png").write_bytes((folder / "malignant" / "malignant (0).png").read_bytes())
    rows += ["benign/copy.png,benign,99,train"]
    (folder / "list.csv").write_text("\n".join(["path,label,patient,split", *rows]))
    words = ["feature_extractor", *small(folder / "list.csv"), "--set", "backbone=CifarNet"]
    shown = [
        line.partition(": ")[2].removesuffix(" not shown.")
        for line in run_plan(*words).output.splitlines()
        if line.startswith("Found:")
    ]
    kinds = ["test images", "stand under the labels", "The group '", "more like these are", "one patient each"]
    places = [next((i for i, line in enumerate(shown) if kind in line), kind) for kind in kinds[:4]]
    assert places == sorted(places)
    assert len(shown) <= 12
    recipe, warned = tlmed.load_recipe("feature_extractor"), []
    values = (*SMALL, "backbone=CifarNet", f"data.source={folder / 'list.csv'}", "phases.epochs=1")
    tlmed.train(override(recipe, list(values)), tmp_path / "run", voice=Voice(warn=warned.append))
    told = [line.removesuffix(" listed in the run's environment.json.") for line in warned]
    assert told[: len(shown)] == shown


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ({"a": 3}, ["a0", "a1", "a2"]),
        ({"a": 11}, [*(f"a{i}" for i in range(10)), "1 more like these is not shown."]),
        (
            {"a": 1, "b": 8, "c": 3},
            ["a0", *(f"b{i}" for i in range(6)), "2 more like these are not shown.", "c0", "c1", "c2"],
        ),
        (
            {"a": 12, **dict.fromkeys("bcdefghijk", 1)},
            ["a0", "11 more like this one are not shown.", *(f"{kind}0" for kind in "bcdefghijk")],
        ),
    ],
)
def test_the_first_of_every_kind_of_finding_is_shown(sizes, shown):
    found = [Finding(kind, f"{kind}{i}") for kind, size in sizes.items() for i in range(size)]
    assert shorten(found, "not shown") == shown


@pytest.mark.parametrize("few", [1, 2])
def test_plan_refuses_what_train_refuses(few, tmp_path):
    folder = conftest.write_images(tmp_path / "images", 9)
    for file in sorted((folder / conftest.CLASSES[0]).iterdir())[few:]:
        file.unlink()
    words = ["feature_extractor", *small(folder)]
    refused = run_plan(*words).exception
    assert "3 different images or more" in str(refused)
    trained = CliRunner().invoke(cli, ["train", *words, "--out", str(tmp_path / "run")]).exception
    assert str(trained) == str(refused)
    assert not (tmp_path / "run").exists()


def test_plan_refuses_broken_images_and_leaves_them_out_if_asked(tmp_path):
    folder = conftest.write_images(tmp_path / "images", 9)
    (folder / conftest.CLASSES[0] / "broken.png").write_bytes(b"x")
    assert "broken.png" in str(run_plan("feature_extractor", *small(folder)).exception)
    done = run_plan("feature_extractor", *small(folder), "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "Found: 1 image left out" in done.output


def test_phantoms_are_called_so_at_the_top():
    source = "tfds:tlmed_phantoms/images=30,size=32"
    done = run_plan("feature_extractor", *small(source))
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Data: synthetic phantoms (tfds:tlmed_phantoms")


def test_plan_writes_the_expanded_recipe(images, tmp_path):
    target = tmp_path / "mine.py"
    done = run_plan("incremental", *small(images, "seed=5"), "--write", target)
    assert done.exit_code == 0, done.output
    assert f"tlmed train {target}" in done.output
    assert target.read_text().startswith('"""Incremental fine-tuning: ')
    written, given = (
        load_recipe(target),
        override(load_recipe("incremental"), [*SMALL, f"data.source={images}", "seed=5"]),
    )
    assert [phase.name for phase in written.phases] == ["head", "block5", "block4", "block3", "block2", "block1"]
    assert override(written, []) == written
    for name in ("data", "backbone", "weights", "head", "keep", "seed", "phase_patience"):
        assert getattr(written, name) == getattr(given, name)
    again = run_plan(target, "--write", tmp_path / "again.py")
    assert again.exit_code == 0
    assert load_recipe(tmp_path / "again.py") == written
    folder = tmp_path / "folder"
    folder.mkdir()
    assert run_plan("fine_tuning", *small(images), "--write", folder).exit_code == 0
    assert load_recipe(folder / "fine_tuning.py").data.source == str(images)


@pytest.mark.parametrize(
    ("path", "words"),
    [("there.py", "new file"), ("nowhere/x.py", "folder that exists"), ("x.txt", "end in .py")],
)
def test_plan_writes_over_nothing_and_into_no_folder_that_is_missing(path, words, tmp_path, images):
    (tmp_path / "there.py").write_text("mine")
    done = run_plan("fine_tuning", *small(images), "--write", tmp_path / path)
    assert isinstance(done.exception, InputError)
    assert "--write" in str(done.exception)
    assert words in str(done.exception)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("there.py", "mine")]


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_every_shipped_recipe_can_be_planned_and_written(name, images, tmp_path, vgg16):
    stand_ins = {"two_backbones": ("backbone=VGG16,LeNet5",), "vit_probe": ("head.pooling=avg",)}
    stand_ins["lora"] = ("backbone=MobileNet:0.25",)  # VGG16 has nothing that it adapts
    stand_in = stand_ins.get(name, ())
    settings = (*SMALL, f"data.source={images}", *stand_in)
    done = run_plan(name, *small(images, *stand_in), "--write", tmp_path / "mine.py")
    assert done.exit_code == 0, done.output
    assert "block5" in done.output
    given = override(load_recipe(name), settings)
    assert load_recipe(tmp_path / "mine.py") == dataclasses.replace(given, phases=expand(given.phases, vgg16))


def test_a_plan_says_why_a_class_is_positive_and_whether_patients_are_known(tmp_path):
    folder, settings = conftest.write_images(tmp_path / "set", 12, ("abnormal", "fine")), ("--set", "backbone=CifarNet")
    files = sorted(path.relative_to(tmp_path) for path in folder.rglob("*.png"))
    rows = [f"{path},{path.parent.name},p{number // 2}" for number, path in enumerate(files)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,patient", *rows]))
    whys = {(): "fine, the second in sorted order"}
    whys |= {("--positive", name): f"{name}, as asked for" for name in ("abnormal", "fine")}
    for source, unknown in ((folder, True), (tmp_path / "list.csv", False)):
        for words, why in whys.items():
            output = " ".join(run_plan("feature_extractor", *small(source), *settings, *words).output.split())
            assert f"; classes: abnormal, fine; positive: {why}" in output
            assert ("; patients: not known" in output) == unknown
