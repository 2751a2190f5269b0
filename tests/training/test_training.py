import io
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tlmed
from tests.terminal import Terminal
from tlmed import metrics
from tlmed.errors import InputError, RunFailed
from tlmed.heads.dense import attach_head
from tlmed.losses import PLAIN, make_focal_loss, soft_label_loss
from tlmed.phases import thaw
from tlmed.recipe import Phase
from tlmed.schedules import count_plateau, set_steps
from tlmed.screen import Screen
from tlmed.training import Judge, Loop, class_weights, fit_phase
from tlmed.training.best_epoch import BestEpoch
from tlmed.training.progress import Lines, Moving, speak
from tlmed.training.rates import Rates

RANDOM = np.random.RandomState(0)
LABELS, WEIGHTS = np.arange(24) % 3, {0: 0.5, 1: 1.0, 2: 3.0}
IMAGES = (RANDOM.uniform(0, 120, (24, 8, 8, 3)) + 60 * np.eye(3)[LABELS][:, None, None]).astype("float32")
VALIDATION = tf.data.Dataset.from_tensor_slices((IMAGES[:12], LABELS[:12])).batch(5)


def make(phase, loss=PLAIN):
    inputs = keras.Input((8, 8, 3), name="images")
    features = keras.layers.Conv2D(4, 3, strides=2)(keras.layers.Rescaling(1 / 255)(inputs))
    model = attach_head(keras.Model(inputs, features), 3)
    model.training_loss = loss
    return thaw(model, phase)


def batches(begin=(0, 0), share=None):
    epochs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8).repeat()
    return epochs.skip(3 * begin[0] + begin[1])


def fit(phase, model=None, class_weight=None, monitor="val_auc", callbacks=()):
    rows = []
    model = model or make(phase)
    result = fit_phase(
        *(Loop(model, batches, 3, class_weight=class_weight), phase),
        Judge(lambda: model.predict(VALIDATION, verbose=0), LABELS[:12], monitor),
        record=rows.append,
        callbacks=callbacks,
    )
    return model, result, rows


def phase(**fields):
    return Phase(**{"name": "p", "thaw": "all", "epochs": 4, "learning_rate": 0.05, **fields})


SETTINGS = (
    {"schedule": "cosine", "warmup": 0.25, "clip_norm": 0.1, "weight_decay": 0.1, "block_decay": 0.5},
    {"optimizer": "sgd", "clip_norm": 0.1},
)


class Losses(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rows = []

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append([logs["loss"], logs["accuracy"]])


@pytest.mark.parametrize(
    ("class_weight", "loss"),
    [
        (None, PLAIN),
        ({0: 0.5, 1: 1.0, 2: 3.0}, PLAIN),
        ({0: 0.5, 1: 1.0, 2: 3.0}, make_focal_loss(2.0)),
        (None, soft_label_loss),
    ],
)
def test_the_loop_does_what_fit_does(class_weight, loss):
    one_by_one, three_at_once, fitted = (make(phase(optimizer="adam"), loss) for _ in range(3))
    start, theirs = fitted.get_weights(), Losses()
    uneven = tf.data.Dataset.from_tensor_slices((IMAGES[:22], LABELS[:22])).batch(8).repeat()
    fitted.fit(
        uneven, steps_per_epoch=3, epochs=4, class_weight=class_weight, callbacks=[theirs], shuffle=False, verbose=0
    )
    for together, looped in ((1, one_by_one), (3, three_at_once)):
        ours = Losses()
        looped.set_weights(start)
        Loop(looped, lambda begin, share: uneven, 3, together, class_weight).run(4, [ours])
        np.testing.assert_allclose(ours.rows, theirs.rows, atol=1e-6)
        for one, other in zip(looped.weights, fitted.weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
def test_the_loop_takes_the_steps_of_a_phase_as_fit_does(fields):
    looped, fitted, other = (make(phase(**{"optimizer": "adam"} | more)) for more in (fields, fields, {}))
    for model in (looped, other):
        model.set_weights(fitted.get_weights())
    ours, theirs = Losses(), Losses()
    Loop(looped, batches, 3, 3).run(4, [ours])
    fitted.fit(batches(), steps_per_epoch=3, epochs=4, callbacks=[theirs], shuffle=False, verbose=0)
    Loop(other, batches, 3, 3).run(4)
    np.testing.assert_allclose(ours.rows, theirs.rows, atol=1e-6)
    for one, two, three in zip(looped.weights, fitted.weights, other.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
        assert np.abs(one.numpy() - three.numpy()).max() > 1e-3


@pytest.mark.parametrize(("monitor", "mode"), [("val_loss", "min"), ("val_auc", "max")])
@pytest.mark.parametrize("patience", [2, 5])
def test_the_rate_falls_on_a_plateau_as_by_keras(monitor, mode, patience):
    values = np.random.RandomState(3).permutation(12) / 12
    falling = phase(schedule="plateau", patience=patience, epochs=12)
    ours, theirs = make(falling), make(phase())
    rates = Rates(falling, monitor, 3)
    watcher = keras.callbacks.ReduceLROnPlateau(monitor, 0.1, count_plateau(falling), mode=mode, min_delta=0)
    for model, callback in ((ours, rates), (theirs, watcher)):
        callback.set_model(model)
        callback.on_train_begin()
    set_steps(ours.optimizer, 3)
    seen = []
    for epoch, value in enumerate(values):
        for callback in (rates, watcher):
            callback.on_epoch_end(epoch, {"val_loss": value, "val_auc": value})
        seen.append([float(model.optimizer.learning_rate) for model in (ours, theirs)])
    np.testing.assert_allclose(*np.transpose(seen), rtol=1e-5)
    assert 1 <= rates.falls < 12


def test_an_epoch_has_the_rate_of_its_last_step_beside_its_scores():
    rows = fit(phase(schedule="linear", warmup=0.25))[2]
    assert [row["learning_rate"] for row in rows] == [0.0375, *(float(f"{0.05 * i / 9:.6g}") for i in (7, 4, 1))]
    assert "learning_rate" not in fit(phase())[2][0]


def test_penalties_of_a_network_count_as_in_fit():
    def make_penalised():
        inputs = keras.Input((8, 8, 3), name="images")
        scaled = keras.layers.Rescaling(1 / 255)(inputs)
        layer = keras.layers.Conv2D(4, 3, strides=2, kernel_regularizer=keras.regularizers.L2(0.1))
        return thaw(attach_head(keras.Model(inputs, layer(scaled)), 3), phase())

    looped, fitted = make_penalised(), make_penalised()
    fitted.set_weights(looped.get_weights())
    ours, theirs = Losses(), Losses()
    Loop(looped, batches, 3).run(2, [ours])
    fitted.fit(batches(), steps_per_epoch=3, epochs=2, callbacks=[theirs], shuffle=False, verbose=0)
    np.testing.assert_allclose(ours.rows, theirs.rows, atol=1e-6)


def test_validation_scores_are_exact():
    model, _, rows = fit(phase(epochs=1))
    scores = model.predict(IMAGES[:12], verbose=0)
    chosen = scores[np.arange(12), LABELS[:12]]
    assert rows[0]["val_auc"] == pytest.approx(metrics.macro_auc(LABELS[:12], scores), abs=1e-6)
    assert rows[0]["val_accuracy"] == pytest.approx((scores.argmax(1) == LABELS[:12]).mean())
    assert rows[0]["val_loss"] == pytest.approx(-np.log(chosen).mean(), abs=1e-5)
    assert (rows[0]["phase"], rows[0]["epoch"]) == ("p", 1)


@pytest.mark.parametrize(("monitor", "best"), [("val_loss", min), ("val_auc", max), ("val_accuracy", max)])
def test_the_weights_of_the_best_epoch_stay(monitor, best):
    model, result, rows = fit(phase(epochs=6, learning_rate=0.5), monitor=monitor)
    scores = [row[monitor] for row in rows]
    assert result.score == pytest.approx(best(scores))
    losses = {row["epoch"]: row["val_loss"] for row in rows if row[monitor] == best(scores)}
    assert result.best_epoch == min(losses, key=losses.get)
    again = model.predict(IMAGES[:12], verbose=0)
    row = rows[result.best_epoch - 1]
    assert row["val_auc"] == pytest.approx(metrics.macro_auc(LABELS[:12], again), abs=1e-6)


def play(best, epochs):
    model = make(phase())
    best.set_model(model)
    best.on_train_begin()
    for epoch, logs in enumerate(epochs):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        best.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    best.on_train_end()
    return {float(weight.min()) for weight in model.get_weights()}, epoch


def test_of_epochs_with_the_same_score_the_one_with_the_lowest_loss_stays():
    epochs = [
        {"val_auc": auc, "val_loss": loss} for auc, loss in [(0.9, 0.1), (1, 0.5), (1, 0.3), (1, 0.4), (0.9, 0.2)]
    ]
    assert play(BestEpoch("val_auc", "max", patience=9), epochs) == ({2.0}, 4)
    # A loss that falls is not a score that rises: patience counts on.
    assert play(BestEpoch("val_auc", "max", patience=2), epochs) == ({2.0}, 3)


@pytest.mark.parametrize(("monitor", "mode"), [("val_loss", "min"), ("val_auc", "max")])
def test_epochs_with_different_scores_are_chosen_as_by_keras(monitor, mode):
    values = np.random.RandomState(1).permutation(12) / 12
    epochs = [{"val_loss": value, "val_auc": value} for value in values]
    theirs = keras.callbacks.EarlyStopping(monitor, patience=4, mode=mode, restore_best_weights=True)
    assert play(BestEpoch(monitor, mode, 4), epochs) == play(theirs, epochs)


def test_patience_ends_a_phase_early_and_none_does_not():
    still = dict(learning_rate=1e-12, epochs=6)
    assert fit(phase(**still, patience=2))[1].epochs == 3
    assert fit(phase(**still))[1].epochs == 6


def test_a_loss_that_is_not_finite_ends_the_phase():
    with pytest.raises(RunFailed, match="learning_rate"):
        fit(phase(learning_rate=3e38, optimizer="sgd"))


def test_class_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0] * 7 + [1] * 2 + [2] * 5)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(list(class_weights(labels).values()), expected)


def test_progress_is_a_line_an_epoch_where_there_is_no_terminal():
    stream = io.StringIO()
    with speak(Screen(stream)).progress("head", 2, 3) as lines:
        assert isinstance(lines, Lines)
        fit(phase(epochs=2), callbacks=[lines])
    printed = stream.getvalue().splitlines()
    assert [line.split("  ")[:2] for line in printed] == [["head", "epoch 1/2"], ["head", "epoch 2/2"]]
    assert "val_auc" in printed[0]


@pytest.mark.parametrize("width", [40, 60, 80, 150])
def test_progress_is_a_bar_on_a_terminal_and_one_line_stays(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    terminal = Terminal(width)
    with speak(Screen(terminal)).progress("head", 2, 3) as bar:
        assert isinstance(bar, Moving)
        fit(phase(epochs=2), callbacks=[bar])
        assert "val_auc" in bar.bar.note[:20]  # what decides is not cut off
    assert terminal.wrapped == []
    kept = " ".join(terminal.kept())
    assert kept.startswith("head  2 of 2 epochs, ")
    assert "val_auc" in kept
    assert not terminal.hidden


class Notebook:
    """Stands for IPython in a kernel of a notebook."""

    ZMQInteractiveShell = type("ZMQInteractiveShell", (), {})

    @staticmethod
    def get_ipython():
        return Notebook.ZMQInteractiveShell()


@pytest.mark.parametrize(
    ("verbose", "place", "shown"),
    [
        ("auto", "terminal", True),
        ("auto", "notebook", True),
        ("auto", "pipe", False),
        (True, "pipe", True),
        (False, "terminal", False),
    ],
)
def test_train_shows_what_the_command_shows_where_somebody_looks(verbose, place, shown, monkeypatch, tmp_path):
    voices = []
    monkeypatch.setattr("tlmed.run.story._train_one", lambda job: voices.append(job.voice))
    monkeypatch.setattr("sys.stdout", Terminal() if place == "terminal" else io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    if place == "notebook":
        monkeypatch.setitem(sys.modules, "IPython", Notebook)
    tlmed.train("fine_tuning", tmp_path / "run", verbose=verbose)
    voices[0].say("Backbone: VGG16")
    assert sys.stdout.getvalue() == ("Backbone: VGG16\n" if shown else "")
    assert (voices[0].progress is not None) == shown


def test_verbose_is_one_of_three():
    with pytest.raises(InputError, match=r"`verbose` must be True, False or 'auto'\. Received: verbose='yes'"):
        tlmed.train("fine_tuning", verbose="yes")
