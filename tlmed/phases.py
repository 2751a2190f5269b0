"""Thaw a network block by block, with frozen blocks in inference mode whatever Keras is told.

`keras.Model.fit` calls a network with `training=True`, and a functional model hands that to every layer: dropout in
frozen blocks stays active and BatchNorm statistics move, even where `training=False` was recorded. `Frozen` breaks
that chain. It exists only while training: a saved model is the plain graph over the same layers.
"""

import tlmed.tensorflow_start

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np

from tlmed.adapters import attach, find_adapters
from tlmed.batch_statistics import reestimate_statistics
from tlmed.blocks import Block, find_reused, partition
from tlmed.errors import InputError
from tlmed.frozen import FIXED_STATISTICS, Frozen, batch_norms, check_norms, freeze_statistics, leaves, whole
from tlmed.losses import compile_with, smooth
from tlmed.mixing import find_mixup, mix_inputs
from tlmed.optimizers import make_optimizer
from tlmed.phase_steps import learning_rates as learning_rates
from tlmed.phase_steps import list_changes
from tlmed.phased_network import Classifier as Classifier
from tlmed.phased_network import Route
from tlmed.pretrained_pull import pull_to
from tlmed.random_streams import reseed, seed_generators
from tlmed.replicas import choose_jit, replicas
from tlmed.sections import Phase, find_faults

# The largest share of its old value that a moving statistic keeps at a step. MobileNet V2 and V3 come with 0.999 and
# NASNet with 0.9997: after the few hundred steps of a small data set their statistics would hardly have moved.
MOMENTUM = 0.9


def thaw(model: Classifier, phase: Phase, rates: Mapping[str, float] | None = None) -> Classifier:
    """Prepare a network for a phase and compile it, with a fresh optimizer.

    The last `phase.thaw` blocks and the head become trainable, with BatchNorm as `phase.batch_norm` says; the blocks
    before them run in inference mode. Dropout and augmentation start again from seeds of the phase's own. A phase
    that starts from the pretrained weights gets them back, with the head that the last phase without thawed blocks
    has trained. After a phase with `batch_norm="recalibrate"`, call `recalibrate`. With `phase.adapt` adapters train in
    place of the thawed blocks' weights; `merge`, or the next `thaw`, makes them part of these.

    Args:
        model: A network from `Recipe.build`.
        phase: What to thaw, and how to train it.
        rates: The learning rates of the head and of each thawed block, by name, which `tlmed.training.measure_rates`
            gives for a phase with `rates="auto-rgn"`; None: as the fields of the phase say, `learning_rate` for all
            blocks of such a phase.

    Returns:
        The same `model`, changed in place and compiled.

    Raises:
        InputError: If the phase has faults, thaws more blocks than the network has, cannot start as it says, or has an
            adapter that does not fit its blocks.
    """
    if not isinstance(model, Classifier):
        raise TypeError(f"`model` must be a tlmed.phases.Classifier. Received: model of type {type(model).__name__}.")
    if faults := find_faults(phase):
        raise InputError(faults)
    backbone = model.parts.backbone
    frozen, thawed = split_blocks(backbone, phase)
    merge(model)
    adapters = find_adapters(thawed, phase) if phase.adapt else None
    _go_back(model, phase)
    _set_trainable(model, frozen, thawed, phase.batch_norm)
    if adapters:
        _adapt(model, thawed, adapters, phase.name)
    for norm in batch_norms(thawed):
        if phase.batch_norm == "update":
            norm.momentum = min(norm.momentum, MOMENTUM)
        # Else each replica would use its part of a batch.
        norm.synchronized = phase.batch_norm == "update" and replicas() > 1
    images = model.inputs[0]
    # Pooling has nothing to train: if all blocks are frozen, it is frozen with them.
    border = (frozen[-1].output if thawed else model.parts.border) if frozen else images
    prefix = keras.Model(images, border) if frozen else None
    suffix = keras.Model(border, model.outputs[0])
    if thawed and phase.batch_norm in FIXED_STATISTICS:
        suffix = freeze_statistics(suffix)
    if phase.mixup:
        suffix = mix_inputs(suffix, phase.mixup)
    model.route, model.phase = Route(Frozen(prefix) if frozen else None, suffix), phase
    # Mixup comes last, so that the streams of all others are the same without it.
    mixup = find_mixup(model)
    reseed([*model.layers, *_augmentation(model), *([mixup] if mixup else [])], model.seed, phase.name)
    _pull(model, thawed, phase)
    optimizer = make_optimizer(
        phase.optimizer, phase.learning_rate, list_changes(model.trainable_variables, thawed, phase, rates)
    )
    compile_with(smooth(model.training_loss, phase.label_smoothing), model, optimizer, choose_jit())
    # All variables exist before the first step, so that TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    return model


def _adapt(model, thawed, adapters, name):
    """Let the adapters train, and nothing else of the thawed blocks."""
    model.adapters = attach(adapters, model.seed, name)
    for adapter in adapters:
        adapter.layer.trainable = True  # also of a BatchNorm, which is otherwise frozen
    trained = {id(variable) for variable in model.adapters.trained}
    parts = (part for block in thawed for layer in block.layers for part in layer._flatten_layers())
    for variable in (variable for part in parts for variable in part._trainable_variables):
        variable.trainable = id(variable) in trained
    model.plain().predict_function = None  # was traced without them


def merge(model: Classifier) -> None:
    """Make the adapters of a network's phase part of its weights; nothing where it has none.

    The network then computes the same within rounding, and has the layers and weights that it had before the phase.
    The phase's training is over: it goes on only after another `thaw`.

    Args:
        model: A network that `thaw` has prepared for a phase with `adapt`.
    """
    if model.adapters is None:
        return
    model.adapters.merge()
    model.adapters = None
    model.plain().predict_function = None  # was traced with them
    _set_trainable(model, *split_blocks(model.parts.backbone, model.phase), model.phase.batch_norm)


def trainer(model: Classifier) -> keras.Model:
    """Return the model that trains a network's phase on what its frozen prefix gives, instead of on images.

    Args:
        model: A network that `thaw` has prepared for a phase with frozen blocks.

    Returns:
        The thawed blocks and the head, compiled with the phase's optimizer; weights are shared. It takes the outputs
        of `model.route.frozen.net`.
    """
    suffix = model.route.suffix
    # Made by `thaw` for these very variables, with the rates of their blocks.
    compile_with(model.loss, suffix, model.optimizer, choose_jit())
    return suffix


def moving(model: Classifier) -> list[keras.Variable]:
    """Return the variables that a network's phase can change: of what is thawed, of dropout and of augmentation."""
    drawing = seed_generators(_augmentation(model))
    return [*model.route.suffix.variables, *(generator.state for _, generator in drawing)]


def _augmentation(model) -> list[keras.layers.Layer]:
    return [] if model.parts.augment is None else [model.parts.augment]


@contextlib.contextmanager
def computing(model: Classifier, precision: str) -> Iterator[None]:
    """Compute in another precision inside the block: the backbone's layers, not the head, the loss or the metrics.

    Weights and their updates stay float32 throughout, and so do files saved after the block.

    Args:
        model: A network that `thaw` has prepared, before anything of the phase was traced.
        precision: "float32", or "bfloat16", which is faster on processors and GPUs that support it.
    """
    if precision == "float32":
        yield
        return
    layers = [leaf for leaf in leaves(model.parts.backbone.layers) if leaf.weights]
    before = [layer.dtype_policy for layer in layers]
    model.plain().predict_function = None  # was traced, or will be, in another precision
    try:
        for layer in layers:
            layer.dtype_policy = f"mixed_{precision}"
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
        model.plain().predict_function = None


def split_blocks(backbone: keras.Model, phase: Phase) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """Return the blocks of a backbone that a phase keeps frozen and those that it thaws.

    A backbone that cannot be cut is one block, which is thawed as a whole or not at all.

    Raises:
        InputError: If the phase thaws more blocks than there are, or some of a backbone that cannot be cut, or wants
            the statistics of a BatchNorm fixed that is in a layer's own code.
    """
    try:
        blocks = partition(backbone, phase.unit, tail=True)
    except ValueError as error:
        blocks = (whole(backbone),)
        if phase.thaw not in (0, "all"):
            raise InputError(
                f"`thaw` must be 0 or 'all' for {backbone.name}, which cannot be cut into blocks ({error}). "
                f"Received: thaw={phase.thaw} in phase {phase.name!r}."
            ) from error
    count = len(blocks) if phase.thaw == "all" else phase.thaw
    if count > len(blocks):
        raise InputError(
            f"`thaw` must be from 0 to {len(blocks)} ({phase.unit}s of {backbone.name}) or 'all'"
            f"{_say_reused(backbone)}. "
            f"Received: thaw={phase.thaw} in phase {phase.name!r}."
        )
    thawed = blocks[len(blocks) - count :]
    check_norms(thawed, phase)
    return blocks[: len(blocks) - count], thawed


def _say_reused(backbone) -> str:
    reused = find_reused(backbone)
    return f"; between two uses of a layer ({', '.join(reused)}) no block ends" if reused else ""


def needs_start(phases: Iterable[Phase]) -> bool:
    """Tell whether some phases refer to the pretrained weights, which `remember` must note before the first one."""
    return any(phase.start == "pretrained" or phase.l2_sp for phase in phases)


def _pull(model, thawed, phase):
    """Let the penalties of the phase pull what is thawed towards the pretrained weights, or nothing."""
    backbone, start = model.parts.backbone, {}
    if phase.l2_sp:
        if model.start is None:
            raise InputError(
                "`l2_sp` must be 0 for a network that does not know its pretrained weights; call `remember()` before "
                f"the first phase. Received: l2_sp={phase.l2_sp!r} in phase {phase.name!r}."
            )
        trained = {id(weight) for block in thawed for layer in block.layers for weight in layer.trainable_variables}
        pairs = zip(backbone.weights, model.start.backbone, strict=True)
        start = {id(weight): value for weight, value in pairs if id(weight) in trained}
    pull_to({id(weight): weight for weight in backbone.weights}, start, phase.l2_sp)


def _go_back(model, phase):
    """Restore what `start="pretrained"` asks for, and note the head after a phase that thawed nothing."""
    if model.start is not None and model.phase is not None and model.phase.thaw == 0:
        model.remember_head()
    if phase.start == "previous":
        return
    if model.start is None:
        raise InputError(
            f"`start` must be 'previous' for a network that does not know its pretrained weights; call `remember()` "
            f"before the first phase. Received: start={phase.start!r} in phase {phase.name!r}."
        )
    model.parts.backbone.set_weights(model.start.backbone)
    weights = iter(model.start.head)
    for layer in model.head:
        layer.set_weights([next(weights) for _ in layer.weights])


def _set_trainable(model, frozen, thawed, batch_norm):
    # On leaves only: a parent's flag would hide a thawed child, and setting it sets every child's.
    still = {id(layer) for block in frozen for layer in leaves(block.layers)}
    if batch_norm == "frozen":
        still |= {id(layer) for layer in batch_norms(thawed)}
    for layer in leaves(model.layers):
        layer.trainable = id(layer) not in still
    # Some layers hold others beside weights of their own, such as a class token: one by one, for the same reason.
    still |= {id(part) for block in frozen for layer in block.layers for part in layer._flatten_layers()}
    for part in (part for layer in model.layers for part in layer._flatten_layers()):
        for variable in part._trainable_variables:
            variable.trainable = id(part) not in still


def recalibrate(model: Classifier, batches: Iterable[np.ndarray]) -> int:
    """Set the BatchNorm statistics of the thawed blocks to those of some images, for `batch_norm="recalibrate"`.

    While the weights before it train, a BatchNorm with its old statistics no longer brings its inputs to mean 0 and
    variance 1. Frozen blocks are left alone.

    Args:
        model: A network after its phase.
        batches: Training images [batch, height, width, 3], RGB 0..255.

    Returns:
        How many images were used.

    Raises:
        InputError: If images have other numbers.
    """
    _, thawed = split_blocks(model.parts.backbone, model.phase)
    return reestimate_statistics(model.parts.backbone, batches, batch_norms(thawed))
