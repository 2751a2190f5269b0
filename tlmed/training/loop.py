"""The training loop: what `keras.Model.fit` does, on any number of replicas, and from any step on.

`fit` runs on one replica and under `MirroredStrategy`, not under `MultiWorkerMirroredStrategy` (Keras issue #20585),
weighs a replica's images by how many it has, and can begin with an epoch only. One loop for all cases is what makes a
run with two replicas, or one that was stopped, give what an uninterrupted one on one replica gives.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tlmed.data import Share
from tlmed.losses import add_up, count_labels, count_right
from tlmed.mixing import find_mixup
from tlmed.replicas import workers
from tlmed.schedules import set_steps

Batches = Callable[[tuple[int, int], Share], tf.data.Dataset]


class Loop:
    """Train a compiled network step by step, and know how far training is.

    Make and run it in the scope of the strategy that the network was made in.

    Args:
        model: The network, compiled with its optimizer and a loss function (or its name) that gives a number per image,
            as `tlmed.phases.thaw` does.
        batches: Makes an endless data set that begins at an epoch and a step, and holds a share of each batch, as
            `ImageSet.training_batches` does: inputs [b, ...] and labels [b].
        steps: Batches per epoch.
        together: Steps that TensorFlow runs before Python looks again; it divides `steps`.
        class_weight: Factor of each class in the loss; of several labels, of each label's 0 and 1.

    Attributes:
        epoch: Epochs done.
        step: Steps done of the next.
        metrics: `loss` and `accuracy` of those steps.
    """

    def __init__(
        self,
        model: keras.Model,
        batches: Batches,
        steps: int,
        together: int = 1,
        class_weight: dict[int, float | tuple[float, float]] | None = None,
    ):
        self.model, self.batches, self.steps, self.together = model, batches, steps, together
        self.epoch, self.step = 0, 0
        self.metrics = (keras.metrics.Mean(name="loss"), keras.metrics.Mean(name="accuracy"))
        # In the order of labels, which index them.
        factors = None if class_weight is None else [class_weight[label] for label in sorted(class_weight)]
        set_steps(model.optimizer, steps)
        self._take_steps = _compile(model, self.metrics, together, factors)

    def run(
        self,
        epochs: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        wishes: Callable[[], tuple[bool, bool]] = lambda: (False, False),
        at_boundary: Callable[[bool, bool], None] = lambda stop, save: None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Train until an epoch is done, from where the loop is.

        Args:
            epochs: Epochs in all.
            callbacks: Of Keras; one that sets `model.stop_training` ends training after its epoch.
            wishes: Tells whether to stop, and whether to save.
            at_boundary: Called with these two between steps and after each epoch, where the state can be saved. If
                one of several workers wishes something, all of them do it, and at the same step.
            begin: Called when the callbacks have begun, to restore where an earlier loop was.
        """
        model, listeners = self.model, keras.callbacks.CallbackList(callbacks, model=self.model)
        model.stop_training, alone, nothing = False, workers()[1] == 1, tf.zeros(2)
        # `begin` comes after this, because EarlyStopping forgets its best epoch here, and before the data set is made,
        # because that starts at the epoch and the step that `begin` restores.
        listeners.on_train_begin()
        begin()
        batches = iter(tf.distribute.get_strategy().distribute_datasets_from_function(self._share))
        while self.epoch < epochs and not model.stop_training:
            listeners.on_epoch_begin(self.epoch)
            while self.step < self.steps:
                listeners.on_train_batch_begin(self.step)
                # Workers send their wishes along with the step's own sum, so that agreeing costs no further message.
                agreed = self._take_steps(batches, nothing if alone else tf.constant(wishes(), tf.float32))
                self.step += self.together
                listeners.on_train_batch_end(self.step - 1)  # the last of these steps, counted from 0
                at_boundary(*(wishes() if alone else np.array(agreed) > 0))
            listeners.on_epoch_end(self.epoch, {metric.name: float(metric.result()) for metric in self.metrics})
            self.epoch, self.step = self.epoch + 1, 0
            for metric in self.metrics:
                metric.reset_state()
            # Of several workers each would answer for itself here: they agree in the next epoch's first step.
            at_boundary(*(wishes() if alone else (False, False)))
        listeners.on_train_end()

    def _share(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        count = context.num_replicas_in_sync // context.num_input_pipelines
        share = Share(context.num_replicas_in_sync, context.input_pipeline_id * count, count)
        return self.batches((self.epoch, self.step), share)


def _compile(model, metrics, together, factors) -> Callable:
    """Return a TensorFlow function that takes `together` steps on all replicas, given an iterator over batches."""
    strategy, (loss_metric, accuracy), mixup = tf.distribute.get_strategy(), metrics, find_mixup(model)

    def lose(labels, scores):
        own = add_up(model.loss, labels, scores, factors)
        if mixup is None:
            return own
        pairs = mixup.pairs
        return pairs.shares * own + (1 - pairs.shares) * add_up(model.loss, pairs.take(labels), scores, factors)

    def step(batch, wishes):
        inputs, labels = batch
        # [1]: images of this replica; `wishes` is [2], so that all three can be added up over the replicas at once.
        count = tf.cast(tf.shape(labels)[:1], tf.float32)
        if strategy.num_replicas_in_sync > 1:
            inputs, labels = fill_empty((inputs, labels))
        counted = tf.cast(tf.range(tf.shape(labels)[0]) < tf.cast(count, tf.int32), tf.float32)
        amounts = counted * count_labels(model.loss, labels)
        # Replicas may hold different numbers of images, so that the mean needs the count of the whole batch.
        sums = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.SUM, tf.concat([tf.reduce_sum(amounts)[None], wishes], axis=0)
        )
        with tf.GradientTape() as tape:
            scores = model(inputs, training=True)
            losses = counted * lose(labels, scores)
            # The penalty is the same on every replica, and gradients are added up: each one takes its share.
            penalty = tf.add_n(model.losses) if model.losses else tf.constant(0.0)
            loss = tf.reduce_sum(losses) / sums[0] + penalty / strategy.num_replicas_in_sync
        weights = model.trainable_weights
        # The optimizer adds up the gradients of all replicas.
        model.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        loss_metric.update_state(tf.math.divide_no_nan(losses, amounts) + penalty, amounts)
        right = counted * count_right(model.loss, labels, scores)
        accuracy.update_state(tf.math.divide_no_nan(right, amounts), amounts)
        return sums[1:]

    def take_step(batches, wishes):
        agreed = strategy.run(step, args=(next(batches), wishes))
        return strategy.experimental_local_results(agreed)[0]

    def take_steps(batches, wishes):
        def go_on(number, _):
            return number + 1, take_step(batches, wishes)

        return tf.while_loop(lambda number, _: number < together, go_on, (tf.constant(0), wishes))[1]

    # Nothing here is for AutoGraph, which takes longer to find that out than TensorFlow takes to trace a head.
    return tf.function(take_step if together == 1 else take_steps, autograph=False)


def fill_empty(batch):
    """Return a batch with one blank image if it has none: many operations of TensorFlow fail on an empty batch."""
    blank = tf.cast(tf.equal(tf.shape(batch[1])[0], 0), tf.int32)

    def fill(values: tf.Tensor) -> tf.Tensor:
        return tf.concat([values, tf.zeros(tf.concat([[blank], tf.shape(values)[1:]], 0), values.dtype)], axis=0)

    return keras.tree.map_structure(fill, batch)
