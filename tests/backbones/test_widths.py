"""Width multipliers: which have ImageNet weights, how they are written, and Keras's own file at a quarter."""

import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.backend import config

from tests.golden.images import picture
from tlmed import backbones
from tlmed.backbones import applications, keras_cache, widths
from tlmed.errors import InputError

REAL = Path(os.environ.get("TLMED_TEST_DATA", "/nowhere")) / "keras-weights" / "mobilenet_2_5_224_tf_no_top.h5"
needs_file = pytest.mark.skipif(not REAL.is_file(), reason="needs TLMED_TEST_DATA: a folder with keras-weights")
EVERY = [(base, width) for base, trained in widths.TRAINED.items() for width in trained if width != 1]


@pytest.mark.parametrize("base", widths.TRAINED)
def test_the_table_has_the_widths_that_the_builder_of_keras_accepts(base):
    builder, files = applications._without_loading(getattr(keras.applications, base))
    asked = [width / 100 for width in range(5, 200, 5)]
    accepted = set()
    with applications.unallocated():
        for width in asked:
            try:
                builder(weights="imagenet", alpha=width, include_top=False, input_shape=(224, 224, 3))
            except ValueError:
                continue
            accepted.add(width)
    assert accepted == set(widths.TRAINED[base])
    assert len({file.name for file in files}) == len(files)


def test_keras_has_no_other_builder_with_a_width():
    drawn = {
        name for name in backbones.BACKBONES if "alpha" in applications.BACKBONES[name].builder.__code__.co_varnames
    }
    assert {name for name in drawn if name in dir(keras.applications)} == set(widths.TRAINED)


@pytest.mark.parametrize(("base", "width"), EVERY)
def test_each_width_is_found_by_its_name_and_has_a_file_of_its_own(base, width):
    application = applications.find(f"{base}:{width:g}")
    assert (application.width, application.has_imagenet) == (width, True)
    assert applications.keras_file(application, (64, 64)) != applications.keras_file(applications.find(base), (64, 64))


# One of each builder: the width reaches all of a builder's layers in the same way.
@pytest.mark.parametrize(("base", "width"), {base: width for base, width in EVERY}.items())
def test_a_width_is_drawn_as_keras_draws_it(base, width):
    application = applications.find(f"{base}:{width:g}")
    with applications.unallocated():
        model = applications.draw(application, (64, 64), imagenet=True)
        plain = getattr(keras.applications, base)(include_top=False, weights=None, alpha=width, input_shape=(64, 64, 3))
    assert model.count_params() == plain.count_params()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MobileNet:1", "full width must be written 'MobileNet'"),
        ("MobileNet:0.50", "must be written 'MobileNet:0.5'"),
        ("MobileNet:.25", "must be written 'MobileNet:0.25'"),
        ("MobileNet:", "a number from 0.1 to 4 .* MobileNet:0.25, MobileNet:0.5, MobileNet:0.75, MobileNet"),
        ("MobileNet:wide", "a number from 0.1 to 4"),
        ("MobileNet:nan", "a number from 0.1 to 4"),
        ("MobileNet:0", "a number from 0.1 to 4"),
        ("MobileNet:-1", "a number from 0.1 to 4"),
        ("VGG16:0.5", "must be one of MobileNet, MobileNetV2, MobileNetV3Large, MobileNetV3Small"),
        ("MobilNet:0.5", "must be one of those that `tlmed backbones` lists. Did you mean 'MobileNet'"),
    ],
)
def test_a_width_that_cannot_be_is_refused(name, message):
    with pytest.raises(InputError, match=message) as caught:
        backbones.locate(name, "none")
    assert f"Received: backbone={name!r}." in str(caught.value)


def test_a_width_without_imagenet_weights_is_refused_with_those_that_have_them_and_runs_without():
    with pytest.raises(InputError, match=r"for MobileNet:0.3, .*\(these have: MobileNet:0.25, .*, MobileNet\)"):
        backbones.locate("MobileNet:0.3", "imagenet")
    assert backbones.build("MobileNet:0.3", "none", (32, 32)).model.output_shape[-1] == int(0.3 * 1024)


@pytest.mark.parametrize("width", [widths.LEAST, widths.MOST])
@pytest.mark.parametrize("base", widths.TRAINED)
def test_the_range_of_widths_can_be_drawn(base, width):
    with applications.unallocated():
        model = applications.draw(applications.find(f"{base}:{width:g}"), (32, 32), imagenet=False)
    assert all(weight.shape[-1] for weight in model.weights if weight.shape)


def test_two_widths_stand_side_by_side():
    both = backbones.build(("MobileNet:0.25", "MobileNet:0.5"), "none", (32, 32))
    assert [tensor.shape[-1] for tensor in both.model.outputs] == [256, 512]


# Keras's own file


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Put the real file where Keras would look for it."""
    monkeypatch.setattr(config, "keras_home", lambda: str(tmp_path))
    (tmp_path / "models").mkdir()
    return Path(shutil.copy(REAL, tmp_path / "models"))


@needs_file
def test_the_real_file_is_found_under_the_name_that_keras_gives_it_and_gives_the_features_of_plain_keras(cached):
    application = applications.find("MobileNet:0.25")
    assert keras_cache.expected_path(applications.keras_file(application, (224, 224))) == cached
    backbone = backbones.build("MobileNet:0.25", "imagenet", (224, 224))
    assert (backbone.source.name, backbone.source.path) == ("imagenet/keras", str(cached))
    plain = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=str(cached), input_shape=(224, 224, 3))
    pixels = picture(224, 224)[None]
    expected = np.asarray(plain(keras.applications.mobilenet.preprocess_input(pixels.astype("float32"))))
    assert expected.std() > 0.1
    np.testing.assert_allclose(backbone.model(pixels), expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert backbone.model.count_params() == 218_544


@needs_file
def test_the_real_file_is_loaded_by_its_path_too(cached):
    by_path = backbones.build("MobileNet:0.25", str(cached), (96, 96))
    by_name = backbones.build("MobileNet:0.25", "imagenet/keras", (96, 96))
    pixels = picture(96, 96)[None]
    np.testing.assert_array_equal(by_path.model(pixels), by_name.model(pixels))
