"""Keep the weights of a phase's best epoch, and end the phase when it has no better one for some epochs."""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tlmed.optimizers import read_averages


class BestEpoch(keras.callbacks.Callback):
    """Keep the weights of the epoch with the best score; of equal scores, of the one with the lowest `val_loss`.

    Keras's `EarlyStopping` keeps the first of equal epochs. With few validation images AUC and accuracy take few
    values: an AUC of 1 in the second epoch would keep a training that the loss shows to have only begun. Patience
    counts epochs in which the score itself was not better, so a loss that still falls does not prolong a phase.

    Args:
        monitor: The score, in the logs of each epoch.
        mode: "max" or "min": which is better.
        patience: How many epochs without a better score end the phase.
        places: Of how many of the best epochs the weights are kept.
        averaged: Whether the optimizer's moving average of the weights is kept beside those of the best epoch.

    Attributes:
        best: The best score so far; None before the first epoch ends.
        loss: The `val_loss` of the epoch that is kept.
        best_epoch: That epoch, from 0.
        wait: Epochs since the score was last improved.
        best_weights: The weights of that epoch, in the order of `get_weights`.
        average: The moving average of the weights at its end, if there is one.
        runners: The epochs after it in rank, by number, with their weights.
    """

    def __init__(self, monitor: str, mode: str, patience: int, places: int = 1, averaged: bool = False):
        super().__init__()
        self.monitor, self.sign, self.patience = monitor, 1 if mode == "max" else -1, patience
        self.places, self.averaged = places, averaged
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.loss, self.best_epoch, self.wait = math.inf, 0, 0
        self.best_weights: list[np.ndarray] | None = None
        self.average: list[np.ndarray] | None = None
        self.runners: dict[int, list[np.ndarray]] = {}
        self._ranks: dict[int, tuple] = {}

    def on_train_begin(self, logs=None):
        """Forget an earlier phase."""
        self._forget()

    def on_epoch_end(self, epoch, logs=None):
        """Keep the epoch's weights if it is the best so far, or end the phase."""
        score, loss = logs[self.monitor], logs["val_loss"]
        self._keep_runners(epoch, logs)
        rose = self.best is None or self.sign * score > self.sign * self.best
        if rose or (score == self.best and loss < self.loss):
            self.best, self.loss, self.best_epoch = score, loss, epoch
            self.best_weights = self.model.get_weights()
            self.average = read_averages(self.model) if self.averaged else None
        self.wait = 0 if rose else self.wait + 1
        if self.wait >= self.patience:
            self.model.stop_training = True

    def _keep_runners(self, epoch, logs):
        """Keep the weights of a new epoch, or of the best one so far that it overtakes, if they are among the first."""
        self._ranks[epoch] = self.rank(epoch, logs)
        first = sorted(self._ranks, key=self._ranks.get)[: self.places]
        if epoch in first[1:]:
            self.runners[epoch] = self.model.get_weights()
        elif first == [epoch] or self.best_weights is None:
            return
        elif epoch == first[0]:
            self.runners[self.best_epoch] = self.best_weights
        self.runners = {number: self.runners[number] for number in first[1:]}

    def rank(self, epoch: int, scores: Mapping[str, float]) -> tuple:
        """Return what epochs are sorted by, the best one first; of equal ones the earlier."""
        return (-self.sign * scores[self.monitor], scores["val_loss"], epoch)

    def resume(self, rows: Sequence[Mapping[str, float]], runners: Mapping[int, list[np.ndarray]]) -> None:
        """Go on after some epochs, with the weights of those after the best one in rank."""
        self._ranks = {epoch: self.rank(epoch, row) for epoch, row in enumerate(rows)}
        self.runners = dict(runners)

    def on_train_end(self, logs=None):
        """Go back to the weights of the best epoch."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
