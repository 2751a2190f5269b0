"""The part of each batch that the replicas of one process get."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Share:
    """The replicas that one process feeds: each gets consecutive images of a batch; amounts differ by at most one.

    Attributes:
        replicas: How many replicas there are in all.
        first: The number of this process's first one.
        count: How many of them are this process's.
    """

    replicas: int = 1
    first: int = 0
    count: int = 1

    def split(self, rows: tf.data.Dataset) -> tf.data.Dataset:
        """Return, of each batch of row numbers, the part of each of this process's replicas, one after the other.

        >>> rows = tf.data.Dataset.from_tensor_slices([5, 6, 7, 8, 9]).batch(5)
        >>> [part.tolist() for part in Share(replicas=3, first=1, count=2).split(rows).as_numpy_iterator()]
        [[7, 8], [9]]
        """
        if self.replicas == 1:
            return rows
        own = tf.data.Dataset.range(self.first, self.first + self.count)

        def cut(batch: tf.Tensor) -> tf.data.Dataset:
            # The first `more` replicas get one image more than `small`.
            small, more = tf.size(batch) // self.replicas, tf.size(batch) % self.replicas

            def take(number: tf.Tensor) -> tf.Tensor:
                number = tf.cast(number, tf.int32)
                start = number * small + tf.minimum(number, more)
                return batch[start : start + small + tf.cast(number < more, tf.int32)]

            return own.map(take)

        return rows.flat_map(cut)


ALONE = Share()  # one process with one replica
