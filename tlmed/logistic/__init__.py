"""Linear heads on features: logistic regression with an L2 penalty, solved until it converges. Arrays in and out."""

from tlmed.logistic.axes import project, standardise
from tlmed.logistic.feature_rows import Source, hold
from tlmed.logistic.linear_heads import LinearHead, fit_head, fit_path
from tlmed.logistic.nested_heads import fit_nested
from tlmed.logistic.solved_paths import Solution, solve_path
from tlmed.logistic.targets_of_heads import Targets, aim_at_classes, aim_at_labels

__all__ = [
    "LinearHead",
    "Solution",
    "Source",
    "Targets",
    "aim_at_classes",
    "aim_at_labels",
    "fit_head",
    "fit_nested",
    "fit_path",
    "hold",
    "project",
    "solve_path",
    "standardise",
]
