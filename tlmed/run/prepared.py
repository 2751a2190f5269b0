"""The result of preparation, as training takes it."""

from dataclasses import dataclass

import keras

from tlmed.backbones import Backbone
from tlmed.data import ImageSet
from tlmed.features.early_features import EarlyFeatures
from tlmed.phases import Classifier
from tlmed.sections import Phase


@dataclass(frozen=True)
class Prepared:
    """All that training needs.

    Attributes:
        images: The images, split.
        backbone: The backbone, with its weights.
        network: A classifier for phases, or a network from images to features for a hybrid.
        phases: The schedule, expanded; none for a hybrid.
        plan: The content of `plan.json`.
        early: What was prepared and computed while images were read, if something was.
        most: Epochs after which a phase ends, of those that it has; None: all.
    """

    images: ImageSet
    backbone: Backbone
    network: Classifier | keras.Model
    phases: tuple[Phase, ...]
    plan: dict
    early: EarlyFeatures | None = None
    most: int | None = None
