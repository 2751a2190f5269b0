"""Learning rates by Auto-RGN, against gradients that plain Keras and TensorFlow give."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlmed.blocks import partition
from tlmed.errors import RunFailed
from tlmed.heads.dense import attach_head
from tlmed.phase_steps import scale_ratios
from tlmed.phases import thaw
from tlmed.recipe import Dense, Phase
from tlmed.training import measure_rates

RANDOM = np.random.RandomState(0)
LABELS, RATE = np.arange(24) % 3, 0.01
IMAGES = (RANDOM.uniform(0, 120, (24, 16, 16, 3)) + 60 * np.eye(3)[LABELS][:, None, None]).astype("float32")
WEIGHTS = {0: 0.5, 1: 1.0, 2: 3.0}


def make(thawed="all", batch_norm="affine", times=1, dropout=0.5):
    """Return a network of two blocks; what it computes is the same with larger pixels and smaller weights for them."""
    first, second = (keras.initializers.GlorotUniform(seed) for seed in (0, 1))
    inputs = keras.Input((16, 16, 3), name="images")
    x = keras.layers.Rescaling(times / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, use_bias=False, kernel_initializer=first, name="one")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="tanh", kernel_initializer=second, name="two")(x)
    model = attach_head(keras.Model(inputs, x), 3, Dense(dropout=dropout), seed=1)
    one = model.get_layer("one")
    one.set_weights([one.get_weights()[0] / times])
    return thaw(model, phase(thaw=thawed, batch_norm=batch_norm))


def phase(**fields):
    return Phase(**{"name": "p", "thaw": "all", "epochs": 1, "learning_rate": RATE, "rates": "auto-rgn", **fields})


def batches(begin=(0, 0), share=None):
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8).repeat()


def differentiate(model, names, factors=(1, 1, 1), count=3):
    """Return for each layer the mean over batches of the norm of the gradient over that of the weights."""
    network = keras.Model(model.inputs, model.outputs)
    found = {name: [] for name in names}
    for images, labels in batches().take(count):
        with tf.GradientTape(persistent=True) as tape:
            chosen = tf.gather(network(images, training=False), labels, batch_dims=1)
            loss = tf.reduce_mean(-tf.math.log(chosen) * tf.gather(tf.constant(factors, tf.float32), labels))
        for name in names:
            weights = network.get_layer(name).trainable_weights
            flat = [
                np.concatenate([np.ravel(value) for value in values])
                for values in (tape.gradient(loss, [it.value for it in weights]), [it.numpy() for it in weights])
            ]
            found[name].append(np.linalg.norm(flat[0]) / np.linalg.norm(flat[1]))
    return {name: np.mean(values) for name, values in found.items()}


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_rates_are_in_proportion_to_gradients_that_plain_keras_gives(weights):
    model = make(times=2)
    assert [block.name for block in partition(model.parts.backbone, tail=True)] == ["block1", "block2"]
    before = [weight.numpy() for weight in model.weights]
    rates = measure_rates(model, batches, 3, weights)
    ratios = differentiate(model, ("one", "two"), list((weights or {0: 1, 1: 1, 2: 1}).values()))
    largest = max(ratios.values())
    expected = {"block1": RATE * ratios["one"] / largest, "block2": RATE * ratios["two"] / largest}
    assert rates == pytest.approx({"head": RATE, **expected}, rel=1e-4)
    assert min(expected.values()) < 0.9 * RATE
    # Measuring changes nothing: no weight, no statistic, no random stream.
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert measure_rates(model, batches, 3, weights) == rates


def test_one_batch_and_several_differ():
    model = make()
    assert measure_rates(model, batches, 1) != pytest.approx(measure_rates(model, batches, 3), rel=1e-3)


@pytest.mark.parametrize(("times", "first"), [(0.05, "block2"), (20, "block1")])
def test_the_block_whose_gradient_is_large_beside_its_weights_has_the_full_rate(times, first):
    usual = measure_rates(make(), batches, 3)
    rates = measure_rates(make(times=times), batches, 3)
    [other] = {"block1", "block2"} - {first}
    assert rates[first] == rates["head"] == RATE
    assert rates[other] < 0.1 * RATE
    # The gradient is so many times as large, and the weights are so many times as small.
    ratios = [found["block1"] / found["block2"] for found in (usual, rates)]
    assert ratios[1] / ratios[0] == pytest.approx(times**2, rel=1e-3)


def test_frozen_blocks_have_no_rate():
    assert measure_rates(make(thawed=1), batches, 2) == {"head": RATE, "block2": RATE}


@pytest.mark.parametrize("unit", ["block", "layer"])
def test_the_optimizer_steps_at_the_rates_norms_included(unit):
    model = make(dropout=0)
    settings = phase(unit=unit, batch_norm="affine")
    rates = {"head": 0.04, f"{unit}2": 0.02, f"{unit}1": 0.005}
    thaw(model, settings, rates)
    before = {layer.name: [weight.numpy() for weight in layer.trainable_weights] for layer in model.layers}
    model.train_on_batch(IMAGES[:8], LABELS[:8])
    moves = {
        layer.name: max(
            np.abs(weight - value).max()
            for weight, value in zip(layer.trainable_weights, before[layer.name], strict=True)
        )
        for layer in model.layers
        if before[layer.name] and layer is not model.parts.backbone
    }
    # Adam's first step is the rate itself, whatever the gradient.
    assert moves == pytest.approx({"one": 0.005, "norm": 0.005, "two": 0.02, "probabilities": 0.04}, rel=0.01)


def test_a_phase_whose_rates_nobody_measured_has_one_for_all():
    model = make()
    assert type(model.optimizer) is keras.optimizers.Adam


def test_what_cannot_be_measured_is_said():
    model = make()
    model.get_layer("two").set_weights([np.zeros_like(value) for value in model.get_layer("two").get_weights()])
    with pytest.raises(RunFailed, match=r"phase 'p' with a ratio of inf in block2"):
        measure_rates(model, batches, 1)
    model = make(batch_norm="frozen")
    model.get_layer("probabilities").set_weights([np.zeros((8, 3)), np.zeros(3)])
    with pytest.raises(RunFailed, match=r"phase 'p' with a ratio of 0 in every block"):
        measure_rates(model, batches, 1)


def test_ratios_become_rates():
    assert scale_ratios({"block2": 1.0, "block1": 4.0}, 0.1) == {"head": 0.1, "block2": 0.025, "block1": 0.1}
