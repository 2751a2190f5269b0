"""The kind of answer that is asked for: one class of several, several labels, or a grade on an ordered scale."""

from collections.abc import Mapping, Sequence

from tlmed.columns import suggest_spelling
from tlmed.errors import InputError, did_you_mean
from tlmed.words import listed

AUTO = "auto"
SINGLE_LABEL, MULTI_LABEL, ORDINAL = "single-label", "multi-label", "ordinal"
TASKS = (SINGLE_LABEL, MULTI_LABEL, ORDINAL)
# The metric that decides which of two runs is better.
PRIMARY = {SINGLE_LABEL: "auc", MULTI_LABEL: "auc", ORDINAL: "quadratic_kappa"}


def read_task(content: Mapping) -> str:
    """Return the task that `metrics.json` or `plan.json` names; older runs name none, and have the only one there was.

    >>> read_task({"task": "ordinal"}), read_task({})
    ('ordinal', 'single-label')
    """
    return content.get("task", SINGLE_LABEL)


def count_sides(content: Mapping) -> int:
    """Return how many classes are told apart at once: of several labels each is there or not.

    >>> count_sides({"task": "multi-label", "classes": ["edema", "mass", "nodule"]})
    2
    """
    return 2 if read_task(content) == MULTI_LABEL else len(content["classes"])


def refuse_labels(content: Mapping, what: str, received: object) -> None:
    """Refuse a run whose images have several labels, where something knows one class per image only.

    Args:
        content: Its `metrics.json`.
        what: What that is, as the beginning of a sentence.
        received: The run, or what else was given.

    Raises:
        InputError: It has.
    """
    if read_task(content) == MULTI_LABEL:
        raise InputError(f"{what} for one class per image only. Received: {received}, of several labels per image.")


def find_order_faults(order: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Return the end of a sentence for each way in which an order does not name some classes, each once.

    >>> find_order_faults(["mild", "severe"], ["mild", "none"])[0]
    "must name every class once. Received: mild,severe, which lacks 'none'"
    """
    faults, given = [], ",".join(order)
    twice = [name for name in dict.fromkeys(order) if list(order).count(name) > 1]
    faults += [f"must name each class once. Received: {given}, with {name!r} more than once" for name in twice]
    if missing := [name for name in classes if name not in order]:
        faults.append(f"must name every class once. Received: {given}, which lacks {listed(map(repr, missing))}")
    for name in order:
        if name not in classes:
            near = suggest_spelling(name, classes) or did_you_mean(name, classes)
            faults.append(f"must name classes that there are.{near} Received: {name!r}, with {listed(classes)}")
    return faults
