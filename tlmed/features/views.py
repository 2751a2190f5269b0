"""Augmented versions of training images, each made once, so that the features of frozen blocks can be kept."""

import functools
import hashlib
import json

import keras
import numpy as np
import tensorflow as tf

from tlmed.data.reading import Pixels
from tlmed.frozen import leaves
from tlmed.phases import seed_generators
from tlmed.seeds import derive

FORMAT = 1  # rises with every change of how a version is made


class Views:
    """Give images by row, and after them `count` augmented versions of each training image.

    Row `len(pixels.digests) + view * len(train) + i` is version `view` of image `train[i]`. It depends only on the
    image, the version's number, the layer's settings and the seed.

    Args:
        pixels: The images, with digests.
        train: Row numbers of the training images.
        augment: Changes images at random.
        count: Versions of each image.
        seed: The run's seed.
    """

    def __init__(self, pixels: Pixels, train: np.ndarray, augment: keras.layers.Layer, count: int, seed: int):
        self.pixels, self.train, self.augment, self.count, self.seed = pixels, train, augment, count, seed

    @functools.cached_property
    def digests(self) -> tuple[bytes, ...]:
        """The digest of each row: for images the SHA-256 of the pixels, for versions that of all that decides them."""
        layers = [layer for layer in leaves([self.augment]) if not isinstance(layer, keras.layers.InputLayer)]
        settings = [[type(layer).__name__, {**layer.get_config(), "name": None}] for layer in layers]
        made = hashlib.sha256(json.dumps([FORMAT, settings, self.seed], sort_keys=True).encode()).digest()
        versions = [
            hashlib.sha256(made + self.pixels.digests[row] + view.to_bytes(4, "big")).digest()
            for view in range(self.count)
            for row in self.train
        ]
        return (*self.pixels.digests, *versions)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return uint8 [len(rows), height, width, 3] in the order of `rows`; versions are rounded like images."""
        first = len(self.pixels.digests)
        places = (rows - first) % len(self.train)
        images = self.pixels.take(np.where(rows < first, rows, self.train[places]))
        for i in np.flatnonzero(rows >= first):
            images[i] = self._change(images[i], self.digests[rows[i]])
        return images

    def _change(self, image: np.ndarray, name: bytes) -> np.ndarray:
        for i, generator in seed_generators([self.augment]):
            # The seed of a version is its digest, so that it is the same in whatever order versions are made.
            generator.state.assign([derive(self.seed, "view", i, name.hex()), 0])
        return np.rint(self._run(image[None].astype("float32")).numpy()[0]).clip(0, 255).astype("uint8")

    @functools.cached_property
    def _run(self):
        return tf.function(lambda image: self.augment(image, training=True), reduce_retracing=True)
