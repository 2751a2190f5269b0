"""The sections of a page that differ where an image may have several labels."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.answer_units import name_scored, unit_of
from tlmed.evaluation import score_plots
from tlmed.evaluation.balanced_training import say_balanced
from tlmed.evaluation.ensemble_lines import answers_in_parts
from tlmed.evaluation.predictions import STATED
from tlmed.metrics.definitions import CALIBRATED
from tlmed.metrics.names import name_metric
from tlmed.pages.amounts import number
from tlmed.pages.entries import compare_entries, list_notes, show_cell
from tlmed.pages.figures import Picture, draw
from tlmed.pages.glossary import explain
from tlmed.pages.templating import render
from tlmed.report.calibration_section import find_worse
from tlmed.report.loaded_files import RunContent
from tlmed.report.scores import list_common
from tlmed.tabulation import Table, numbers, texts

_COLUMNS = ("auc", "average_precision", "sensitivity", "specificity", "ppv", "npv", "f1")
_AT = ("sensitivity", "specificity", "f1")


def show_label_scores(content: RunContent) -> Markup:
    """Return the metrics of all labels together, and those of each label."""
    metrics = content.metrics
    return render(
        "report/label_scores.html",
        **list_common(metrics),
        labels=tabulate_labels(metrics),
    )


def tabulate_labels(metrics: Mapping) -> Table:
    """Return the metrics of each label, and of how many images it is known.

    Args:
        metrics: `metrics.json` of a run, of an evaluation, or of a cross-validation.
    """
    labels = metrics["per_class"]
    unknown = any(entry["unknown"] for entry in labels.values())
    counts = ("Has it", "Known", *(("Unknown",) if unknown else ()))
    rows = [
        (
            label,
            f"{entry['positives']:,}",
            f"{entry['n']:,}",
            *((f"{entry['unknown']:,}",) if unknown else ()),
            *(show_cell(entry[name]) for name in _COLUMNS),
        )
        for label, entry in labels.items()
    ]
    noted = [(f"{name_metric(name)} ({label})", entry[name]) for label, entry in labels.items() for name in _COLUMNS]
    return Table(texts("Label") + numbers(*counts, *map(explain, _COLUMNS)), rows, list_notes(noted))


def show_label_thresholds(metrics: Mapping) -> Markup:
    """Return the threshold of each label with what it changes; nothing where none is known."""
    labels = {name: entry for name, entry in metrics["per_class"].items() if "operating_point" in entry}
    if not labels:
        return Markup()
    rows = [(name, *_show_point(entry)) for name, entry in labels.items()]
    named = [(name, entry["operating_point"]) for name, entry in labels.items()]
    noted = [
        (f"{name_metric(it)} at 0.5 ({name})", point["at_half"][it])
        for name, point in named
        for it in _AT
        if it in point.get("at_half", {})
    ]
    first = next(iter(labels.values()))["operating_point"]
    own = (explain("threshold"),) if "threshold" in first else ()  # each fold of a cross-validation chose another
    where = "that of its members" if answers_in_parts(metrics) else "it"
    columns = numbers(*own, *(f"{name_metric(it)} at {at}" for it in _AT for at in (where, "0.5")))
    stated = any(point["rule"] == STATED for _, point in named)
    return render(
        "report/label_thresholds.html",
        rule=STATED if stated else first["rule"],
        split=first.get("split", "val"),
        of_folds=not own,
        in_parts=answers_in_parts(metrics),
        unit=unit_of(metrics),
        table_of_labels=Table(texts("Label") + columns, rows, list_notes([*named, *noted])),
    )


def _show_point(entry) -> list:
    point = entry["operating_point"]
    half = point.get("at_half", {})
    own = [number(point["threshold"])] if "threshold" in point else []
    return own + [show_cell(part.get(name)) for name in _AT for part in (entry, half)]


def show_label_curves(content: RunContent) -> Markup:
    """Return the ROC curve and the precision-recall curve of each label, on the images of which it is known."""
    metrics, predictions, split = content.metrics, content.predictions, content.metrics["split"]
    roc = f"ROC curves of {name_scored(metrics)}. {_say_areas(metrics, 'auc', 'AUC')}"
    recall = f"Precision-recall curves of {name_scored(metrics)}. {_say_areas(metrics, 'average_precision', 'AP')}"
    return render(
        "report/label_curves.html",
        labels=len(metrics["classes"]),
        coloured=score_plots.MOST_CURVES,
        pictures=[
            draw(score_plots.roc_curves(predictions, split), roc, "ROC; dotted: chance"),
            draw(
                score_plots.precision_recall_curves(predictions, split),
                recall,
                "Precision and recall; dotted: the share of the label",
            ),
        ],
    )


def _say_areas(metrics, name, short) -> str:
    return ", ".join(
        f"{label}: {short} {number(entry[name]['value'])}" for label, entry in metrics["per_class"].items()
    )


def show_label_calibration(content: RunContent) -> Markup:
    """Return the calibration of each label's scores before and after its temperature, and the reliability of each."""
    return _show_calibration(content.metrics, content.recipe, content)


def show_mean_label_calibration(metrics: Mapping, recipe: Mapping) -> Markup:
    """Return the same as means over the folds of a cross-validation; each fold has temperatures of its own.

    Args:
        metrics: `metrics.json` of a cross-validation.
        recipe: `recipe.json`.
    """
    return _show_calibration(metrics, recipe, None)


def _show_calibration(metrics, recipe, content: RunContent | None) -> Markup:
    labels = {name: entry for name, entry in metrics["per_class"].items() if "calibration" in entry}
    if not labels:
        return Markup()
    after = metrics["calibration"]["metrics"]
    before = {name: metrics["metrics"][name] for name in after if name in metrics["metrics"]}
    columns = [f"{name_metric(it)} {when}" for it in CALIBRATED for when in ("as trained", "calibrated")]
    # A file of another program holds calibrated scores, and says nothing of temperatures.
    temperature = numbers(explain("temperature")) if content and "method" in metrics["calibration"] else ()
    rows = [(name, *_show_temperature(entry), *_show_change(entry)) for name, entry in labels.items()]
    noted = [(name, entry["calibration"]) for name, entry in labels.items()]
    return render(
        "report/label_calibration.html",
        method=metrics["calibration"].get("method"),
        balanced=say_balanced(recipe),
        unit=unit_of(metrics),
        **find_worse(metrics),
        compared=compare_entries({"As trained": before, "Calibrated": after}),
        labels=Table(texts("Label") + temperature + numbers(*columns), rows, list_notes(noted)),
        picture=content and _draw_reliability(content),
    )


def _show_temperature(entry) -> list[str]:
    found = entry["calibration"].get("temperature")
    return [] if found is None else [number(found)]


def _show_change(entry) -> list:
    after = entry["calibration"].get("metrics", {})
    return [show_cell(part.get(name)) for name in CALIBRATED for part in (entry, after)]


def _draw_reliability(content) -> Picture:
    scored = content.scored
    series = {}
    for number_of, name in enumerate(scored.classes):
        side = scored.of_label(number_of)
        chosen = side.scores if side.calibrated is None else side.calibrated
        series[name] = score_plots.find_points(side.labels == 1, chosen[:, 1], side.groups)
    alt = f"Reliability of {name_scored(content.metrics)}, a curve for each label. " + " ".join(
        f"{name}: {_say_points(points)}." for name, points in series.items()
    )
    return draw(score_plots.reliability_of_labels(series), alt, "Reliability of calibrated scores; dotted: perfect")


def _say_points(points) -> str:
    return ", ".join(f"said {number(point['confidence'])} came true {number(point['share'])}" for point in points)
