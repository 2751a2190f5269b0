import keras
import numpy as np
import pytest
import tensorflow as tf

from tlmed.errors import InputError
from tlmed.optimizers import Changes, find_exempt, make_optimizer, read_averages

RANDOM = np.random.RandomState(0)


def variables():
    random = np.random.RandomState(1)
    return [
        keras.Variable(random.normal(size=shape).astype("float32"), name=name)
        for name, shape in (("kernel", (4, 3)), ("bias", (3,)), ("gamma", (3,)), ("bias", (2, 3)))
    ]


def adamw(weight, gradients, rates, decay):
    """Loshchilov & Hutter 2019, algorithm 2, with the rate in front of the decay as in Keras and torch."""
    m = v = np.zeros_like(weight)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        weight = weight - rate * decay * weight
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        weight = weight - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7)
    return weight


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("factor", [1.0, 0.5])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_weight_decay_is_that_of_adamw_and_spares_biases_and_norms(name, factor, scheduled):
    weights, rates = variables(), np.array([0.1, 0.05, 0.02])
    before = [weight.numpy() for weight in weights]
    table = tf.constant(rates / 0.1, tf.float32)
    curve = (lambda step: tf.gather(table, step)) if scheduled else None
    factors = {id(weights[0]): factor}
    changes = Changes(factors, curve, weight_decay=0.3, exempt=find_exempt(weights))
    optimizer = make_optimizer(name, 0.1, changes)
    optimizer.build(weights)
    # Away from 0, where the small number that Adam adds to the root would count.
    gradients = [[RANDOM.uniform(0.5, 1, weight.shape).astype("float32") for weight in weights] for _ in range(3)]
    for step in gradients:
        optimizer.apply([tf.constant(gradient) for gradient in step], weights)
    rates = rates if scheduled else np.full(3, 0.1)
    for number, (weight, start) in enumerate(zip(weights, before, strict=True)):
        decay, own = (0.3, factor) if number == 0 else (0.0, 1.0)
        expected = adamw(start, [step[number] for step in gradients], own * rates, decay)
        np.testing.assert_allclose(weight, expected, atol=1e-5)


def test_without_the_field_adamw_decays_all_as_in_keras():
    ours, theirs = variables(), variables()
    optimizers = make_optimizer("adamw", 0.1), keras.optimizers.AdamW(0.1)
    for weights, optimizer in zip((ours, theirs), optimizers, strict=True):
        optimizer.apply([tf.zeros(weight.shape) for weight in weights], weights)
    for one, other, start in zip(ours, theirs, variables(), strict=True):
        np.testing.assert_array_equal(one, other)
        assert not np.array_equal(one, start)


def test_no_weight_decay_can_be_asked_for():
    weights = variables()
    make_optimizer("adamw", 0.1, Changes(weight_decay=0.0)).apply([tf.zeros(it.shape) for it in weights], weights)
    for weight, start in zip(weights, variables(), strict=True):
        np.testing.assert_array_equal(weight, start)


@pytest.mark.parametrize("length", [0.5, 100.0])
def test_a_gradient_is_shortened_to_a_norm_of_all_weights_together(length):
    weights, gradients = variables(), [RANDOM.normal(size=it.shape).astype("float32") for it in variables()]
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    make_optimizer("sgd", 1.0, Changes(clip_norm=length)).apply([tf.constant(it) for it in gradients], weights)
    for weight, start, gradient in zip(weights, variables(), gradients, strict=True):
        np.testing.assert_allclose(start - weight.numpy(), gradient * min(1, length / norm), atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_moving_average_is_that_of_tensorflow_from_the_first_step_on(name):
    """TensorFlow's `num_updates` counts from the second step on; the first one is where its average begins."""
    layer = keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((3,)), layer])
    before = layer.get_weights()
    model.optimizer = make_optimizer(name, 0.1, Changes(weight_decay=0.1, average=True))
    model.optimizer.build([layer.kernel, layer.bias])
    theirs = None
    for step in range(14):
        gradient = tf.constant(RANDOM.normal(size=(3, 2)).astype("float32"))
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            model.optimizer.apply([gradient, None], [layer.kernel, layer.bias])
        if theirs is None:
            theirs = tf.Variable(layer.kernel.value)
            shadow = tf.train.ExponentialMovingAverage(0.999)
            shadow.apply([theirs])
            continue
        theirs.assign(layer.kernel.value)
        shadow._num_updates = step - 1
        shadow.apply([theirs])
    averages = read_averages(model)
    np.testing.assert_allclose(averages[0], shadow.average(theirs), atol=1e-6)
    assert np.abs(averages[0] - layer.get_weights()[0]).max() > 1e-3
    np.testing.assert_array_equal(averages[1], before[1])  # it has no gradient


def test_an_average_that_nobody_kept_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    for changes in (Changes(), Changes(clip_norm=1.0)):
        model.optimizer = make_optimizer("sgd", 0.1, changes)
        model.optimizer.build(model.trainable_variables)
        with pytest.raises(InputError, match="average='ema'"):
            read_averages(model)


def test_a_moving_average_changes_no_step():
    plain, averaged = variables(), variables()
    gradients = [[RANDOM.normal(size=it.shape).astype("float32") for it in plain] for _ in range(3)]
    for weights, changes in ((plain, Changes()), (averaged, Changes(average=True))):
        optimizer = make_optimizer("adam", 0.1, changes)
        for step in gradients:
            optimizer.apply([tf.constant(it) for it in step], weights)
    for one, other in zip(plain, averaged, strict=True):
        np.testing.assert_array_equal(one, other)


def test_after_many_steps_the_average_keeps_all_but_a_thousandth():
    weights = variables()[:1]
    optimizer = make_optimizer("sgd", 0.0, Changes(average=True))
    optimizer.build(weights)
    optimizer.iterations.assign(100_000)
    start = weights[0].numpy()
    weights[0].assign(np.zeros((4, 3)))
    optimizer.apply([tf.zeros((4, 3))], weights)
    np.testing.assert_allclose(optimizer.averages[0], 0.999 * start, rtol=1e-6)
