"""What the scores can tell apart, threshold by threshold, and what was taken for what."""

from tlmed.evaluation import plots
from tlmed.evaluation.page import picture
from tlmed.report.content import Content
from tlmed.report.words import number

_MOST_NAMED = 6  # classes whose numbers an alternative text can hold


def show_curves(content: Content) -> str:
    """Return the ROC curve, the precision-recall curve and the confusion matrix as HTML."""
    metrics, predictions = content.metrics, content.predictions
    split, positive = metrics["split"], metrics.get("positive")
    roc = f"ROC curve of the {split} split. {_say_areas(metrics, 'auc', 'AUC')}"
    recall = f"Precision-recall curve of the {split} split. {_say_areas(metrics, 'average_precision', 'AP')}"
    confusion = f"Confusion matrix of the {split} split, true class: predicted as {', '.join(metrics['classes'])}. "
    confusion += "; ".join(
        f"{name}: {', '.join(map(str, row))}"
        for name, row in zip(metrics["classes"], metrics["confusion"], strict=True)
    )
    precision = "Precision and recall; dotted: the share of the class"
    return (
        '<div class="pair">'
        + picture(plots.roc_curves(predictions, split, positive), roc, "ROC; dotted: chance")
        + picture(plots.precision_recall_curves(predictions, split, positive), recall, precision)
        + picture(plots.confusion_matrix(metrics), confusion, "Confusion matrix: rows sum to 100 %")
        + "</div>"
    )


def _say_areas(metrics, name, short) -> str:
    """Return the areas below the curves that are drawn: of the positive class, or of every class."""
    positive, overall = metrics.get("positive"), metrics["metrics"]
    drawn = metrics["per_class"] if positive is None else {positive: overall}
    if len(drawn) > _MOST_NAMED:
        return f"{len(drawn)} classes, {short} on average {number(overall.get(name, {}).get('value'))}"
    return ", ".join(f"{label}: {short} {number(table.get(name, {}).get('value'))}" for label, table in drawn.items())
