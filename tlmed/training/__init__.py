"""Train a network through one phase: its best epoch is what stays."""

from tlmed.training.fitting import PhaseResult, class_weights, fit_phase, measure
from tlmed.training.progress import show_features, show_phase

__all__ = ["PhaseResult", "class_weights", "fit_phase", "measure", "show_features", "show_phase"]
