"""Composite layers are opened: the same weights and numbers, and every image backbone of keras-hub can be cut."""

import inspect

import keras
import numpy as np
import pytest

from tests.backbones.hub_networks import HGNETV2, NETWORKS, OTHERS
from tlmed.backbones import graphs, own, stand_side_by_side
from tlmed.backbones.hub_presets import find_image_encoder
from tlmed.blocks import partition
from tlmed.errors import InputError


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)


def make(hub, name):
    keras.utils.set_random_seed(3)
    net = getattr(hub.models, name)(**NETWORKS[name][0])
    for weight in net.trainable_weights:  # biases and scales of 0 and 1 would hide one that is missing
        weight.assign(weight + np.random.default_rng(len(weight.path)).normal(0, 0.1, weight.shape))
    return find_image_encoder(net)


def make_images(name="ViTBackbone"):
    return np.random.default_rng(0).uniform(0, 1, (2, *NETWORKS[name][0]["image_shape"])).astype("float32")


def compute(net, images):
    return keras.Model(net.inputs[0], net.outputs[0])(images)  # the input of some is a dictionary


# Most others run the same code as one of these, or have no encoder to open.
QUICK = ("DINOV2Backbone", "DINOV3Backbone", "DeiTBackbone", "SigLIPVisionEncoder")
EACH = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NETWORKS]


# Swin calls its mask of windows `mask`, which Keras takes for one of its own.
@pytest.mark.filterwarnings("ignore:Layer 'stage_:UserWarning", "ignore:.*mask attached to it:UserWarning")
@pytest.mark.parametrize("name", EACH)
def test_each_image_backbone_of_keras_hub_is_cut_with_the_same_numbers(hub, name, tmp_path):
    net = make(hub, name)
    images, count = make_images(name), sum(not weight.path.endswith("mask_token") for weight in net.weights)
    expected = compute(net, images)
    model = own.wrap(net, images.shape[1:3], copied=False)
    np.testing.assert_array_equal(model(images), expected)
    assert len({weight.path for weight in model.weights}) == len(model.weights) == count
    blocks, layers = partition(model, tail=True), partition(model, "layer", tail=True)
    assert (len(blocks), len(layers)) == NETWORKS[name][1:]
    for parts in (blocks, layers):
        held = [id(weight) for part in parts for layer in part.layers for weight in layer.weights]
        assert sorted(held) == sorted(id(weight) for weight in model.weights)
    if len(blocks) > 1:
        prefix, suffix = keras.Model(model.input, blocks[-2].output), keras.Model(blocks[-2].output, model.output)
        np.testing.assert_array_equal(suffix(prefix(images)), expected)
    # What is saved must have every argument of its layers, in plain Keras and in safe mode.
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), expected)


def test_what_keras_cannot_save_is_refused_before_training(hub):
    net = find_image_encoder(hub.models.HGNetV2Backbone(**HGNETV2))
    with pytest.raises(InputError, match="that Keras can save and load again"):
        own.check_reloads(own.wrap(net, (32, 32), copied=False))


def test_every_backbone_of_keras_hub_that_takes_images_is_known(hub):
    kinds = {name: kind for name, kind in vars(hub.models).items() if inspect.isclass(kind)}
    kinds = {name: kind for name, kind in kinds.items() if issubclass(kind, hub.models.Backbone)}
    images = {name for name, kind in kinds.items() if "image_" in str(inspect.signature(kind.__init__))}
    assert images - {"HGNetV2Backbone"} <= NETWORKS.keys() | OTHERS.keys()
    assert NETWORKS.keys() | OTHERS.keys() <= kinds.keys()


def test_two_transformers_stand_side_by_side(hub):
    nets = [make(hub, name) for name in ("DINOV2Backbone", "DINOV3Backbone")]
    images = make_images()
    expected = [compute(net, images) for net in nets]
    both = stand_side_by_side([own.wrap(net, images.shape[1:3], copied=False) for net in nets], images.shape[1:3])
    for found, wanted in zip(both(images), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert len(partition(both)) == 4


def test_a_user_hands_over_a_transformer_that_stays_as_it_is(hub):
    net = make(hub, "DINOV2Backbone")
    before, names = net.get_weights(), [layer.name for layer in net.layers]
    model = own.wrap(net, net.inputs[0].shape[1:3])
    assert len(partition(model)) == 4
    for weight in model.weights:
        weight.assign(weight + 1)
    assert names == [layer.name for layer in net.layers]
    for old, new in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# Without keras-hub


class Pair(keras.layers.Layer):
    def __init__(self, width, **options):
        super().__init__(**options)
        self.width, self.dense = width, keras.layers.Dense(width)

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return x + self.dense(x)

    def get_config(self):
        return super().get_config() | {"width": self.width}


class Stack(keras.layers.Layer):
    """Two blocks; "scaled" also has a weight of its own, and "reads" uses one of a block without calling it."""

    def __init__(self, width, kind="plain", **options):
        super().__init__(**options)
        self.width, self.kind, self.blocks = width, kind, [Pair(width) for _ in range(2)]

    def build(self, shape):
        for block in self.blocks:
            block.build(shape)
        if self.kind == "scaled":
            self.scale = self.add_weight(shape=(), initializer="ones")
        self.built = True

    def call(self, x):
        for block in self.blocks[1 if self.kind == "reads" else 0 :]:
            x = block(x)
        if self.kind == "scaled":
            x = x * self.scale
        if self.kind == "reads":  # a weight, past the layer that holds it
            return keras.ops.matmul(x, self.blocks[0].dense.kernel)
        return x

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config() | {"width": self.width, "kind": self.kind}


@pytest.mark.parametrize(("kind", "opened"), [("plain", True), ("scaled", False), ("reads", False)])
def test_a_composite_layer_is_opened_only_if_nothing_of_it_is_lost(kind, opened):
    tokens = keras.Input((5, 4))
    net = keras.Model(tokens, Stack(4, kind, name="stack")(tokens))
    again = keras.Input((5, 4))
    model = keras.Model(again, graphs.redraw(net, again))
    assert ("stack" not in [layer.name for layer in model.layers]) == opened
    assert len(partition(model, "layer", tail=True)) == (2 if opened else 1)
    values = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    np.testing.assert_array_equal(model(values), net(values))
