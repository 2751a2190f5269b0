"""A run's network or classifier as a function from images to scores, and its predictions."""

import tlmed.tensorflow_start

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from tlmed.backbones.own import register_layers
from tlmed.backbones.saved import load_network
from tlmed.data import ImageSet
from tlmed.errors import InputError
from tlmed.evaluation.explanations import Explainer, make_explainer
from tlmed.evaluation.predictions import Predictions, predict_classes
from tlmed.heads.dense import split_head
from tlmed.inference.finishing import clear_faults, load_finish, refuse_infinite
from tlmed.recipe import from_json
from tlmed.replicas import without_xla
from tlmed.run_files import METRICS_JSON, RECIPE_JSON
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL, SINGLE_LABEL
from tlmed.words import count

BATCH_SIZE = 32


def make_samples(images: ImageSet, rows: np.ndarray, scores: np.ndarray, task: str = SINGLE_LABEL) -> Predictions:
    """Return the predictions for some rows of an image set, a row each; no threshold decides yet.

    Args:
        images: The images.
        rows: Which of them were scored [n].
        scores: Class probabilities [n, classes].
        task: What is asked, of `tlmed.tasks`.
    """
    table = images.table
    task = MULTI_LABEL if table.is_multi else task
    return Predictions(
        paths=tuple(table.paths[row] for row in rows),
        splits=tuple(str(images.splits[row]) for row in rows),
        labels=table.labels[rows],
        scores=scores,
        predictions=predict_classes(scores, None, task=task),
        classes=table.classes,
        groups=tuple(table.groups[row] for row in rows) if table.groups else None,
        traits={name: tuple(texts[row] for row in rows) for name, texts in table.traits.items()},
        by_scores=True,
        task=task,
    )


def load_model(run: RunDir, compiled: bool = True) -> keras.Model:
    """Load a run's network; a file that would run code is refused by Keras's safe mode.

    Args:
        run: The run.
        compiled: Whether it is compiled as it was saved, which takes time; else it is for converting alone, because
            `predict` would compute with XLA.
    """
    recipe = from_json(RECIPE_JSON.read(run))
    register_layers(recipe.backbone)
    network, size = load_network(run / "model.keras", compile=compiled), recipe.data.image_size
    if network.input_shape[1:3] != size:
        raise InputError(
            f"`model.keras` must take images of the recipe's size, {size}. "
            f"Received: {run / 'model.keras'}, which takes {network.input_shape[1:3]}."
        )
    return network


def computing() -> AbstractContextManager:
    """Turn the errors of a network that scores images, in TensorFlow, into one clear line."""
    return clear_faults((tf.errors.ResourceExhaustedError,), (tf.errors.OpError,))


@dataclass(frozen=True)
class Scorer:
    """What turns raw images into class probabilities.

    Attributes:
        features: A network from images [batch, height, width, 3], RGB 0..255, to features [batch, d].
        finish: Features [n, d] to class probabilities [n, classes].
        network: All of it, from images to probabilities; None for a hybrid, whose last part is no network.
    """

    features: keras.Model
    finish: Callable[[np.ndarray], np.ndarray]
    network: keras.Model | None = None

    def __call__(self, batches: tf.data.Dataset) -> np.ndarray:
        """Return class probabilities [n, classes] for batches of raw images."""
        return self.finish(self.read(batches))

    def read(self, batches: tf.data.Dataset) -> np.ndarray:
        """Return features [n, d] for batches of raw images, of which `finish` makes probabilities."""
        with computing():
            return self.features.predict(batches, verbose=0)

    @cached_property
    def joint(self) -> keras.Model:
        """One network from images to features [batch, d] and, but for a hybrid, probabilities [batch, classes].

        So that one pass gives both: the features are what `tlmed.novelty.load_novelty(run).judge` takes.
        """
        heads = [] if self.network is None else [self.network.outputs[0]]
        return without_xla(keras.Model(self.features.inputs[0], [self.features.outputs[0], *heads]))

    def explainer(self, method: str | None = None, block: str | None = None, **options) -> Explainer:
        """Prepare a method that shows where the evidence lies; see `make_explainer`."""
        if self.network is None:
            return make_explainer(self.features, method, block, self.finish, **options)
        return make_explainer(self.network, method, block, **options)


def load_scorer(run: RunDir, compiled: bool = True) -> Scorer:
    """Load a run's network, with its head or with its classifier; see `load_model`."""
    network, result = load_model(run, compiled), METRICS_JSON.read(run)
    classes = result["classes"]
    if "classifier" not in result:
        if network.output_shape[1] != len(classes):
            raise InputError(
                f"`model.keras` must give a probability for each of {count(len(classes), 'class')}. "
                f"Received: {run / 'model.keras'}, which gives {network.output_shape[1]}."
            )
        features, head = split_head(network)
        finish = refuse_infinite(run, lambda found: head.predict(found, batch_size=BATCH_SIZE, verbose=0))
        return Scorer(features, finish, network)
    return Scorer(network, load_finish(run))


def load_alike(run: RunDir, other: Scorer) -> Scorer:
    """Load a run's network as `load_scorer` does, into the graph of another one if both have the same layers.

    To trace a graph takes longer than to load a network. Both must be of one recipe, but for the images that trained.

    Args:
        run: The run.
        other: From `load_scorer`; it has the run's weights then.
    """
    if other.network is None:  # a hybrid
        return load_scorer(run)
    network = load_model(run, compiled=False)
    if _outline(network) != _outline(other.network):
        return load_scorer(run)
    other.network.set_weights(network.get_weights())
    return other


def _outline(network: keras.Model) -> list[tuple]:
    return [(type(layer).__name__, *(weight.shape for weight in layer.weights)) for layer in network.layers]
