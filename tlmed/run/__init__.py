"""A run: from a recipe and images to a run directory. Begin with `story`, which calls all other modules in order."""

import tlmed.tensorflow_start

from tlmed.run.forecasting import forecast
from tlmed.run.previewing import preview
from tlmed.run.reading_images import find_source_faults, introduce, list_found, look
from tlmed.run.story import Run, rehearse, train
from tlmed.voice import Voice

__all__ = [
    "Run",
    "Voice",
    "find_source_faults",
    "forecast",
    "introduce",
    "list_found",
    "look",
    "preview",
    "rehearse",
    "train",
]
