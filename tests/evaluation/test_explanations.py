"""Where the evidence lies: by hand where that can be done, and on networks that have learned something."""

import dataclasses
import functools
import os
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from tlmed import backbones
from tlmed.backbones import BACKBONES
from tlmed.backbones.digits import paper
from tlmed.blocks import partition
from tlmed.data import resize
from tlmed.errors import InputError
from tlmed.evaluation import explanations
from tlmed.evaluation.answer_rules import ExpectedCost, LogitAdjustment
from tlmed.evaluation.explanations import (
    Place,
    attribute_pixels,
    choose_labels,
    draw_panel,
    explain_images,
    grad_cam,
    grad_cam_plus_plus,
    integrated_gradients,
    make_explainer,
    measure_drops,
    name_pictures,
    occlusion,
    open_folder,
    overlay,
    pick_cases,
    pick_label_cases,
    save_explanations,
    write_explanations,
)
from tlmed.evaluation.explanations.gradients import share_out, trace_gradient, weigh_by_gradient, weigh_by_place
from tlmed.evaluation.explanations.halves import cut, find_scores, normalise
from tlmed.evaluation.explanations.pictures import name_files
from tlmed.evaluation.predictions import Predictions
from tlmed.features import feature_model
from tlmed.heads.dense import attach_head, split_head
from tlmed.words import thousandths

METHODS = tuple(name for name in explanations.METHODS if name != "attention-rollout")  # for transformers only
CAMS = {"grad-cam": grad_cam, "grad-cam++": grad_cam_plus_plus}
SPREAD = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])  # bilinear, from 2 pixels to 4, by their centres
layers = keras.layers


def make_images(n, *size, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (n, *(size or (4, 4)), 3)).astype("uint8")


def means(images):
    """Return what the hand-made network's feature maps are: means of red and of green over cells of 2 x 2."""
    n, height, width, _ = images.shape
    return images.astype("float64").reshape(n, height // 2, 2, width // 2, 2, 3).mean(axis=(2, 4))[..., :2]


def by_hand(weights=((3, -1), (-2, 1)), end=layers.GlobalAveragePooling2D, size=(4, 4)):
    """Return a network whose two feature maps are `means`, with given weights of the last layer."""
    images = keras.Input((*size, 3))
    x = layers.Conv2D(2, 2, strides=2, activation="relu", use_bias=False, name="conv")(images)
    net = keras.Model(images, layers.Dense(2, "softmax", name="probabilities")(end()(x)))
    kernel = np.zeros((2, 2, 3, 2))
    kernel[..., 0, 0] = kernel[..., 1, 1] = 0.25
    net.get_layer("conv").set_weights([kernel])
    net.get_layer("probabilities").set_weights([np.array(weights, "float32"), np.array([5.0, -7.0])])
    return net


def enlarge(coarse):
    large = np.maximum(np.einsum("ri,nij,cj->nrc", SPREAD, np.maximum(coarse, 0), SPREAD), 0)
    tops = large.max(axis=(1, 2), keepdims=True)
    return large / np.where(tops > 0, tops, 1)


# The others run the network many times.
QUICK_OF_METHODS = [name if name in CAMS else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]


@pytest.mark.parametrize("wanted", [0, 1])
def test_grad_cam_is_what_it_is_by_hand(wanted):
    images = make_images(6)
    expected = enlarge(means(images) @ np.array([[3, -1], [-2, 1]])[:, wanted])
    found = grad_cam(by_hand(), images, wanted, batch_size=4)
    assert (found.dtype, found.shape) == (np.float32, (6, 4, 4))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.max() == 1


def test_grad_cam_plus_plus_is_what_it_is_by_hand():
    # The score is the sum of w * A here, so that equation 19 is w^2 / (2 w^2 + w^3 sum(A)).
    weights = np.array([[2, 0], [1, 0], [-1, 0], [3, 0], [0.5, 0], [-2, 0], [1, 0], [-3, 0]]) / 100
    images = make_images(5)
    maps, gradients = means(images), weights[:, 0].reshape(2, 2, 2)
    sums = maps.sum(axis=(1, 2))[:, None, None]
    alphas = gradients**2 / (2 * gradients**2 + gradients**3 * sums)
    expected = enlarge(np.einsum("nijk,nk->nij", maps, (alphas * np.maximum(gradients, 0)).sum(axis=(1, 2))))
    found = grad_cam_plus_plus(by_hand(weights, layers.Flatten), images, 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - grad_cam(by_hand(weights, layers.Flatten), images, 0)).max() > 0.1


def test_the_weights_of_single_places_are_the_derivatives_of_the_exponential():
    """Equation 19 with derivatives of second and third order that TensorFlow finds, behind a ReLU layer."""
    random = np.random.RandomState(0)
    maps = tf.constant(random.uniform(0, 1, (1, 2, 2, 2)))
    hidden, last = tf.constant(random.normal(size=(8, 5))), tf.constant(random.normal(size=(5, 1)))

    def score(values):
        return tf.nn.relu(tf.reshape(values, (-1, 8)) @ hidden) @ last

    basis = tf.reshape(tf.eye(8, dtype="float64"), (8, 2, 2, 2))
    one, two, three = (differentiate(score, maps, basis, order).reshape(2, 2, 2) for order in (1, 2, 3))
    sums = maps.numpy().sum(axis=(1, 2))[0]
    expected = (two / (2 * two + sums * three) * np.maximum(one, 0)).sum(axis=(0, 1))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        value = score(maps)
    found = weigh_by_place(maps, tape.gradient(value, maps))[0].numpy() * np.exp(value.numpy().item())
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def differentiate(score, maps, basis, order):
    """Return a derivative of exp(score) by each of eight values."""
    shifts = tf.zeros(8, "float64")

    def slope(order, shifts):
        if order == 0:
            return tf.exp(score(maps + shifts[:, None, None, None] * basis)[:, 0])
        with tf.GradientTape() as tape:
            tape.watch(shifts)
            value = slope(order - 1, shifts)
        return tape.gradient(value, shifts)

    return slope(order, shifts).numpy()


@pytest.mark.parametrize("method", CAMS)
def test_a_map_without_evidence_is_zero_and_no_nan(method):
    found = CAMS[method](by_hand([(-1, 0), (-2, 0)]), make_images(2), 0)
    assert (found == 0).all()
    assert (CAMS[method](by_hand(), np.zeros((1, 4, 4, 3), "uint8"), 0) == 0).all()


def test_saturated_probabilities_hide_nothing():
    saturated = by_hand([(3, -30), (-2, 10)])
    images = make_images(3)
    assert (saturated.predict(images, verbose=0) % 1 == 0).all()
    np.testing.assert_allclose(grad_cam(saturated, images, 0), enlarge(means(images) @ [3, -2]), atol=1e-5)
    # Of two classes the log-odds are the difference of the scores, here a linear function of the image.
    spread = make_explainer(saturated, "occlusion", patch=2, stride=2, fill=0)(images, 0)
    expected = normalise((means(images) @ [33, -12]).repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_allclose(spread, expected, atol=1e-5)


@pytest.mark.parametrize("ending", ["dense", "activation", "softmax", "linear"])
def test_scores_are_those_before_softmax_and_the_network_stays_as_it_is(ending):
    images = keras.Input((2, 2, 3))
    x = layers.Dense(3, "softmax" if ending == "dense" else None, use_bias=ending != "dense")(layers.Flatten()(images))
    x = {"activation": layers.Activation("softmax"), "softmax": layers.Softmax()}.get(ending, lambda same: same)(x)
    net, before = keras.Model(images, x), x
    given = make_images(4, 2, 2)
    old = net.predict(given, verbose=0)
    scores = keras.Model(images, find_scores(net)).predict(given, verbose=0)
    expected = scores if ending == "linear" else tf.nn.softmax(scores).numpy()
    np.testing.assert_allclose(expected, old, atol=1e-6)
    assert net.outputs[0] is before
    np.testing.assert_array_equal(net.predict(given, verbose=0), old)


def test_other_endings_are_refused():
    net = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 2), layers.Flatten(), layers.Dense(1, "tanh")])
    with pytest.raises(InputError, match="must end in class probabilities"):
        grad_cam(net, make_images(1), 0)


@pytest.mark.parametrize(("method", "ending"), [("grad-cam", "dense"), ("occlusion", "activation")])
def test_a_label_is_explained_by_what_its_sigmoid_takes(method, ending):
    images, given = keras.Input((8, 8, 3)), make_images(3, 8, 8)
    start = keras.initializers.RandomNormal(seed=1)
    features = layers.Conv2D(4, 3, activation="relu", kernel_initializer=start)(layers.Rescaling(1 / 255)(images))
    dense = layers.Dense(3, "sigmoid" if ending == "dense" else None)
    x = dense(layers.GlobalAveragePooling2D()(features))
    net = keras.Model(images, x if ending == "dense" else layers.Activation("sigmoid")(x))
    # Of two classes with the scores 0 and s the log-odds are s, which is what the sigmoid of a label takes.
    two = keras.Model(images, layers.Dense(2, "softmax")(layers.GlobalAveragePooling2D()(features)))
    kernel, bias = np.array([[3, -3, 2], [2, 1, -1], [-1, 2, 1], [1, 1, -2]]), np.array([0, 1, -1])
    dense.set_weights([kernel, bias])
    two.layers[-1].set_weights([np.stack([np.zeros(4), kernel[:, 2]], axis=1), np.array([0, bias[2]])])
    np.testing.assert_allclose(two(given)[:, 1], net(given)[:, 2], rtol=1e-5)
    found = make_explainer(net, method)(given, 2)
    np.testing.assert_allclose(found, make_explainer(two, method)(given, 1), atol=1e-4)
    assert not np.allclose(found, make_explainer(net, method)(given, 1), atol=0.1)


def test_pictures_of_labels_are_named_by_them_and_never_alike(tmp_path):
    assert name_files(["a/x.png", "b/x.png"], "m", ["edema", "lung mass"]) == [
        *("a-x.edema.m.png", "a-x.lung_mass.m.png", "b-x.edema.m.png", "b-x.lung_mass.m.png")
    ]
    place = Place(tmp_path / "maps", ["x.png"])
    files = [name_pictures(place, ["Lung", "lung", "mass"], columns, "m").tolist() for columns in ([0, 1, 2], [1, 1])]
    assert files[1] == [[None, files[0][0][1], None]]
    names = ["😀" * 99 + "1.png", "😀" * 99 + "2.png"]
    labels = ["ä" * 90 + "/b", "ä" * 90 + " B", "..", "😀" * 90]
    found = name_files(names, "integrated-gradients", labels)
    assert len({name.casefold() for name in found}) == 8
    assert max(len(name.encode()) for name in found) <= 255


def test_cases_of_a_label_are_its_surest_ones_of_the_images_of_which_it_is_known():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.6], [0.7, 0.4], [0.9, 0.4], [0.9, 0.9], [0.99, 0]])
    labels = np.array([[1, 0], [1, 0], [1, 1], [1, 1], [0, 1], [0, -1], [-1, 0], [1, 0]])
    splits = ("test",) * 7 + ("val",)
    guesses = (scores >= (0.5, 0.65)).astype(int)
    made = Predictions(tuple("abcdefgh"), splits, labels, scores, guesses, ("edema", "mass"), task="multi-label")
    found = [(case.label, case.kind, case.rank, case.row, case.column) for case in pick_label_cases(made, 2, [0, 1])]
    assert found == [
        *(("edema", "found", 1, 0, 0), ("edema", "found", 2, 1, 0)),
        *(("edema", "missed", 1, 3, 0), ("edema", "missed", 2, 2, 0)),
        *(("edema", "false-alarm", 1, 5, 0), ("edema", "false-alarm", 2, 4, 0)),
        *(("mass", "found", 1, 2, 1), ("mass", "missed", 1, 4, 1), ("mass", "missed", 2, 3, 1)),
        ("mass", "false-alarm", 1, 6, 1),
    ]
    undefined = {"value": None}
    labels = {f"l{i}": {"positives": 9 - i, "auc": {"value": 0.5 + i / 99} if i > 4 else undefined} for i in range(9)}
    numbers, said = choose_labels(labels)
    assert numbers == [0, 1, 2, 5, 6, 7]
    assert said == (
        "Of 9 labels 6 are shown: those that most images have (l0, l1, l2), and those of the others with the lowest "
        "AUC (l5, l6, l7)."
    )


@pytest.mark.parametrize(
    ("patch", "stride", "fill"), [(2, 1, 7), (3, 2, (1, 2, 3)), (4, 4, None), (1, 1, 0), (5, 3, None)]
)
def test_occlusion_of_a_linear_model_is_its_weights(patch, stride, fill):
    random = np.random.RandomState(0)
    images, weights = make_images(2, 5, 7).astype("float64"), random.normal(size=(5, 7, 3))
    nothing = images.mean(axis=(1, 2), keepdims=True) if fill is None else np.broadcast_to(fill, (1, 1, 1, 3))
    parts = (weights * (images - nothing)).sum(axis=-1)
    tops, lefts = ([*range(0, side - patch, stride), side - patch] for side in (5, 7))
    expected = np.zeros((2, 5, 7))
    for row in range(5):
        for column in range(7):
            over = [(t, s) for t in tops for s in lefts if 0 <= row - t < patch and 0 <= column - s < patch]
            assert over, "every pixel is covered"
            for t, s in over:
                expected[:, row, column] += parts[:, t : t + patch, s : s + patch].sum(axis=(1, 2)) / len(over)

    def predict(given):
        assert len(given) <= 32
        score = (given * weights).sum(axis=(1, 2, 3))
        return np.stack([-score, score], axis=1)

    found = measure_drops(predict, images, 1, patch, stride, fill)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(occlusion(predict, images, 1, patch, stride, fill), normalise(expected), rtol=1e-6)
    np.testing.assert_allclose(measure_drops(predict, images, np.array([1, 0]), patch, stride, fill)[1], -expected[1])


def test_occlusion_leaves_the_images_as_they_are_and_uint8():
    images, seen = make_images(2, 28, 28), []
    old = images.copy()

    def predict(given):
        seen.append(given.dtype)
        return np.zeros((len(given), 2))

    assert (occlusion(predict, images, 0) == 0).all()
    np.testing.assert_array_equal(images, old)
    assert set(seen) == {np.dtype("uint8")}


def test_occlusion_of_a_network_watches_log_odds():
    weights = np.random.RandomState(2).normal(size=(4, 6, 3, 3)).astype("float32") / 100
    net, images, wanted = linear(weights), make_images(3, 4, 6), np.array([2, 0, 1])

    def log_odds(given):
        scores = given.reshape(len(given), -1) @ weights.reshape(-1, 3).astype("float64") + np.arange(3)
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return np.log(shares / (1 - shares))

    found = make_explainer(net, "occlusion", patch=2)(images, wanted)
    np.testing.assert_allclose(found, occlusion(log_odds, images, wanted, patch=2), atol=1e-4)
    assert found.any(axis=(1, 2)).all()


def linear(weights):
    net = keras.Sequential(
        [keras.Input(weights.shape[:3]), layers.Flatten(), layers.Dense(weights.shape[-1], "softmax")]
    )
    net.layers[-1].set_weights([weights.reshape(-1, weights.shape[-1]), np.arange(weights.shape[-1])])
    return net


@pytest.mark.parametrize("baseline", [0, (10, 20, 30), None])
def test_integrated_gradients_of_a_linear_model_are_weights_times_difference(baseline):
    weights = np.random.RandomState(1).normal(size=(3, 5, 3, 4)).astype("float32")
    images, wanted = make_images(4, 3, 5), np.array([2, 0, 3, 3])
    nothing = images.mean(axis=(1, 2), keepdims=True) if baseline is None else np.broadcast_to(baseline, (1, 1, 1, 3))
    expected = np.moveaxis(weights, -1, 0)[wanted] * (images - nothing)
    found = attribute_pixels(linear(weights), images, wanted, steps=3, baseline=baseline)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    shown = integrated_gradients(linear(weights), images, wanted, 3, baseline)
    np.testing.assert_allclose(shown, normalise(expected.sum(axis=-1), 99), rtol=1e-4, atol=1e-6)


def test_a_baseline_can_be_an_image():
    weights = np.ones((2, 2, 3, 2), "float32")
    image = make_images(1, 2, 2)
    assert (attribute_pixels(linear(weights), image, 0, baseline=image[0]) == 0).all()
    assert (integrated_gradients(linear(weights), image, 0, baseline=image[0]) == 0).all()


def test_maps_are_normalised_by_the_rule():
    maps = np.zeros((3, 10, 20))
    maps[0, 0, 0], maps[0, 5, 5], maps[1] = 8, 2, -1
    maps[2] = np.arange(200).reshape(10, 20)
    shown = normalise(maps)
    assert shown.dtype == np.float32
    assert (shown[0].max(), shown[0, 5, 5], shown[0, 0, 1]) == (1, 0.25, 0)
    assert not shown[1].any()
    np.testing.assert_allclose(normalise(maps, 99)[2], np.minimum(maps[2] / np.percentile(maps[2], 99), 1), rtol=1e-6)
    maps[0, 5, 5] = 0  # all is 0 below the percentile: the largest value counts
    np.testing.assert_array_equal(normalise(maps / 100, 99)[0], normalise(maps)[0])


@functools.cache
def digits():
    """Return LeNet5 with the weights that it learned from digits and a head fitted to half of them, and some others."""
    found = load_digits()
    images = np.stack([resize(image, (32, 32)) for image in paper(found.images[:700])])
    net = attach_head(backbones.build("LeNet5", "digits", (32, 32)).model, 10)
    features, head = split_head(net)
    vectors = features.predict(images, verbose=0)
    fitted = LogisticRegression(C=10, solver="newton-cholesky").fit(vectors[::2], found.target[:700:2])
    head.layers[-1].set_weights([fitted.coef_.T, fitted.intercept_])
    return net, images[1::2], found.target[1:700:2]


def test_attributions_add_up_to_the_score():
    net, images, labels = digits()
    images, labels = images[:4], labels[:4]
    scores = keras.Model(net.inputs[0], find_scores(net))
    blank = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape)
    one, other = (scores(tf.cast(given, "float32")).numpy()[range(4), labels] for given in (images, blank))
    assert (np.abs(one - other) > 0.1).all()
    gradient = trace_gradient(net)
    sums = (share_out(gradient, net, images, labels, steps).sum(axis=(1, 2, 3)) for steps in (4, 40))
    errors = [np.abs(total - (one - other)).max() for total in sums]
    assert errors[1] < 0.005
    assert errors[1] < errors[0] / 10


@pytest.mark.parametrize("method", QUICK_OF_METHODS)
def test_a_network_that_has_learned_is_explained_otherwise_than_a_random_one(method):
    """The sanity check of Adebayo et al., Sanity checks for saliency maps (NeurIPS 2018): model randomisation."""
    net, images, labels = digits()
    images, labels = images[:8], labels[:8]
    options = {"occlusion": {"patch": 8, "stride": 4}, "integrated-gradients": {"steps": 16}}.get(method, {})
    explain = make_explainer(net, method, **options)
    learned, other_class = explain(images, labels), explain(images, (labels + 1) % 10)
    drawn = attach_head(backbones.build("LeNet5", "none", (32, 32), seed=1).model, 10, seed=1)
    random = explain_images(drawn, images, labels, method, **options)
    assert random.any(axis=(1, 2)).all()
    assert (net.predict(images, verbose=0).argmax(axis=1) == labels).mean() > 0.6
    assert correlate(learned, random) < 0.35
    assert correlate(learned, other_class) < 0.8
    assert correlate(learned, learned) == pytest.approx(1)


def correlate(maps, others):
    """Return the mean rank correlation of maps of the same images."""
    pairs = zip(maps, others, strict=True)
    return np.mean([spearmanr(one.ravel(), other.ravel()).statistic for one, other in pairs])


def with_squares(n, seed):
    """Return noise, every other image with a striped square in a corner, and where the squares are."""
    random = np.random.RandomState(seed)
    images = random.randint(60, 160, (n, 32, 32, 3))
    masks = np.zeros((n, 32, 32), bool)
    stripes = np.where(np.arange(10) % 4 < 2, 230, 20)[:, None, None]
    for i in range(1, n, 2):
        top, left = random.choice([1, 21], 2)
        images[i, top : top + 10, left : left + 10] = stripes + random.randint(-15, 16, (10, 10, 3))
        masks[i, top : top + 10, left : left + 10] = True
    return images.clip(0, 255).astype("uint8"), np.arange(n) % 2, masks


@functools.cache
def finder():
    """Return a small network that has learned to tell images with a square from others."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            *(keras.Input((32, 32, 3)), layers.Rescaling(1 / 128, -1)),
            *(layers.Conv2D(8, 3, 2, "same", activation="relu"), layers.Conv2D(16, 3, 2, "same", activation="relu")),
            *(layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")),
        ]
    )
    net.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    images, labels, _ = with_squares(160, seed=0)
    net.fit(images, labels, batch_size=40, epochs=10, verbose=0)
    return net


@pytest.mark.parametrize("method", QUICK_OF_METHODS)
def test_a_map_has_its_mass_where_the_lesion_is(method):
    images, labels, masks = with_squares(16, seed=1)
    assert (finder().predict(images, verbose=0).argmax(axis=1) == labels).all()
    maps = explain_images(finder(), images[1::2], 1, method)
    shares = [shown[mask].sum() / shown.sum() for shown, mask in zip(maps, masks[1::2], strict=True)]
    chance = masks[1].mean()
    assert chance < 0.1
    assert np.mean(shares) > 4 * chance, shares
    assert np.min(shares) > 2 * chance, shares


def check_family(name, size, *blocks):
    net = attach_head(backbones.build(name, "none", (size, size + 8)).model, 3)
    images = make_images(2, size, size + 8)
    for method in CAMS:
        for block in (None, *blocks):
            maps = explain_images(net, images, [0, 2], method, block)
            assert (maps.shape, maps.dtype) == ((2, size, size + 8), np.float32)
            assert np.isfinite(maps).all()
            assert (maps.min() >= 0) & (maps.max() <= 1)


@pytest.mark.parametrize(("name", "blocks"), [("CifarNet", ["block1", "block3"])])
def test_families_give_finite_maps_of_the_images_size(name, blocks):
    check_family(name, 40, *blocks)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_finite_maps_of_the_images_size(name):
    keras.backend.clear_session()
    check_family(name, 96, "block1")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["NASNetMobile", "EfficientNetB0", "ConvNeXtTiny"])
@pytest.mark.parametrize("method", ["occlusion", "integrated-gradients"])
def test_pixels_are_explained_in_other_families_too(name, method):
    keras.backend.clear_session()
    net = attach_head(backbones.build(name, "none", (64, 64)).model, 3)
    options = {"patch": 32} if method == "occlusion" else {"steps": 3}
    maps = explain_images(net, make_images(2, 64, 64), 1, method, **options)
    assert np.isfinite(maps).all()
    assert maps.shape == (2, 64, 64)


@pytest.mark.slow
def test_the_two_blocks_of_nasnet_can_be_shown():
    net = attach_head(backbones.build("NASNetMobile", "none", (64, 64)).model, 3)
    images = make_images(1, 64, 64)
    assert np.isfinite(grad_cam(net, images, 0, "block1")).all()
    with pytest.raises(InputError, match="`block` must be one of block1, block2, last"):
        grad_cam(net, images, 0, "block3")


def side_by_side(first, second):
    """Return two hand-made backbones of their own resolution on the same images, as a run saves them."""
    images = keras.Input((8, 8, 3))
    parts = []
    for i, (filters, size) in enumerate((first, second), 1):
        x = layers.Identity(name=f"branch{i}_entrance")(images)
        x = layers.Conv2D(filters, size, strides=size, name=f"branch{i}_conv")(x)
        parts.append(layers.ReLU(name=f"branch{i}_relu")(x))
    pooled = [layers.GlobalAveragePooling2D(name=f"pool_{i}")(part) for i, part in enumerate(parts, 1)]
    x = layers.Concatenate(name="features")(pooled)
    return keras.Model(images, layers.Dense(2, "softmax", name="probabilities")(x)), parts


@pytest.mark.parametrize("method", CAMS)
def test_two_backbones_of_one_size_give_the_map_of_their_maps_side_by_side(method):
    net, parts = side_by_side((3, 2), (5, 2))
    joined = layers.Concatenate()(parts)
    single = keras.Model(net.inputs[0], layers.Dense(2, "softmax")(layers.GlobalAveragePooling2D()(joined)))
    single.layers[-1].set_weights(net.layers[-1].get_weights())
    assert not isinstance(partition(single)[-1].output, tuple)
    images = make_images(4, 8, 8)
    found = CAMS[method](net, images, 1)
    assert found.any()
    np.testing.assert_allclose(found, CAMS[method](single, images, 1), atol=1e-5)


def test_a_backbone_counts_for_what_it_adds_to_the_score():
    net, parts = side_by_side((2, 2), (2, 4))
    before = keras.Model(net.inputs[0], parts)
    images = make_images(3, 8, 8)
    weights = np.abs(net.layers[-1].get_weights()[0])
    net.layers[-1].set_weights([weights, np.zeros(2)])
    fine, coarse = (value.numpy() for value in before(images.astype("float32")))
    halves = cut(net)
    given = [tf.constant(fine), tf.constant(coarse)]
    for i, (values, own) in enumerate(zip((fine, coarse), (weights[:2, 0], weights[2:, 0]), strict=True)):
        with tf.GradientTape() as tape:
            tape.watch(given)
            scores = halves.after(given)[:, 0]
        mapped = np.einsum("nk,nhwk->nhw", weigh_by_gradient(given[i], tape.gradient(scores, given)[i]), values)
        np.testing.assert_allclose(mapped.mean(axis=(1, 2)), values.mean(axis=(1, 2)) @ own, rtol=1e-4)
    assert grad_cam(net, images, 0).shape == (3, 8, 8)


def test_a_backbone_that_is_used_up_has_no_part_in_the_map(tmp_path):
    images = keras.Input((8, 8, 3))
    deep, shallow = (layers.Identity(name=f"branch{i}_entrance")(images) for i in (1, 2))
    for i in (1, 2):
        deep = layers.Conv2D(3, 2, 2, activation="relu", name=f"branch1_conv{i}")(deep)
    shallow = layers.Conv2D(2, 4, 4, activation="relu", name="branch2_conv1")(shallow)
    attach_head(keras.Model(images, [deep, shallow]), 3).save(tmp_path / "model.keras")
    net = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert cut(net).seen == (0, 1)
    assert cut(net, "block1").seen == (0,)
    given = make_images(2, 8, 8)
    for block in ("block1", "last"):
        for method in CAMS.values():
            assert method(net, given, 1, block).any()
    # What the shallow one adds changes no map of a block that it does not have.
    before = grad_cam(net, given, 1, "block1")
    net.get_layer("branch2_conv1").set_weights([np.ones((4, 4, 3, 2)), np.ones(2)])
    np.testing.assert_array_equal(grad_cam(net, given, 1, "block1"), before)


@pytest.mark.slow
def test_two_backbones_of_the_table_give_finite_maps():
    check_family(("VGG16", "CifarNet"), 40, "block1", "block2", "block3")
    check_family(("MobileNetV2", "DenseNet121"), 64, "block3")


def test_the_same_bits_come_twice():
    tf.config.experimental.enable_op_determinism()  # as every run does
    images = with_squares(4, seed=2)[0]
    for method in METHODS:
        explainer = make_explainer(finder(), method)
        first = explainer(images, 1)
        np.testing.assert_array_equal(first, explainer(images, 1))
        np.testing.assert_array_equal(first, explain_images(finder(), images, 1, method))


def test_an_image_is_explained_alike_alone_and_among_others():
    images, labels, _ = with_squares(3, seed=2)
    for name, method in CAMS.items():
        together = method(finder(), images, labels, batch_size=2)
        alone = np.concatenate([method(finder(), images[i : i + 1], labels[i]) for i in range(3)])
        np.testing.assert_allclose(together, alone, atol=1e-4, err_msg=name)


def with_tokens(as_tokens=True, placed=True):
    """The same network on tokens and on a map: dense layers act on the last axis of both."""
    images = keras.Input((8, 12, 3))
    x = layers.Conv2D(4, 2, strides=2, kernel_initializer=keras.initializers.GlorotUniform(0))(images)
    if as_tokens:
        x = layers.Reshape((24, 4))(x) if placed else layers.Reshape((24, 4))(layers.Flatten()(x))
    x = layers.Dense(4, "relu", kernel_initializer=keras.initializers.GlorotUniform(1))(x)
    x = layers.GlobalAveragePooling1D()(x) if as_tokens else layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(2, "softmax", kernel_initializer=keras.initializers.GlorotUniform(2))(x))


@pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus])
def test_tokens_have_the_map_that_the_same_network_has_on_a_feature_map(method):
    images = make_images(3, 8, 12)
    found, expected = (method(with_tokens(tokens), images, [0, 1, 0]) for tokens in (True, False))
    assert expected.max() == 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_tokens_of_no_known_place_are_explained_by_their_pixels():
    net, images = with_tokens(placed=False), make_images(2, 8, 12)
    with pytest.raises(InputError, match="whose last features are tokens"):
        grad_cam(net, images, 0)
    assert make_explainer(net).method == "occlusion"
    for method in (None, "occlusion", "integrated-gradients"):
        assert explain_images(net, images, 0, method).shape == (2, 8, 12)


def test_a_network_without_feature_maps_is_explained_by_its_pixels():
    net = linear(np.ones((4, 4, 3, 2), "float32"))
    with pytest.raises(InputError, match="can be cut into blocks"):
        grad_cam(net, make_images(1), 0)
    assert make_explainer(net).method == "occlusion"
    with pytest.raises(InputError, match="can be cut into blocks"):
        make_explainer(net, block="block1")


def hybrid():
    """Return features, and a classifier that finds red in them."""
    net = by_hand(size=(8, 8))
    backbone = keras.Model(net.inputs[0], net.get_layer("conv").output)

    def finish(features):
        odds = 1 / (1 + np.exp(-(features[:, 0] - 100) / 10))
        return np.stack([1 - odds, odds], axis=1)

    return feature_model(backbone), finish


def test_a_hybrid_is_explained_by_occlusion():
    network, finish = hybrid()
    images = np.zeros((1, 8, 8, 3), "uint8")
    images[0, 2:4, 4:6, 0] = 255
    explainer = make_explainer(network, finish=finish, patch=2, stride=2, fill=0)
    assert (explainer.method, explainer.block) == ("occlusion", None)
    expected = np.zeros((1, 8, 8))
    expected[0, 2:4, 4:6] = 1
    np.testing.assert_array_equal(explainer(images, 1), expected)


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "integrated-gradients"])
def test_a_hybrid_has_no_gradients(method):
    network, finish = hybrid()
    with pytest.raises(InputError, match=r"`method` must be 'occlusion' for a hybrid.*the default there.*Received"):
        make_explainer(network, method, finish=finish)
    if method != "integrated-gradients":
        with pytest.raises(InputError, match="a hybrid is explained by occlusion"):
            CAMS[method](network, make_images(1, 8, 8), 0)


NET = functools.cache(by_hand)
SCALED = r"numbers from 0 to 1 in 2 images \(0, 1\), which are to be multiplied by 255"


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (
            lambda: grad_cam(NET(), make_images(1), 0, "blok1"),
            r"one of block1, last\. Did you mean 'block1'\?.*'blok1'",
        ),
        (lambda: explain_images(NET(), make_images(1), 0, "gradcam"), r"one of grad-cam.*Did you mean 'grad-cam'\?"),
        (lambda: explain_images(NET(), make_images(1), 0, "occlusion", "last"), "`block` goes with grad-cam and"),
        (lambda: grad_cam(NET(), make_images(1, 4, 6), 0), r"\[n, 4, 4, 3\]\. Received: shape \[1, 4, 6, 3\]"),
        (lambda: grad_cam(NET(), make_images(1)[0], 0), r"Received: shape \[4, 4, 3\]"),
        (lambda: explain_images(NET(), make_images(1, 6, 4), 0, "occlusion"), r"Received: shape \[1, 6, 4, 3\]"),
        (lambda: integrated_gradients(NET(), make_images(1) / -1.0, 0), "Received: numbers from -"),
        (lambda: grad_cam(NET(), np.full((1, 4, 4, 3), np.nan), 0), r"NaN or infinite numbers in 1 image \(0\)"),
        (lambda: grad_cam(NET(), make_images(1) > 9, 0), "numbers of type bool"),
        *((lambda call=call: call(NET(), make_images(2) / 255, 0), SCALED) for call in (grad_cam, grad_cam_plus_plus)),
        (lambda: integrated_gradients(NET(), make_images(2) / 255, 0), SCALED),
        *((lambda name=name: explain_images(NET(), make_images(2) / 255, 0, name), SCALED) for name in METHODS),
        (lambda: grad_cam(NET(), make_images(3) / [[[[1]]], [[[255]]], [[[1]]]], 0), r"from 0 to 1 in 1 image \(1\)"),
        (lambda: grad_cam(NET(), make_images(2), 2), "from 0 to 1. Received: 2"),
        (lambda: grad_cam(NET(), make_images(2), [0, -1]), r"from 0 to 1. Received: \[0, -1\]"),
        (lambda: grad_cam(NET(), make_images(2), [0, 1, 0]), "each of the 2 images"),
        (lambda: overlay(make_images(1)[0] / 255, np.zeros((4, 4))), "`image` must be .*numbers from 0 to 1"),
        (lambda: draw_panel(make_images(1)[0] / 255, np.zeros((4, 4))), "`image` must be .*numbers from 0 to 1"),
        (lambda: occlusion(len, make_images(2), 0.5), "a whole number"),
        (lambda: integrated_gradients(NET(), make_images(1), 0, steps=0), "`steps` must be .*steps=0"),
        (lambda: integrated_gradients(NET(), make_images(1), 0, baseline=(1, 2)), "three of them, an image"),
        (lambda: integrated_gradients(NET(), make_images(1), 0, baseline=256), "in 0..255. Received: 256"),
        (lambda: occlusion(len, make_images(1), 0, patch=5), "from 1 to 4. Received: patch=5"),
        (lambda: occlusion(len, make_images(1), 0, patch=2, stride=3), "from 1 to 2, the patch. Received: stride=3"),
        (lambda: occlusion(len, make_images(1)[0], 0), r"must be \[n, height, width, 3\]"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_rule(call, rule, monkeypatch):
    monkeypatch.setitem(globals(), "len", lambda images: np.zeros((images.shape[0], 2)))
    with pytest.raises(InputError, match=rule) as caught:
        call()
    assert "Received: " in str(caught.value)


def test_an_overlay_leaves_what_has_no_evidence_and_colours_what_has():
    image = make_images(1, 5, 6)[0]
    heat = np.zeros((5, 6))
    heat[2, 3], heat[0, 0] = 1, 0.5
    drawn = overlay(image, heat)
    assert (drawn.dtype, drawn.shape) == (np.uint8, (5, 6, 3))
    changed = (drawn != image).any(axis=-1)
    assert {tuple(place) for place in np.argwhere(changed)} == {(2, 3), (0, 0)}
    # Viridis ends in yellow; opacity is 0.7.
    np.testing.assert_allclose(drawn[2, 3], 0.3 * image[2, 3] + 0.7 * np.array([253, 231, 37]), atol=1)


def test_the_colours_rise_in_lightness():
    ramp = overlay(np.zeros((1, 50, 3), "uint8"), np.linspace(0, 1, 50)[None])[0]
    lightness = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


def test_a_panel_shows_image_and_overlay_side_by_side():
    image, heat = make_images(1, 32, 40)[0], np.zeros((32, 40))
    panel = np.asarray(draw_panel(image, heat, "malignant 0.93", "grad-cam"))
    large = np.asarray(Image.fromarray(image).resize((280, 224), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(panel[8:232, 8:288], large)
    np.testing.assert_array_equal(panel[8:232, 296:576], large)
    assert (panel[236:] < 128).any()  # words
    other = np.asarray(draw_panel(image, heat, "x" * 500 + "\n" + "Ärzte 0.1", "y" * 500))
    assert other.shape == panel.shape


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x.png", "y.jpg"], ["x", "y"]),
        (["a/x.png", "b/x.png"], ["a-x", "b-x"]),
        (["r/a/x.png", "s/a/x.png", "y.png"], ["r-a-x", "s-a-x", "y"]),
        (["x.png", "x.jpg", "X.bmp"], ["x", "x-2", "X-3"]),
        (["x.png", "X.png"], ["x", "X-2"]),
        (["x.png", "x.jpg", "x-2.png"], ["x", "x-2", "x-2-2"]),
        (["benign (1).png", "../-rf $HOME;\n.png"], ["benign_(1)", "rf_HOME_"]),
        (["/abs/x.png", "..png", "é/ü.png"], ["x", "image", "ü"]),
        ([], []),
    ],
)
def test_files_are_named_by_as_much_of_the_path_as_tells_them_apart(names, expected):
    assert name_files(names, "m") == [f"{stem}.m.png" for stem in expected]


def test_long_names_that_end_alike_stay_apart_and_short_enough():
    names = name_files(["a" * 300 + "😀" * 100 + ".png", "b" * 300 + "😀" * 100 + ".png"], "integrated-gradients")
    assert len(set(names)) == 2
    assert max(len(os.fsencode(name)) for name in names) < 256


def test_explanations_are_written_whole_and_named_apart(tmp_path, monkeypatch):
    images, maps = make_images(2, 16, 16), np.zeros((2, 16, 16))
    folder = tmp_path / "new" / "folder"
    names = ["a/x.png", "b/x.png"]
    files = write_explanations(Place(folder, names), images, maps, ["benign 0.9", "normal 0.8"], "grad-cam")
    assert sorted(os.listdir(folder)) == ["a-x.grad-cam.png", "b-x.grad-cam.png"]
    assert [file.name for file in files] == ["a-x.grad-cam.png", "b-x.grad-cam.png"]
    before = files[0].read_bytes()
    with Image.open(files[0]) as picture:
        assert picture.size == (2 * 224 + 8 + 16, 224 + 44 + 24)
    monkeypatch.setattr(Image.Image, "save", save_half)
    with pytest.raises(OSError, match="disk is full"):
        write_explanations(Place(folder, names, force=True), images, maps, method="grad-cam")
    assert files[0].read_bytes() == before
    assert sorted(os.listdir(folder)) == ["a-x.grad-cam.png", "b-x.grad-cam.png"]


def save_half(image, path, form, **options):
    path.write_bytes(b"half")
    raise OSError("the disk is full")


def test_an_image_is_never_replaced_by_its_explanation(tmp_path):
    source = tmp_path / "x.grad-cam.png"
    Image.fromarray(make_images(1)[0]).save(source)
    other = tmp_path / "x.png"
    with pytest.raises(InputError, match="must not be what the command reads"):
        write_explanations(Place(tmp_path, [str(source), str(other)]), *[np.zeros((2, 4, 4))] * 2, method="grad-cam")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=re.escape("a folder that can be made. Received: ")):
        write_explanations(Place(tmp_path / "file", ["x.png"]), make_images(1), np.zeros((1, 4, 4)))


def test_a_folder_among_the_images_is_refused_before_it_is_made(tmp_path):
    (tmp_path / "images").mkdir()
    for folder in (tmp_path / "images", tmp_path / "images" / "maps" / "new", tmp_path / "images" / "x" / ".." / "y"):
        with pytest.raises(InputError, match=r"outside of the images' folders.*, inside .*images\."):
            open_folder(folder, [tmp_path / "one.png", tmp_path / "images"])
    assert not list((tmp_path / "images").iterdir())
    open_folder(tmp_path / "images-maps", [tmp_path / "images"])
    assert (tmp_path / "images-maps").is_dir()


def test_batches_are_explained_as_they_come(tmp_path, monkeypatch):
    images, seen = with_squares(5, seed=3)[0], []
    scores = finder().predict(images, verbose=0)
    labels = scores.argmax(axis=1)
    monkeypatch.setattr(
        "tlmed.evaluation.explanations.pictures.draw_panel",
        lambda image, heat, caption, note: seen.append((heat, caption, note)) or Image.fromarray(image),
    )
    batches = tf.data.Dataset.from_tensor_slices(images).batch(3)
    names, classes = [f"{i}.png" for i in range(5)], ["noise", "square"]
    files = save_explanations(Place(tmp_path, names), batches, labels, scores, classes, make_explainer(finder()))
    assert [file.name for file in files] == [f"{i}.grad-cam.png" for i in range(5)]
    assert all(file.exists() for file in files)
    np.testing.assert_allclose([heat for heat, *_ in seen], grad_cam(finder(), images, labels), atol=1e-4)
    assert [caption for _, caption, _ in seen] == [
        f"{classes[label]} {thousandths(row.max())}" for label, row in zip(labels, scores, strict=True)
    ]
    assert {note for *_, note in seen} == {"grad-cam, last block"}
    for method, block, note in (("grad-cam++", "block1", "grad-cam++, block1"), ("occlusion", None, "occlusion")):
        explainer = make_explainer(finder(), method, block)
        save_explanations(Place(tmp_path, names[:1]), [images[:1]], labels[:1], scores[:1], classes, explainer)
        assert seen[-1][2] == note
    save_explanations(
        Place(tmp_path, ["x.png"]), [images[:1]], [0], scores[:1], classes, explainer, "; square from 0.1"
    )
    assert seen[-1][1] == f"noise {thousandths(scores[0, 0])}; square from 0.1"


def predicted(scores, labels, guesses=None, splits=None, paths=None):
    scores = np.array(scores)
    n = len(scores)
    guesses = scores.argmax(axis=1) if guesses is None else np.array(guesses)
    names = tuple(paths or (f"{i:02}.png" for i in range(n)))
    classes = tuple("abc"[: scores.shape[1]])
    return Predictions(names, tuple(splits or ["test"] * n), np.array(labels), scores, guesses, classes)


def test_cases_are_the_surest_and_the_least_sure_of_the_test_split():
    scores = [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.3, 0.28, 0.42], [1, 0, 0], [0.05, 0.9, 0.05], [0.5, 0.1, 0.4]]
    splits = ["test", "test", "test", "val", "test", "test"]
    made = predicted(scores, [0, 0, 2, 0, 0, 1], splits=splits)
    assert pick_cases(made, 2) == {"right": [0, 2], "wrong": [4, 1], "uncertain": [5, 2]}
    assert pick_cases(made, 9)["right"] == [0, 2]
    assert pick_cases(made, 1, split="val") == {"right": [3], "wrong": [], "uncertain": [3]}
    assert pick_cases(made, 1, split="train") == {"right": [], "wrong": [], "uncertain": []}


def test_cases_of_a_rule_are_sure_by_what_the_rule_compares():
    costs = ExpectedCost(np.array([[0, 1, 1], [2, 0, 1], [10, 10, 0]], float))
    calibrated = np.array([[0.6, 0.2, 0.2], [0.85, 0.05, 0.1], [0.05, 0.1, 0.85], [0.85, 0.1, 0.05]])
    expected = calibrated @ costs.costs
    scores = [[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.4, 0.35, 0.25], [0.95, 0.03, 0.02]]
    for rule, rated in ((costs, -expected), (adjusted := LogitAdjustment(np.array([0.8, 0.15, 0.05]), 1.0), None)):
        rated = np.log(calibrated / adjusted.priors) if rated is None else rated
        made = dataclasses.replace(predicted(scores, [0] * 4, rule.choose(calibrated)), calibrated=calibrated)
        first, second = np.sort(rated, axis=1)[:, ::-1][:, :2].T
        nearest = np.argsort(first - second).tolist()
        found = pick_cases(made, 4, rule=rule)
        assert found["uncertain"] == nearest != pick_cases(made, 4)["uncertain"]
        wrong = [row for row in nearest[::-1] if made.predictions[row] != 0]
        assert found["wrong"] == wrong


def test_equal_cases_are_ordered_by_path():
    made = predicted([[0.8, 0.2]] * 4, [0, 0, 1, 1], paths=["d", "c", "b", "a"])
    assert pick_cases(made, 2) == {"right": [1, 0], "wrong": [3, 2], "uncertain": [3, 2]}


def test_confidence_counts_from_the_threshold():
    scores = [[0.9, 0.1], [0.75, 0.25], [0.6, 0.4], [0.3, 0.7], [0.79, 0.21]]
    made = predicted(scores, [0, 1, 1, 1, 0], guesses=[0, 1, 1, 1, 1])
    assert pick_cases(made, 2, positive=1, threshold=0.2) == {"right": [3, 0], "wrong": [4], "uncertain": [4, 1]}
    # A case nearer to 0.2 comes first, although the way from there to 0 is short.
    low = predicted([[0.77, 0.23], [0.82, 0.18], [0.73, 0.27]], [0, 0, 0], guesses=[1, 0, 1])
    assert pick_cases(low, 3, positive=1, threshold=0.2)["uncertain"] == [1, 0, 2]
    # At a half it is the difference of the two scores.
    plain = predicted(scores, [0, 0, 0, 1, 0])
    assert pick_cases(plain, 5) == pick_cases(plain, 5, positive=1, threshold=0.5)
