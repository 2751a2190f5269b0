"""Backbones that a user brings: functional, subclassed, presets of keras-hub."""

import dataclasses
import importlib.util
import json
import sys

import keras
import numpy as np
import pytest

from tests.golden.images import picture
from tlmed.backbones import graphs, own, preprocessing
from tlmed.blocks import partition
from tlmed.errors import InputError

SIZE = (32, 48)
PIXELS = np.stack([picture(*SIZE), np.roll(picture(*SIZE), 5, axis=1)]).astype("float32")


def convolve(x, names=("conv1", "conv2"), filters=4):
    for name in names:
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", name=name)(x)
        x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU()(x)


def functional(shape=(None, None, 3), dtype="float32", **options):
    images = keras.Input(shape, dtype=dtype)
    x = keras.ops.cast(images, "float32") if dtype != "float32" else images
    return keras.Model(images, convolve(keras.layers.Rescaling(1 / 255)(x)), name="mine", **options)


def nested():
    """A common way to write it: preprocessing, then a network as one layer, called in inference mode."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255, name="conv1")(images)
    return keras.Model(images, keras.layers.ReLU()(functional()(x, training=False)), name="outer")


def sequential():
    return keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()], name="row")


def with_dict_input():
    images = keras.Input((None, None, 3), name="pixels")
    return keras.Model({"pixels": images}, {"map": convolve(images)}, name="dict")


def with_shared_layer():
    images = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    return keras.Model(images, conv(conv(images)), name="twice")


@keras.saving.register_keras_serializable("tests")
class Tokens(keras.layers.Layer):
    def call(self, images):
        return keras.ops.reshape(images, (-1, images.shape[1] * images.shape[2], images.shape[3]))


def with_tokens():
    images = keras.Input((*SIZE, 3))
    return keras.Model(images, keras.layers.Dense(5)(Tokens()(images)), name="tokens")


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.conv = keras.layers.Conv2D(4, 3, strides=2)
        self.norm = keras.layers.BatchNormalization()

    def call(self, images, training=None):
        return self.norm(self.conv(images / 255), training=training)


class Unregistered(Subclassed):
    pass


@keras.saving.register_keras_serializable("tests")
class Stubborn(keras.layers.Layer):
    """A layer that its own configuration cannot make again."""

    def get_config(self):
        return {**super().get_config(), "computed": 3}

    def call(self, images):
        return images / 255


def with_stubborn_layer():
    images = keras.Input((None, None, 3))
    return keras.Model(images, convolve(Stubborn()(images)), name="stubborn")


def expected_of(model):
    given = model({"pixels": PIXELS}) if model.name == "dict" else model(PIXELS)
    return given["map"] if isinstance(given, dict) else given


FLAT = [functional, nested, sequential, with_dict_input, with_shared_layer, with_tokens]


@pytest.mark.parametrize("make", FLAT, ids=lambda make: make.__name__)
def test_a_functional_model_gives_the_same_from_layers_of_its_own(make):
    model = make()
    features = own.wrap(model, SIZE)
    np.testing.assert_array_equal(features(PIXELS), expected_of(model))
    assert features.layers[0].name == "images"
    assert features.input_shape == (None, *SIZE, 3)
    assert not any(isinstance(layer, keras.Model) for layer in features.layers)
    assert {id(weight) for weight in features.weights}.isdisjoint({id(weight) for weight in model.weights})


def test_training_the_copy_leaves_the_original_as_it_is():
    model = functional()
    before = [weight.copy() for weight in model.get_weights()]
    features = own.wrap(model, SIZE)
    features.compile("sgd", "mse")
    features.fit(PIXELS, np.zeros(features(PIXELS).shape), verbose=0)
    assert any(not np.array_equal(one, two) for one, two in zip(before, features.get_weights(), strict=True))
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_wrapping_leaves_the_layers_of_the_original_with_one_output_each():
    model = nested()
    own.wrap(model, SIZE)
    assert all(layer.output is not None for layer in model.layers)


@pytest.mark.parametrize("make", [functional, nested])
def test_a_functional_model_is_cut_into_blocks_inside(make):
    names = [block.layers[-1].name for block in partition(own.wrap(make(), SIZE))]
    assert len(names) == 2
    assert names[0].startswith("conv1")


def test_what_has_no_feature_map_cannot_be_cut_and_says_so():
    images = keras.Input((*SIZE, 3))
    with pytest.raises(ValueError, match="feature map"):
        partition(own.wrap(keras.Model(images, keras.layers.Dense(5)(keras.layers.Flatten()(images))), SIZE))


def test_names_that_a_head_needs_are_left_free():
    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Conv2D(2, 3, name="pool")(images)
    model = keras.Model(images, keras.layers.Dropout(0.1, name="dropout")(x))
    assert [layer.name for layer in own.wrap(model, SIZE).layers] == ["images", "pool_1", "dropout_1"]


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_a_model_on_whole_numbers_gets_them(dtype):
    model = functional(dtype=dtype)
    np.testing.assert_array_equal(own.wrap(model, SIZE)(PIXELS), model(PIXELS.astype(dtype)))


def test_preprocessing_is_put_before_it():
    affine = preprocessing.Affine(scale=(0.5, 1, 2), offset=(1, 2, 3))
    model = functional()
    wrapped = own.wrap(model, SIZE, affine)
    assert wrapped.layers[1].name == "preprocessing"
    np.testing.assert_allclose(wrapped(PIXELS), model(PIXELS * (0.5, 1, 2) + (1, 2, 3)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [Subclassed, with_stubborn_layer])
def test_what_cannot_be_drawn_again_is_one_layer_and_the_users_own(make):
    model = make(name="whole") if make is Subclassed else make()
    features = own.wrap(model, SIZE)
    np.testing.assert_allclose(features(PIXELS), model(PIXELS), rtol=1e-6)
    assert features.layers == [features.layers[0], model]
    with pytest.raises(InputError, match=r"must be 'own' for a (subclassed model|model with the layer Stubborn)"):
        own.build(model, "none", SIZE)


@pytest.mark.parametrize("make", [*FLAT, Subclassed])
def test_a_saved_model_reloads_in_safe_mode(make, tmp_path):
    features = own.wrap(make(), SIZE)
    own.check_reloads(features)
    features.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(PIXELS), features(PIXELS))


def with_lambda():
    images = keras.Input((None, None, 3))
    return keras.Model(images, convolve(keras.layers.Lambda(lambda x: x / 255)(images)), name="lambda")


@pytest.mark.parametrize("make", [Unregistered, with_stubborn_layer, with_lambda])
def test_what_would_not_load_again_is_found_before_training(make):
    with pytest.raises(InputError, match="save and load again"):
        own.check_reloads(own.wrap(make(), SIZE))


def two_inputs():
    images, words = keras.Input((None, None, 3)), keras.Input((7,))
    return keras.Model([images, words], [images, words], name="both")


def two_outputs():
    images = keras.Input((None, None, 3))
    return keras.Model(images, [images + 1, images + 2], name="pyramid")


def grey():
    images = keras.Input((None, None, 1))
    return keras.Model(images, keras.layers.Conv2D(2, 3)(images), name="grey")


def too_small():
    images = keras.Input((None, None, 3))
    return keras.Model(images, keras.layers.Conv2D(2, 50)(images), name="wide")


class GivesDict(keras.Model):
    def call(self, images):
        return {"map": images}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (two_inputs, "one input, RGB images"),
        (two_outputs, "with 2 outputs"),
        (grey, r"one input, RGB images .* Received: model='grey'"),
        (lambda: functional((64, 64, 3)), "`data.image_size` must be 64,64 for the backbone 'mine'"),
        (lambda: functional((32, 64, 3)), "`data.image_size` must be 32,64"),
        (too_small, "takes RGB images of `data.image_size`; Keras says"),
        (GivesDict, "one output: .* with dict"),
        (lambda: "VGG16", "must be a keras.Model. Received: str"),
    ],
)
def test_a_model_that_cannot_be_a_backbone_is_refused_in_one_line(model, message):
    with pytest.raises(InputError, match=message) as caught:
        own.wrap(model(), SIZE)
    assert "\n" not in str(caught.value)


def test_own_weights_are_recorded_by_their_numbers():
    model = functional()
    built, source = own.build(model, "own", SIZE)
    assert (source.name, source.sha256) == ("own", own.digest(model))
    model.weights[0].assign(model.weights[0] + 1)
    assert own.digest(model) != own.digest(built)
    assert own.locate(model) == "own, as the model has them"


def test_weights_none_are_new_ones():
    model = functional()
    built, source = own.build(model, "none", SIZE)
    assert (source.name, source.sha256) == ("none", None)
    assert not np.array_equal(built.get_weights()[0], model.get_weights()[0])
    assert own.locate(model, "none").startswith("none, random")


@pytest.mark.parametrize("function", [own.locate, own.build])
def test_other_weights_are_refused(function):
    with pytest.raises(InputError, match=r"must be 'own' .*, 'none' or, for a preset, a finished run"):
        function(functional(), "imagenet")


def test_a_layer_that_cannot_be_made_again_is_named():
    with pytest.raises(graphs.CannotCopy, match="Stubborn"):
        graphs.redraw(with_stubborn_layer(), keras.Input((8, 8, 3)))


# keras-hub


def test_without_keras_hub_a_preset_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "keras_hub" else find(name))
    for function in (own.locate, own.build):
        with pytest.raises(InputError, match=r"`pip install keras-hub` or .* Received: backbone='hub:vit'"):
            function("hub:vit")


@pytest.mark.parametrize("name", ["VGG16", "hub", "./hub:folder"])
def test_other_names_do_not_ask_for_keras_hub(name):
    assert not own.is_own(name)
    assert own.is_own("hub:vit")
    assert own.is_own(functional())


@pytest.fixture
def hub():
    return pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)


@pytest.fixture
def vit(hub):
    return hub.models.ViTBackbone(
        image_shape=(32, 48, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    )


def test_a_transformer_from_a_preset_gives_tokens_behind_its_own_preprocessing(hub, vit, tmp_path):
    vit.save_to_preset(tmp_path / "vit")
    converter = hub.layers.ViTImageConverter(image_size=SIZE, scale=[1 / 127.5] * 3, offset=[-1.0, -0.9, -0.8])
    converter.save_to_preset(tmp_path / "vit")
    name = f"hub:{tmp_path / 'vit'}"
    features, source = own.build(name, "own", SIZE)
    assert features.output_shape == (None, 25, 16)
    assert features.layers[1].name == "preprocessing"
    expected = vit(PIXELS / 127.5 + (-1.0, -0.9, -0.8))
    np.testing.assert_allclose(features(PIXELS), expected, rtol=1e-4, atol=1e-5)
    assert source.sha256 == own.digest(vit)
    assert own.locate(name) == "own, found"
    own.check_reloads(features)
    assert len(partition(features)) == 2
    with pytest.raises(InputError, match=r"`data.image_size` must be 32,48"):
        own.build(name, "own", (64, 64))
    fresh, source = own.build(name, "none", SIZE)
    assert source.name == "none"
    assert not np.allclose(fresh(PIXELS), features(PIXELS))


def test_a_convolutional_preset_is_flat_and_loads_without_keras_hub(hub, tmp_path):
    net = hub.models.VGGBackbone(
        stackwise_num_repeats=[1, 1], stackwise_num_filters=[4, 8], image_shape=(None, None, 3)
    )
    net.save_to_preset(tmp_path / "vgg")
    features, _ = own.build(f"hub:{tmp_path / 'vgg'}", "own", SIZE)
    np.testing.assert_array_equal(features(PIXELS), net(PIXELS))
    assert len(partition(features)) == 2
    assert not any(type(layer).__module__.startswith("keras_hub") for layer in features.layers)


def test_a_run_of_a_preset_hands_its_weights_on(hub, vit, tmp_path):
    vit.save_to_preset(tmp_path / "vit")
    name = f"hub:{tmp_path / 'vit'}"
    trained, source = own.build(name, "none", SIZE)
    run = tmp_path / "run"
    run.mkdir()
    pooled = keras.layers.GlobalAveragePooling1D(name="pool")(trained.output)
    keras.Model(trained.input, keras.layers.Dense(2, name="probabilities")(pooled)).save(run / "model.keras")
    (run / "recipe.json").write_text(json.dumps({"backbone": name}))
    (run / "environment.json").write_text(json.dumps({"weights": dataclasses.asdict(source)}))
    assert own.locate(name, str(run)) == f"run:{run}, a finished run"
    following, source = own.build(name, str(run), SIZE)
    assert source.name == f"run:{run}"
    np.testing.assert_array_equal(following(PIXELS), trained(PIXELS))
    (run / "recipe.json").write_text(json.dumps({"backbone": "VGG16"}))
    with pytest.raises(InputError, match="a run of the same backbone"):
        own.build(name, str(run), SIZE)


@pytest.mark.parametrize("preset", ["no_such_preset", "folder"])
def test_a_preset_that_cannot_be_read_is_refused_in_one_line(hub, preset, tmp_path):
    (tmp_path / "folder").mkdir()
    preset = str(tmp_path / preset) if preset == "folder" else preset
    with pytest.raises(InputError, match="must be a preset that keras-hub can read") as caught:
        own.build(f"hub:{preset}", "own", SIZE)
    assert "\n" not in str(caught.value)


def test_keras_hub_is_imported_only_when_asked_for():
    assert "keras_hub" not in sys.modules or importlib.util.find_spec("keras_hub")
