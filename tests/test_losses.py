"""Losses equal the formulas of their papers, and Keras's own where it has them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlmed.heads.dense import attach_head, split_head
from tlmed.losses import MaskedLoss, add_up, count_labels, count_right, make_focal_loss, smooth, soft_label_loss
from tlmed.sections import Dense


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_is_that_of_the_paper(classes, gamma):
    random = np.random.RandomState(classes)
    scores = random.dirichlet(np.ones(classes), 40).clip(1e-3).astype("float32")
    scores, labels = scores / scores.sum(axis=1, keepdims=True), random.randint(0, classes, 40)
    chosen = scores[np.arange(40), labels].astype("float64")
    found = make_focal_loss(gamma)(tf.constant(labels), tf.constant(scores))
    np.testing.assert_allclose(found, -((1 - chosen) ** gamma) * np.log(chosen), atol=1e-5)
    theirs = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, reduction=None)
    np.testing.assert_allclose(found, theirs(np.eye(classes)[labels], scores), atol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_of_images_that_are_surely_right_or_wrong_are_finite(gamma):
    logits = tf.Variable([[90.0, 0.0], [0.0, 90.0]])
    with tf.GradientTape() as tape:
        losses = make_focal_loss(gamma)(tf.constant([0, 0]), keras.activations.softmax(logits))
    gradients = tape.gradient(losses, logits)
    np.testing.assert_allclose(gradients, [[0, 0], [-1, 1]], atol=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_loss_of_several_labels_is_the_mean_over_those_that_are_known(gamma):
    random, loss = np.random.RandomState(0), MaskedLoss(gamma)
    scores, labels = random.uniform(0.01, 0.99, (30, 4)).astype("float32"), random.randint(-1, 2, (30, 4))
    factors = random.uniform(0.5, 2, (4, 2))
    known = labels >= 0
    chosen = np.where(labels == 1, scores, 1 - scores)
    each = -((1 - chosen) ** gamma) * np.log(chosen)
    np.testing.assert_allclose(np.mean(loss(labels, scores)), each[known].mean(), rtol=1e-5)
    theirs = keras.losses.BinaryFocalCrossentropy(gamma=gamma, reduction=None)
    np.testing.assert_allclose(theirs(labels[known][:, None], scores[known][:, None]), each[known], rtol=1e-4)
    weighed = np.where(known, each * np.where(labels == 1, factors[:, 1], factors[:, 0]), 0).sum(axis=1)
    np.testing.assert_allclose(add_up(loss, labels, scores, factors.tolist()), weighed, rtol=1e-4)
    np.testing.assert_array_equal(count_labels(loss, labels), known.sum(axis=1))
    right = (known & ((scores >= 0.5) == (labels == 1))).sum(axis=1)
    np.testing.assert_array_equal(count_right(loss, labels, scores), right)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_a_network_that_is_surely_wrong_about_a_label_still_learns(gamma):
    logits = tf.Variable([[90.0, -90.0, 90.0]])
    with tf.GradientTape() as tape:
        losses = MaskedLoss(gamma)(tf.constant([[0, 1, 1]]), keras.activations.sigmoid(logits))
    np.testing.assert_allclose(tape.gradient(losses, logits), [[1 / 3, -1 / 3, 0]], atol=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_of_labels_that_are_surely_right_or_wrong_are_finite(gamma):
    scores = tf.Variable([[1.0, 0.0], [0.0, 1.0]])
    with tf.GradientTape() as tape:
        losses = MaskedLoss(gamma)(tf.constant([[1, 0], [1, 0]]), scores)
    assert np.isfinite(losses).all()
    assert np.isfinite(tape.gradient(losses, scores)).all()


@pytest.mark.parametrize("classes", [3, 6])
def test_soft_labels_are_those_of_the_paper(classes):
    # Diaz & Marathe 2019, equation 1: y_i = exp(-phi(r_t, r_i)) / sum_k exp(-phi(r_t, r_k)), phi the squared distance.
    random = np.random.RandomState(classes)
    logits, labels = random.normal(size=(40, classes)).astype("float32"), random.randint(0, classes, 40)
    entropy = -np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    expected = []
    for label, losses in zip(labels, entropy, strict=True):
        weights = np.array([np.exp(-(float(label - grade) ** 2)) for grade in range(classes)])
        expected.append((weights / weights.sum()) @ losses)
    scores = keras.activations.softmax(tf.constant(logits))
    np.testing.assert_allclose(soft_label_loss(tf.constant(labels), scores), expected, atol=1e-5)
    np.testing.assert_allclose(soft_label_loss(tf.constant(labels[:, None]), scores), expected, atol=1e-5)


def count_corn(logits, labels):
    """Return the losses of images as in Shi et al. 2021, section 3.3: a binary one for each question they are asked."""
    losses = np.zeros(len(labels))
    for question in range(logits.shape[1]):
        asked, exceeds = labels >= question, labels > question
        chances = 1 / (1 + np.exp(-logits[:, question].astype("float64")))
        losses -= np.where(asked, np.where(exceeds, np.log(chances), np.log(1 - chances)), 0)
    return losses


@pytest.mark.parametrize("classes", [3, 6])
def test_the_cross_entropy_of_a_corn_head_is_the_loss_of_the_paper(classes):
    random = np.random.RandomState(classes)
    logits, labels = 3 * random.normal(size=(60, classes - 1)).astype("float32"), random.randint(0, classes, 60)
    head = attach_corn(classes)
    scores = head(logits)
    losses = keras.losses.sparse_categorical_crossentropy(tf.constant(labels), scores)
    np.testing.assert_allclose(losses, count_corn(logits, labels), atol=1e-5)
    # The product of conditional probabilities is that of a higher grade, which never rises with the grade.
    exceeded = np.cumprod(1 / (1 + np.exp(-logits)), axis=1)
    np.testing.assert_allclose(np.cumsum(scores[:, ::-1], axis=1)[:, -2::-1], exceeded, atol=1e-6)


def attach_corn(classes):
    """Return the end of a CORN head: from its logits to probabilities."""
    images = keras.Input((4, 4, 3))
    model = attach_head(keras.Model(images, keras.layers.Conv2D(3, 3)(images)), classes, Dense(ordinal="corn"))
    return keras.Model(model.get_layer("conditions").output, model.outputs[0])


def test_a_corn_head_does_not_saturate():
    logits = tf.Variable([[80.0, 80.0, -80.0], [-90.0, 90.0, 0.0]])
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(tf.constant([0, 3]), attach_corn(4)(logits))
    np.testing.assert_allclose(losses, [80, 90 + np.log(2)], atol=1e-4)
    np.testing.assert_allclose(tape.gradient(losses, logits), [[1, 0, 0], [-1, 0, -0.5]], atol=1e-4)


def test_a_corn_head_is_saved_as_plain_keras(tmp_path):
    images = keras.Input((8, 8, 3))
    backbone = keras.Model(images, keras.layers.Conv2D(3, 3)(images))
    model = attach_head(backbone, 5, Dense(dropout=0.5, units=(4,), ordinal="corn"))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert {type(layer).__module__.split(".")[0] for layer in again.layers} == {"keras"}
    pixels = np.random.RandomState(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    features, head = split_head(again)
    assert features.output_shape == (None, 3)
    found = head.predict(features.predict(pixels, verbose=0), verbose=0)
    np.testing.assert_allclose(found, model.plain().predict(pixels, verbose=0), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


SHARE = 0.3


@pytest.mark.parametrize("from_logits", [True, False])
def test_smoothed_labels_are_those_of_keras(from_logits):
    """With probabilities that a softmax gave, from which Keras takes the logits, and with bare ones."""
    random = np.random.RandomState(0)
    logits, labels = random.normal(size=(20, 4)).astype("float32"), random.randint(0, 4, 20)
    scores = keras.activations.softmax(tf.constant(logits))
    given = scores if from_logits else tf.constant(scores.numpy())
    theirs = keras.losses.CategoricalCrossentropy(label_smoothing=SHARE, reduction=None)(np.eye(4)[labels], scores)
    loss = smooth("sparse_categorical_crossentropy", SHARE)
    np.testing.assert_allclose(loss(tf.constant(labels), given), theirs, atol=1e-5)
    factors = [0.5, 1.0, 2.0, 3.0]
    np.testing.assert_allclose(
        add_up(loss, tf.constant(labels), given, factors), theirs * np.array(factors)[labels], atol=1e-5
    )
    assert count_right(loss, tf.constant(labels), given).shape == (20,)


@pytest.mark.parametrize("loss", [make_focal_loss(2.0), soft_label_loss])
def test_other_losses_with_smoothed_labels_are_a_mean_over_classes(loss):
    random = np.random.RandomState(0)
    scores, labels = random.dirichlet(np.ones(3), 20).astype("float32"), random.randint(0, 3, 20)
    each = np.stack([loss(tf.fill([20], number), tf.constant(scores)).numpy() for number in range(3)], axis=1)
    targets = (1 - SHARE) * np.eye(3)[labels] + SHARE / 3
    found = smooth(loss, SHARE)(tf.constant(labels), tf.constant(scores))
    np.testing.assert_allclose(found, (targets * each).sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(smooth(loss, SHARE)(tf.constant(labels[:, None]), tf.constant(scores)), found, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_several_labels_are_smoothed_each_where_it_is_known(gamma):
    random = np.random.RandomState(0)
    scores, labels = random.uniform(0.01, 0.99, (30, 4)).astype("float32"), random.randint(-1, 2, (30, 4))
    found = add_up(smooth(MaskedLoss(gamma), SHARE), tf.constant(labels), tf.constant(scores))
    targets = (labels == 1) * (1 - SHARE) + SHARE / 2
    has, lacks = -((1 - scores) ** gamma) * np.log(scores), -(scores**gamma) * np.log(1 - scores)
    expected = ((targets * has + (1 - targets) * lacks) * (labels >= 0)).sum(axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    if not gamma:
        theirs = keras.losses.BinaryCrossentropy(label_smoothing=SHARE, reduction=None)
        whole = tf.constant(np.abs(labels))
        np.testing.assert_allclose(
            add_up(smooth(MaskedLoss(), SHARE), whole, tf.constant(scores)) / 4, theirs(whole, scores), atol=1e-5
        )


def test_nothing_is_smoothed_by_default():
    assert smooth(soft_label_loss, 0.0) is soft_label_loss
