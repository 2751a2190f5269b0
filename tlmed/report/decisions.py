"""From scores to decisions: the threshold, predictive values where the classes are as rare as stated, net benefit."""

import re
from collections.abc import Mapping

import numpy as np

from tlmed.evaluation import score_plots
from tlmed.evaluation.page import picture, text
from tlmed.metrics import net_benefit, positive_index
from tlmed.pages.amounts import number
from tlmed.report.content import Content
from tlmed.report.entries import compare_entries
from tlmed.report.glossary import explain
from tlmed.report.words import enumerate_names
from tlmed.words import count

_MOST_PANELS = 6
_TARGET = re.compile(r"(sensitivity|specificity)>=(.+)")
_SHOWN = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy", "f1", "mcc", "kappa")
_OTHER = {"sensitivity": "specificity", "specificity": "sensitivity"}
_RISKS = (0.1, 0.3, 0.5)  # at which an alternative text names the net benefit


def show_operating_point(metrics: Mapping) -> str:
    """Return the threshold, what chose it and what it gives, and predictive values at the stated prevalence, as HTML.

    Nothing for more than two classes; of a file of predictions, which names no threshold, the predictive values alone.
    """
    threshold, point = metrics.get("threshold"), metrics.get("operating_point", {})
    prevalence = _show_prevalence(metrics)
    if threshold is None:
        return prevalence
    said = (
        f"An image counts as {text(metrics['positive'])} where its {explain('score', 'score')} reaches "
        f"<b>{explain('threshold', number(threshold))}</b>. "
    )
    note = f"<p>{text(point['note'])}</p>" if point.get("note") else ""
    where = f"<p>On the {text(metrics['split'])} split:</p>" if point.get("at_half") else ""
    beside = where + _compare_thresholds(metrics, f"At {number(threshold)}")
    return f"<p>{said}{_say_choice(point)}</p>{note}{beside}{prevalence}"


def show_mean_operating_point(metrics: Mapping) -> str:
    """Return what the thresholds of the folds changed on average, as HTML; nothing for more than two classes.

    Args:
        metrics: `metrics.json` of a cross-validation.
    """
    point = metrics.get("operating_point", {})
    prevalence = _show_prevalence(metrics, of_folds=True)
    if not point.get("at_half"):
        return prevalence
    said = (
        "The recipe fixes the threshold; no image had a part in it."
        if point["rule"] == "fixed"
        else f"Each fold chose a threshold of its own on its validation images, for {text(_name_aim(point['rule']))}; "
        "they have no mean, what they give has."
    )
    of_folds = "At the recipe's threshold" if point["rule"] == "fixed" else "At each fold's threshold"
    return f"<p>{said}</p>{_compare_thresholds(metrics, of_folds)}{prevalence}"


def _compare_thresholds(metrics, title) -> str:
    """Return what the threshold gives beside what 0.5 does, if that is known."""
    halves = metrics.get("operating_point", {}).get("at_half", {})
    columns = {
        title: {name: metrics["metrics"][name] for name in _SHOWN if name in halves},
        "At 0.5": {name: halves[name] for name in _SHOWN if name in halves},
    }
    return compare_entries(columns) if halves else ""


def _say_choice(point) -> str:
    if not point:
        return ""
    if point.get("sensitivity") is None:
        return "The recipe fixes it; no image had a part in it."
    return (
        f"It was chosen on {count(point['n'], 'image')} of the {text(point['split'])} split for "
        f"{text(_name_aim(point['rule']))}, and gives there a sensitivity of "
        f"{number(point['sensitivity'])} and a specificity of {number(point['specificity'])}; the test images had no "
        "part in it."
    )


def _name_aim(rule) -> str:
    if target := _TARGET.fullmatch(rule):
        return f"the highest {_OTHER[target[1]]} that leaves the {target[1]} at {target[2]} or more"
    return {"youden": "the largest sum of sensitivity and specificity (Youden 1950)"}.get(rule, rule)


def _show_prevalence(metrics, of_folds=False) -> str:
    """Return the predictive values at the stated prevalence, if there is one, beside those of the images."""
    stated = metrics.get("at_prevalence")
    if not stated:
        return ""
    title = "As in the folds" if of_folds else f"As in the split, {_percent(_share_of_positives(metrics))}"
    columns = {
        f"At {_percent(stated['prevalence'])}": {name: stated[name] for name in ("ppv", "npv") if name in stated},
        title: {name: metrics["metrics"][name] for name in ("ppv", "npv") if name in metrics["metrics"]},
    }
    return (
        f"<h3>Predictive values at the stated {explain('prevalence', 'prevalence')}</h3>"
        f"<p>What a positive and a negative answer mean where {_percent(stated['prevalence'])} of the images are "
        f"{text(metrics['positive'])}, as was stated; by Bayes' rule from sensitivity and specificity.</p>"
        f"{compare_entries(columns)}"
    )


def _share_of_positives(metrics) -> float:
    return metrics["per_class"][metrics["positive"]]["n"] / metrics["n"]


def _percent(share) -> str:
    return f"{100 * share:.3g} %"


def show_decision_curve(content: Content) -> str:
    """Return the net benefit of acting on the scores as HTML; nothing where it is not defined for any class."""
    predictions = content.scored
    main = positive_index(predictions.classes, content.metrics.get("positive"))
    wanted = range(len(predictions.classes)) if main is None else [main]
    columns = [column for column in wanted if 0 < np.mean(predictions.labels == column) < 1]
    if not columns:
        return ""
    if len(columns) > _MOST_PANELS:
        return f"<p>Not drawn: there are {len(columns)} classes, and each would need a panel of its own.</p>"
    is_calibrated = predictions.calibrated is not None
    which, scores = ("calibrated", predictions.calibrated) if is_calibrated else ("uncalibrated", predictions.scores)
    names = [predictions.classes[column] for column in columns]
    about = "" if main is not None else "A panel for each class against the rest. "
    alt = f"Decision curves of the {content.metrics['split']} split. " + "; ".join(
        f"{predictions.classes[column]}: {_say_benefit(predictions.labels == column, scores[:, column])}"
        for column in columns
    )
    drawn = picture(score_plots.decision_curves(predictions, scores, columns), alt, f"Decision curves, {which} scores")
    warning = "" if is_calibrated else " The scores are not calibrated, so read the curve with care."
    share = "the mix of classes in the split"
    if main is not None:
        share += f", {_percent(np.mean(predictions.labels == main))} {text(predictions.classes[main])}"
    return (
        f"<p>{explain('net_benefit')} of acting on {enumerate_names(names)}: true positives per image, less false "
        f"positives at the exchange rate that the risk means (Vickers &amp; Elkin 2006). {about}Acting on the scores "
        f"is worth it where its line is the highest. The curve holds for {share}.{warning}</p>{drawn}"
    )


def _say_benefit(positive, scores) -> str:
    curves = net_benefit(positive, scores, np.array(_RISKS))
    said = zip(_RISKS, curves["model"], curves["all"], strict=True)
    return ", ".join(f"at risk {risk} net benefit {model:.3f}, acting on all {all_:.3f}" for risk, model, all_ in said)
