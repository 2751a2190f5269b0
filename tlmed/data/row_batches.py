"""Batches of row numbers to batches of arrays, in parallel and in order."""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

PARALLEL = min(os.cpu_count() or 1, 16)
AHEAD = 2  # batches that wait for their turn


def map_rows(
    rows: tf.data.Dataset,
    take: Callable[[np.ndarray], np.ndarray],
    spec: tf.TensorSpec,
    labels: np.ndarray | None = None,
    finish: Callable[[tf.Tensor], object] = lambda taken: taken,
) -> tf.data.Dataset:
    """Map batches of row numbers to what a function gives for them, in parallel and in order.

    Args:
        rows: int64 [b] each.
        take: Row numbers to an array [b, ...].
        spec: Shape and type of that array.
        labels: int64, the label of every row, or None.
        finish: What is made of the array, in TensorFlow.

    Returns:
        What `finish` gives, with int64 [b] where there are labels.
    """

    @tf.autograph.experimental.do_not_convert  # it holds no Python that would need it, and reading it takes a while
    def look_up(batch: tf.Tensor):
        # Without `stateful=False` op determinism would let only one call run at a time.
        taken = tf.numpy_function(take, [batch], spec.dtype, stateful=False)
        made = finish(tf.ensure_shape(taken, spec.shape))
        return made if labels is None else (made, tf.gather(labels, batch))

    # Without this, TensorFlow tunes these numbers, too late for a small data set, in a thread that sleeps longer and
    # longer, up to a minute. TensorFlow 2.21 does not wake that thread at the end of the data, but waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return rows.map(look_up, PARALLEL, deterministic=True).prefetch(AHEAD).with_options(options)
