"""The preprocessing of a backbone, inferred from its own function and written as standard Keras layers."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

LAYER_NAME = "preprocessing"


@dataclass(frozen=True)
class Affine:
    """What happens to raw RGB in 0..255: `scale * x + offset` per channel, after a flip to BGR or not.

    Args:
        scale: One factor per channel, in the order in which the network sees the channels.
        offset: One summand per channel, in the same order.
        flip: Whether the network sees BGR.

    >>> Affine(scale=(1, 1, 1), offset=(0, 0, 0)).is_identity
    True
    """

    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    flip: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether the network takes raw pixels as they are."""
        return not self.flip and set(self.scale) == {1} and set(self.offset) == {0}


IDENTITY = Affine(scale=(1, 1, 1), offset=(0, 0, 0))


def standardise(mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> Affine:
    """Return the map that PyTorch's ImageNet models expect: `(x / 255 - mean) / deviation`.

    Args:
        mean: Mean per channel (RGB) of pixels in 0..1.
        deviation: Standard deviation per channel of pixels in 0..1.

    >>> standardise(mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5)).offset
    (-1.0, -1.0, -1.0)
    """
    return Affine(
        scale=tuple(1 / (255 * d) for d in deviation),
        offset=tuple(-m / d for m, d in zip(mean, deviation, strict=True)),
    )


def infer(preprocess_input: Callable, tolerance: float = 1e-9) -> Affine:
    """Find the affine map that an application's `preprocess_input` computes, by probing it.

    Black gives the offset; each primary colour gives one column of the channel matrix, which is diagonal
    (RGB) or anti-diagonal (BGR). A picture of mixed colours then checks that there is nothing else in it.

    Args:
        preprocess_input: A function of (images, data_format) like those in `keras.applications`.
        tolerance: By how much it may differ from such a map; more than rounding where it works in float32.

    Returns:
        The map, rounded to 12 decimals.

    Raises:
        ValueError: The function is not such a map, so it cannot be written as layers.

    >>> infer(keras.applications.vgg16.preprocess_input).flip
    True
    """

    def probe(pixels):
        # A copy, because the Keras functions write into the array they are given.
        images = np.array(pixels, dtype="float64").reshape(1, 1, -1, 3)
        return np.asarray(preprocess_input(images, data_format="channels_last")).reshape(-1, 3)

    offset = probe(np.zeros(3))[0]
    matrix = (probe(255 * np.eye(3)) - offset).T / 255  # matrix[out, in]
    # BGR: the first output channel depends on the third input channel.
    flip = abs(matrix[0, 0]) < abs(matrix[0, 2])
    scale = np.diag(matrix[:, ::-1] if flip else matrix)
    # Three different values in each pixel, so that swapped channels show.
    mixed = np.arange(0, 255, 5).reshape(-1, 3)[:, [0, 2, 1]]
    expected = (mixed[:, ::-1] if flip else mixed) * scale + offset
    if not np.allclose(probe(mixed), expected, rtol=0, atol=tolerance):
        raise ValueError(
            "`preprocess_input` must be an affine map per channel, with RGB flipped to BGR or not, "
            f"to become layers of the model. Received: preprocess_input={preprocess_input}"
        )
    return Affine(tuple(np.round(scale, 12).tolist()), tuple(np.round(offset, 12).tolist()), bool(flip))


def apply(affine: Affine, images: keras.KerasTensor) -> keras.KerasTensor:
    """Preprocess a symbolic batch of images with standard Keras operations, which plain Keras reloads safely.

    Args:
        affine: What to do; nothing is added for the identity.
        images: Raw RGB images in 0..255, shape (batch, height, width, 3).

    Returns:
        The tensor that the backbone takes.

    >>> images = keras.Input((8, 8, 3))
    >>> apply(Affine((1, 1, 1), (0, 0, 0)), images) is images
    True
    """
    if affine.is_identity:
        return images
    if affine.flip:
        images = keras.ops.flip(images, axis=-1)
    return keras.layers.Rescaling(list(affine.scale), list(affine.offset), name=LAYER_NAME)(images)
