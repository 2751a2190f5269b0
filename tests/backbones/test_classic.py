"""The classic networks: the papers' numbers, response normalisation, digits, and the review's table."""

import importlib.util
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from tests.golden.images import picture
from tlmed import backbones
from tlmed.backbones import applications, classic, digits, preprocessing, published_counts, weight_packages
from tlmed.blocks import count_parameters, partition
from tlmed.cli import cli
from tlmed.errors import InputError

ROOT = Path(__file__).parents[2]
SIZE = (96, 96)
# Parameters of the whole network, of its feature maps, of each block; shape of the features at the usual size.
PAPERS = {
    "LeNet5": (60_000 + 850, 1_716, (156 + 12, 1_516 + 32), (5, 5, 16)),
    "AlexNet": (60_965_224, 2_334_080, (34_944, 307_456, 1_991_680), (6, 6, 256)),
    "CaffeNet": (60_965_224, 2_334_080, (34_944, 307_456, 1_991_680), (6, 6, 256)),
    "GoogLeNet": (6_998_552, 5_973_552, (9_472, 114_944, 552_432, 2_809_168, 2_487_536), (7, 7, 1024)),
    "CifarNet": (145_578, 79_328, (2_432, 25_632, 51_264), (4, 4, 64)),
}
LAYERS = {"LeNet5": 4, "AlexNet": 5, "CaffeNet": 5, "GoogLeNet": 12, "CifarNet": 3}


def draw(name, **options):
    """Draw a network without allocating its weights."""
    with applications.unallocated():
        return getattr(classic, name)(**options)


def test_the_classics_are_backbones_like_all_others():
    assert PAPERS.keys() == {name for name, each in backbones.BACKBONES.items() if not each.has_imagenet}


@pytest.mark.parametrize("name", PAPERS)
def test_a_network_has_the_parameters_of_its_paper(name):
    everything, features, blocks, shape = PAPERS[name]
    whole = draw(name)
    assert count_parameters(whole.layers) == everything
    net = draw(name, include_top=False, input_shape=whole.input_shape[1:])
    assert count_parameters(net.layers) == features
    assert net.output_shape[1:] == shape
    assert tuple(count_parameters(block.layers) for block in partition(net)) == blocks
    assert len(partition(net, unit="layer")) == LAYERS[name]


def test_feature_maps_of_alexnet_have_the_sizes_of_the_paper():
    # Krizhevsky et al. 2012, figure 2; 224 pixels make 55 x 55 only with padding.
    net = draw("AlexNet")
    sides = {name: net.get_layer(name).output.shape[1] for name in ("conv1", "conv2", "conv3", "conv4", "conv5")}
    assert sides == {"conv1": 55, "conv2": 27, "conv3": 13, "conv4": 13, "conv5": 13}
    assert net.get_layer("flatten").output.shape[1] == 9216


def test_feature_maps_of_googlenet_have_the_sizes_of_the_paper():
    # Szegedy et al. 2015, table 1.
    net = draw("GoogLeNet")
    shapes = {"pool1": (56, 64), "pool2": (28, 192), "inception_3b": (28, 480), "inception_4e": (14, 832)}
    for name, (side, channels) in shapes.items():
        assert net.get_layer(name).output.shape[1:] == (side, side, channels)


def test_lenet5_connects_c3_by_the_table_of_the_paper():
    # Each map of S2 feeds ten maps of C3, and no two maps of C3 see the same ones.
    assert len(set(classic.C3_INPUTS)) == 16
    assert [sum(i in inputs for inputs in classic.C3_INPUTS) for i in range(6)] == [10] * 6
    assert [len(inputs) for inputs in classic.C3_INPUTS] == [3] * 6 + [4] * 9 + [6]


def test_subsampling_is_that_of_the_paper():
    # Four inputs added, times a coefficient, plus a bias, squashed (LeCun et al. 1998, section II.B).
    images = keras.Input((4, 6, 2))
    net = keras.Model(images, classic._subsample(images, "s2"))
    coefficients, biases = np.array([0.3, -0.2], "float32"), np.array([0.1, 0.4], "float32")
    net.get_layer("s2").set_weights([4 * coefficients.reshape(1, 1, 2, 1), biases])
    x = np.random.default_rng(0).normal(size=(3, 4, 6, 2)).astype("float32")
    added = x.reshape(3, 2, 2, 3, 2, 2).sum((2, 4))
    expected = 1.7159 * np.tanh(2 / 3 * (coefficients * added + biases))
    np.testing.assert_allclose(net(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("constants", [{"bias": 2, "alpha": 1e-4}, {"bias": 1, "alpha": 2e-5}, {"bias": 1, "alpha": 1}])
def test_response_normalisation_equals_tensorflows(constants):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 7)).astype("float32") * 5
    expected = tf.nn.local_response_normalization(x, depth_radius=2, beta=0.75, **constants)
    np.testing.assert_allclose(classic.normalise_responses(tf.constant(x), **constants), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PAPERS)
def test_a_saved_network_reloads_in_safe_mode_and_gives_the_same(name, tmp_path):
    model = backbones.build(name, "none", SIZE).model
    model.save(tmp_path / "model.keras")
    pixels = picture(*SIZE)[None]
    features = np.asarray(model(pixels))
    assert features.std() > 0
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)(pixels), features)


@pytest.mark.parametrize("name", PAPERS)
def test_features_do_not_depend_on_training_mode_and_nothing_hidden_moves(name):
    model = backbones.build(name, "none", SIZE).model
    pixels = picture(*SIZE)[None]
    np.testing.assert_array_equal(model(pixels, training=True), model(pixels, training=False))
    assert model.non_trainable_variables == []
    assert len(model.variables) == len(model.trainable_weights)


@pytest.mark.parametrize(("name", "least"), [("LeNet5", 32), ("AlexNet", 64), ("CaffeNet", 67), ("GoogLeNet", 32)])
def test_the_smallest_size_works_and_a_smaller_one_is_refused(name, least):
    with applications.unallocated():
        model = applications.draw(backbones.BACKBONES[name], (least, least), imagenet=False)
    assert min(model.output_shape[1:]) >= 1
    with pytest.raises(InputError, match=f"at least {least},{least} for {name}"):
        backbones.build(name, "none", (least, least - 1))


def test_colour_becomes_grey_in_lenet5():
    model = backbones.build("LeNet5", "digits", (32, 32)).model
    pixels = picture(32, 32).astype("float32")[None]
    grey = np.repeat(pixels.mean(-1, keepdims=True), 3, axis=-1)
    np.testing.assert_allclose(model(pixels), model(grey), rtol=1e-4, atol=1e-5)


# Weights


@pytest.mark.parametrize("function", [backbones.locate, backbones.build])
@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("LeNet5", "imagenet", "must be 'digits', a path or 'none' for LeNet5, which has no ImageNet weights"),
        ("AlexNet", "imagenet/keras", "must be a path or 'none' for AlexNet"),
        ("AlexNet", "digits", "must go with LeNet5"),
        ("VGG16", "digits/tlmed", "must go with LeNet5"),
    ],
)
def test_weights_that_a_network_has_not_are_refused_by_what_there_is(function, name, weights, message):
    with pytest.raises(InputError, match=message):
        function(name, weights)


def test_digits_are_recorded_with_their_checksum():
    source = backbones.build("LeNet5", "digits", (48, 48)).source
    package = next(each for each in weight_packages.PACKAGES if each.source == "digits/tlmed")
    assert (source.name, source.sha256) == ("digits/tlmed", package.sha256)
    assert backbones.locate("LeNet5", source.name) == "digits/tlmed, installed"
    assert Path(source.path).stat().st_size < 500_000


def test_another_file_in_the_place_of_digits_is_refused(tmp_path, monkeypatch):
    (tmp_path / "other.weights.h5").write_bytes(b"other")
    monkeypatch.setattr(weight_packages.Package, "path", lambda self: tmp_path / "other.weights.h5")
    with pytest.raises(InputError, match="with SHA-256"):
        backbones.build("LeNet5", "digits", (32, 32))


def test_weights_of_another_network_are_not_loaded_as_digits(tmp_path):
    with applications.fresh_names():
        classic.CifarNet().save_weights(tmp_path / "cifar.weights.h5")
    model = backbones.build("LeNet5", "none", (32, 32)).model
    with pytest.raises(InputError, match="whole LeNet5"):
        digits.load(model, tmp_path / "cifar.weights.h5")


@pytest.fixture(scope="module")
def script():
    """The committed script that made the weights."""
    path = ROOT / "benchmarks" / "lenet5_digits.py"
    spec = importlib.util.spec_from_file_location("lenet5_digits", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_digits_read_held_out_digits_as_well_as_the_model_card_says(script):
    images, labels = script.read()
    np.testing.assert_array_equal(labels, load_digits().target)
    model = script.build()
    package = next(each for each in weight_packages.PACKAGES if each.source == "digits/tlmed")
    model.get_layer("lenet5").load_weights(package.path())
    held_out = slice(script.TRAIN, None)
    right = (model.predict(images[held_out], verbose=0).argmax(-1) == labels[held_out]).sum()
    card = (ROOT / "docs" / "lenet5_digits.md").read_text()
    stated, of = map(int, re.search(r"(\d+) of (\d+) held-out digits", card).groups())
    assert (right, len(labels[held_out])) == (stated, of)
    assert right / of > 0.97
    # What the backbone without its top gives is what the classifier has learned on.
    backbone = backbones.build("LeNet5", "digits", (32, 32)).model
    whole = model.get_layer("lenet5")
    inner = keras.Model(whole.input, whole.get_layer("c5").input)
    affine = backbones.BACKBONES["LeNet5"].preprocessing
    inputs = images[:4].astype("float32") * affine.scale[0] + affine.offset[0]
    np.testing.assert_allclose(backbone(images[:4]), inner(inputs), rtol=1e-5, atol=1e-5)


def test_paper_is_white_and_ink_is_black():
    ink = load_digits().images[:3]
    pixels = digits.paper(ink)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (3, 8, 8, 3))
    affine = preprocessing.infer(classic.black_ink)
    values = pixels * np.array(affine.scale) + affine.offset
    np.testing.assert_allclose(values[ink == 0], -0.1, atol=1e-9)
    np.testing.assert_allclose(values[ink == 16], 1.175, atol=1e-9)


# The review's table


@pytest.mark.parametrize("name", ["LeNet5", "AlexNet", "VGG16", "GoogLeNet", "ResNet50"])
def test_counts_are_those_that_keras_makes_of_an_allocated_network(name):
    counts = published_counts.count(name)
    net = backbones.BACKBONES[name].builder(weights=None, include_top=False, input_shape=(*SIZE, 3))
    assert counts.features == net.count_params()
    assert counts.statistics == sum(weight.numpy().size for weight in net.non_trainable_weights)


@pytest.mark.parametrize(
    ("name", "layers"), [("VGG16", 16), ("VGG19", 19), ("ResNet50", 50), ("ResNet101", 101), ("DenseNet121", 121)]
)
def test_depth_is_the_number_in_the_name(name, layers):
    assert published_counts.count(name).layers == layers


def test_the_table_is_printed_and_the_documentation_explains_its_numbers(capsys):
    cli(["backbones", "--table"], standalone_mode=False)
    printed = capsys.readouterr().out
    explained = (ROOT / "docs" / "backbones.md").read_text()
    for row in published_counts.REVIEW:
        line = next(line for line in printed.splitlines() if line.startswith(row.name))
        counts = published_counts.count(row.name)
        for part in (row.parameters, row.features, row.layers, f"{counts.parameters:,}", f"{counts.features:,}"):
            assert part in line
            assert part in explained, f"{row.name}: {part}"


# The sums of docs/backbones.md: an expression, and what the text says it gives.
def sums(text):
    """Yield the equations of numbers in a text."""
    for left, right in re.findall(r"`([\d,\s+\-x()]+?) = ([\d,]+)`", text):
        yield left, int(right.replace(",", ""))


def test_the_arithmetic_of_the_documentation_is_right():
    equations = list(sums((ROOT / "docs" / "backbones.md").read_text()))
    assert len(equations) >= 10
    for left, right in equations:
        terms = re.split(r"\s*([+-])\s*", left.replace(",", "").strip())
        value, sign = 0, 1
        for term in terms:
            if term in "+-":
                sign = 1 if term == "+" else -1
            else:
                value += sign * int(np.prod([int(factor) for factor in term.split("x")], dtype=np.int64))
        assert value == right, left
