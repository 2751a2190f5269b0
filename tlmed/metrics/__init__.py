"""Labels and scores in, metrics, intervals, thresholds and tests out: NumPy arrays in, plain data out."""

from tlmed.metrics.benefits import benefit_at
from tlmed.metrics.calibration import apply_temperature, fit_temperature, reliability
from tlmed.metrics.classes import describe_default, positive_index, say_positive
from tlmed.metrics.decision_rules import fill_costs, predict_adjusted, predict_cheapest
from tlmed.metrics.definitions import METRICS
from tlmed.metrics.differences import compare_metrics, compare_pairs, holm, measure_pairs
from tlmed.metrics.evaluation import evaluate
from tlmed.metrics.expected_costs import measure_costs
from tlmed.metrics.f_scores import f_beta
from tlmed.metrics.fold_means import average_folds
from tlmed.metrics.likelihood_ratios import likelihood_ratios, youden_index
from tlmed.metrics.logistic_recalibration import recalibrate
from tlmed.metrics.measured import Measured
from tlmed.metrics.paired_tests import compare_areas, mcnemar
from tlmed.metrics.partial_areas import partial_area
from tlmed.metrics.predictive import predictive_values
from tlmed.metrics.proportions import wilson
from tlmed.metrics.ranked_points import ppv_at, sensitivity_at, specificity_at
from tlmed.metrics.roc import binary_auc, macro_auc, roc_curve
from tlmed.metrics.stated_metrics import evaluate_stated
from tlmed.metrics.thresholds import Threshold, choose_threshold, net_benefit
from tlmed.metrics.weighted_kappas import weigh_confusions, weighted_kappa

__all__ = [
    "METRICS",
    "Measured",
    "Threshold",
    "apply_temperature",
    "average_folds",
    "benefit_at",
    "binary_auc",
    "choose_threshold",
    "compare_areas",
    "compare_metrics",
    "compare_pairs",
    "describe_default",
    "evaluate",
    "evaluate_stated",
    "f_beta",
    "fill_costs",
    "fit_temperature",
    "holm",
    "likelihood_ratios",
    "macro_auc",
    "mcnemar",
    "measure_costs",
    "measure_pairs",
    "net_benefit",
    "partial_area",
    "positive_index",
    "ppv_at",
    "predict_adjusted",
    "predict_cheapest",
    "predictive_values",
    "recalibrate",
    "reliability",
    "roc_curve",
    "say_positive",
    "sensitivity_at",
    "specificity_at",
    "weigh_confusions",
    "weighted_kappa",
    "wilson",
    "youden_index",
]
