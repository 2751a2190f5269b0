"""Whether the scores mean what they say, before and after calibration."""

from collections.abc import Mapping

from tlmed.evaluation import score_plots
from tlmed.evaluation.page import picture, text
from tlmed.metrics import positive_index, reliability
from tlmed.metrics.calibration import pair, sort_changes
from tlmed.metrics.rates import CALIBRATED
from tlmed.metrics.resampling import find_clusters
from tlmed.pages.amounts import number
from tlmed.report.content import Content
from tlmed.report.entries import compare_entries
from tlmed.report.glossary import explain
from tlmed.report.words import name_metric
from tlmed.words import count, join_names

_EXPLAINED = (
    f"{explain('reliability')}: each point is a tenth of the scale: how likely the network said it was, and how often "
    "it came true. Below, how many images that is; a point of few images says little."
)


def show_calibration(content: Content) -> str:
    """Return the temperature, the scores before and after it, and the reliability diagram, as HTML."""
    metrics, predictions = content.metrics, content.scored
    positive = metrics.get("positive")
    series = {_name_scores(metrics): _find_points(predictions, predictions.scores, positive)}
    if predictions.calibrated is not None:
        series["calibrated"] = _find_points(predictions, predictions.calibrated, positive)
    about = positive if positive is not None else "the predicted class"
    alt = f"Reliability diagram of the {metrics['split']} split: scores of {about}. " + " ".join(
        f"{name.capitalize()}: {_say_points(points)}." for name, points in series.items()
    )
    drawn = picture(
        score_plots.reliability_diagram(series, about), alt, "Reliability with 95 % intervals; dotted: perfect"
    )
    return f"{_show_temperature(metrics)}{drawn}<p><small>{_EXPLAINED}</small></p>"


def _show_temperature(metrics) -> str:
    found, split = metrics.get("calibration"), f"On the {text(metrics['split'])} split"
    if _is_from_file(metrics):
        if not found:
            return "<p>The scores are those of the file, which has no columns <code>calibrated_CLASS</code>.</p>"
        return (
            "<p>The file has calibrated probabilities beside the scores, and does not say on which images they were "
            f"calibrated. Lower is better:</p>{_compare(metrics)}{_say_worse(metrics, split)}"
        )
    if not found:
        return "<p>The scores are those of the network; they were not calibrated.</p>"
    where = f"{count(found['n'], 'image')} of the {text(found['split'])} split"
    kind = "too sure" if found["temperature"] > 1 else "not sure enough"
    note = f" {text(found['note'])}" if found.get("note") else ""
    return (
        f"<p>Calibrated by {text(found['method'])}: a {explain('temperature', 'temperature')} of "
        f"<b>{found['temperature']:.3f}</b>, fitted on {where}; there the scores were {kind}.{note} It changes no "
        f"class that is predicted. Lower is better:</p>{_compare(metrics)}{_say_worse(metrics, split)}"
    )


def show_mean_calibration(metrics: Mapping) -> str:
    """Return the scores before and after calibration, averaged over folds, as HTML; nothing where there was none.

    Args:
        metrics: `metrics.json` of a cross-validation.
    """
    found = metrics.get("calibration", {})
    if not found.get("metrics"):
        return ""
    return (
        f"<p>Each fold was calibrated by {text(found['method'])}, at a temperature of its own. It changes no class "
        f"that is predicted. Lower is better:</p>{_compare(metrics)}{_say_worse(metrics, 'On average over the folds')}"
    )


def _compare(metrics) -> str:
    after = metrics["calibration"].get("metrics", {})
    before = {name: metrics["metrics"][name] for name in CALIBRATED if name in after}
    return compare_entries({_name_scores(metrics).capitalize(): before, "Calibrated": after})


def _is_from_file(metrics) -> bool:
    """Say whether a file of predictions was scored, of which only its numbers are known."""
    return "predictions" in metrics.get("evaluated", {})


def _name_scores(metrics) -> str:
    return "as scored" if _is_from_file(metrics) else "as trained"


def _say_worse(metrics, where) -> str:
    """Return what calibration made worse, of what is written with three decimals, as HTML; nothing if nothing."""
    before, after = metrics["metrics"], metrics["calibration"]["metrics"]
    worse, better = sort_changes(metrics)
    if not worse:
        return ""
    rose = "; ".join(
        f"{name_metric(name)} from {number(before[name]['value'])} to {number(after[name]['value'])}" for name in worse
    )
    scope = f"in part, though {join_names(map(name_metric, better))} fell" if better else "by every measure that moved"
    return (
        f'<p class="notice"><b>{where} calibration made the scores worse</b> {scope}: {rose}. A change within the '
        "intervals may be chance; few validation images, or test images of another kind, make it likely.</p>"
    )


def _find_points(predictions, scores, positive) -> list[dict]:
    main = positive_index(predictions.classes, positive)
    confidence, outcome = pair(predictions.labels, scores, predictions.predictions, main)
    return reliability(confidence, outcome, find_clusters(predictions.groups))


def _say_points(points) -> str:
    return "; ".join(
        f"scores {point['from']:.1f} to {point['to']:.1f}: {count(point['n'], 'image')}, "
        f"mean {point['confidence']:.2f}, came true {point['share']:.2f}"
        for point in points
    )
