"""Losses that a head is trained with, and compiling a network with one of them."""

import tlmed.tensorflow_start

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np

from tlmed.errors import InputError
from tlmed.label_texts import POSITIVE, UNKNOWN
from tlmed.sections import Dense
from tlmed.sections.head import SOFT_LABELS

# As Keras calls them; a file that plain Keras loads may hold no other.
PLAIN, SEVERAL = "sparse_categorical_crossentropy", "binary_crossentropy"
Loss = str | Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def choose_loss(head: Dense, several: bool = False) -> Loss:
    """Return the loss of a head as `keras.Model.compile` takes it: a name of Keras, or a function that gives [b].

    A head by CORN needs no loss of its own: its cross-entropy is the sum of the losses of its questions.

    Args:
        head: The head.
        several: Whether an image may have several labels.

    >>> choose_loss(Dense())
    'sparse_categorical_crossentropy'
    """
    if several:
        return MaskedLoss(head.gamma) if head.loss == "focal" else masked_entropy
    if head.ordinal == SOFT_LABELS:
        return soft_label_loss
    return make_focal_loss(head.gamma) if head.loss == "focal" else PLAIN


@dataclass(frozen=True)
class MaskedLoss:
    """The loss of several labels: its mean over a batch is that over all labels that are known.

    That of a label is `-(1 - p)^gamma log p`, `p` the probability of what is true: the focal loss of a sigmoid (Lin et
    al. 2017, equation 4). The paper's factor alpha (equation 5) is what `factors` of `add_up` are.

    Attributes:
        gamma: 0 or more; 0 is the cross-entropy.
        smoothing: The probability with which a label that is known is taken for one that is drawn, 0 or 1.

    >>> labels = keras.ops.convert_to_tensor([[1, -1], [0, 1]])
    >>> masked_entropy(labels, keras.ops.convert_to_tensor([[0.5, 0.9], [0.5, 0.5]])).numpy().round(3)
    array([0.462, 0.924], dtype=float32)
    """

    gamma: float = 0.0
    smoothing: float = 0.0
    __name__ = "masked_loss"  # Keras asks for that of a function

    def __call__(self, labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
        """Return one number for each image [b].

        Args:
            labels: Vectors of 1, 0 and -1 (not known) [b, k].
            probabilities: Of each label [b, k].
        """
        sums = add_up(self, labels, probabilities)
        total = keras.ops.maximum(keras.ops.sum(count_labels(self, labels)), 1.0)
        return sums * keras.ops.cast(keras.ops.shape(labels)[0], sums.dtype) / total


masked_entropy = MaskedLoss()


def add_up(
    loss: Loss, labels: keras.KerasTensor, probabilities: keras.KerasTensor, factors: list | None = None
) -> keras.KerasTensor:
    """Return the loss of each image [b]; of several labels, the sum over those that are known.

    Args:
        loss: What the network is compiled with.
        labels: Classes [b], or vectors of labels [b, k].
        probabilities: Of each class, or of each label [b, k].
        factors: By what the loss is multiplied: a number for each class, or a pair for each label, for 0 and for 1.
    """
    if not _is_masked(loss):
        losses = keras.losses.get(loss)(labels, probabilities)
        if factors is not None:
            losses *= keras.ops.take(keras.ops.convert_to_tensor(factors, losses.dtype), labels, axis=0)
        return losses
    has = keras.ops.equal(labels, POSITIVE)
    losses = _lose_label(loss.gamma, has, probabilities)
    if loss.smoothing:
        other = _lose_label(loss.gamma, keras.ops.logical_not(has), probabilities)
        losses += loss.smoothing / 2 * (other - losses)
    if factors is not None:
        pairs = keras.ops.convert_to_tensor(factors, losses.dtype)
        losses *= keras.ops.where(has, pairs[:, 1], pairs[:, 0])
    return keras.ops.sum(losses * keras.ops.cast(keras.ops.not_equal(labels, UNKNOWN), losses.dtype), axis=1)


def _lose_label(gamma, has, probabilities):
    # Keras takes the logits where it finds them: a probability that is rounded to 0 or 1 has no slope.
    losses = keras.ops.binary_crossentropy(keras.ops.cast(has, probabilities.dtype), probabilities)
    if gamma:
        # As in `make_focal_loss`.
        losses *= keras.ops.maximum(-keras.ops.expm1(-losses), keras.backend.epsilon()) ** gamma
    return losses


@dataclass(frozen=True)
class Smoothed:
    """A loss whose labels are smoothed: its mean over the true class and, seldom, one that is drawn from all.

    Of the cross-entropy this is the one of smoothed targets (Szegedy et al. 2016, section 7), because it is linear in
    them.

    Attributes:
        loss: The loss of a label that is certain.
        share: The probability with which the class is drawn.

    >>> probabilities = keras.ops.convert_to_tensor([[0.9, 0.1]])
    >>> Smoothed(PLAIN, 0.2)(keras.ops.convert_to_tensor([0]), probabilities).numpy().round(3)
    array([0.325], dtype=float32)
    """

    loss: Loss
    share: float
    __name__ = "smoothed_loss"

    def __call__(self, labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
        """Return one number for each image [b].

        Args:
            labels: Classes [b] or [b, 1].
            probabilities: Of each class [b, k].
        """
        own = keras.losses.get(self.loss)(labels, probabilities)
        return own + self.share * (self._average(labels, probabilities) - own)

    def _average(self, labels, probabilities):
        classes = probabilities.shape[-1]
        if self.loss == PLAIN:
            return keras.losses.categorical_crossentropy(keras.ops.ones_like(probabilities) / classes, probabilities)
        every = [self.loss(keras.ops.full_like(labels, number), probabilities) for number in range(classes)]
        return sum(every) / classes


def smooth(loss: Loss, share: float) -> Loss:
    """Return a loss with smoothed labels; with a share of 0 the loss itself.

    Args:
        loss: What a network is compiled with.
        share: The probability with which a label is taken for one that is drawn from all, from 0 to below 1.
    """
    if not share:
        return loss
    return replace(loss, smoothing=share) if _is_masked(loss) else Smoothed(loss, share)


def _is_masked(loss) -> bool:
    return isinstance(loss, MaskedLoss)


def count_labels(loss: Loss, labels: keras.KerasTensor) -> keras.KerasTensor:
    """Return how much each image counts in the mean of a loss: 1, or the number of its labels that are known [b]."""
    if _is_masked(loss):
        return keras.ops.sum(keras.ops.cast(keras.ops.not_equal(labels, UNKNOWN), "float32"), axis=1)
    return keras.ops.ones_like(labels, dtype="float32")


def count_right(loss: Loss, labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
    """Return whether each image is predicted right [b]; of several labels, how many of those that are known.

    Args:
        loss: As for `add_up`, as are `labels` and `probabilities`.
        labels: See there.
        probabilities: See there.
    """
    if not _is_masked(loss):
        return keras.metrics.sparse_categorical_accuracy(labels, probabilities)
    guessed = keras.ops.cast(probabilities >= 0.5, labels.dtype)
    return keras.ops.sum(keras.ops.cast(keras.ops.equal(labels, guessed), probabilities.dtype), axis=1)


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


def soften(classes: int) -> np.ndarray:
    """Return the target of each grade: probabilities that fall with the squared distance in grades, float32 [k, k].

    A softmax of minus the distance, by equation 1 of Diaz & Marathe, Soft Labels for Ordinal Regression, CVPR 2019.

    >>> soften(3).round(3).tolist()[0]
    [0.7210000157356262, 0.26499998569488525, 0.013000000268220901]
    """
    grades = np.arange(classes)
    weights = np.exp(-(np.subtract.outer(grades, grades) ** 2.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


def soft_label_loss(labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
    """Return the cross-entropy of the targets of `soften`, [b].

    Args:
        labels: Grades, int [b] or [b, 1].
        probabilities: Of each grade, [b, k].
    """
    targets = keras.ops.convert_to_tensor(soften(probabilities.shape[-1]))
    chosen = keras.ops.take(targets, keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32"), axis=0)
    return keras.losses.categorical_crossentropy(chosen, probabilities)


def compile_with(
    loss: Loss, model: keras.Model, optimizer: keras.optimizers.Optimizer, jit_compile: bool | str
) -> None:
    """Compile a network that gives class probabilities, or those of several labels; `fit` shows its accuracy, too."""
    several = _is_masked(loss) or loss == SEVERAL
    kind = keras.metrics.BinaryAccuracy if several else keras.metrics.SparseCategoricalAccuracy
    # An object, not only a name, so that the metric's variables exist before the first step.
    model.compile(optimizer=optimizer, jit_compile=jit_compile, loss=loss, metrics=[kind(name="accuracy")])


def choose_saved_loss(loss: Loss) -> str:
    """Return the loss that a saved network has, which plain Keras knows.

    >>> choose_saved_loss(masked_entropy), choose_saved_loss(make_focal_loss(2.0))
    ('binary_crossentropy', 'sparse_categorical_crossentropy')
    """
    return SEVERAL if _is_masked(loss) else PLAIN


def check_labels(loss: Loss, labels: keras.KerasTensor | None, outputs: int) -> None:
    """Refuse labels that a loss does not take, of which Keras would complain in terms of its own.

    Args:
        loss: What the network is compiled with.
        labels: As `fit` is given them.
        outputs: How many classes, or labels, the network has.

    Raises:
        InputError: They are one-hot rows where they must be numbers, or numbers where they must be rows.
    """
    if labels is None:
        return
    shape = tuple(labels.shape)
    if _is_masked(loss) and (len(shape) != 2 or shape[-1] != outputs):
        raise InputError(
            f"`y` must hold 0, 1 or -1 (not known) for each of {outputs} labels of each image. "
            f"Received: labels of shape {shape}."
        )
    if not _is_masked(loss) and len(shape) > 1 and shape[-1] != 1:
        raise InputError(
            f"`y` must hold the number of its class for each image, 0 to {outputs - 1}; of one-hot rows, "
            f"numpy.argmax(y, axis=-1) gives them. Received: labels of shape {shape}."
        )
