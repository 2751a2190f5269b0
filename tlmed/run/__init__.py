"""A run: a recipe and images in, a run directory out. `story` tells it from top to bottom."""

import tlmed.tensorflow_start

from tlmed.run.preparation import preview
from tlmed.run.story import Run, rehearse, train
from tlmed.voice import Voice

__all__ = ["Run", "Voice", "preview", "rehearse", "train"]
