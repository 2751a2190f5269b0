"""Batches of row numbers to batches of arrays, in parallel and in order: what of reading images needs TensorFlow."""

import tlmed.tensorflow_start

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tlmed.data.file_samples import PARALLEL
from tlmed.data.replica_shares import Share

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


def take_batches(
    rows: Sequence[int] | tf.data.Dataset,
    batch_size: int | None,
    take: Callable[[np.ndarray], np.ndarray],
    size: tuple[int, int],
    labels: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Return batches of images in the order of their rows, once; the last one may be smaller.

    Args:
        rows: Row numbers; or batches of them, int64 [b] each.
        batch_size: Images per batch; None where `rows` are batches.
        take: Row numbers to uint8 [b, height, width, 3].
        size: Height and width.
        labels: int64, the label of every row, or None.

    Returns:
        uint8 [b, height, width, 3], with int64 [b] where there are labels.
    """
    if batch_size is not None:
        rows = tf.data.Dataset.from_tensor_slices(np.asarray(rows, np.int64)).batch(batch_size)
    return map_rows(rows, take, tf.TensorSpec([None, *size, 3], tf.uint8), labels)


def split_batches(rows: tf.data.Dataset, share: Share) -> tf.data.Dataset:
    """Return, of each batch of row numbers, the part of each of a process's replicas, one after the other.

    Args:
        rows: int64 [b] each.
        share: The replicas of the process.

    >>> rows = tf.data.Dataset.from_tensor_slices([5, 6, 7, 8, 9]).batch(5)
    >>> [part.tolist() for part in split_batches(rows, Share(replicas=3, first=1, count=2)).as_numpy_iterator()]
    [[7, 8], [9]]
    """
    if share.replicas == 1:
        return rows
    own = tf.data.Dataset.range(share.first, share.first + share.count)

    def cut(batch: tf.Tensor) -> tf.data.Dataset:
        # The first `more` replicas get one image more than `small`.
        small, more = tf.size(batch) // share.replicas, tf.size(batch) % share.replicas

        def take(number: tf.Tensor) -> tf.Tensor:
            number = tf.cast(number, tf.int32)
            start = number * small + tf.minimum(number, more)
            return batch[start : start + small + tf.cast(number < more, tf.int32)]

        return own.map(take)

    return rows.flat_map(cut)


def order_epochs(
    visit: Callable[[int], np.ndarray], images: int, batch_size: int, begin: tuple[int, int]
) -> tf.data.Dataset:
    """Return batches of row numbers, int64 [b] each, of one epoch after the other, without end.

    Args:
        visit: An epoch to the rows of all its images, in order.
        images: How many an epoch has.
        batch_size: Images per batch; the last one of each epoch may be smaller.
        begin: The epoch and the step to begin with.
    """

    @tf.autograph.experimental.do_not_convert  # as in `map_rows`
    def ordered(epoch: tf.Tensor) -> tf.data.Dataset:
        # The order is drawn by NumPy, so it is the same in every process and version of TensorFlow.
        rows = tf.numpy_function(lambda number: visit(int(number)), [epoch], tf.int64, stateful=False)
        batches = tf.data.Dataset.from_tensor_slices(tf.ensure_shape(rows, [images])).batch(batch_size)
        return batches.skip(tf.where(epoch == begin[0], tf.constant(begin[1], tf.int64), 0))

    return tf.data.Dataset.range(begin[0], np.iinfo(np.int64).max).flat_map(ordered)


def state_endless(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return endless data as such: after `flat_map` TensorFlow does not know it."""
    return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
