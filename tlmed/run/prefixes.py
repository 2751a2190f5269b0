"""Compute a phase's frozen blocks once for all images, or in every step, as the plan decided."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from tlmed.backbones import name_all
from tlmed.backbones.graphs import find_unknown_code
from tlmed.data import ImageSet
from tlmed.errors import RunFailed
from tlmed.features.activations import Activations
from tlmed.features.early_features import EarlyFeatures
from tlmed.features.kept import Means, keep_features, rounds
from tlmed.features.views import Views
from tlmed.phases import Classifier, trainer
from tlmed.plan import describe_foreign
from tlmed.recipe import Recipe
from tlmed.replicas import all_agree, make_predictor, without_xla, workers
from tlmed.run.job import Job
from tlmed.run.networks import image_predictor, predict_rows
from tlmed.training import IMAGES

_SUMMED = ("computed", "batches", "seconds", "preparation_seconds", "waiting_seconds")  # over parts of an extraction


@dataclass(frozen=True)
class Feed:
    """What a phase is fed with, the model that is trained on it, and how the network is scored meanwhile.

    Attributes:
        images: The images; instead of their pixels they may hold the features that the frozen blocks computed.
        trainer: The model that is fitted to their batches.
        predict: Row numbers to class probabilities [n, classes], by the current weights.
        together: Training steps that TensorFlow runs before Python looks again.
        extraction: For `timing.json`, how features were obtained; None where the images themselves are fed.
    """

    images: ImageSet
    trainer: keras.Model
    predict: Callable[[np.ndarray], np.ndarray]
    together: int = 1
    extraction: dict | None = None

    @property
    def words(self) -> str:
        """What the batches hold, in words."""
        if self.extraction is None:
            return IMAGES
        return f"features by {self.extraction['engine']} in {self.extraction['engine_precision']}"


def feed(
    job: Job,
    model: Classifier,
    images: ImageSet,
    choice: dict,
    begun: bool = False,
    early: EarlyFeatures | None = None,
) -> Feed:
    """Return what a phase trains on.

    Args:
        job: The run.
        model: Its network, thawed for the phase.
        images: The images.
        choice: `cache` of the phase in `plan.json`.
        begun: Whether an earlier command trained on features; then this one must, too.
        early: An engine, and features, that may be ready for the frozen blocks.

    Raises:
        RunFailed: If the cache cannot be used, and the recipe asks for versions of training images or the run has begun
            on features.
    """
    recipe = job.recipe
    if choice["on"]:
        train, views = images.indices("train"), recipe.augment.views
        pixels = Views(images.pixels, train, model.parts.augment, views, recipe.seed) if views else images.pixels
        name = model.phase.name
        found = _keep(job, model.route.frozen.net, pixels, images, name, early)
        if found is None and views:
            raise RunFailed(
                "`augment.views` must be 0 where the cache cannot be used, because without it the network would be "
                f"trained on other images. Received: views={views}."
            )
        if found is None and begun:
            raise RunFailed(
                "A run that began with features from the cache must go on with them, or its result would differ in its "
                "last bits. Make the cache usable and run the command again, or start over with --fresh. "
                f"Received: phase {name!r} without a usable cache, because of the reason above."
            )
        if found is not None:
            activations, extraction = found
            # Steps of an epoch, the last batch being smaller.
            epoch = -(-len(train) // recipe.data.batch_size)
            suffix = trainer(model)
            return Feed(
                dataclasses.replace(images, pixels=activations, views=views),
                suffix,
                # Not `Model.predict`: starting it takes longer than computing a head.
                make_predictor(
                    lambda batch: suffix(activations.split(batch), training=False),
                    *(activations.take, activations.spec, recipe.data.batch_size),
                ),
                # A step of a head is so short that Python between steps costs more than the step.
                recipe.steps_per_execution or (epoch if model.phase.thaw == 0 else 1),
                extraction,
            )
    together = recipe.steps_per_execution or 1
    return Feed(images, model, image_predictor(recipe, model.plain(), images), together)


def read_head_inputs(job: Job, model: Classifier, fed: Feed) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from row numbers to the features that the head is given, by the current weights: [n, d].

    Args:
        job: The run.
        model: Its network, thawed for the phase.
        fed: What the phase is fed with; features of frozen blocks that it holds are not computed again.
    """
    features, size = model.parts.features, job.recipe.data.batch_size
    if fed.extraction is None:
        return image_predictor(job.recipe, without_xla(keras.Model(model.inputs[0], features)), fed.images)
    kept = fed.images.pixels
    if model.phase.thaw == 0:
        return kept.take
    network = keras.Model(model.route.frozen.net.outputs, features)
    return make_predictor(lambda batch: network(kept.split(batch), training=False), kept.take, kept.spec, size)


def is_rounded(recipe: Recipe) -> bool:
    """Tell whether scores of a phase can differ from those of the saved network, which computes in float32."""
    return rounds(recipe.engine, recipe.engine_precision, recipe.cache_dtype, recipe.precision)


def choose_features(recipe: Recipe, network: keras.Model) -> dict:
    """Return for `plan.json` whether the features of a frozen network are kept, and why."""
    if recipe.cache == "off":
        return {"on": False, "reason": "the recipe says so"}
    if foreign := find_unknown_code(network):
        return {"on": False, "reason": describe_foreign(foreign)}
    return {"on": True, "reason": "other classifiers and runs see the same features"}


def features_of(
    job: Job, network: keras.Model, images: ImageSet, name: str, early: EarlyFeatures | None = None
) -> np.ndarray:
    """Return what a frozen network from images to features gives for every image: float32 [n, d], 0 for unused ones.

    Args:
        job: The run, whose clock takes a note of the extraction; with `cache="off"` nothing is looked up or kept.
        network: The network.
        images: The images.
        name: What the features are for.
        early: An engine, and features, that may be ready for the network.
    """
    rows = images.used
    kept = choose_features(job.recipe, network)["on"]
    found = _keep(job, network, images.pixels, images, name, early) if kept else None
    if found is None:
        return _spread(predict_rows(job.recipe, network, images, rows), images)
    activations, extraction = found
    job.clock.extractions.append(extraction)
    return _spread(activations.take(rows), images)


def _spread(features: np.ndarray, images: ImageSet) -> np.ndarray:
    """Return the features of used images in rows of all images."""
    if len(features) == len(images.splits):
        return features
    found = np.zeros((len(images.splits), *features.shape[1:]), features.dtype)
    found[images.used] = features
    return found


def list_means(recipe: Recipe) -> Means:
    """Return how a recipe's features are computed and kept."""
    return Means(
        name_all(recipe.backbone),
        recipe.engine,
        recipe.data.batch_size,
        recipe.engine_precision,
        recipe.cache_dtype,
    )


def _keep(job, prefix, pixels, images, name, early) -> tuple[Activations, dict] | None:
    """Return the features of all images that are used, and of versions of them.

    Each of several workers computes its share first, then finds the others'.

    Workers that share no store compute what they do not find.
    """
    means, ready = list_means(job.recipe), {} if early is None else {"ready": early.take}

    def keep(rows: np.ndarray | None):
        return keep_features(prefix, pixels, name, job.voice, means, rows, **ready)

    rows = np.concatenate([images.used, np.arange(len(images.splits), len(pixels.digests))])
    number, count = workers()
    if count == 1:
        return keep(rows)
    own = keep(np.array_split(rows, count)[number])
    # If the cache fails in one worker, all of them must train without it, or their weights would differ.
    if not all_agree(own is not None):
        return None
    found = keep(rows)
    if not all_agree(found is not None):
        return None
    sums = {name: own[1][name] + found[1][name] for name in _SUMMED}
    return found[0], {**found[1], **sums}
