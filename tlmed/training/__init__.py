"""Train a network through one phase: its best epoch is what stays."""

from tlmed.training.fitting import PhaseResult, class_weights, fit_phase
from tlmed.training.progress import show_phase

__all__ = ["PhaseResult", "class_weights", "fit_phase", "show_phase"]
