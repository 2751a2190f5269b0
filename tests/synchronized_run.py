"""Take one step with a BatchNorm that updates its statistics, and print the loss and each replica's statistics as JSON.

python -m tests.synchronized_run one|mirrored|multi-worker
"""

import json
import os
import sys

from tlmed.quiet import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tlmed.cluster import find_cluster  # noqa: E402
from tlmed.heads.dense import attach_head  # noqa: E402
from tlmed.phases import thaw  # noqa: E402
from tlmed.recipe import Phase  # noqa: E402
from tlmed.replicas import choose_strategy, read_each  # noqa: E402
from tlmed.training import Loop  # noqa: E402

IMAGES, LABELS = np.random.RandomState(0).uniform(0, 255, (9, 8, 8, 3)).astype("float32"), np.arange(9) % 3


def batches(begin, share):
    """Return the same nine images for ever, shared out: five and four."""
    rows = share.split(tf.data.Dataset.from_tensor_slices(np.arange(9)).batch(9).repeat())
    return rows.map(lambda part: (tf.gather(IMAGES, part), tf.gather(LABELS, part)))


def open_devices(wanted: str) -> None:
    """Make two devices of the processor for two replicas."""
    if wanted == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def main(wanted: str) -> None:
    """Take the step."""
    open_devices(wanted)
    cluster = find_cluster(os.environ)
    strategy = choose_strategy(wanted, cluster.size if cluster else 1, 9)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        inputs = keras.Input((8, 8, 3), name="images")
        norm = keras.layers.BatchNormalization()
        backbone = keras.Model(inputs, norm(keras.layers.Conv2D(4, 3, strides=2)(keras.layers.Rescaling(0.01)(inputs))))
        phase = Phase("p", thaw="all", epochs=1, learning_rate=0.1, optimizer="sgd", batch_norm="update")
        loop = Loop(thaw(attach_head(backbone, 3), phase), batches, 1)
        losses = []
        note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
        loop.run(1, [note])
        statistics = read_each([norm.moving_mean, norm.moving_variance])
        print(json.dumps({"loss": losses[0], "statistics": [values.tolist() for values in statistics]}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
