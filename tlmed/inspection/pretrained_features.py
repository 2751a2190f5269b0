"""Features of the images that are inspected, by the network that a recipe begins with."""

import keras
import numpy as np

from tlmed import backbones
from tlmed.data import ImageSet
from tlmed.errors import InputError
from tlmed.features import feature_model
from tlmed.features.kept import Means, keep_features
from tlmed.recipe import Recipe
from tlmed.voice import Voice

_NAME = "pooled features"


def compute_features(recipe: Recipe, images: ImageSet, voice: Voice) -> tuple[np.ndarray | None, str]:
    """Return features float32 [n, d] and ""; or None and why there are none.

    Args:
        recipe: Its backbone, with the weights that training begins with, gives the features.
        images: The images.
        voice: Where to tell of it.
    """
    words = [recipe.weights] if isinstance(recipe.weights, str) else recipe.weights
    if "none" in words:
        return None, "the recipe begins with random weights, whose features say little"
    try:
        with voice.busy(f"Building {backbones.name_all(recipe.backbone)}"):
            backbone = backbones.build(recipe.backbone, recipe.weights, recipe.data.image_size, recipe.seed)
    except InputError as error:
        return None, error.faults[0].rstrip(".")
    network = feature_model(backbone.model)
    means = Means(backbones.name_all(recipe.backbone), recipe.engine, recipe.data.batch_size, recipe.engine_precision)
    kept = keep_features(network, images.pixels, _NAME, voice, means) if images.pixels.digests is not None else None
    if kept is not None:
        return kept[0].take(np.arange(len(images.table))), ""
    return _compute(network, images, recipe.data.batch_size, voice), ""


def _compute(network: keras.Model, images: ImageSet, batch_size: int, voice: Voice) -> np.ndarray:
    """Return features without the store."""
    rows, parts = np.arange(len(images.table)), []
    with voice.count(f"Features ({_NAME})", len(rows)) as tell:
        for start in range(0, len(rows), batch_size):
            pixels = images.pixels.take(rows[start : start + batch_size])
            parts.append(np.asarray(network.predict_on_batch(pixels)))
            tell(len(pixels))
    return np.concatenate(parts).astype("float32")
