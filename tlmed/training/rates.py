"""The learning rate of a phase from epoch to epoch: what it was is written down, and on a plateau it falls."""

import math
from collections.abc import Sequence

import keras

from tlmed.schedules import FALL, compute_factors, count_plateau
from tlmed.sections import MONITORS, Phase
from tlmed.sections.training import PLATEAU

DIGITS = 6  # of a rate in `history.csv`


class Rates(keras.callbacks.Callback):
    """Add the learning rate to the logs of each epoch; with `schedule="plateau"` lower it when it is time.

    It falls to a tenth whenever the score has not improved for `count_plateau` epochs, as by
    `keras.callbacks.ReduceLROnPlateau`. All that this depends on is in the scores of the epochs so far, so that a phase
    that was stopped goes on with it.

    Args:
        phase: The phase.
        monitor: The score, in the logs of each epoch.
        steps: Steps in an epoch.

    Attributes:
        falls: How often the rate fell on a plateau.
    """

    def __init__(self, phase: Phase, monitor: str, steps: int):
        super().__init__()
        self.phase, self.monitor, self.sign = phase, monitor, 1 if MONITORS[monitor] == "max" else -1
        self.last = compute_factors(phase, phase.epochs * steps)[steps - 1 :: steps]  # of the last step of each epoch
        self.resume(())

    def resume(self, rows: Sequence[dict]) -> None:
        """Go on after some epochs; the rate itself is a variable of the optimizer."""
        self.best, self.wait, self.falls = -math.inf, 0, 0
        for row in rows:
            self._count(row)

    def on_epoch_end(self, epoch, logs=None):
        """Note the rate of the epoch's last step, and lower it for the next epoch if it is time."""
        logs["learning_rate"] = float(f"{self._rate * self.last[epoch]:.{DIGITS}g}")
        if self._count(logs):
            self.model.optimizer.learning_rate = self._rate

    @property
    def _rate(self) -> float:
        return self.phase.learning_rate * FALL**self.falls

    def _count(self, scores) -> bool:
        """Take an epoch's scores, and tell whether the rate falls after it."""
        if self.phase.schedule != PLATEAU:
            return False
        score = self.sign * scores[self.monitor]
        self.wait = 0 if score > self.best else self.wait + 1
        self.best = max(self.best, score)
        if self.wait < count_plateau(self.phase):
            return False
        self.wait, self.falls = 0, self.falls + 1
        return True
