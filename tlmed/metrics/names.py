"""What metrics are called."""

_NAMES = {
    "auc": "AUC",
    "f1": "F1",
    "ppv": "PPV",
    "npv": "NPV",
    "mcc": "MCC",
    "kappa": "Cohen's kappa",
    "quadratic_kappa": "Quadratic kappa",
    "brier": "Brier score",
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
