"""Learning rates that are measured before a phase: from how large the gradient of each block is beside its weights."""

import tlmed.tensorflow_start

import math

import numpy as np
import tensorflow as tf

from tlmed.backbones.graphs import is_counted
from tlmed.data import Share
from tlmed.errors import RunFailed
from tlmed.frozen import leaves
from tlmed.losses import add_up, count_labels
from tlmed.phase_steps import find_owners, scale_ratios
from tlmed.phases import Classifier, split_blocks
from tlmed.training.loop import Batches, fill_empty

BATCHES = 5  # as many as the authors' code takes


def measure_rates(
    model: Classifier,
    batches: Batches,
    count: int = BATCHES,
    class_weight: dict[int, float | tuple[float, float]] | None = None,
) -> dict[str, float]:
    """Return the learning rates of a phase's head and blocks by Auto-RGN, from the network as the phase begins.

    The ratio of a block is the norm of its gradient over the norm of its weights, the mean over some batches; the block
    with the largest ratio has the phase's `learning_rate`, as the head has, and the others have less in proportion (Lee
    et al., Surgical Fine-Tuning Improves Adaptation to Distribution Shifts, ICLR 2023). The authors' code
    (anniesch/surgical-finetuning, `main.py`, `get_lr_weights`) leaves normalisation layers out, as is done here; it has
    a ratio for each tensor and measures again before each epoch, where this has one for each block and measures once,
    so that a plan can name the rates. The gradient is that of the phase's loss at inference: dropout, augmentation and
    mixup are off, and BatchNorm keeps its statistics.

    Args:
        model: The network, thawed for the phase.
        batches: Makes the training batches, as for `Loop`, under the strategy that the network was made in.
        count: Batches, 1 or more.
        class_weight: As for `Loop`.

    Raises:
        RunFailed: If the ratio of a block is not finite, as where its weights are all 0, or those of all blocks are 0.
    """
    parts = _find_weights(model)
    variables = [variable for part in parts.values() for variable in part]
    measure = _compile(model, variables, class_weight)
    ratios = {name: [] for name in parts}
    dataset = iter(tf.distribute.get_strategy().distribute_datasets_from_function(lambda it: _share(batches, it)))
    for _ in range(count):
        squares = iter(measure(dataset).numpy().astype(float))
        for name, part in parts.items():
            gradient = sum(next(squares) for _ in part)
            weights = sum(float(np.square(variable.numpy(), dtype=float).sum()) for variable in part)
            ratios[name].append(math.sqrt(gradient / weights) if weights > 0 else math.inf)
    means = {name: float(np.mean(values)) for name, values in ratios.items()}
    odd = [name for name, mean in means.items() if not math.isfinite(mean)]
    if odd or not any(means.values()):
        raise RunFailed(
            "`rates='auto-rgn'` needs gradients that are finite and not all 0, and weights that are not all 0 in a "
            f"block. Received: phase {model.phase.name!r} with a ratio of {means[odd[0]] if odd else 0} in "
            f"{odd[0] if odd else 'every block'}."
        )
    return scale_ratios(means, model.phase.learning_rate)


def _find_weights(model) -> dict[str, list]:
    """Return what is measured of each block with something to train, from the output to the input."""
    _, thawed = split_blocks(model.parts.backbone, model.phase)
    owners = find_owners(thawed)
    layers = leaves([layer for block in thawed for layer in block.layers])
    counted = {id(variable) for layer in layers if is_counted(layer) for variable in layer.trainable_variables}
    parts = {block.name: [] for block in reversed(thawed)}
    for variable in model.trainable_variables:
        if id(variable) in owners:
            parts[owners[id(variable)]].append(variable)
    # Of a block that holds normalisations alone, these.
    return {name: [it for it in part if id(it) in counted] or part for name, part in parts.items() if part}


def _compile(model, variables, class_weight):
    """Return a TensorFlow function from an iterator over batches to the squared norms of gradients [variables]."""
    strategy = tf.distribute.get_strategy()
    factors = None if class_weight is None else [class_weight[label] for label in sorted(class_weight)]

    @tf.autograph.experimental.do_not_convert
    def differentiate(batch):
        inputs, labels = batch
        count = tf.shape(labels)[0]
        if strategy.num_replicas_in_sync > 1:
            inputs, labels = fill_empty((inputs, labels))
        counted = tf.cast(tf.range(tf.shape(labels)[0]) < count, tf.float32)
        context, add = tf.distribute.get_replica_context(), tf.distribute.ReduceOp.SUM
        total = context.all_reduce(add, tf.reduce_sum(counted * count_labels(model.loss, labels)))
        with tf.GradientTape() as tape:
            scores = model(inputs, training=False)
            loss = tf.reduce_sum(counted * add_up(model.loss, labels, scores, factors)) / total
        weights = [variable.value for variable in variables]
        gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients = context.all_reduce(add, gradients)
        return tf.stack([tf.reduce_sum(tf.square(gradient)) for gradient in gradients])

    @tf.function(autograph=False)
    def measure(batches):
        found = strategy.run(differentiate, args=(next(batches),))
        return strategy.experimental_local_results(found)[0]

    return measure


def _share(batches, context) -> tf.data.Dataset:
    count = context.num_replicas_in_sync // context.num_input_pipelines
    return batches((0, 0), Share(context.num_replicas_in_sync, context.input_pipeline_id * count, count))
