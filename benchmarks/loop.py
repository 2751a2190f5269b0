"""Time tlmed's training loop against `keras.Model.fit`, side by side in one run, on one device.

    python benchmarks/loop.py

Both train the same network from the same weights on the same batches, in turns; the ratio is that of the medians. Their
losses are compared, too: a loop that does less work would be quicker.
"""

import statistics
import time

import click
import keras
import numpy as np

from tlmed.quiet import import_tensorflow

import_tensorflow()

import tensorflow as tf  # noqa: E402

import tlmed  # noqa: E402
from tlmed.phases import thaw  # noqa: E402
from tlmed.recipe import Phase, override  # noqa: E402
from tlmed.training import Loop  # noqa: E402

IMAGES, BATCH = 320, 32
CASES = {
    "MobileNetV2 at 96 px, two blocks thawed": ("backbone=MobileNetV2", "data.image_size=96,96", 2),
    "LeNet5 at 32 px, all thawed": ("backbone=LeNet5", "data.image_size=32,32", "all"),
}


class Clock(keras.callbacks.Callback):
    """Note the seconds and the loss of every epoch."""

    def __init__(self):
        super().__init__()
        self.seconds, self.losses = [], []

    def on_epoch_begin(self, epoch, logs=None):
        """Start."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Stop."""
        self.seconds.append(time.perf_counter() - self.start)
        self.losses.append(logs["loss"])


def make(backbone: str, size: str, blocks) -> tuple[keras.Model, tf.data.Dataset]:
    """Return a network, and the batches of one epoch after the other."""
    keras.utils.set_random_seed(0)
    recipe = override(tlmed.load_recipe("fine_tuning"), [backbone, size, "weights=none", "head.dropout=0"])
    model = thaw(recipe.build(3), Phase("top", thaw=blocks, epochs=1, learning_rate=1e-4))
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (IMAGES, *recipe.data.image_size, 3)).astype("uint8")
    batches = tf.data.Dataset.from_tensor_slices((images, random.randint(0, 3, IMAGES))).batch(BATCH)
    return model, batches.cache().repeat().prefetch(2)


@click.command()
@click.option("--epochs", default=5, help="Of each, in each round.")
@click.option("--rounds", default=5, help="Turns.")
def main(epochs, rounds):
    """Print, for each case, the ratio and what it is made of."""
    tf.config.experimental.enable_op_determinism()
    for name, case in CASES.items():
        (fitted, batches), (looped, _) = make(*case), make(*case)
        steps = IMAGES // BATCH
        loop = Loop(looped, lambda begin, share, batches=batches: batches, steps)
        ours, plain = Clock(), Clock()
        for number in range(rounds + 1):  # the first compiles
            loop.run((number + 1) * epochs, [ours])
            fitted.fit(batches, epochs=epochs, steps_per_epoch=steps, callbacks=[plain], shuffle=False, verbose=0)
        np.testing.assert_allclose(ours.losses, plain.losses, rtol=1e-4)
        seconds = [statistics.median(clock.seconds[epochs:]) for clock in (ours, plain)]
        print(f"{name}: {seconds[0] / seconds[1]:.3f} x fit ({seconds[0]:.3f} and {seconds[1]:.3f} s an epoch)")


if __name__ == "__main__":
    main()
