"""What of a run goes into one graph: from bytes of pixels to scores, and to calibrated probabilities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tlmed.metrics.calibration import LEAST_PROBABILITY

IMAGES, SCORES, CALIBRATED, FEATURES = (
    "images",
    "scores",
    "calibrated",
    "features",
)  # the names of the input and the outputs


@dataclass(frozen=True, eq=False)
class Graph:
    """A network and the temperature of its answers, as one function that runtimes can be given.

    Attributes:
        network: From raw RGB images, float [batch, height, width, 3], 0..255, to scores, float [batch, k].
        temperature: By which the logarithms of scores are divided to calibrate them; of several labels one for each.
            None: the network gives the features of a hybrid, and no scores.
        several: Whether an image may have several labels.
    """

    network: keras.Model
    temperature: float | Sequence[float] | None
    several: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return self.network.input_shape[1:3]

    def trace(self, batch: int | None, make: Callable[[tf.Tensor], tf.Tensor] | None = None):
        """Return a TensorFlow function of images, uint8 [batch, height, width, 3], with all weights as constants.

        Converters take variables of Keras 3 for missing ones, and leave them out without a word.

        Args:
            batch: Images of a call; None: any number.
            make: What gives scores in place of the network, from images, float.
        """
        spec = tf.TensorSpec((batch, *self.size, 3), tf.uint8, name=IMAGES)
        values = [(weight, tf.constant(weight.numpy())) for weight in self.network.variables]
        with keras.StatelessScope(state_mapping=values):
            return tf.function(lambda images: self.run(images, make), input_signature=[spec]).get_concrete_function()

    def run(self, images: tf.Tensor, make: Callable[[tf.Tensor], tf.Tensor] | None = None) -> Mapping[str, tf.Tensor]:
        """Return the outputs by name, of images [batch, height, width, 3]; see `trace`."""
        pixels = tf.cast(images, tf.float32)
        scores = tf.cast(self.network(pixels, training=False) if make is None else make(pixels), tf.float32)
        if self.temperature is None:
            return {FEATURES: scores}
        return {SCORES: scores, CALIBRATED: self._calibrate(scores)}

    def _calibrate(self, scores: tf.Tensor) -> tf.Tensor:
        """Do what `Decision.calibrate` does."""
        temperature = tf.constant(np.asarray(self.temperature, "float32"))
        logs = tf.math.log(tf.maximum(scores, LEAST_PROBABILITY))
        if not self.several:
            return tf.nn.softmax(logs / temperature)
        return tf.sigmoid((logs - tf.math.log(tf.maximum(1 - scores, LEAST_PROBABILITY))) / temperature)
