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
    "val_auc": "validation AUC",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
}


def name_metric(metric: str) -> str:
    """Return the name of a metric for people, as plain text.

    >>> name_metric("auc"), name_metric("balanced_accuracy")
    ('AUC', 'Balanced accuracy')
    """
    return _NAMES.get(metric, str(metric).replace("_", " ").capitalize())


def list_once(result: Mapping) -> dict[str, Mapping]:
    """Return the metrics of all images, each once: of two classes the quadratic kappa is Cohen's.

    Args:
        result: The content of `metrics.json`, which holds both.

    >>> list(list_once({"classes": ["ill", "well"], "metrics": {"kappa": {}, "quadratic_kappa": {}}}))
    ['kappa']
    """
    twice = {"quadratic_kappa"} if len(result["classes"]) == 2 else set()
    return {name: entry for name, entry in result["metrics"].items() if name not in twice}
