"""The mean and variance of what a BatchNorm layer gets, at each of its uses, and of several batches together."""

import tlmed.tensorflow_start

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np


@contextlib.contextmanager
def listening(norms: Sequence[keras.layers.BatchNormalization]) -> Iterator[list[list[tuple]]]:
    """Note size, mean and variance of the batch at every use of some BatchNorm layers inside the block.

    Each use writes over the moving statistics of the one before, so that they are read at every call.

    Args:
        norms: The layers, called eagerly with `training=True` inside the block.

    Returns:
        A list for each layer, in their order, of its uses: images, mean [channels] and variance [channels].
    """
    heard, before = [[] for _ in norms], [(norm.trainable, norm.momentum) for norm in norms]

    def listen(norm, moments):
        call = norm.call

        def noting(inputs, training=None, mask=None):
            outputs = call(inputs, training=training, mask=mask)
            if training:
                moments.append((len(inputs), norm.moving_mean.numpy(), norm.moving_variance.numpy()))
            return outputs

        norm.call = noting

    try:
        for norm, moments in zip(norms, heard, strict=True):
            norm.trainable, norm.momentum = True, 0.0  # the moving statistics become the batch's own
            listen(norm, moments)
        yield heard
    finally:
        for norm, (trainable, momentum) in zip(norms, before, strict=True):
            norm.trainable, norm.momentum = trainable, momentum
            vars(norm).pop("call", None)


def pool(norm: keras.layers.BatchNormalization, counts: Sequence, means: Sequence, variances: Sequence) -> None:
    """Set a BatchNorm's statistics to those of several batches together, by the law of total variance.

    Args:
        norm: The layer.
        counts: Images of each batch.
        means: Mean of each, [channels].
        variances: Variance of each, [channels].
    """
    shares = np.array(counts) / sum(counts)
    mean = sum(share * row for share, row in zip(shares, means, strict=True))
    spread = sum(share * (row - mean) ** 2 for share, row in zip(shares, means, strict=True))
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(spread + sum(share * row for share, row in zip(shares, variances, strict=True)))
