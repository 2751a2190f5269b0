"""From scores to decisions: the threshold, predictive values at the stated prevalence, net benefit."""

import re
from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from tlmed.answer_units import name_scored, unit_of
from tlmed.evaluation import score_plots
from tlmed.evaluation.answer_rules import ExpectedCost, LogitAdjustment, say_rule
from tlmed.evaluation.decision_lines import list_at_prevalence
from tlmed.evaluation.ensemble_lines import answers_in_parts
from tlmed.evaluation.predictions import STATED
from tlmed.metrics import net_benefit, positive_index
from tlmed.metrics.calibration import sort_changes
from tlmed.metrics.expected_costs import COST_METRICS
from tlmed.metrics.names import name_metric
from tlmed.pages.amounts import enumerate_names, number
from tlmed.pages.entries import compare_entries
from tlmed.pages.figures import Picture, draw
from tlmed.pages.templating import render
from tlmed.report.image_counts import say_test_apart
from tlmed.report.loaded_files import RunContent
from tlmed.tabulation import STRONG, Table, numbers, say, texts
from tlmed.tasks import ORDINAL, read_task
from tlmed.words import count, thousandths

_MOST_PANELS = 6
_TARGET = re.compile(r"(sensitivity|specificity)>=(.+)")
_MOST_COSTS = 8  # classes whose table of costs is shown
_SHOWN = (
    *("sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy", "f1", "mcc", "kappa"),
    *COST_METRICS,
)
_OTHER = {"sensitivity": "specificity", "specificity": "sensitivity"}
_RISKS = (0.1, 0.3, 0.5)  # an alternative text names the net benefit at these


def show_operating_point(metrics: Mapping, copies: str = "") -> Markup:
    """Return the threshold, how it was chosen, the metrics at it, and predictive values at the stated prevalence.

    For more than two classes only what errors cost, and the rule by which a class is predicted, where there are such;
    for a file with predictions of its own, which names no threshold, only costs and predictive values.

    Args:
        metrics: `metrics.json`.
        copies: As for `say_test_apart`.
    """
    threshold, point = metrics.get("threshold"), metrics.get("operating_point", {})
    in_parts = answers_in_parts(metrics)
    return render(
        "report/operating_point.html",
        **_show_rule(metrics),
        threshold=threshold,
        in_parts=in_parts,
        of=name_scored(metrics),
        point=point,
        choice=_say_choice(metrics, copies),
        thresholds=_compare_thresholds(
            metrics, "At the threshold of its members" if in_parts else f"At {number(threshold)}"
        ),
        **_compare_prevalences(metrics),
    )


def show_mean_operating_point(metrics: Mapping) -> Markup:
    """Return how the folds' thresholds changed the metrics on average; nothing for more than two classes.

    Args:
        metrics: `metrics.json` of a cross-validation.
    """
    point = metrics.get("operating_point", {})
    fixed = point.get("rule") == "fixed"
    return render(
        "folds/operating_point.html",
        **_show_rule(metrics),
        point=point,
        aim=_name_aim(point),
        follows=point.get("rule") in (ExpectedCost.name, LogitAdjustment.name),  # and was not chosen on images
        thresholds=_compare_thresholds(metrics, "At the recipe's threshold" if fixed else "At each fold's threshold"),
        **_compare_prevalences(metrics, of_folds=True),
    )


def _show_rule(metrics) -> dict[str, object]:
    """Return what errors cost, and of more than two classes the rule, with the metrics by it and by scores alone."""
    classes, costs, decision = metrics["classes"], metrics.get("costs"), metrics.get("decision", {})
    rows = [
        (say(true, mark=STRONG), *("" if true == guess else f"{costs[true][guess]:g}" for guess in classes))
        for true in (classes if costs and len(classes) <= _MOST_COSTS else ())
    ]
    plain = decision.get("by_score", {})
    shown = {name: metrics["metrics"][name] for name in _SHOWN if name in plain}
    usual = "Median grade" if read_task(metrics) == ORDINAL else "Highest score"
    columns = {"The rule": shown, usual: {name: plain[name] for name in shown}}
    return {
        "costs": Table(texts("True class") + numbers(*(f"as {name}" for name in classes)), rows) if rows else None,
        "rule": say_rule(decision) if plain else "",
        "rules": compare_entries(columns),
    }


def _compare_thresholds(metrics, title) -> Table:
    """Return the metrics at the threshold beside those at 0.5, as far as these are known."""
    halves = metrics.get("operating_point", {}).get("at_half", {})
    columns = {
        title: {name: metrics["metrics"][name] for name in _SHOWN if name in halves},
        "At 0.5": {name: halves[name] for name in _SHOWN if name in halves},
    }
    return compare_entries(columns)


def _say_choice(metrics, copies) -> str:
    point = metrics.get("operating_point")
    if not point:
        return ""
    if point["rule"] == "fixed":
        return "The recipe fixes it; no image had a part in it."
    if point["rule"] == STATED:
        return "It was stated (`--threshold`); no image had a part in it."
    if "cutoff" in point:
        return (
            f"It is a calibrated probability of {thousandths(point['cutoff'])}, {_name_aim(point)}, by the "
            f"temperature that was fitted to {count(point['n'], unit_of(metrics))} of the {point['split']} split; "
            f"{say_test_apart(metrics, copies)}."
        )
    if point.get("sensitivity") is None:  # of one class only; its note says so
        return ""
    return (
        f"It was chosen on {count(point['n'], unit_of(metrics))} of the {point['split']} split for "
        f"{_name_aim(point)}, and gives there a sensitivity of "
        f"{number(point['sensitivity'])} and a specificity of {number(point['specificity'])}; "
        f"{say_test_apart(metrics, copies)}."
    )


def _name_aim(point) -> str:
    aim = _name_rule(point.get("rule", ""))
    return f"{aim} at a prevalence of {_percent(point['prevalence'])}" if "prevalence" in point else aim


def _name_rule(rule) -> str:
    if target := _TARGET.fullmatch(rule):
        return f"the highest {_OTHER[target[1]]} that leaves the {target[1]} at {target[2]} or more"
    return {
        "youden": "the largest sum of sensitivity and specificity (Youden 1950)",
        "costs": "the least cost of the errors there",
        ExpectedCost.name: "from which on the expected cost of this answer is the lower one",
        LogitAdjustment.name: "where the class exceeds its share of the training images (Menon et al. 2021)",
    }.get(rule, rule)


def _compare_prevalences(metrics, of_folds=False) -> dict[str, object]:
    """Return the predictive values at the stated prevalence, if there is one, beside those of the images."""
    stated, positive = metrics.get("at_prevalence"), metrics.get("positive")
    if not stated:
        return {"values": None, "positive": positive, "unit": unit_of(metrics)}
    title = "As in the folds" if of_folds else f"As in the split, {_percent(_share_of_positives(metrics))}"
    share, names = _percent(stated["prevalence"]), list_at_prevalence(stated)
    columns = {
        f"At {share}": {name: stated[name] for name in names},
        title: {name: metrics["metrics"][name] for name in names if name in metrics["metrics"]},
    }
    return {"values": compare_entries(columns), "positive": positive, "stated": share, "unit": unit_of(metrics)}


def _share_of_positives(metrics) -> float:
    return metrics["per_class"][metrics["positive"]]["n"] / metrics["n"]


def _percent(share) -> str:
    return f"{100 * share:.3g} %"


def show_decision_curve(content: RunContent) -> Markup:
    """Return the net benefit of acting on the scores; nothing where it is not defined for any class."""
    predictions = content.scored
    main = positive_index(predictions.classes, content.metrics.get("positive"))
    wanted = range(len(predictions.classes)) if main is None else [main]
    # Net benefit needs images with and without the class.
    columns = [column for column in wanted if 0 < np.mean(predictions.labels == column) < 1]
    if not columns:
        return Markup()
    return render(
        "report/decision_curve.html",
        unit=unit_of(content.metrics),
        panels=len(columns),
        classes=enumerate_names(predictions.classes[column] for column in columns),
        main=None if main is None else predictions.classes[main],
        share=None if main is None else _percent(np.mean(predictions.labels == main)),
        calibrated=predictions.calibrated is not None,
        worse=[*map(name_metric, sort_changes(content.metrics)[0])] if "calibration" in content.metrics else [],
        picture=_draw_benefit(predictions, columns, name_scored(content.metrics))
        if len(columns) <= _MOST_PANELS
        else None,
    )


def _draw_benefit(predictions, columns, of) -> Picture:
    is_calibrated = predictions.calibrated is not None
    which, scores = ("calibrated", predictions.calibrated) if is_calibrated else ("uncalibrated", predictions.scores)
    alt = f"Decision curves of {of}. " + "; ".join(
        f"{predictions.classes[column]}: {_say_benefit(predictions.labels == column, scores[:, column])}"
        for column in columns
    )
    return draw(score_plots.decision_curves(predictions, scores, columns), alt, f"Decision curves, {which} scores")


def _say_benefit(positive, scores) -> str:
    curves = net_benefit(positive, scores, np.array(_RISKS))
    said = zip(_RISKS, curves["model"], curves["all"], strict=True)
    return ", ".join(
        f"at risk {risk} net benefit {thousandths(model)}, acting on all {thousandths(all_)}"
        for risk, model, all_ in said
    )
