"""The focal loss equals the paper's formula and Keras's own for one-hot labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlmed.losses import add_up, count_labels, count_right, make_focal_loss, masked_entropy


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


def test_the_loss_of_several_labels_is_the_mean_over_those_that_are_known():
    random = np.random.RandomState(0)
    scores, labels = random.uniform(0.01, 0.99, (30, 4)).astype("float32"), random.randint(-1, 2, (30, 4))
    factors = random.uniform(0.5, 2, (4, 2))
    known = labels >= 0
    each = -np.log(np.where(labels == 1, scores, 1 - scores))
    np.testing.assert_allclose(np.mean(masked_entropy(labels, scores)), each[known].mean(), rtol=1e-5)
    weighed = np.where(known, each * np.where(labels == 1, factors[:, 1], factors[:, 0]), 0).sum(axis=1)
    np.testing.assert_allclose(add_up(masked_entropy, labels, scores, factors.tolist()), weighed, rtol=1e-5)
    np.testing.assert_array_equal(count_labels(masked_entropy, labels), known.sum(axis=1))
    right = (known & ((scores >= 0.5) == (labels == 1))).sum(axis=1)
    np.testing.assert_array_equal(count_right(masked_entropy, labels, scores), right)
