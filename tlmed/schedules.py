"""How the learning rate of a phase rises and falls, step by step, and on a plateau of the validation score."""

import tlmed.tensorflow_start

import math
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tlmed.errors import InputError
from tlmed.sections import Phase

FALL = 0.1  # what "step" and "plateau" multiply the rate with
# He et al. 2016, section 4.2: a tenth from step 32,000 of 64,000 on, a hundredth from 48,000 on.
_MILESTONES = (0.5, 0.75)


def is_scheduled(phase: Phase | Mapping) -> bool:
    """Tell whether the learning rate of a phase, or of its entry in `plan.json`, changes by itself."""
    if isinstance(phase, Mapping):
        # An older version that began the run knew neither.
        return phase.get("schedule", "constant") != "constant" or phase.get("warmup", 0) > 0
    return phase.schedule != "constant" or phase.warmup > 0


def count_warmup(phase: Phase, steps: int) -> int:
    """Return how many of a phase's steps its warm-up takes: its share of them, rounded up, but never all.

    A share of 1 does take all of them.

    >>> count_warmup(Phase("p", thaw=0, epochs=1, learning_rate=1.0, warmup=0.1), 25)
    3
    """
    # Rounded first, or 0.1 of 30 steps would be four: 0.1 * 30 is a little above 3.
    warm = math.ceil(round(phase.warmup * steps, 6))
    return warm if phase.warmup == 1 else min(warm, steps - 1)


def compute_factors(phase: Phase, steps: int) -> np.ndarray:
    """Return what the learning rate is multiplied with in each step of a phase, float64 [steps].

    The warm-up of w steps rises by equal amounts, from 1 / (w + 1) on, so that no step is lost at a rate of 0; the step
    after it has the full rate. On a plateau the rate falls besides.

    Args:
        phase: The phase.
        steps: How many steps it has in all, 1 or more.

    >>> compute_factors(Phase("p", thaw=0, epochs=1, learning_rate=1.0, schedule="linear", warmup=0.25), 8).round(2)
    array([0.33, 0.67, 1.  , 0.83, 0.67, 0.5 , 0.33, 0.17])
    """
    warm = count_warmup(phase, steps)
    rise, done = np.arange(1, warm + 1) / (warm + 1), np.arange(steps - warm) / max(steps - warm, 1)
    if phase.schedule == "cosine":  # Loshchilov & Hutter 2017, equation 5, without restarts
        fall = (1 + np.cos(np.pi * done)) / 2
    elif phase.schedule == "linear":
        fall = 1 - done
    elif phase.schedule == "step":
        fall = FALL ** np.searchsorted(_MILESTONES, done, side="right")
    else:
        fall = np.ones_like(done)
    return np.concatenate([rise, fall])


class Curve:
    """The factors of a phase for an optimizer, which looks them up by the number of its step.

    They are looked up and not computed in each step: a table has the same bits on every device, and a phase that goes
    on after a stop finds its place by the optimizer's own count of steps.

    Args:
        phase: The phase.

    Attributes:
        steps: Steps in an epoch; None until `set_steps`.
    """

    def __init__(self, phase: Phase):
        self.phase, self.steps, self._table = phase, None, None

    @property
    def total(self) -> int:
        """The steps of the phase."""
        return self.phase.epochs * self.steps

    def set_steps(self, steps: int) -> bool:
        """Say how many steps an epoch has, and return whether that changed something."""
        if steps == self.steps:
            return False
        self.steps = steps
        # Made outside of any graph: all graphs then share one table.
        with tf.init_scope():
            self._table = tf.constant(compute_factors(self.phase, self.total), tf.float32)
        return True

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the factor at a step, counted from 0.

        Raises:
            InputError: If nobody said how many steps an epoch has.
        """
        if self._table is None:
            raise InputError(
                "The number of steps in an epoch must be known where the learning rate changes by them; `fit` counts "
                "them, elsewhere `tlmed.schedules.set_steps(model.optimizer, steps)` tells it. "
                f"Received: none in phase {self.phase.name!r}."
            )
        return tf.gather(self._table, tf.minimum(tf.cast(step, tf.int64), self.total - 1))


def set_steps(optimizer: keras.optimizers.Optimizer, steps: int) -> bool:
    """Tell an optimizer that `thaw` made how many steps an epoch has; return whether that changed something.

    One whose rate does not change by steps needs to know nothing.

    Args:
        optimizer: The optimizer of a network.
        steps: Steps in an epoch, 1 or more.
    """
    curve = getattr(optimizer, "curve", None)
    return curve is not None and curve.set_steps(steps)


class Steps(keras.callbacks.Callback):
    """Tell the optimizer how many steps an epoch of `fit` has, and refuse more epochs than the schedule has."""

    def on_train_begin(self, logs=None):
        """Look at the steps of an epoch, before the first one.

        Raises:
            InputError: If `fit` does not know them, or has more epochs than the phase.
        """
        phase, steps = self.model.phase, self.params.get("steps")
        if not steps:
            raise InputError(
                "`steps_per_epoch` must be given where `fit` cannot count the batches, because the learning rate of "
                f"phase {phase.name!r} changes by them. Received: steps_per_epoch=None."
            )
        left = phase.epochs - int(self.model.optimizer.iterations) // steps
        if self.params["epochs"] > phase.epochs or left < 1:
            raise InputError(
                f"`epochs` must be {phase.epochs} at most, of all calls of `fit` together: the schedule of phase "
                f"{phase.name!r} ends there. Received: epochs={self.params['epochs']}"
                f"{'' if left > 0 else f' after {phase.epochs}'}."
            )
        if set_steps(self.model.optimizer, steps):
            self.model.make_train_function(force=True)  # one that was traced before has other factors in it


def count_plateau(phase: Phase) -> int:
    """Return after how many epochs without a better score the rate falls, with `schedule="plateau"`.

    That is half of `patience`, so that as many epochs are left for the lower rate to help; without patience, a tenth of
    the epochs.

    >>> [count_plateau(Phase("p", thaw=0, epochs=30, learning_rate=1.0, patience=n)) for n in (6, 3, None)]
    [3, 1, 3]
    """
    return max(1, phase.epochs // 10 if phase.patience is None else phase.patience // 2)
