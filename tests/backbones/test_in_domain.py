"""Weights that were trained on medical images: found, prepared as their authors do, refused layer by layer.

The files have the layout of the published ones (whole Keras models without top, saved as HDF5) and random numbers.
"""

import dataclasses
import json
import shutil

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from tests.golden.images import picture
from tlmed import backbones, in_domain
from tlmed.backbones import applications
from tlmed.backbones.ancestry import find_known
from tlmed.backbones.weights import run_folder
from tlmed.batch_statistics import reestimate_statistics
from tlmed.errors import InputError
from tlmed.export.naming import name_weights
from tlmed.identifiers import Identifiers

ENTRIES = [(entry, backbone) for entry in in_domain.IN_DOMAIN for backbone in entry.files]
PIXELS = picture(75, 75)[None].astype("float32")
RADIMAGENET = in_domain.find("radimagenet:")


def plain(backbone, size=(75, 75)):
    """Draw the network as the authors' script does, with numbers that differ from weight to weight."""
    builder = getattr(keras.applications, backbone)
    with applications.fresh_names():
        model = builder(include_top=False, weights=None, input_shape=(*size, 3), pooling="avg")
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(weight + 0.1 * abs(generator.standard_normal(weight.shape)))
    return model


def write_whole(model, path):
    """Write a model as `Model.save` of Keras 2 does: its configuration, and its weights in a group of their own."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": []}})
        legacy_h5_format.save_weights_to_hdf5_group(file.create_group("model_weights"), model)
    return path


QUICK = "MobileNet"


@pytest.fixture(scope="module", autouse=True)
def entry_with_quick():
    """Let the entry have a backbone that is built in a fifth of the time; slow tests build each of its own."""
    entry = dataclasses.replace(RADIMAGENET, files={**RADIMAGENET.files, QUICK: (QUICK,)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_domain, "IN_DOMAIN", tuple(entry if it is RADIMAGENET else it for it in in_domain.IN_DOMAIN))
        yield


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    keras.utils.set_random_seed(5)  # how far rounding is carried through the layers depends on the weights
    model = plain(QUICK, (32, 32))
    # Random weights of so many layers leave nothing of an image in the features, unless their statistics fit.
    pixels = keras.Input((32, 32, 3))
    whole = keras.Model(pixels, model(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)))
    reestimate_statistics(whole, [np.random.RandomState(0).uniform(0, 255, (8, 32, 32, 3))])
    return model, write_whole(model, tmp_path_factory.mktemp("quick") / f"RadImageNet-{QUICK}_notop.h5")


def prepare(entry, pixels):
    """Prepare images by the authors' own steps: Keras's function, then what ImageDataGenerator's `rescale` does."""
    assert entry.name == "radimagenet"  # an entry that is added needs its authors' steps here
    return keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode="caffe") * (1.0 / 255)


@pytest.mark.parametrize(
    ("entry", "backbone"),
    [
        # By default, the test of what is recorded compares the features of one.
        pytest.param(entry, name, marks=pytest.mark.slow, id=f"{entry.name}-{name}")
        for entry, name in ENTRIES
    ],
)
def test_features_of_raw_images_are_those_of_the_authors_network_after_their_preparation(entry, backbone, tmp_path):
    model = plain(backbone)
    write_whole(model, tmp_path / f"RadImageNet-{entry.files[backbone][0]}_notop.h5")
    found = backbones.build(backbone, f"{entry.name}:{tmp_path}", (75, 75))
    features = np.asarray(found.model(PIXELS)).mean(axis=(1, 2))
    expected = np.asarray(model(prepare(entry, PIXELS)))
    assert expected.std() > 1e-2 * abs(expected).max()
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
    # The backbone's own preparation gives other features: which one it is matters.
    own = np.asarray(model(applications.find(backbone).preprocess_input(PIXELS.copy())))
    assert not np.allclose(features, own, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_each_entry_is_of_backbones_that_there_are_and_its_name_is_no_other_source():
    assert ENTRIES
    names = [entry.name for entry in in_domain.IN_DOMAIN]
    assert len({*names, "file", "run", "hub", "own", "tfds"}) == len(names) + 5
    assert {backbone for _, backbone in ENTRIES} <= set(backbones.BACKBONES)


# What is recorded


def test_the_recorded_name_asks_for_the_same_file_and_the_path_alone_for_the_preparation_of_keras(quick):
    model, path = quick
    where = backbones.locate(QUICK, f"radimagenet:{path.parent}", (32, 32))
    assert where == f"radimagenet:{path}, found; images are prepared so: {RADIMAGENET.preparation}"
    by_name = backbones.build(QUICK, f"radimagenet:{path.parent}", (32, 32))
    assert (by_name.name, by_name.source.graph) == (f"radimagenet:{path}", "radimagenet")
    assert backbones.identify(QUICK, by_name.name, (32, 32)) == by_name.sources
    by_path = backbones.build(QUICK, str(path), (32, 32))
    assert by_path.source.graph == "keras-imagenet"
    pixels = picture(32, 32)[None].astype("float32")
    own = applications.find(QUICK).preprocess_input(pixels.copy())
    # Both preparations in one batch: a call of so many layers takes longer than what they compute.
    theirs, plain = np.asarray(model(np.concatenate([prepare(RADIMAGENET, pixels), own])))
    for found, expected in ((by_name, theirs), (by_path, plain)):
        features = np.asarray(found.model(pixels)).mean(axis=(1, 2))
        np.testing.assert_allclose(features[0], expected, rtol=1e-4, atol=1e-4)
    assert abs(plain - theirs).max() > 1e-2


def test_the_name_says_what_the_weights_were_trained_on_and_a_card_has_no_path(quick):
    name = f"radimagenet:{quick[1]}"
    assert find_known(name, Identifiers()) == ({}, [])
    assert run_folder(name) is None
    assert name_weights(name) == f"radimagenet:RadImageNet-{QUICK}_notop.h5"
    assert len(find_known(f"file:{quick[1]}", Identifiers())[1]) == 1


# Bad input


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("VGG16", "radimagenet:{folder}", "must go with ResNet50, InceptionV3, InceptionResNetV2, DenseNet121"),
        ("ResNet50", "radimagenet:", r"must be radimagenet:PATH, .*BMEII-AI/RadImageNet.* without a path\."),
        ("ResNet50", "radimagenet:{folder}/nowhere", "which does not exist"),
        ("ResNet50", "radimagenet:{folder}/notes.txt", "a file of another format"),
        ("ResNet50", "radimagenet:{folder}/empty", "holds ResNet50, or that file. .* with no `.h5` file"),
        ("InceptionResNetV2", "radimagenet:{folder}", "holds IRV2 or InceptionResNetV2, or .* with .*DenseNet121"),
        ("DenseNet121", "radimagenet:{folder}", "with RadImageNet-DenseNet121_notop.h5, old-densenet121.h5"),
        ("ResNet50", "radimagenet", "must be 'imagenet', 'imagenet/keras', 'none', 'radimagenet:PATH', the path"),
    ],
)
def test_a_source_that_cannot_serve_is_refused(backbone, weights, message, quick, tmp_path):
    for name in ("RadImageNet-DenseNet121_notop.h5", "old-densenet121.h5"):
        shutil.copy(quick[1], tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    given = weights.format(folder=tmp_path)
    for function in (backbones.locate, backbones.build):
        with pytest.raises(InputError, match=message) as caught:
            function(backbone, given)
        assert f"{given!r}" in str(caught.value) or "backbone=" in str(caught.value)
        assert "\n" not in str(caught.value)


def damage(path, change):
    with h5py.File(path, "a") as file:
        change(file["model_weights"])
    return path


def replace_kernel(group):
    del group["conv1/conv1/kernel"]
    group["conv1/conv1/kernel"] = np.zeros((3, 3, 1, 32), "float32")


def test_a_file_that_does_not_fit_is_refused_layer_by_layer(quick, tmp_path):
    path = shutil.copy(quick[1], tmp_path / f"{QUICK}.h5")
    message = r"not fit in 1 of 54 layers with weights: conv1 needs \[3, 3, 3, 32\] and has \[3, 3, 1, 32\]\. "
    with pytest.raises(InputError, match=message):
        backbones.build(QUICK, f"radimagenet:{damage(path, replace_kernel)}", (32, 32))


def test_layers_that_are_missing_are_named(quick, tmp_path):
    path = shutil.copy(quick[1], tmp_path / f"{QUICK}.h5")

    def drop(group):
        group.attrs["layer_names"] = [name for name in group.attrs["layer_names"] if name != "conv1_bn"]

    message = r"has 53 layers with weights, and 54 are needed; .* 1 of 54 .*: conv1_bn needs 4 x \[32\] and has nothing"
    with pytest.raises(InputError, match=message):
        backbones.locate(QUICK, f"radimagenet:{damage(path, drop)}", (32, 32))


def test_a_network_with_its_classifier_is_refused(tmp_path):
    whole = keras.applications.MobileNet(weights=None, classes=3, input_shape=(32, 32, 3))
    path = write_whole(whole, tmp_path / "whole.h5")
    with pytest.raises(InputError, match="has 55 layers with weights, and 54 are needed"):
        backbones.locate("MobileNet", str(path), (32, 32))
    with pytest.raises(InputError, match=r"DenseNet121's weights without.* it has 55 layers .*; and \d+ more"):
        backbones.locate("DenseNet121", f"radimagenet:{path}", (32, 32))


def test_another_width_is_refused_layer_by_layer(tmp_path):
    model = keras.applications.MobileNet(weights=None, alpha=0.25, include_top=False, input_shape=(32, 32, 3))
    with h5py.File(tmp_path / "quarter.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    model.save_weights(tmp_path / "quarter.weights.h5")
    for suffix in (".h5", ".weights.h5"):
        path = tmp_path / f"quarter{suffix}"
        with pytest.raises(
            InputError, match=r"54 of 54 .*: conv1 needs \[3, 3, 3, 32\] and has \[3, 3, 3, 8\]; conv1_bn"
        ):
            backbones.locate("MobileNet", str(path), (32, 32))
        assert "found" in backbones.locate("MobileNet:0.25", str(path), (32, 32))
