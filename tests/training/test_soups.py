import keras
import numpy as np
import pytest

from tests.training.test_training import IMAGES, LABELS, fit, make, phase
from tlmed.training.best_epoch import BestEpoch
from tlmed.training.judging import measure
from tlmed.training.soups import choose_average, cook


def constant(model, value):
    return [np.full_like(weight, value) for weight in model.get_weights()]


def cook_numbers(numbers, score):
    """Cook networks whose weights are all one number, and return what was kept and that number."""
    model = make(phase())

    def read():
        return float(model.get_weights()[0].flat[0])

    soup = cook(model, [(number, constant(model, number)) for number in numbers], lambda: score(read()))
    return soup.epochs, read()


def test_epochs_join_the_mean_only_if_it_is_no_worse():
    def near_three(value):
        return -abs(value - 3), 0.0

    assert cook_numbers([4, 2, 6], near_three) == ((4, 2), 3.0)  # with the third the mean would be 4
    assert cook_numbers([4, 9, 2], near_three) == ((4, 2), 3.0)  # the second is left out, the third is not
    assert cook_numbers([3, 1, 2], near_three) == ((3,), 3.0)
    assert cook_numbers([3, 3, 3], near_three) == ((3, 3, 3), 3.0)


def test_of_equal_scores_the_loss_decides():
    assert cook_numbers([1, 2], lambda value: (1.0, value))[0] == (1,)
    assert cook_numbers([2, 1], lambda value: (1.0, value))[0] == (2, 1)


def test_weights_that_are_equal_in_all_epochs_keep_their_bits():
    model, score = make(phase()), lambda: (1.0, 0.0)
    weights = [np.random.RandomState(0).normal(size=it.shape).astype("float32") for it in model.get_weights()]
    assert len(cook(model, [(0, weights), (1, weights), (2, weights)], score).epochs) == 3
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_are_estimated_before_each_mean_is_scored():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    norm, seen = model.layers[1], []

    def settle():
        norm.moving_mean.assign(np.full(3, 7.0))

    def score():
        seen.append(norm.moving_mean.numpy()[0])
        return 1.0, 0.0

    cook(model, [(number, constant(model, number)) for number in (1, 2, 3)], score, settle)
    assert seen == [1.0, 7.0, 7.0]
    assert norm.moving_mean.numpy()[0] == 7.0
    assert norm.gamma.numpy()[0] == 2.0


@pytest.mark.parametrize("monitor", ["val_auc", "val_loss"])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_epochs_are_ranked_by_score_then_loss_then_number(monitor, seed):
    random, model = np.random.RandomState(seed), make(phase())
    rows = [{"val_auc": random.randint(4) / 4, "val_loss": random.randint(4) / 4} for _ in range(9)]
    best = BestEpoch(monitor, "max" if monitor == "val_auc" else "min", 99, places=3)
    best.set_model(model)
    best.on_train_begin()
    for epoch, row in enumerate(rows):
        model.set_weights(constant(model, epoch))
        best.on_epoch_end(epoch, row)
    sign = -1 if monitor == "val_auc" else 1
    ranked = sorted(range(9), key=lambda epoch: (sign * rows[epoch][monitor], rows[epoch]["val_loss"], epoch))
    assert [best.best_epoch, *best.runners] == ranked[:3]
    assert [weights[0].flat[0] for weights in best.runners.values()] == ranked[1:3]


@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_a_phase_ends_no_worse_than_its_best_epoch(rate):
    model, result, rows = fit(phase(epochs=6, learning_rate=rate, average="top3"), monitor="val_loss")
    loss = measure(model.predict(IMAGES[:12], verbose=0), LABELS[:12])["loss"]
    best = min(row["val_loss"] for row in rows)
    if result.averaged:
        assert loss <= best + 1e-6
        assert result.averaged[0] == result.best_epoch
        assert 2 <= len(result.averaged) <= 3
    else:
        assert loss == pytest.approx(best, abs=1e-6)
    assert fit(phase())[1].averaged == ()


def choose(weights, averages, score):
    """Choose among networks whose weights are all one number, and return the choice and that number."""
    model = make(phase())

    def read():
        return float(model.get_weights()[0].flat[0])

    found = {epoch: constant(model, number) for epoch, number in averages.items()}
    return choose_average(model, constant(model, weights), found, lambda: score(read())), read()


def test_a_moving_average_stays_only_if_it_is_no_worse():
    def near_three(value):
        return -abs(value - 3), 0.0

    assert choose(4, {2: 5, 7: 6}, near_three) == (None, 4.0)
    assert choose(4, {2: 3, 7: 6}, near_three) == (2, 3.0)
    assert choose(4, {2: 6, 7: 2}, near_three) == (7, 2.0)
    assert choose(4, {2: 3.5, 7: 3}, near_three) == (7, 3.0)
    assert choose(4, {2: 3, 7: 3}, near_three) == (7, 3.0)
    assert choose(1, {2: 3}, lambda value: (1.0, value)) == (None, 1.0)  # of equal scores the loss decides


@pytest.mark.parametrize("patience", [None, 1])
def test_a_phase_ends_with_a_moving_average_that_is_no_worse_than_its_best_epoch(patience):
    keras.utils.set_random_seed(1)
    fields = {"epochs": 6, "learning_rate": 0.05 if patience is None else 2.0, "patience": patience}
    averaged = phase(**fields, average="ema")
    model, (start, plain) = make(averaged), (make(phase(**fields)) for _ in range(2))
    for other in (model, plain):
        other.set_weights(start.get_weights())
    model, result, rows = fit(averaged, model, monitor="val_loss")
    # Training itself is the same; the averages are those of the weights after each step.
    weights, steps = Weights(), 3 * len(rows)
    theirs = fit(phase(**fields), plain, monitor="val_loss", callbacks=[weights])[2]
    assert [row["val_loss"] for row in rows] == [row["val_loss"] for row in theirs]
    assert len(weights.after) == steps
    averages = []
    for step, after in enumerate(weights.after):
        share = min(0.999, step / (step + 9))
        before = averages[-1] if averages else after
        averages.append([share * one + (1 - share) * other for one, other in zip(before, after, strict=True)])
    epochs = {result.best_epoch, result.epochs}
    scored = {}
    for epoch in epochs:
        plain.set_weights(averages[3 * epoch - 1])
        scored[epoch] = measure(plain.predict(IMAGES[:12], verbose=0), LABELS[:12])["loss"]
    best = min(row["val_loss"] for row in rows)
    loss = measure(model.predict(IMAGES[:12], verbose=0), LABELS[:12])["loss"]
    assert loss == pytest.approx(min(best, *scored.values()), abs=1e-5)
    least = min(scored.values())
    if least > best + 1e-6:
        assert result.moving_average is None
    elif least < best - 1e-6:  # else rounding decides
        assert result.moving_average in [epoch for epoch, loss in scored.items() if loss < least + 1e-6]
    assert result.averaged == ()


class Weights(keras.callbacks.Callback):
    """Note the weights after each step."""

    def on_train_begin(self, logs=None):
        self.after = []

    def on_train_batch_end(self, batch, logs=None):
        self.after.append(self.model.get_weights())
