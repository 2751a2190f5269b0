"""Layers that change training images at random, as a recipe's `Augment` asks.

Each layer draws from a generator of its own, whose state `thaw` sets and checkpoints keep. A new kind of change comes
last: the seeds of the others, which go by place, then stay as they were.
"""

import tlmed.tensorflow_start

import math

import keras
import numpy as np

from tlmed.sections import Augment

# Optical densities of haematoxylin, eosin and DAB in red, green and blue (Ruifrok & Johnston, Analytical and
# Quantitative Cytology and Histology 2001, 23:291), as in scikit-image; each row is a stain.
_STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
_SHARES = np.linalg.inv(_STAINS).astype("float32")  # from optical densities to amounts of the stains
_DARKEST = 1e-6  # of light that passes: black has no optical density


def make_augmentation(augment: Augment) -> keras.layers.Layer | None:
    """Return a layer that changes images [batch, height, width, 3], 0..255, while training; None if all is off."""
    layers = []  # `thaw` replaces their seeds
    if augment.flip != "none":
        # Not "horizontal_and_vertical": it draws once for both axes, so it turns by 180 degrees and never mirrors.
        axes = ("horizontal", "vertical") if augment.flip == "both" else (augment.flip,)
        layers += [keras.layers.RandomFlip(axis, seed=number) for number, axis in enumerate(axes)]
    if augment.rotation:
        layers.append(keras.layers.RandomRotation(augment.rotation, seed=0))
    if augment.zoom:
        layers.append(keras.layers.RandomZoom(augment.zoom, seed=0))
    if augment.contrast:
        factor = (augment.contrast, augment.contrast)  # down and up: of one number, Keras makes (0, number)
        layers.append(keras.layers.RandomContrast(factor, value_range=(0, 255), seed=0))
    if augment.brightness:
        layers.append(keras.layers.RandomBrightness(augment.brightness, value_range=(0, 255), seed=0))
    layers += [RandomChange(kind, getattr(augment, kind), seed=0) for kind in CHANGES if getattr(augment, kind)]
    return keras.Sequential(layers, name="augmentation") if layers else None


class RandomChange(keras.layers.Layer):
    """Change each image by an amount of its own, in a way that Keras has no layer for.

    Args:
        kind: One of `CHANGES`.
        amount: How much at most, as the field of `Augment` that is called so.
        seed: Seeds the amounts and the noise.
    """

    def __init__(self, kind: str, amount: float, seed: int | None = None, **options):
        super().__init__(dtype="float32", **options)
        self.kind, self.amount = kind, amount
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """Return images [batch, height, width, 3], 0..255; they are changed only while training."""
        if not training:
            return images
        return keras.ops.clip(CHANGES[self.kind](images, self.amount, self.generator), 0, 255)

    def get_config(self) -> dict:
        """Return what the layer is made from, its seed left out as `thaw` sets it."""
        return {**super().get_config(), "kind": self.kind, "amount": self.amount}


def _draw(images, generator, low, high, channels=1):
    """Draw a number for each image, or one for each of several channels: [batch, 1, 1, channels]."""
    shape = (keras.ops.shape(images)[0], 1, 1, channels)
    return keras.random.uniform(shape, low, high, seed=generator)


def _draw_noise(images, generator):
    """Draw a field of standard noise [batch, height, width, 1]: one for all channels, so that grey stays grey."""
    return keras.random.normal((*keras.ops.shape(images)[:3], 1), seed=generator)


def _change_gamma(images, amount, generator):
    # As often an exponent below 1 as above it, and 1 in the middle.
    exponents = keras.ops.exp(_draw(images, generator, -1.0, 1.0) * math.log1p(amount))
    # Not `power`, which takes seven times as long.
    return 255 * keras.ops.exp(exponents * keras.ops.log(keras.ops.clip(images / 255, _DARKEST, 1)))


def _change_stain(images, amount, generator):
    # As Tellez et al. 2018: each stain is multiplied by a number near 1, and one near 0 is added.
    factors = _draw(images, generator, 1 - amount, 1 + amount, 2)
    return change_stains(images, factors, _draw(images, generator, -amount, amount, 2))


def change_stains(images, factors, added):
    """Change the amounts of haematoxylin and eosin in stained sections.

    What the two do not explain stays as it is.

    Args:
        images: [batch, height, width, 3], 0..255.
        factors: What each of the two is multiplied by, [batch, 1, 1, 2].
        added: The optical density (base 10) that is added to each, likewise.
    """
    light = keras.ops.clip(images / 255, _DARKEST, 1)
    densities = -keras.ops.log(light)
    more = 0.0
    for i, (density, share) in enumerate(zip(_STAINS[:2], _SHARES.T[:2], strict=True)):
        # Not `matmul`, which rounds to 10 bits on GPUs with TensorFloat-32.
        stain = keras.ops.sum(densities * share, axis=-1, keepdims=True)
        changes = stain * (factors[..., i : i + 1] - 1) + math.log(10) * added[..., i : i + 1]
        more = more + changes * keras.ops.convert_to_tensor(density, "float32")
    return 255 * light * keras.ops.exp(-more)


def _blur(images, amount, generator):
    return blur(images, _draw(images, generator, 0.0, amount), math.ceil(3 * amount))


def blur(images, sigmas, reach):
    """Blur images by a Gaussian; what lies outside mirrors what lies inside.

    Args:
        images: [batch, height, width, 3]; height and width larger than `reach`.
        sigmas: The standard deviation for each image, in pixels, [batch, 1, 1, 1].
        reach: How far the Gaussian goes, in pixels.
    """
    weights = [keras.ops.exp(-(step**2) / (2 * keras.ops.maximum(sigmas, 1e-3) ** 2)) for step in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    for axis in (1, 2):  # a Gaussian in two directions is one after the other
        size = images.shape[axis]
        edges = [(reach, reach) if place == axis else (0, 0) for place in range(4)]
        padded = keras.ops.pad(images, edges, mode="reflect")
        shifted = [keras.ops.take(padded, range(i, i + size), axis=axis) for i in range(2 * reach + 1)]
        images = sum(weights[abs(i - reach)] / total * part for i, part in enumerate(shifted))
    return images


def _add_speckle(images, amount, generator):
    """Add noise that grows with the root of the signal, as in displayed ultrasound (Loupas et al. 1989)."""
    strength = _draw(images, generator, 0.0, amount) * _draw_noise(images, generator)
    return images + strength * keras.ops.sqrt(255 * keras.ops.clip(images, 0, 255))


def _add_noise(images, amount, generator):
    return images + 255 * _draw(images, generator, 0.0, amount) * _draw_noise(images, generator)


CHANGES = {
    "gamma": _change_gamma,
    "stain": _change_stain,
    "blur": _blur,
    "speckle": _add_speckle,
    "noise": _add_noise,
}
