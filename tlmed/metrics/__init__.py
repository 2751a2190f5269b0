"""Labels and scores in, metrics, intervals, thresholds and tests out: NumPy arrays in, plain data out."""

from tlmed.metrics.calibration import apply_temperature, fit_temperature, reliability
from tlmed.metrics.classes import describe_default, positive_index, say_positive
from tlmed.metrics.decision_rules import fill_costs, predict_adjusted, predict_cheapest
from tlmed.metrics.definitions import METRICS
from tlmed.metrics.differences import compare_metrics, compare_pairs, holm, measure_pairs
from tlmed.metrics.evaluation import evaluate
from tlmed.metrics.expected_costs import measure_costs
from tlmed.metrics.fold_means import average_folds
from tlmed.metrics.paired_tests import compare_areas, mcnemar
from tlmed.metrics.predictive import predictive_values
from tlmed.metrics.proportions import wilson
from tlmed.metrics.roc import binary_auc, macro_auc, roc_curve
from tlmed.metrics.thresholds import Threshold, choose_threshold, net_benefit

__all__ = [
    "METRICS",
    "Threshold",
    "apply_temperature",
    "average_folds",
    "binary_auc",
    "choose_threshold",
    "compare_areas",
    "compare_metrics",
    "compare_pairs",
    "describe_default",
    "evaluate",
    "fill_costs",
    "fit_temperature",
    "holm",
    "macro_auc",
    "mcnemar",
    "measure_costs",
    "measure_pairs",
    "net_benefit",
    "positive_index",
    "predict_adjusted",
    "predict_cheapest",
    "predictive_values",
    "reliability",
    "roc_curve",
    "say_positive",
    "wilson",
]
