"""The calibration of the scores: how often they come true, before and after a temperature is applied."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.answer_units import name_scored, say_where, unit_of
from tlmed.evaluation import score_plots
from tlmed.evaluation.balanced_training import say_balanced
from tlmed.evaluation.decision_lines import say_effect
from tlmed.metrics import positive_index, reliability
from tlmed.metrics.calibration import pair, sort_changes
from tlmed.metrics.names import name_metric
from tlmed.metrics.resampling import find_clusters
from tlmed.pages.amounts import number
from tlmed.pages.entries import compare_entries
from tlmed.pages.figures import Picture, draw
from tlmed.pages.templating import render
from tlmed.report.loaded_files import RunContent
from tlmed.tabulation import Table
from tlmed.words import count, thousandths


def show_calibration(content: RunContent) -> Markup:
    """Return the temperature, the scores before and after it, and the reliability diagram."""
    metrics, predictions = content.metrics, content.scored
    positive = metrics.get("positive")
    series = {_name_scores(metrics): _find_points(predictions, predictions.scores, positive)}
    if predictions.calibrated is not None:
        series["calibrated"] = _find_points(predictions, predictions.calibrated, positive)
    found = metrics.get("calibration")
    compared = {"compared": _compare(metrics), **find_worse(metrics)} if found else {}
    return render(
        "report/calibration.html",
        from_file=_is_from_file(metrics),
        are_pooled="per_sample" in metrics,
        found=found,
        effect=say_effect(metrics),
        balanced=say_balanced(content.recipe),
        unit=unit_of(metrics),
        picture=_draw_reliability(metrics, series, positive if positive is not None else "the predicted class"),
        **compared,
    )


def _draw_reliability(metrics, series, about) -> Picture:
    alt = f"Reliability diagram of {name_scored(metrics)}: scores of {about}. " + " ".join(
        f"{name.capitalize()}: {_say_points(points, unit_of(metrics))}." for name, points in series.items()
    )
    caption = "Reliability with 95 % intervals; dotted: perfect"
    return draw(score_plots.reliability_diagram(series, about, f"{unit_of(metrics)}s"), alt, caption)


def show_mean_calibration(metrics: Mapping, recipe: Mapping) -> Markup:
    """Return the scores before and after calibration, averaged over folds; nothing where there was none.

    Args:
        metrics: `metrics.json` of a cross-validation.
        recipe: `recipe.json`.
    """
    found = metrics.get("calibration", {})
    if not found.get("metrics"):
        return Markup()
    return render(
        "folds/calibration.html",
        method=found["method"],
        effect=say_effect(metrics),
        balanced=say_balanced(recipe),
        unit=unit_of(metrics),
        compared=_compare(metrics),
        **find_worse(metrics),
    )


def _compare(metrics) -> Table:
    after = metrics["calibration"].get("metrics", {})
    before = {name: metrics["metrics"][name] for name in after if name in metrics["metrics"]}
    return compare_entries({_name_scores(metrics).capitalize(): before, "Calibrated": after})


def _is_from_file(metrics) -> bool:
    """Tell whether a file of predictions was scored: then nothing is known of how its scores were made."""
    return "predictions" in metrics.get("evaluated", {})


def _name_scores(metrics) -> str:
    return "as scored" if _is_from_file(metrics) else "as trained"


def find_worse(metrics: Mapping) -> dict[str, object]:
    """Return for a template which metrics calibration made worse and which better, as written with three decimals.

    Args:
        metrics: `metrics.json`, with the metrics of calibrated scores.
    """
    before, after = metrics["metrics"], metrics["calibration"]["metrics"]
    worse, better = sort_changes(metrics)
    rose = [
        f"{name_metric(name)} from {number(before[name]['value'])} to {number(after[name]['value'])}" for name in worse
    ]
    return {"where": say_where(metrics), "worse": rose, "better": [*map(name_metric, better)]}


def _find_points(predictions, scores, positive) -> list[dict]:
    main = positive_index(predictions.classes, positive)
    confidence, outcome = pair(predictions.labels, scores, predictions.predictions, main)
    return reliability(confidence, outcome, find_clusters(predictions.groups))


def _say_points(points, unit) -> str:
    return "; ".join(
        f"scores {point['from']:.1f} to {point['to']:.1f}: {count(point['n'], unit)}, "
        f"mean {thousandths(point['confidence'])}, came true {thousandths(point['share'])}"
        for point in points
    )
