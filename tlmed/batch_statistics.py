"""Estimate the statistics of BatchNorm layers again on images: for each batch, then pooled over all batches."""

import tlmed.tensorflow_start

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np

from tlmed.data.ranges import check_ranges
from tlmed.frozen import batch_norms, whole

# At most so many images, on which BatchNorm statistics are estimated again: even where each counts as one value, the
# variance of a channel is then known within sqrt(2 / 512) = 6 %. Twice as many take twice as long, for 4 %.
STATISTICS_IMAGES = 512


def reestimate_statistics(
    backbone: keras.Model,
    batches: Iterable[np.ndarray],
    norms: Sequence[keras.layers.BatchNormalization] | None = None,
) -> int:
    """Set the BatchNorm statistics of a network to those of some images.

    Random weights with the statistics that Keras starts from (mean 0, variance 1) are dead: activations shrink
    layer by layer until all images look alike. The images pass through the network once, each of these BatchNorms
    working on the statistics of its batch and all other layers in inference mode, because dropout and stochastic depth
    would add noise; mean and variance are then pooled over the batches by the law of total variance.
    A layer that is used more than once has one mean and one variance for all its uses: each use counts as a batch.

    Args:
        backbone: A functional network on raw images; its statistics are changed in place.
        batches: Images [batch, height, width, 3], RGB 0..255.
        norms: The layers to change; by default every BatchNorm.

    Returns:
        How many images were used; 0, with nothing read, if there is no BatchNorm.

    Raises:
        InputError: If images have other numbers.
    """
    norms = batch_norms([whole(backbone)]) if norms is None else list(norms)
    if not norms:
        return 0
    count = 0
    with _listening(norms) as heard:
        for images in batches:
            check_ranges(np.asarray(images), "`batches` must be images, RGB in 0..255")
            backbone(keras.ops.cast(images, "float32"), training=False)  # tracing does not pay for a dozen batches
            count += len(images)
    for norm, moments in zip(norms, heard, strict=True):
        if moments:
            _pool(norm, *zip(*moments, strict=True))
    return count


@contextlib.contextmanager
def _listening(norms: Sequence[keras.layers.BatchNormalization]) -> Iterator[list[list[tuple]]]:
    """Run some BatchNorm layers in training mode inside the block, and note size, mean and variance at every use.

    Only these layers are told to train, wherever they are: `training=True` for the whole network would reach every
    layer beside them, in nested models and in the user's own layers too. Each use overwrites the moving statistics of
    the one before, so they are read at every call.

    Args:
        norms: The layers, called eagerly inside the block.

    Returns:
        A list for each layer, in their order, of its uses: images, mean [channels] and variance [channels].
    """
    heard, before = [[] for _ in norms], [(norm.trainable, norm.momentum) for norm in norms]

    def listen(norm, moments):
        call = norm.call

        def noting(inputs, training=None, mask=None):
            outputs = call(inputs, training=True, mask=mask)
            moments.append((len(inputs), norm.moving_mean.numpy(), norm.moving_variance.numpy()))
            return outputs

        norm.call = noting

    try:
        for norm, moments in zip(norms, heard, strict=True):
            # Keras runs a BatchNorm that is not trainable in inference mode, whatever `training` says.
            norm.trainable, norm.momentum = True, 0.0  # the moving statistics become the batch's own
            listen(norm, moments)
        yield heard
    finally:
        for norm, (trainable, momentum) in zip(norms, before, strict=True):
            norm.trainable, norm.momentum = trainable, momentum
            vars(norm).pop("call", None)  # the class's own `call` is seen again


def _pool(norm: keras.layers.BatchNormalization, counts: Sequence, means: Sequence, variances: Sequence) -> None:
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
