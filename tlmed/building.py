"""Build the network of a recipe: its backbone and its head, compiled for its first phase."""

import tlmed.tensorflow_start

import warnings
from typing import Protocol

import keras

from tlmed import backbones
from tlmed.augmentation import make_augmentation
from tlmed.backbones import Backbone
from tlmed.backbones.own import GRAPH, check_reloads
from tlmed.errors import InputError
from tlmed.features import feature_model
from tlmed.heads.dense import attach_head
from tlmed.losses import choose_loss
from tlmed.phases import Classifier, needs_start, thaw
from tlmed.plan import expand, find_schedule_faults
from tlmed.sections import Augment, Degrees, Dense, Hybrid, Images, Phase
from tlmed.seeds import derive
from tlmed.tasks import MULTI_LABEL, ORDINAL


class Blueprint(Protocol):
    """The fields of a `Recipe` that decide a network; this module must not import `Recipe`, which imports it."""

    data: Images
    backbone: str | tuple[str, ...]
    weights: str | tuple[str, ...]
    head: Dense | Hybrid
    phases: tuple[Phase, ...] | Degrees
    augment: Augment
    seed: int
    task: str


def build(recipe: Blueprint, num_classes: int, backbone: keras.Model | None = None) -> keras.Model:
    """Build a recipe's network, compiled for its first phase; see `Recipe.build`."""
    least = 3 if recipe.task == ORDINAL or recipe.data.order is not None else 2
    if not isinstance(num_classes, int) or num_classes < least:
        ordered = " for ordered classes" if least > 2 else ""
        raise InputError(
            f"`num_classes` must be a whole number of {least} or more{ordered}. Received: num_classes={num_classes!r}."
        )
    built = build_backbone(recipe, None if backbone is None else "own", backbone)
    for line in backbones.say_preparations(built.sources):
        warnings.warn(line, stacklevel=3)  # at the caller of `Recipe.build`
    network = built.model
    if isinstance(recipe.head, Hybrid):
        return feature_model(network, recipe.head.tap, recipe.head.pooling)
    phases = expand(recipe.phases, network)
    if faults := find_schedule_faults(network, phases):
        raise InputError(faults)
    model = assemble(recipe, network, num_classes, _asks_labels(recipe))
    if needs_start(phases):
        model.remember()
    return thaw(model, phases[0])


def _asks_labels(recipe) -> bool:
    """Tell whether an image may have several labels."""
    return recipe.task == MULTI_LABEL or recipe.data.label_columns is not None


def build_backbone(recipe: Blueprint, weights: str | None = None, own: keras.Model | None = None) -> Backbone:
    """Build a recipe's backbone, with other weights if asked, or take the user's own."""
    size = recipe.data.image_size
    seed = derive(recipe.seed, "backbone")
    built = backbones.build(recipe.backbone if own is None else own, weights or recipe.weights, size, seed)
    if any(source.graph == GRAPH for source in built.sources):
        check_reloads(built.model)
    return built


def assemble(recipe: Blueprint, backbone: keras.Model, num_classes: int, several: bool = False) -> Classifier:
    """Put a recipe's Keras head on a backbone, for one class or several labels; every layer is trainable."""
    augment = make_augmentation(recipe.augment)
    model = attach_head(backbone, num_classes, recipe.head, augment, recipe.seed, several)
    model.training_loss = choose_loss(recipe.head, several)
    return model
