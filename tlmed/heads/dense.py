"""The layers on top of a backbone: pooling, and a classifier of class probabilities."""

import re

import keras

from tlmed.errors import InputError
from tlmed.features import pool
from tlmed.phases import Classifier, Parts
from tlmed.replicas import without_xla
from tlmed.seeds import derive

HIDDEN, DROPOUT, PROBABILITIES = "hidden", "dropout", "probabilities"  # names of layers, the first with a number
_OF_HEADS = re.compile(rf"{HIDDEN}\d+|{DROPOUT}|{PROBABILITIES}")


def attach_head(
    backbone: keras.Model,
    num_classes: int,
    dropout: float = 0.0,
    pooling: str = "avg",
    units: tuple[int, ...] = (),
    augment: keras.layers.Layer | None = None,
    seed: int = 0,
) -> Classifier:
    """Return a classifier on a backbone's features; the backbone's layers are shared, not copied.

    Args:
        backbone: A functional model from raw images to a feature map [batch, height, width, channels], to tokens or
            a vector, or to several of them.
        num_classes: How many probabilities the softmax gives.
        dropout: Fraction of inputs dropped before the last layer while training.
        pooling: `"avg"` or `"max"`, over height and width.
        units: Widths of hidden ReLU layers.
        augment: A layer that is applied to training images only.
        seed: Decides the initial weights of the head, and later its dropout.
    """
    return _attach(backbone, (num_classes, "softmax"), (dropout, pooling, units), augment, seed)


def attach_label_head(
    backbone: keras.Model,
    num_labels: int,
    dropout: float = 0.0,
    pooling: str = "avg",
    units: tuple[int, ...] = (),
    augment: keras.layers.Layer | None = None,
    seed: int = 0,
) -> Classifier:
    """Return a classifier of several labels: a sigmoid for each; the other arguments are those of `attach_head`."""
    return _attach(backbone, (num_labels, "sigmoid"), (dropout, pooling, units), augment, seed)


def _attach(backbone, last, body, augment, seed) -> Classifier:
    """Put hidden layers and a last one, of some width and activation, on the features."""
    dropout, pooling, units = body

    def dense(width, activation, name):
        start = keras.initializers.GlorotUniform(seed=derive(seed, "head", name))
        return keras.layers.Dense(width, activation=activation, kernel_initializer=start, name=name)

    x = features = pool(backbone.outputs, pooling)
    for i, width in enumerate(units, 1):
        x = dense(width, "relu", f"{HIDDEN}{i}")(x)
    if dropout:
        # Any fixed seed: `thaw` sets the streams of dropout and augmentation anew in each phase.
        x = keras.layers.Dropout(dropout, seed=0, name=DROPOUT)(x)
    outputs = dense(*last, PROBABILITIES)(x)
    if augment is not None:
        augment.build(backbone.input_shape)  # building draws random numbers: before `thaw` sets the seeds
    model = Classifier(backbone.inputs[0], outputs, name="classifier")
    model.parts, model.seed = Parts(backbone, augment, features), seed
    return model


def split_head(network: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cut a saved classifier into its features and the head that `attach_head` added; layers are shared.

    Args:
        network: The plain graph of a classifier, from raw images to class probabilities.

    Returns:
        A model from images [batch, height, width, 3] to features [batch, d], and one from those to probabilities.

    Raises:
        InputError: The network does not end as `attach_head` makes it.
    """
    features = network.outputs[0]
    if _layer_of(features).name != PROBABILITIES:
        raise InputError(
            f"A classifier must end in the layer {PROBABILITIES!r}, as tlmed makes it. "
            f"Received: {_layer_of(features).name!r}."
        )
    while _OF_HEADS.fullmatch(_layer_of(features).name):
        features = _layer_of(features).input
    parts = keras.Model(network.inputs[0], features, name="features"), keras.Model(features, network.outputs[0])
    return without_xla(parts[0]), without_xla(parts[1])


def _layer_of(tensor) -> keras.layers.Layer:
    return tensor._keras_history.operation
