import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tests.test_phases import IMAGES, make, phase
from tlmed.augmentation import CHANGES, blur, change_stains, make_augmentation
from tlmed.phases import thaw
from tlmed.recipe import Augment

AMOUNTS = {spec.name: 0.4 for spec in dataclasses.fields(Augment) if isinstance(spec.default, float)}
OPTIONS = {"flip": "horizontal", **AMOUNTS}
GREY = np.repeat(np.random.RandomState(1).randint(20, 200, (4, 32, 32, 1)), 3, axis=-1).astype("float32")


def change(images, seed=0, **options):
    layer = make_augmentation(Augment(**options))
    layer.build((None, *images.shape[1:]))
    for part in layer.layers:
        part.generator.state.assign([seed, 0])
    return layer(images.astype("float32"), training=True).numpy()


@pytest.mark.parametrize("option", OPTIONS)
def test_augmentation_changes_training_images_only(option):
    layer = make_augmentation(Augment(**{option: OPTIONS[option]}))
    model = make(augment=layer)
    thaw(model, phase())
    still = model(IMAGES, training=False).numpy()
    assert not np.allclose(model(IMAGES, training=True), still, atol=1e-6)
    np.testing.assert_allclose(model.plain()(IMAGES.astype("float32")), still, atol=1e-6)
    changed = layer(IMAGES.astype("float32"), training=True).numpy()
    assert changed.shape == IMAGES.shape
    assert changed.min() >= 0
    assert changed.max() <= 255.001


def test_no_augmentation_is_no_layer():
    assert make_augmentation(Augment()) is None
    assert not Augment(views=3).changes_images


def test_a_new_kind_leaves_the_seeds_of_the_others_as_they_were():
    few = make_augmentation(Augment("both", 0.1, 0.2, 0.3))
    more = make_augmentation(Augment("both", 0.1, 0.2, 0.3, noise=0.1))
    assert [type(layer) for layer in more.layers[:-1]] == [type(layer) for layer in few.layers]


@pytest.mark.parametrize(("flip", "ways"), [("horizontal", (0, 1)), ("vertical", (0, 2)), ("both", (0, 1, 2, 3))])
def test_images_are_mirrored_along_each_axis_by_itself(flip, ways):
    images = np.repeat(IMAGES[:1].astype("float32"), 200, axis=0)
    possible = [images[0], images[0, :, ::-1], images[0, ::-1], images[0, ::-1, ::-1]]
    layer = make_augmentation(Augment(flip=flip))
    made = [[(each == one).all() for one in possible].index(True) for each in layer(images, training=True).numpy()]
    shares = np.bincount(made, minlength=4) / len(images)
    np.testing.assert_allclose(shares, [(way in ways) / len(ways) for way in range(4)], atol=0.12)


def test_contrast_falls_as_often_as_it_rises():
    images = np.repeat(GREY[:1], 400, axis=0)
    factors = change(images, contrast=0.2).std(axis=(1, 2, 3)) / GREY[0].std()
    assert factors.min() == pytest.approx(0.8, abs=0.01)
    assert factors.max() == pytest.approx(1.2, abs=0.01)
    assert np.mean(factors < 1) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("kind", CHANGES)
def test_each_image_has_an_amount_of_its_own_and_the_seed_decides_it(kind):
    images = np.repeat(IMAGES[:1], 4, axis=0)
    made = change(images, **{kind: 0.4})
    assert len(np.unique(made.reshape(4, -1), axis=0)) == 4
    np.testing.assert_array_equal(made, change(images, **{kind: 0.4}))
    assert (made != change(images, seed=1, **{kind: 0.4})).any()
    np.testing.assert_array_equal(change(images, **{kind: 0.1}).shape, images.shape)
    assert np.abs(change(images, **{kind: 0.01}) - images).mean() < np.abs(made - images).mean()


@pytest.mark.parametrize("kind", sorted(set(CHANGES) - {"stain"}))
def test_grey_images_stay_grey(kind):
    made = change(GREY, **{kind: 0.3})
    np.testing.assert_array_equal(made, np.repeat(made[..., :1], 3, axis=-1))


@pytest.mark.parametrize("kind", CHANGES)
def test_changes_run_compiled(kind):
    layer = make_augmentation(Augment(**{kind: 0.3}))
    compiled = tf.function(lambda images: layer(images, training=True), jit_compile=True)
    assert compiled(GREY).shape == GREY.shape


def test_gamma_is_as_often_below_one_as_above_it():
    images = np.full((400, 16, 16, 3), 64, "float32")
    exponents = np.log(change(images, gamma=0.5)[:, 0, 0, 0] / 255) / np.log(64 / 255)
    assert exponents.min() == pytest.approx(1 / 1.5, abs=0.01)
    assert exponents.max() == pytest.approx(1.5, abs=0.01)
    assert np.mean(exponents < 1) == pytest.approx(0.5, abs=0.1)


# Made by scikit-image 0.26.0, in whose `rgb2hed` an optical density of 1 (base 10) is 1/6:
#     hed = rgb2hed(rgb / 255); hed[..., 0] = 1.1 * hed[..., 0] + 0.03 / 6; hed[..., 1] = 0.9 * hed[..., 1] - 0.02 / 6
#     hed2rgb(hed) * 255
SECTION = [[190, 120, 170], [120, 80, 150], [230, 180, 210], [100, 60, 130]]
RESTAINED = [
    *([179.661, 121.833, 166.889], [107.947, 76.529, 143.941], [220.144, 182.366, 207.007], [88.624, 56.866, 123.994]),
]


def test_stains_are_changed_as_scikit_image_separates_and_joins_them():
    pixels = np.array(SECTION, "float32").reshape(1, 2, 2, 3)
    factors, added = (np.array(pair, "float32").reshape(1, 1, 1, 2) for pair in ((1.1, 0.9), (0.03, -0.02)))
    made = keras.ops.convert_to_numpy(change_stains(pixels, factors, added))
    np.testing.assert_allclose(made.reshape(-1, 3), RESTAINED, atol=2e-3)


def test_without_a_change_every_colour_keeps_its_value():
    # Also those that no mixture of the stains gives, whose amounts are negative.
    pixels = np.random.RandomState(2).randint(0, 256, (2, 8, 8, 3)).astype("float32")
    made = change_stains(pixels, np.ones((2, 1, 1, 2), "float32"), np.zeros((2, 1, 1, 2), "float32"))
    np.testing.assert_allclose(made, pixels, atol=0.01)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_blur_is_that_of_scipy(sigma):
    images = IMAGES[:2].astype("float32")
    made = blur(images, np.full((2, 1, 1, 1), sigma, "float32"), reach=8)
    expected = ndimage.gaussian_filter(images.astype(float), (0, sigma, sigma, 0), mode="mirror", radius=(0, 8, 8, 0))
    np.testing.assert_allclose(made, expected, atol=1e-3)


def test_no_blur_is_none():
    np.testing.assert_array_equal(blur(GREY, np.zeros((4, 1, 1, 1), "float32"), reach=3), GREY)


@pytest.mark.parametrize(("kind", "power"), [("noise", 0), ("speckle", 0.5)])
def test_noise_is_everywhere_the_same_and_speckle_grows_with_the_root_of_the_signal(kind, power):
    levels = np.array([50, 100, 200], "float32")
    images = np.broadcast_to(levels[:, None], (200, 32, 3, 32)).transpose(0, 1, 3, 2)  # a channel for each level
    spread = (change(np.ascontiguousarray(images), **{kind: 0.05}) - images).std(axis=(0, 1, 2))
    np.testing.assert_allclose(spread, spread[0] * (levels / 50) ** power, rtol=1e-3)
    # Standard deviations are uniform from 0 to the amount, whose mean square is a third of its square.
    assert spread[0] == pytest.approx(0.05 / 3**0.5 * 255 ** (1 - power) * 50**power, rel=0.1)
