"""From a recipe to a network: its backbone, its head, and statistics for random weights."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tlmed import stopping
from tlmed.backbones import Backbone
from tlmed.batch_statistics import STATISTICS_IMAGES, reestimate_statistics
from tlmed.data import ImageSet
from tlmed.features import random_norms
from tlmed.frozen import batch_norms
from tlmed.phases import Classifier, recalibrate, split_blocks
from tlmed.recipe import Recipe
from tlmed.replicas import make_predictor, replicas
from tlmed.seeds import derive


def wake(recipe: Recipe, backbone: Backbone, images: ImageSet) -> None:
    """Give random weights BatchNorm statistics of the training images: with Keras's initial ones they are dead."""
    if norms := random_norms(backbone):
        reestimate_statistics(backbone.model, _pixels(recipe, images), norms)


def can_settle(model: Classifier) -> bool:
    """Tell whether a network's phase asks for `settle`, and a block that it thaws has BatchNorm."""
    if model.phase.batch_norm != "recalibrate":
        return False
    return bool(batch_norms(split_blocks(model.parts.backbone, model.phase)[1]))


def settle(recipe: Recipe, model: Classifier, images: ImageSet) -> None:
    """Give the thawed blocks BatchNorm statistics of the training images, after a phase that asks for it."""
    recalibrate(model, _pixels(recipe, images))


def _pixels(recipe, images):
    chosen = np.random.RandomState(derive(recipe.seed, "statistics")).permutation(images.indices("train"))
    batches = images.batches(chosen[:STATISTICS_IMAGES], recipe.data.batch_size)
    return (pixels for pixels, _ in batches)


def predict_rows(recipe: Recipe, network: keras.Model, images: ImageSet, rows: np.ndarray) -> np.ndarray:
    """Return a network's outputs for some images, computed in the recipe's batches: float32 [n, outputs]."""
    return image_predictor(recipe, network, images)(rows)


def image_predictor(recipe: Recipe, network: keras.Model, images: ImageSet) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from row numbers to a network's outputs for those images, traced once for all calls."""
    size = recipe.data.batch_size
    if replicas() > 1:
        spec = tf.TensorSpec([None, *images.image_size, 3], tf.uint8)
        return make_predictor(lambda pixels: network(pixels, training=False), images.pixels.take, spec, size)
    # A request to stop is looked for after every batch: many images take long.
    look = keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: stopping.check())
    return lambda rows: network.predict(images.batches(rows, size), verbose=0, callbacks=[look])
