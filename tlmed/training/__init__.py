"""Train a network through one phase, with checkpoints. It ends with the weights of its best epoch."""

import tlmed.tensorflow_start

from tlmed.training.checkpoints import Checkpoints
from tlmed.training.fitting import IMAGES, PhaseResult, Saving, class_weights, fit_phase
from tlmed.training.gradient_ratios import measure_rates
from tlmed.training.judging import Judge, measure
from tlmed.training.loop import Loop
from tlmed.training.progress import describe, open_voice, speak

__all__ = [
    "IMAGES",
    "Checkpoints",
    "Judge",
    "Loop",
    "PhaseResult",
    "Saving",
    "class_weights",
    "describe",
    "fit_phase",
    "measure",
    "measure_rates",
    "open_voice",
    "speak",
]
