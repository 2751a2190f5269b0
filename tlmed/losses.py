"""Losses that a head is trained with, and compiling a network with one of them."""

import tlmed.tensorflow_start

from collections.abc import Callable

import keras

from tlmed.sections import Dense

PLAIN = "sparse_categorical_crossentropy"  # as Keras calls it; a file that plain Keras loads may hold no other
Loss = str | Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def choose_loss(head: Dense) -> Loss:
    """Return the loss of a head as `keras.Model.compile` takes it: a name of Keras, or a function that gives [b].

    >>> choose_loss(Dense())
    'sparse_categorical_crossentropy'
    """
    return make_focal_loss(head.gamma) if head.loss == "focal" else PLAIN


def make_focal_loss(gamma: float) -> Callable:
    """Return the focal loss (Lin et al. 2017, equation 4): `-(1 - p)^gamma log p`, `p` the true class's probability.

    The paper's factor alpha for each class (equation 5) is what `class_weight` is in Keras.

    Args:
        gamma: 0 or more; 0 is the cross-entropy.

    >>> probabilities = keras.ops.convert_to_tensor([[0.9, 0.1], [0.2, 0.8]])
    >>> make_focal_loss(2.0)(keras.ops.convert_to_tensor([0, 0]), probabilities).numpy().round(4)
    array([0.0011, 1.03  ], dtype=float32)
    """

    def focal_loss(labels, probabilities):
        entropy = keras.losses.sparse_categorical_crossentropy(labels, probabilities)
        # 1 - p without the rounding of 1 - exp(-entropy); where it is 0, a power below 1 has no finite slope.
        missing = keras.ops.maximum(-keras.ops.expm1(-entropy), keras.backend.epsilon())
        return missing**gamma * entropy

    return focal_loss


def compile_with(
    loss: Loss, model: keras.Model, optimizer: keras.optimizers.Optimizer, jit_compile: bool | str
) -> None:
    """Compile a network that gives class probabilities; its accuracy is a metric of `fit`."""
    model.compile(
        optimizer=optimizer,
        jit_compile=jit_compile,
        loss=loss,
        # An object, not only a name, so that the metric's variables exist before the first step.
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
