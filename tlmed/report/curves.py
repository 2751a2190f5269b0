"""ROC curve, precision-recall curve and confusion matrix."""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from tlmed.answer_units import name_scored, unit_of
from tlmed.evaluation import score_plots
from tlmed.metrics.packed_confusion import unpack_confusion
from tlmed.metrics.proportions import LEAST_GROUPS
from tlmed.metrics.resampling import find_clusters
from tlmed.pages.amounts import number
from tlmed.pages.figures import Picture, draw
from tlmed.pages.templating import render
from tlmed.report.loaded_files import RunContent
from tlmed.words import count

_MOST_NAMED = 6  # with more classes an alternative text leaves their numbers out
_MOST_CONFUSIONS = 10  # so many confusions are told in words where there are many classes


def show_curves(content: RunContent) -> Markup:
    """Return the ROC curve, the precision-recall curve and the confusion matrix."""
    metrics, predictions = content.metrics, content.predictions
    split, positive = metrics["split"], metrics.get("positive")
    classes = 1 if positive is not None else len(metrics["classes"])
    bands = score_plots.draws_bands(predictions, split, positive)
    drawn = classes <= score_plots.MOST_BANDS and len(set(content.scored.labels.tolist())) > 1
    owners = find_clusters(content.scored.groups)
    return render(
        "report/curves.html",
        bands=bands,
        groups=None if owners is None else int(owners.max()) + 1,
        few=LEAST_GROUPS if drawn else None,
        classes=classes,
        coloured=score_plots.MOST_CURVES,
        pictures=[*_draw_curves(content, bands), draw_confusion(metrics, f"of {name_scored(metrics)}")],
    )


def _draw_curves(content, bands) -> list[Picture]:
    metrics, predictions = content.metrics, content.predictions
    split, positive = metrics["split"], metrics.get("positive")
    roc = f"ROC curve of {name_scored(metrics)}. {_say_areas(metrics, 'auc', 'AUC')}"
    recall = f"Precision-recall curve of {name_scored(metrics)}. {_say_areas(metrics, 'average_precision', 'AP')}"
    named = "ROC with a 95 % band" if bands else "ROC"
    return [
        draw(score_plots.roc_curves(predictions, split, positive), roc, f"{named}; dotted: chance"),
        draw(
            score_plots.precision_recall_curves(predictions, split, positive),
            recall,
            "Precision and recall; dotted: the share of the class",
        ),
    ]


def draw_confusion(metrics: Mapping, of: str, caption: str = "Confusion matrix: rows sum to 100 %") -> Picture:
    """Return the confusion matrix as a picture, with the numbers in its text.

    Args:
        metrics: `classes`, `confusion` and `unit` are used.
        of: What was predicted, for the alternative text.
        caption: What stands below it.
    """
    alt = f"Confusion matrix {of}, true class: predicted as {_say_confusions(metrics)}"
    return draw(score_plots.confusion_matrix(metrics), alt, caption)


def _say_confusions(metrics) -> str:
    classes, counts = metrics["classes"], unpack_confusion(metrics)
    if len(classes) <= _MOST_NAMED:
        rows = (f"{name}: {', '.join(map(str, row))}" for name, row in zip(classes, counts.tolist(), strict=True))
        return f"{', '.join(classes)}. {'; '.join(rows)}"
    wrong = counts - np.diag(np.diag(counts))
    # Places in the flattened matrix; stable, so that equal numbers come in the order of the classes.
    most = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    pairs = [
        (row, column) for row, column in zip(*np.unravel_index(most, wrong.shape), strict=True) if wrong[row, column]
    ]
    said = "; ".join(f"{classes[row]} as {classes[column]}: {wrong[row, column]}" for row, column in pairs)
    whole = count(int(counts.sum()), unit_of(metrics))
    right = f"one of {len(classes)} classes. Right: {np.trace(counts):,} of {whole}"
    return f"{right}. Most often taken for another one: {said}" if said else right


def _say_areas(metrics, name, short) -> str:
    """Return the areas below the curves that are drawn: of the positive class, or of every class."""
    positive, overall = metrics.get("positive"), metrics["metrics"]
    drawn = metrics["per_class"] if positive is None else {positive: overall}
    if len(drawn) > _MOST_NAMED:
        return f"{len(drawn)} classes, {short} on average {number(overall.get(name, {}).get('value'))}"
    return ", ".join(f"{label}: {short} {number(table.get(name, {}).get('value'))}" for label, table in drawn.items())
