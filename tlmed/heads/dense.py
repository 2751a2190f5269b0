"""The layers on top of a backbone: pooling, and a classifier of class probabilities."""

import tlmed.tensorflow_start

import re

import keras

from tlmed.errors import InputError
from tlmed.features import pool
from tlmed.phased_network import Classifier, Parts
from tlmed.replicas import without_xla
from tlmed.sections import Dense
from tlmed.sections.head import CORN
from tlmed.seeds import derive

HIDDEN, DROPOUT, CONDITIONS = "hidden", "dropout", "conditions"  # names of layers, the first with a number
PROBABILITIES = "probabilities"
_OF_HEADS = re.compile(rf"{HIDDEN}\d+|{DROPOUT}|{CONDITIONS}|{PROBABILITIES}")

LINEAR = Dense()


def attach_head(
    backbone: keras.Model,
    num_classes: int,
    head: Dense = LINEAR,
    augment: keras.layers.Layer | None = None,
    seed: int = 0,
    several: bool = False,
) -> Classifier:
    """Return a classifier on a backbone's features; the backbone's layers are shared, not copied.

    Args:
        backbone: A functional model from raw images to a feature map [batch, height, width, channels], to tokens or
            a vector, or to several of them.
        num_classes: How many probabilities it gives.
        head: Its layers.
        augment: A layer that is applied to training images only.
        seed: Decides the initial weights of the head, and later its dropout.
        several: Whether an image may have several labels: each then has a sigmoid, instead of one softmax for all.
    """

    def dense(width, activation, name):
        start = keras.initializers.GlorotUniform(seed=derive(seed, "head", name))
        return keras.layers.Dense(width, activation=activation, kernel_initializer=start, name=name)

    x = features = pool(backbone.outputs, head.pooling)
    for i, width in enumerate(head.units, 1):
        x = dense(width, "relu", f"{HIDDEN}{i}")(x)
    if head.dropout:
        # Any fixed seed: `thaw` sets the streams of dropout and augmentation anew in each phase.
        x = keras.layers.Dropout(head.dropout, seed=0, name=DROPOUT)(x)
    if head.ordinal == CORN:
        outputs = _chain(dense(num_classes - 1, None, CONDITIONS)(x))
    else:
        outputs = dense(num_classes, "sigmoid" if several else "softmax", PROBABILITIES)(x)
    if augment is not None:
        augment.build(backbone.input_shape)  # building draws random numbers: before `thaw` sets the seeds
    model = Classifier(backbone.inputs[0], outputs, name="classifier")
    model.parts, model.seed = Parts(backbone, augment, features), seed
    return model


def _chain(logits):
    """Return probabilities of k grades from the k - 1 logits of CORN: P(y > i | y >= i), whose products are P(y > i).

    Shi, Cao & Raschka, Deep Neural Networks for Rank-Consistent Ordinal Regression Based on Conditional Probabilities,
    2021. A grade has the probability of all steps up to it and of no further one. So minus its logarithm, the
    cross-entropy, is the sum of the binary losses that the paper trains with; the paper divides by the number of
    questions that the images of a batch are asked, and not by that of images.
    """
    # Sums of logarithms, because products of many small probabilities would be rounded to 0.
    passed = keras.ops.cumsum(keras.ops.log_sigmoid(logits), axis=-1)
    reached = keras.ops.pad(passed, ((0, 0), (1, 0)))  # the lowest grade is always reached,
    stopped = keras.ops.pad(keras.ops.log_sigmoid(-logits), ((0, 0), (0, 1)))  # and the highest is the end
    # They sum to 1 already: the softmax only takes the exponential, and its input is what losses and maps begin at.
    return keras.layers.Activation("softmax", name=PROBABILITIES)(reached + stopped)


def split_head(network: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cut a saved classifier into its features and the head that `attach_head` added; layers are shared.

    Args:
        network: The plain graph of a classifier, from raw images to class probabilities.

    Returns:
        A model from images [batch, height, width, 3] to features [batch, d], and one from those to probabilities.

    Raises:
        InputError: The network does not end as `attach_head` makes it.
    """
    features, layers = network.outputs[0], {layer.name for layer in network.layers}
    if _layer_of(features).name != PROBABILITIES:
        raise InputError(
            f"A classifier must end in the layer {PROBABILITIES!r}, as tlmed makes it. "
            f"Received: {_layer_of(features).name!r}."
        )
    if CONDITIONS in layers:
        features = network.get_layer(CONDITIONS).output
    while _OF_HEADS.fullmatch(_layer_of(features).name):
        features = _layer_of(features).input
    parts = keras.Model(network.inputs[0], features, name="features"), keras.Model(features, network.outputs[0])
    return without_xla(parts[0]), without_xla(parts[1])


def _layer_of(tensor) -> keras.layers.Layer:
    return tensor._keras_history.operation
