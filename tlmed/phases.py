"""Thaw a network block by block, with frozen blocks in inference mode whatever Keras is told.

`keras.Model.fit` calls a network with `training=True`, and a functional model hands that to every layer: dropout in
frozen blocks stays active and BatchNorm statistics move, even where `training=False` was recorded. `Frozen` breaks
that chain. It exists only while training: a saved model is the plain graph over the same layers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tlmed.blocks import Block, partition
from tlmed.errors import InputError
from tlmed.recipe import Phase, find_faults
from tlmed.seeds import derive


class Frozen(keras.layers.Layer):
    """Run a network in inference mode always.

    `call` takes no `training` argument, so that Keras has nothing to override.

    Args:
        net: A layer or a model; its weights are shared, not copied.
    """

    def __init__(self, net, **options):
        super().__init__(**options)
        self.net = net

    def call(self, inputs, mask=None):
        """Return `net(inputs)` with BatchNorm on its moving statistics and dropout off."""
        return self.net(inputs, training=False)


@dataclass(frozen=True)
class Route:
    """How images travel while training: augmented, through the frozen prefix, then through what is thawed.

    A dataclass, so that Keras does not count its parts as layers of the model: they share the model's own.
    """

    augment: keras.layers.Layer | None = None
    frozen: Frozen | None = None
    suffix: keras.Model | None = None


class Classifier(keras.Model):
    """A functional image classifier whose first blocks can be frozen for a phase.

    It is made like any functional model, `Classifier(inputs, outputs)`. Its layers are those of the plain graph, and
    so is what it computes at inference; while training it follows the route that `thaw` has laid.

    Attributes:
        route: What `thaw` prepared.
        seed: Seeds dropout and augmentation, afresh for each phase.
    """

    route = Route()
    seed = 0

    def call(self, inputs, training=None, mask=None):
        """Return class probabilities [batch, classes] for images [batch, height, width, 3], RGB 0..255."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        images = keras.ops.cast(inputs, "float32")
        if self.route.augment is not None:
            images = self.route.augment(images, training=True)
        if self.route.frozen is not None:
            images = self.route.frozen(images)
        if self.route.suffix is None:
            return super().call(images, training=True, mask=mask)
        return self.route.suffix(images, training=True)

    def plain(self) -> keras.Model:
        """Return the plain functional graph over the same layers: standard Keras, nothing of tlmed in it."""
        return keras.Model(self.inputs[0], self.outputs[0], name=self.name)

    def save(self, filepath, overwrite=True, **options):
        """Save the plain graph, which Keras loads in safe mode without tlmed."""
        self.plain().save(filepath, overwrite=overwrite, **options)


def thaw(model: Classifier, phase: Phase) -> Classifier:
    """Prepare a network for a phase and compile it, with a fresh optimizer.

    The last `phase.thaw` blocks and the head become trainable, with BatchNorm as `phase.batch_norm` says; the blocks
    before them run in inference mode. Dropout and augmentation start again from seeds of the phase's own.

    Args:
        model: A network from `Recipe.build`.
        phase: What to thaw, and how to train it.

    Returns:
        The same `model`, changed in place and compiled.

    Raises:
        InputError: If the phase has faults or thaws more blocks than the network has.
    """
    if not isinstance(model, Classifier):
        raise TypeError(f"`model` must be a tlmed.phases.Classifier. Received: model of type {type(model).__name__}.")
    if faults := find_faults(phase):
        raise InputError(faults)
    blocks = partition(model)
    frozen, thawed = split_blocks(blocks, phase)
    _set_trainable(model, frozen, thawed, phase.batch_norm)
    _reseed(model, phase.name)
    prefix = keras.Model(model.inputs[0], frozen[-1].output) if frozen else None
    suffix = keras.Model(frozen[-1].output if frozen else model.inputs[0], model.outputs[0])
    if thawed and phase.batch_norm == "affine":
        suffix = _freeze_statistics(suffix)
    model.route = Route(model.route.augment, Frozen(prefix) if frozen else None, suffix)
    model.compile(
        optimizer=keras.optimizers.deserialize(
            {"class_name": phase.optimizer, "config": {"learning_rate": phase.learning_rate}}
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def split_blocks(blocks: tuple[Block, ...], phase: Phase) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """Return the blocks that a phase keeps frozen and those that it thaws.

    Raises:
        InputError: If the phase thaws more blocks than there are.
    """
    count = len(blocks) if phase.thaw == "all" else phase.thaw
    if count > len(blocks):
        raise InputError(
            f"`thaw` must be from 0 to {len(blocks)} (the backbone's blocks) or 'all'. "
            f"Received: thaw={phase.thaw} in phase {phase.name!r}."
        )
    return blocks[: len(blocks) - count], blocks[len(blocks) - count :]


def leaves(layers: Iterable[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Return the layers that hold no others, however deep they are nested."""
    flat = [part for layer in layers for part in layer._flatten_layers()]
    return [part for part in flat if not list(part._flatten_layers(include_self=False))]


def _set_trainable(model, frozen, thawed, batch_norm):
    # On leaves only: a parent's flag would hide a thawed child, and setting it sets every child's.
    still = {id(layer) for block in frozen for layer in leaves(block.layers)}
    if batch_norm == "frozen":
        norms = (layer for block in thawed for layer in leaves(block.layers) if _is_batch_norm(layer))
        still |= {id(layer) for layer in norms}
    for layer in leaves(model.layers):
        layer.trainable = id(layer) not in still


def _is_batch_norm(layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _freeze_statistics(suffix) -> keras.Model:
    """Return the same layers with BatchNorm in inference mode, so that gamma and beta train and statistics stay."""
    return keras.models.clone_model(
        suffix, clone_function=lambda layer: Frozen(layer) if _is_batch_norm(layer) else layer
    )


def _reseed(model, phase_name):
    augment = [model.route.augment] if model.route.augment is not None else []
    for i, layer in enumerate(leaves([*model.layers, *augment])):
        # Dropout calls it `seed_generator`, the augmentation layers `generator`.
        generator = getattr(layer, "seed_generator", None) or getattr(layer, "generator", None)
        if isinstance(generator, keras.random.SeedGenerator):
            generator.state.assign([derive(model.seed, "layer", phase_name, i), 0])


def reestimate_statistics(model: keras.Model, batches: Iterable[np.ndarray]) -> int:
    """Set the BatchNorm statistics of a network to those of some images.

    Random weights with the statistics that Keras starts from (mean 0, variance 1) are dead: activations shrink
    layer by layer until all images look alike. The images pass through the network once, each BatchNorm working
    on the statistics of its batch; mean and variance are then pooled over the batches by the law of total variance.

    Args:
        model: A functional network on raw images; its statistics are changed in place.
        batches: Images [batch, height, width, 3], RGB 0..255.

    Returns:
        How many images were used; 0, and nothing read, for a network without BatchNorm.
    """
    norms = [layer for layer in leaves(model.layers) if _is_batch_norm(layer)]
    if not norms:
        return 0
    before = [(norm.trainable, norm.momentum) for norm in norms]
    # Dropout and stochastic depth would add noise that inference does not have.
    steady = keras.models.clone_model(
        keras.Model(model.inputs[0], partition(model)[-1].output),
        clone_function=lambda layer: layer if _holds_batch_norm(layer) else Frozen(layer),
    )
    for norm in norms:
        norm.trainable, norm.momentum = True, 0.0  # the moving statistics become the batch's own
    step = tf.function(lambda images: steady(images, training=True))
    counts, means, variances = [], [], []
    for images in batches:
        step(tf.cast(images, "float32"))
        counts.append(len(images))
        means.append([norm.moving_mean.numpy() for norm in norms])
        variances.append([norm.moving_variance.numpy() for norm in norms])
    shares = np.array(counts) / sum(counts)
    for i, (norm, (trainable, momentum)) in enumerate(zip(norms, before, strict=True)):
        mean = sum(share * row[i] for share, row in zip(shares, means, strict=True))
        spread = sum(share * (row[i] - mean) ** 2 for share, row in zip(shares, means, strict=True))
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(spread + sum(share * row[i] for share, row in zip(shares, variances, strict=True)))
        norm.trainable, norm.momentum = trainable, momentum
    return sum(counts)


def _holds_batch_norm(layer) -> bool:
    return any(_is_batch_norm(leaf) for leaf in leaves([layer]))
