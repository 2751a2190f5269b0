"""What a reader of a comparison has to know of how the runs decide: their thresholds, rules and costs."""

from collections.abc import Sequence

from tlmed.answer_units import unit_of
from tlmed.comparison.compared_metrics import COST, list_questions
from tlmed.comparison.results import Result
from tlmed.evaluation.decision_lines import name_rule
from tlmed.evaluation.predictions import HALF
from tlmed.tasks import MULTI_LABEL, ORDINAL, count_sides, read_task
from tlmed.words import join_names, tell_apart


def note_rules(results: Sequence[Result]) -> list[str]:
    """Return a sentence each on thresholds, rules, prevalences and costs, "" where runs do not differ in them."""
    return [_note_thresholds(results), _note_rules(results), _note_prevalences(results), _note_costs(results)]


def _note_thresholds(results) -> str:
    """Say so where runs of two classes used different thresholds, in one fold or more."""
    metrics = results[0].metrics
    cuts = [[_list_cuts(part.metrics) for part in (result.folds or [result])] for result in results]
    if count_sides(metrics) != 2 or all(found == cuts[0] for found in cuts):
        return ""
    if read_task(metrics) == MULTI_LABEL:
        return (
            "Accuracy, sensitivity, specificity, F1 and exact match depend on the thresholds that each run has for its "
            "labels; the AUC and the Brier score need none."
        )
    if results[0].folds:
        rules = dict.fromkeys(_name_rule(result) for result in results)
        which = f" in each fold (rule{'s' * (len(rules) > 1)}: {', '.join(rules)})"
    else:
        which = f" ({', '.join(tell_apart(*(HALF if cut is None else cut for ((cut,),) in cuts)))})"
    return (
        f"Accuracy, sensitivity, specificity and F1 depend on each run's own threshold{which}; the AUC and the "
        "Brier score need none."
    )


def _list_cuts(metrics) -> list[float | None]:
    """Return the threshold of a run, or those of its labels."""
    if read_task(metrics) != MULTI_LABEL:
        return [metrics.get("threshold")]
    return [entry.get("operating_point", {}).get("threshold") for entry in metrics["per_class"].values()]


def _name_rule(result) -> str:
    """Return how each fold chooses its threshold: a rule, or the number that the recipe fixes."""
    point = result.metrics.get("operating_point", {})
    return str(result.recipe.get("threshold", "0.5")) if point.get("rule", "fixed") == "fixed" else name_rule(point)


def _note_rules(results) -> str:
    """Say so where runs of more than two classes predict by different rules."""
    rules = [(result.folds or [result])[0].metrics.get("decision", {}) for result in results]
    kept = [{name: part for name, part in rule.items() if name in ("rule", "costs", "tau")} for rule in rules]
    if count_sides(results[0].metrics) == 2 or all(rule == kept[0] for rule in kept):
        return ""
    graded = [read_task(result.metrics) == ORDINAL for result in results]
    usual = ["median grade" if is_graded else "highest score" for is_graded in graded]
    named = zip(results, kept, usual, strict=True)
    names = ", ".join(f"{result.name} {rule.get('rule', by)}" for result, rule, by in named)
    more = ", quadratic kappa, mean absolute error" if all(graded) else ""
    return (
        f"Runs predict classes by different rules ({names}; see `decision` in metrics.json): accuracy{more}, "
        "sensitivity, specificity and F1 depend on them; the AUC and the Brier score do not."
    )


def _note_prevalences(results) -> str:
    """Say so where runs of two classes weigh costs for different prevalences: their thresholds follow these."""
    shares = [_find_prevalence(result) for result in results]
    if all(share == shares[0] for share in shares):
        return ""
    named = ", ".join(
        f"{result.name} {'none stated' if share is None else f'{share:g}'}"
        for result, share in zip(results, shares, strict=True)
    )
    costs = (
        f" Expected costs are of the mix of these {unit_of(results[0].metrics)}s, which favours a run that decides for "
        "a prevalence near it."
        if COST in list_questions(results)
        else ""
    )
    return (
        f"The runs predict classes for different prevalences ({named}): accuracy, sensitivity, specificity and F1 "
        f"depend on them; the AUC and the Brier score do not.{costs}"
    )


def _find_prevalence(result) -> float | None:
    """Return the prevalence for which a run decides; the means of older versions do not say that of their folds."""
    return (result.folds or [result])[0].metrics.get("operating_point", {}).get("prevalence")


def _note_costs(results) -> str:
    """Say so where runs state what errors cost, and not all the same."""
    costs = [result.metrics.get("costs") for result in results]
    if not any(costs) or all(cost == costs[0] for cost in costs):
        return ""
    missing = [result.name for result, cost in zip(results, costs, strict=True) if not cost]
    said = f"{join_names(missing)} state{'s' * (len(missing) == 1)} none" if missing else "they state different ones"
    return f"Expected costs are not compared, because the runs do not state the same costs: {said}."
