"""`keras.Model.fit` with validation by exact scores, early stopping, and an end to NaN."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tlmed import metrics
from tlmed.errors import RunFailed
from tlmed.recipe import MONITORS, Phase


@dataclass(frozen=True)
class PhaseResult:
    """How a phase ended.

    Attributes:
        name: The phase.
        score: Its best value of the monitored score.
        best_epoch: The epoch that gave it, counted from 1; the network holds that epoch's weights.
        epochs: Epochs trained.
        seconds: What the phase took, tracing and validation included.
    """

    name: str
    score: float
    best_epoch: int
    epochs: int
    seconds: float


class Validation(keras.callbacks.Callback):
    """Score the validation images after every epoch, in one pass, exactly.

    Keras's own AUC approximates by thresholds and knows no macro average; `val_auc` is `metrics.macro_auc`.
    It comes before callbacks that read `val_...` from the logs.
    """

    def __init__(self, predict: Callable[[], np.ndarray], labels: np.ndarray):
        super().__init__()
        self.predict, self.labels = predict, labels

    def on_epoch_end(self, epoch, logs=None):
        """Add `val_loss`, `val_accuracy` and `val_auc` to the logs."""
        scores = self.predict()
        if not (np.isfinite(scores).all() and math.isfinite(logs["loss"])):
            raise RunFailed(
                f"The loss must stay finite; a lower `learning_rate` often helps. "
                f"Received: loss={logs['loss']} in epoch {epoch + 1}."
            )
        logs.update({f"val_{name}": value for name, value in measure(scores, self.labels).items()})


def measure(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the scores that training is steered by: `loss` (cross-entropy), `accuracy`, and `auc` (macro).

    Args:
        scores: Class probabilities [n, classes].
        labels: True classes [n].

    >>> measure(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]))["auc"]
    1.0
    """
    chosen = np.clip(scores[np.arange(len(scores)), labels].astype("float64"), 1e-7, 1)
    return {
        "loss": float(-np.log(chosen).mean()),
        "accuracy": float((scores.argmax(axis=1) == labels).mean()),
        "auc": metrics.macro_auc(labels, scores),
    }


class EpochLog(keras.callbacks.Callback):
    """Hand every epoch's scores, with its number and seconds, to a function."""

    def __init__(self, phase: str, record: Callable[[dict], None]):
        super().__init__()
        self.phase, self.record = phase, record

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Record the epoch."""
        seconds = round(time.perf_counter() - self.start, 3)
        self.record({"phase": self.phase, "epoch": epoch + 1, **logs, "seconds": seconds})


def fit_phase(
    model: keras.Model,
    phase: Phase,
    train: tf.data.Dataset,
    steps: int,
    validate: Callable[[], np.ndarray],
    validation_labels: np.ndarray,
    monitor: str = "val_auc",
    class_weight: dict[int, float] | None = None,
    record: Callable[[dict], None] = lambda row: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> PhaseResult:
    """Train a compiled network for one phase and leave it with the weights of its best epoch.

    Args:
        model: As `tlmed.phases.thaw` left it, or the `tlmed.phases.trainer` of that.
        phase: Epochs and patience.
        train: Batches of what the model takes and labels, without end; an epoch is the next `steps` of them.
        steps: Batches per epoch.
        validate: Gives class probabilities [n, classes] of the validation images by the weights of the moment.
        validation_labels: Their labels [n].
        monitor: The score that decides; of equal ones the earlier epoch stays.
        class_weight: Factor of each class in the loss.
        record: Called with every epoch's scores.
        callbacks: More Keras callbacks, such as a progress bar.

    Raises:
        RunFailed: If the loss or a score is no longer finite.
    """
    start = time.perf_counter()
    best = keras.callbacks.EarlyStopping(
        monitor=monitor,
        mode=MONITORS[monitor],
        patience=phase.patience or phase.epochs,
        restore_best_weights=True,
    )
    own = [Validation(validate, validation_labels), best, EpochLog(phase.name, record)]
    history = model.fit(
        train,
        steps_per_epoch=steps,
        epochs=phase.epochs,
        class_weight=class_weight,
        callbacks=[*own, *callbacks],
        shuffle=False,  # the batches come shuffled
        verbose=0,
    )
    return PhaseResult(
        phase.name, float(best.best), best.best_epoch + 1, len(history.epoch), time.perf_counter() - start
    )


def class_weights(labels: np.ndarray) -> dict[int, float]:
    """Return n / (classes * n_class) for every class, scikit-learn's "balanced".

    >>> class_weights(np.array([0, 0, 0, 1]))
    {0: 0.6666666666666666, 1: 2.0}
    """
    counts = np.bincount(labels)
    return {i: len(labels) / (len(counts) * int(count)) for i, count in enumerate(counts)}
