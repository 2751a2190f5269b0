"""A functional image classifier whose first blocks can be frozen for a phase of training."""

import tlmed.tensorflow_start

import contextlib
import functools
from dataclasses import dataclass

import keras
import numpy as np

from tlmed.adapters import Attached
from tlmed.frozen import Frozen
from tlmed.losses import PLAIN, Loss, check_labels, choose_saved_loss, compile_with
from tlmed.mixing import mix_losses
from tlmed.replicas import without_xla
from tlmed.schedules import Steps, is_scheduled
from tlmed.sections import Phase


@dataclass(frozen=True)
class Parts:
    """The parts of a classifier besides its head.

    A dataclass, so that Keras does not count the parts as layers of the model: they share the model's own.

    Attributes:
        backbone: The functional model from raw images to a feature map, or to several.
        augment: A layer that changes training images.
        features: The tensor at which the head begins, such as pooled features [batch, d]; only layers after it are
            trained if all blocks are frozen. None: the outputs of the backbone.
    """

    backbone: keras.Model | None = None
    augment: keras.layers.Layer | None = None
    features: keras.KerasTensor | None = None

    @property
    def border(self):
        """The symbolic tensors between what can be frozen and what cannot."""
        return self.backbone.outputs if self.features is None else self.features


@dataclass(frozen=True)
class Route:
    """How images travel while training: augmented, through the frozen prefix, then through what is thawed.

    Attributes:
        frozen: What runs in inference mode.
        suffix: What is trained.
    """

    frozen: Frozen | None = None
    suffix: keras.Model | None = None


@dataclass(frozen=True)
class Start:
    """Weights that phases with `start="pretrained"` go back to, and those with `l2_sp` are pulled to.

    Attributes:
        backbone: As they were before the first phase.
        head: As they were after the last phase that thawed nothing; those of the beginning if there was none.
    """

    backbone: list[np.ndarray]
    head: list[np.ndarray]


class Classifier(keras.Model):
    """A functional image classifier whose first blocks can be frozen for a phase.

    It is made like any functional model, `Classifier(inputs, outputs)`; `parts.backbone` tells where the head begins.
    Its layers are those of the plain graph, and so is what it computes at inference; while training it follows the
    route that `thaw` has laid.

    Attributes:
        parts: The backbone, and augmentation.
        route: What `thaw` prepared.
        start: What `remember` noted.
        phase: The phase that it is compiled for.
        seed: Seeds dropout and augmentation, afresh for each phase.
        training_loss: What each phase is compiled with.
        adapters: What trains in its thawed blocks, in a phase with `adapt`, until `merge` makes it part of the weights.
    """

    parts = Parts()
    route = Route()
    start: Start | None = None
    phase: Phase | None = None
    seed = 0
    training_loss: Loss = PLAIN
    adapters: Attached | None = None

    def call(self, inputs, training=None, mask=None):
        """Return class probabilities [batch, classes] for images [batch, height, width, 3], RGB 0..255."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        images = keras.ops.cast(inputs, "float32")  # batches are bytes
        if self.parts.augment is not None:
            images = self.parts.augment(images, training=True)
        if self.route.frozen is not None:
            images = self.route.frozen(images)
        if self.route.suffix is None:
            return super().call(images, training=True, mask=mask)
        return self.route.suffix(images, training=True)

    @property
    def head(self) -> list[keras.layers.Layer]:
        """The layers after the backbone."""
        inside = {id(layer) for layer in self.parts.backbone.layers}
        return [layer for layer in self.layers if id(layer) not in inside]

    def remember(self) -> None:
        """Note the weights that phases with `start="pretrained"` or `l2_sp` refer to: before the first phase."""
        self.start = Start(self.parts.backbone.get_weights(), _weights_of(self.head))

    def remember_head(self) -> None:
        """Note the head's weights after a phase that thawed nothing."""
        self.start = Start(self.start.backbone, _weights_of(self.head))

    def plain(self) -> keras.Model:
        """Return the plain functional graph over the same layers: standard Keras, nothing of tlmed in it.

        It is always the same model and never compiled, so that its `predict` is traced once for all phases.
        """
        return self._plain

    @functools.cached_property
    def _plain(self) -> keras.Model:
        return without_xla(keras.Model(self.inputs[0], self.outputs[0], name=self.name))

    def save(self, filepath, overwrite=True, **options):
        """Save the plain graph, compiled, which Keras loads in safe mode without tlmed.

        The metrics and the learning rate are those of training. The loss is the cross-entropy, whatever training used,
        and the optimizer is plain gradient descent: others have a state of once or twice the size of the weights, which
        Keras wants to find in the file. Adapters are merged into the weights there.
        """
        saved = keras.Model(self.inputs[0], self.outputs[0], name=self.name)
        rate = 1e-3 if self.phase is None else self.phase.learning_rate
        # Never XLA, so that the file does not depend on the machine where it was saved.
        compile_with(choose_saved_loss(self.training_loss), saved, keras.optimizers.SGD(rate), jit_compile=False)
        with contextlib.nullcontext() if self.adapters is None else self.adapters.set_aside():
            saved.save(filepath, overwrite=overwrite, **options)

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, **options):
        """Train as `keras.Model.fit` does; a learning rate that changes by steps is told how many there are."""
        if self.phase is not None and is_scheduled(self.phase):
            callbacks = [Steps(), *keras.tree.flatten(callbacks or [])]
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, **options)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of `fit` and `evaluate`, whose labels are the numbers of the classes, or vectors of labels.

        Raises:
            InputError: Labels are one-hot rows where they must be numbers, or numbers where they must be rows.
        """
        check_labels(self.training_loss, y, self.output_shape[-1])

        def compute(labels, weights):
            return super(Classifier, self).compute_loss(x, labels, y_pred, weights, training)

        return mix_losses(self, compute, y, sample_weight) if training else compute(y, sample_weight)


def _weights_of(layers) -> list[np.ndarray]:
    return [value for layer in layers for value in layer.get_weights()]
