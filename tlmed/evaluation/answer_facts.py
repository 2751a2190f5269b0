"""How scores become answers, as files that leave with a network say it: for programs, and in words with formulas."""

from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.evaluation.answer_rules import ExpectedCost, LogitAdjustment
from tlmed.evaluation.decisions import Decision
from tlmed.evaluation.pooling import Pooling
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task

_LEAST = "a number below 1e-12 counts as 1e-12 before its logarithm is taken"
_SAID = {
    "threshold": (
        "the positive class is predicted where its score, before calibration, is at least the threshold; elsewhere the "
        "other class"
    ),
    "thresholds": (
        "each label is predicted where its own score, before calibration, is at least its own threshold, whatever the "
        "other labels have; the thresholds are in the order of `classes`"
    ),
    "highest": "the class with the highest score is predicted, of equal ones the first",
    "median": (
        "the median grade is predicted: of the grades in the order of `classes` the last one for which its calibrated "
        "probability and those of all later grades sum to more than 0.5, and the first grade where there is none"
    ),
    ExpectedCost.name: (
        "the class p with the smallest sum over all classes t of q[t] * costs[t][p] is predicted, of equal ones the "
        "first; q are the calibrated probabilities, t the true class, both in the order of `classes`; where a run "
        "states how frequent the classes are in use, the costs are weighed for that already"
    ),
    LogitAdjustment.name: (
        "the class with the largest log(q) - tau * log(prior) is predicted, of equal ones the first; q are the "
        f"calibrated probabilities, the priors are in the order of `classes`; {_LEAST}"
    ),
}


def describe_answers(metrics: Mapping, classes: Sequence[str], decision: Decision, pooling: Pooling) -> dict:
    """Return what scores are of, and how they become calibrated probabilities and answers.

    Args:
        metrics: Names the task and the positive one of two classes, as `metrics.json` does.
        classes: The names, in the order of the scores.
        decision: The run's.
        pooling: The run's.
    """
    task, positive = read_task(metrics), metrics.get("positive")
    return {
        "task": task,
        "classes": list(classes),
        "positive": positive,
        "calibration": describe_calibration(decision),
        "decision": describe_decision(decision, positive, task),
        "pooling": {"how": pooling.how, "by": pooling.by if pooling.how else None},
    }


def describe_calibration(decision: Decision) -> dict:
    """Return method and temperature; of several labels that of each, in the order of classes."""
    if decision.labels:
        return {"method": decision.calibration["method"], "temperature": [it.temperature for it in decision.labels]}
    return {"method": decision.calibration["method"], "temperature": decision.temperature}


def describe_decision(decision: Decision, positive: str | None, task: str) -> dict:
    """Return how scores become answers, in the words that `read_images.py` knows.

    Args:
        decision: The run's.
        positive: The positive one of two classes, None for more.
        task: Of `tlmed.tasks`.

    >>> from tlmed.evaluation.decisions import state_thresholds
    >>> describe_decision(state_thresholds([(0.3, True)], False), "ill", "single-label")
    {'rule': 'threshold', 'threshold': 0.3, 'chosen_by': 'stated', 'of': 'scores'}
    """
    if task == MULTI_LABEL:
        return {"rule": "thresholds", "thresholds": decision.thresholds, "of": "scores"}
    if positive is not None:
        point = decision.operating_point
        return {"rule": "threshold", "threshold": decision.threshold, "chosen_by": point["rule"], "of": "scores"}
    if decision.rule is None:
        if task == ORDINAL:
            return {"rule": "median", "of": "calibrated"}
        return {"rule": "highest", "of": "scores"}
    if decision.rule.name == ExpectedCost.name:
        costs = np.asarray(decision.rule.weighed, float).tolist()
        return {"rule": decision.rule.name, "costs": costs, "of": "calibrated"}
    priors = np.asarray(decision.rule.priors, float).tolist()
    return {"rule": decision.rule.name, "tau": decision.rule.tau, "priors": priors, "of": "calibrated"}


def say_decision(described: Mapping) -> str:
    """Say how scores become answers, from what `describe_decision` returned.

    >>> say_decision({"rule": "highest", "of": "scores"})
    'the class with the highest score is predicted, of equal ones the first'
    """
    return _SAID[described["rule"]]


def say_calibration(task: str) -> str:
    """Say by which formula scores become calibrated probabilities.

    Args:
        task: Of `tlmed.tasks`.

    >>> say_calibration("multi-label").partition(";")[0]
    'the calibrated probability of a label is 1 / (1 + exp((log(1 - score) - log(score)) / temperature))'
    """
    if task == MULTI_LABEL:
        formula = "1 / (1 + exp((log(1 - score) - log(score)) / temperature))"
        of_each = "each label has its own score and its own temperature, in the order of `classes`"
        return f"the calibrated probability of a label is {formula}; {of_each}; {_LEAST}"
    return f"calibrated probabilities are the softmax of log(score) / temperature over all classes; {_LEAST}"
