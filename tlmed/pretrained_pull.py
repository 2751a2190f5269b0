"""L2-SP: a penalty on the distance from the pretrained weights (Li, Grandvalet & Davoine, ICML 2018)."""

import tlmed.tensorflow_start

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf


class Pull(keras.regularizers.Regularizer):
    """Half of a strength times the squared distance of a variable from where it began.

    It hangs on a variable, and not on its layer, so that a saved network knows nothing of it.

    Args:
        strength: Above 0.
        start: The pretrained weights.
        before: The variable's own penalty, which stays.
    """

    def __init__(self, strength: float, start: np.ndarray, before: Callable | None):
        self.strength, self.before = strength, before
        # Made outside of any graph: a graph then refers to it, and does not hold a copy.
        with tf.init_scope():
            self.start = tf.constant(start)

    def __call__(self, variable):
        """Return the penalty."""
        pull = self.strength / 2 * keras.ops.sum(keras.ops.square(variable - self.start))
        return pull if self.before is None else pull + self.before(variable)


def pull_to(variables: Mapping[int, keras.Variable], start: Mapping[int, np.ndarray], strength: float) -> None:
    """Let a network's penalties pull some variables towards their start, and all others to nothing any more.

    Args:
        variables: Those of the network, by `id`.
        start: Those that are pulled: `id` to the pretrained weights.
        strength: As of `Pull`; 0: none is pulled.
    """
    for key, variable in variables.items():
        own = variable.regularizer
        before = own.before if isinstance(own, Pull) else own
        pulled = strength and key in start
        variable.regularizer = Pull(strength, start[key], before) if pulled else before
