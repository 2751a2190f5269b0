import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.test_training import IMAGES, LABELS, make
from tlmed.errors import InputError
from tlmed.recipe import Phase
from tlmed.schedules import compute_factors, count_plateau, set_steps

KERAS = keras.optimizers.schedules


def phase(**fields):
    return Phase(**{"name": "p", "thaw": "all", "epochs": 4, "learning_rate": 0.01, **fields})


def read(schedule, steps):
    return np.array([float(schedule(step)) for step in range(steps)])


@pytest.mark.parametrize(("warmup", "warm"), [(0.1, 3), (0.25, 8), (0.5, 15)])
def test_cosine_with_warmup_is_that_of_keras(warmup, warm):
    theirs = KERAS.CosineDecay(1 / (warm + 1), 30 - warm, warmup_target=1.0, warmup_steps=warm)
    ours = compute_factors(phase(schedule="cosine", warmup=warmup), 30)
    np.testing.assert_allclose(ours, read(theirs, 30), atol=1e-6)
    assert ours.max() == ours[warm] == 1


def test_schedules_without_warmup_are_those_of_keras():
    cosine, linear = (compute_factors(phase(schedule=name), 40) for name in ("cosine", "linear"))
    np.testing.assert_allclose(cosine, read(KERAS.CosineDecay(1.0, 40), 40), atol=1e-6)
    np.testing.assert_allclose(linear, read(KERAS.PolynomialDecay(1.0, 40, 0.0), 40), atol=1e-6)
    steps = KERAS.PiecewiseConstantDecay([19, 29], [1.0, 0.1, 0.01])  # Keras's boundaries belong to the rate before
    np.testing.assert_allclose(compute_factors(phase(schedule="step"), 40), read(steps, 40), atol=1e-6)
    for name in ("constant", "plateau"):
        np.testing.assert_array_equal(compute_factors(phase(schedule=name), 40), np.ones(40))


def test_warmup_is_that_of_torch():
    """`torch.optim.lr_scheduler.LinearLR`, by the formula of its documentation."""
    warm, total = 5, 20
    start = 1 / (warm + 1)
    theirs = [start + (1 - start) * min(step, warm) / warm for step in range(total)]
    np.testing.assert_allclose(compute_factors(phase(warmup=0.25), total), theirs, atol=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
def test_a_phase_of_few_steps_has_a_rate_in_each(schedule, steps, warmup):
    factors = compute_factors(phase(schedule=schedule, warmup=warmup), steps)
    assert factors.shape == (steps,)
    assert ((factors > 0) & (factors <= 1)).all()


class Rates(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


SCHEDULED = {"schedule": "cosine", "warmup": 0.25}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_fit_in_plain_keras_takes_the_rate_of_each_step(optimizer):
    model, rates = make(phase(**SCHEDULED, optimizer=optimizer)), Rates()
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    model.fit(data, epochs=3, callbacks=rates, verbose=0, shuffle=False)
    model.fit(data, epochs=1, callbacks=[rates], verbose=0, shuffle=False)
    expected = 0.01 * compute_factors(model.phase, 12)
    np.testing.assert_allclose(rates.rates, expected, rtol=1e-6)
    with pytest.raises(InputError, match=r"`epochs` must be 4 at most.*Received: epochs=1 after 4\."):
        model.fit(data, epochs=1, verbose=0, shuffle=False)


def test_steps_move_weights_by_the_rate_of_the_schedule():
    model = make(phase(**SCHEDULED))
    losses, data = [], tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    seen = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: losses.append(model.get_weights()))
    model.fit(data, epochs=1, callbacks=[seen], verbose=0, shuffle=False)
    # Adam's first step is the rate itself, whatever the gradient.
    first = max(np.abs(after - before).max() for before, after in zip(*losses[:2], strict=True))
    assert first == pytest.approx(0.01 * compute_factors(model.phase, 12)[0], rel=0.01)


def test_a_schedule_that_ends_before_the_training_is_refused():
    with pytest.raises(InputError, match=r"`epochs` must be 4 at most.*Received: epochs=5\."):
        make(phase(**SCHEDULED)).fit(IMAGES, LABELS, batch_size=8, epochs=5, verbose=0, shuffle=False)
    make(phase()).fit(IMAGES, LABELS, batch_size=8, epochs=5, verbose=0, shuffle=False)  # a constant rate has no end


def test_an_unknown_number_of_steps_is_refused_with_what_to_do():
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8).repeat()
    endless = data.apply(tf.data.experimental.assert_cardinality(tf.data.experimental.UNKNOWN_CARDINALITY))
    model = make(phase(**SCHEDULED))
    with pytest.raises(InputError, match="`steps_per_epoch` must be given"):
        model.fit(endless, epochs=2, verbose=0, shuffle=False)
    with pytest.raises(InputError, match="set_steps"):
        model.train_on_batch(IMAGES, LABELS)
    assert set_steps(model.optimizer, 3)
    model.train_on_batch(IMAGES, LABELS)
    assert not set_steps(make(phase()).optimizer, 3)


def test_fit_with_other_batches_has_another_schedule():
    model, rates = make(phase(**SCHEDULED)), Rates()
    model.fit(IMAGES, LABELS, batch_size=8, epochs=1, verbose=0, callbacks=[rates])
    model.fit(IMAGES, LABELS, batch_size=4, epochs=1, verbose=0, callbacks=[rates])
    expected = [*compute_factors(model.phase, 12)[:3], *compute_factors(model.phase, 24)[3:9]]
    np.testing.assert_allclose(rates.rates, 0.01 * np.array(expected), rtol=1e-6)


def test_a_plateau_leaves_half_of_the_patience_to_the_lower_rate():
    for patience in (2, 5, 6):
        assert 1 <= count_plateau(phase(patience=patience)) <= patience - 1
