"""What metrics are called, and which of them are shown."""

from collections.abc import Mapping

_NAMES = {
    "auc": "AUC",
    "f1": "F1",
    "ppv": "PPV",
    "npv": "NPV",
    "mcc": "MCC",
    "kappa": "Cohen's kappa",
    "quadratic_kappa": "Quadratic kappa",
    "brier": "Brier score",
    "kendall_tau": "Kendall's tau",
    "within_one": "Within one grade",
    "ece": "Expected calibration error",
    "lr_positive": "Positive likelihood ratio",
    "lr_negative": "Negative likelihood ratio",
    "youden": "Youden's index",
    "f_beta": "F-beta",
    "partial_auc": "Partial AUC",
    "ppv_at_sensitivity": "PPV at a stated sensitivity",
    "sensitivity_at_specificity": "Sensitivity at a stated specificity",
    "specificity_at_sensitivity": "Specificity at a stated sensitivity",
    "root_brier": "Root of the Brier score",
    "classwise_ece": "Class-wise calibration error",
    "auc_micro": "AUC, micro",
    "average_precision_micro": "Average precision, micro",
    "f1_micro": "F1, micro",
    "val_auc": "validation AUC",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
}


# Metrics beside those of `evaluate`: in `metrics.json` and on pages, but not on the terminal. `at` is what is stated.
_AT = {
    "f_beta": "F-beta, beta {}",
    "sensitivity_at_specificity": "Sensitivity at a specificity of {}",
    "specificity_at_sensitivity": "Specificity at a sensitivity of {}",
    "ppv_at_sensitivity": "PPV at a sensitivity of {}",
    "partial_auc": "Partial AUC, false positive rate up to {}",
    "net_benefit": "Net benefit at a risk of {}",
    "weighted_kappa": "Weighted kappa, {} weights",
}
RATIOS = frozenset({"lr_positive", "lr_negative"})  # their means are geometric: those of logarithms
_PROPER = ("Brier", "Cohen", "Kendall", "Youden", "AUC", "F1", "F-", "PPV")  # names of persons, and abbreviations
FURTHER = frozenset(
    {
        *(*RATIOS, "youden", "root_brier", "classwise_ece"),
        *("calibration_intercept", "calibration_slope", *_AT),
    }
)


def find_base(metric: str) -> str:
    """Return the name of a metric without the risk in it.

    >>> find_base("net_benefit_at_0.1"), find_base("ppv_at_sensitivity")
    ('net_benefit', 'ppv_at_sensitivity')
    """
    return "net_benefit" if metric.startswith("net_benefit_at_") else metric


def name_entry(metric: str, entry: Mapping) -> str:
    """Return the name of a metric with the number that the user stated for it, if there is one.

    >>> name_entry("f_beta", {"at": 2.0}), name_entry("weighted_kappa", {"at": [[0, 1], [2, 0]]})
    ('F-beta, beta 2', "Weighted kappa, the user's weights")
    """
    base, stated = find_base(metric), entry.get("at")
    if stated is None or base not in _AT:
        return name_metric(base)
    if isinstance(stated, str):
        return _AT[base].format(stated)
    return _AT[base].format("the user's" if isinstance(stated, list) else f"{stated:g}")


def list_further(entries: Mapping[str, Mapping]) -> dict[str, Mapping]:
    """Return the metrics beside those of `evaluate`, of some metrics by name.

    >>> list(list_further({"auc": {}, "youden": {}, "net_benefit_at_0.1": {}}))
    ['youden', 'net_benefit_at_0.1']
    """
    return {name: entry for name, entry in entries.items() if find_base(name) in FURTHER}


def name_metric(metric: str) -> str:
    """Return the name of a metric for people, as plain text.

    >>> name_metric("auc"), name_metric("balanced_accuracy")
    ('AUC', 'Balanced accuracy')
    """
    return _NAMES.get(metric, str(metric).replace("_", " ").capitalize())


def name_inline(metric: str) -> str:
    """Return the name of a metric within a sentence.

    >>> name_inline("auc"), name_inline("quadratic_kappa"), name_inline("brier")
    ('AUC', 'quadratic kappa', 'Brier score')
    """
    name = name_metric(metric)
    return name if name.isupper() or name.startswith(_PROPER) else name[0].lower() + name[1:]


def list_once(result: Mapping) -> dict[str, Mapping]:
    """Return the metrics of all images that are always shown, each once: of two classes the quadratic kappa is Cohen's.

    Args:
        result: The content of `metrics.json`, which holds both.

    >>> list(list_once({"classes": ["ill", "well"], "metrics": {"kappa": {}, "quadratic_kappa": {}}}))
    ['kappa']
    """
    twice = {"quadratic_kappa"} if len(result["classes"]) == 2 else set()
    left_out = twice | set(list_further(result["metrics"]))
    return {name: entry for name, entry in result["metrics"].items() if name not in left_out}
