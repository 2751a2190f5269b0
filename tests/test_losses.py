"""The focal loss equals the paper's formula and Keras's own for one-hot labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlmed.losses import make_focal_loss


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
