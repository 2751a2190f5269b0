"""From a recipe to a network: its backbone, its head, and statistics for random weights."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tlmed import backbones, stopping
from tlmed.backbones import Backbone
from tlmed.backbones.own import GRAPH, check_reloads
from tlmed.data import ImageSet
from tlmed.errors import InputError
from tlmed.features import feature_model, random_norms
from tlmed.heads import attach_head, augmentation
from tlmed.phases import STATISTICS_IMAGES, Classifier, recalibrate, reestimate_statistics, thaw
from tlmed.plan import expand, find_schedule_faults
from tlmed.recipe import Hybrid, Recipe
from tlmed.replicas import make_predictor, replicas
from tlmed.seeds import derive


def build(recipe: Recipe, num_classes: int, backbone: keras.Model | None = None) -> keras.Model:
    """Build a recipe's network, compiled for its first phase; see `Recipe.build`."""
    if not isinstance(num_classes, int) or num_classes < 2:
        raise InputError(f"`num_classes` must be a whole number of 2 or more. Received: num_classes={num_classes!r}.")
    network = build_backbone(recipe, None if backbone is None else "own", backbone).model
    if isinstance(recipe.head, Hybrid):
        return feature_model(network, recipe.head.tap, recipe.head.pooling)
    phases = expand(recipe.phases, network)
    if faults := find_schedule_faults(network, phases):
        raise InputError(faults)
    model = assemble(recipe, network, num_classes)
    if any(phase.start == "pretrained" for phase in phases):
        model.remember()
    return thaw(model, phases[0])


def build_backbone(recipe: Recipe, weights: str | None = None, own: keras.Model | None = None) -> Backbone:
    """Build a recipe's backbone, with other weights if asked, or take the user's own."""
    size = recipe.data.image_size
    seed = derive(recipe.seed, "backbone")
    built = backbones.build(recipe.backbone if own is None else own, weights or recipe.weights, size, seed)
    if any(source.graph == GRAPH for source in built.sources):
        check_reloads(built.model)
    return built


def assemble(recipe: Recipe, backbone: keras.Model, num_classes: int) -> Classifier:
    """Put a recipe's Keras head on a backbone; every layer is still trainable."""
    head, augment = recipe.head, recipe.augment
    return attach_head(
        backbone,
        num_classes,
        dropout=head.dropout,
        pooling=head.pooling,
        units=head.units,
        augment=augmentation(augment.flip, augment.rotation, augment.zoom, augment.contrast),
        seed=recipe.seed,
    )


def wake(recipe: Recipe, backbone: Backbone, images: ImageSet) -> None:
    """Give random weights BatchNorm statistics of the training images: with Keras's own they are dead."""
    if norms := random_norms(backbone):
        reestimate_statistics(backbone.model, _pixels(recipe, images), norms)


def settle(recipe: Recipe, model: Classifier, images: ImageSet) -> None:
    """Give the thawed blocks BatchNorm statistics of the training images, behind a phase that asks for it."""
    recalibrate(model, _pixels(recipe, images))


def _pixels(recipe, images):
    chosen = np.random.RandomState(derive(recipe.seed, "statistics")).permutation(images.indices("train"))
    batches = images.batches(chosen[:STATISTICS_IMAGES], recipe.data.batch_size)
    return (pixels for pixels, _ in batches)


def predict_rows(recipe: Recipe, network: keras.Model, images: ImageSet, rows: np.ndarray) -> np.ndarray:
    """Return what a network gives for some images, in the recipe's batches: float32 [n, outputs]."""
    return image_predictor(recipe, network, images)(rows)


def image_predictor(recipe: Recipe, network: keras.Model, images: ImageSet) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from row numbers to what a network gives for those images, traced once for all calls."""
    size = recipe.data.batch_size
    if replicas() > 1:
        spec = tf.TensorSpec([None, *images.image_size, 3], tf.uint8)
        return make_predictor(lambda pixels: network(pixels, training=False), images.pixels.take, spec, size)
    look = keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: stopping.check())
    return lambda rows: network.predict(images.batches(rows, size), verbose=0, callbacks=[look])
