"""Train a phase of two epochs, and stop in the first, or go on from there; print the losses as JSON.

python -m tests.resized_run one|mirrored FOLDER stop|go
"""

import json
import sys
from pathlib import Path

from tests.synchronized_run import IMAGES, LABELS, open_devices
from tlmed.heads.dense import attach_head
from tlmed.phases import moving, thaw
from tlmed.recipe import Phase
from tlmed.replicas import choose_strategy
from tlmed.training import Checkpoints, Judge, Loop, Saving, fit_phase

import keras  # isort: skip
import tensorflow as tf  # isort: skip

STEPS = 3


class Stop(keras.callbacks.Callback):
    """End the process behind the second step."""

    def on_train_batch_begin(self, batch, logs=None):
        """End."""
        if batch == 2:
            sys.exit(0)


def batches(begin, share):
    """Return three batches of three images an epoch."""
    rows = tf.data.Dataset.range(9).batch(3).repeat().skip(STEPS * begin[0] + begin[1])
    return share.split(rows).map(lambda part: (tf.gather(IMAGES, part), tf.gather(LABELS, part)))


def main(wanted: str, folder: str, what: str) -> None:
    """Train."""
    open_devices(wanted)
    strategy = choose_strategy(wanted, 1, 3)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        inputs = keras.Input((8, 8, 3), name="images")
        backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=2)(keras.layers.Rescaling(0.01)(inputs)))
        phase = Phase("p", thaw="all", epochs=2, learning_rate=0.1, optimizer="sgd")
        model = thaw(attach_head(backbone, 3), phase)
        checkpoints, rows = Checkpoints(Path(folder)), []
        Checkpoints.due = property(lambda self: True)
        fit_phase(
            *(Loop(model, batches, STEPS), phase, Judge(lambda: model.plain()(IMAGES).numpy(), LABELS)),
            record=rows.append,
            callbacks=[Stop()] if what == "stop" else [],
            saving=Saving(checkpoints, moving(model)),
        )
        print(json.dumps([row["loss"] for row in rows]))


if __name__ == "__main__":
    main(*sys.argv[1:])
