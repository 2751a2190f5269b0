"""What decides whether a result is good: the metrics by which it is compared, and constant answers that cost less."""

from collections.abc import Mapping

import numpy as np

from tlmed.answer_units import unit_of
from tlmed.evaluation.answer_rules import read_costs
from tlmed.metrics.names import name_inline
from tlmed.metrics.packed_confusion import unpack_confusion
from tlmed.tasks import PRIMARY, read_task
from tlmed.words import as_shown, thousandths


def list_deciding(result: Mapping) -> list[str]:
    """Return the metrics by which a run is compared with its baselines, as far as all have them, the first decides.

    Args:
        result: The content of `metrics.json`.

    >>> list_deciding({"task": "ordinal", "metrics": {"auc": {}, "quadratic_kappa": {}}})
    ['quadratic_kappa', 'auc']
    >>> list_deciding({"metrics": {"auc": {}, "expected_cost": {}}})
    ['expected_cost', 'auc']
    """
    runs = (result["metrics"], *result.get("baselines", {}).values())
    # Where classes are predicted for another prevalence, the cost in the mix of these images decides nothing.
    costs = () if _find_prevalence(result) is not None else ("expected_cost",)
    names = dict.fromkeys((*costs, PRIMARY[read_task(result)], "auc"))
    return [name for name in names if all(name in run for run in runs)]


def describe_cheapest(result: Mapping) -> list[str]:
    """Say so where one class for every image costs no more than the answers; which, and how much.

    Where classes are predicted for another prevalence, the mix of these images says nothing; where a prevalence is
    stated and classes are predicted for these images, both are judged.

    >>> costs = {"ill": {"well": 9.0}, "well": {"ill": 1.0}}
    >>> describe_cheapest({"classes": ["ill", "well"], "costs": costs, "confusion": [[1, 1], [0, 8]]})
    ["'ill' for every image would cost 0.800 per image, less than the answers, 0.900: the result does not beat it."]
    >>> describe_cheapest({"classes": ["ill", "well"], "costs": costs, "confusion": [[2, 0], [8, 0]]})
    ["'ill' for every image would cost 0.800 per image, as much as the answers: the result does not beat it."]
    """
    if "costs" not in result:
        return []
    stated = result.get("at_prevalence", {}).get("prevalence")
    decided = _find_prevalence(result)
    mixes = [decided] if decided is not None else [None] if stated is None else [None, stated]
    return [said for prevalence in mixes if (said := _say_cheapest(result, prevalence))]


def _say_cheapest(result, prevalence) -> str:
    """Say it of a mix of two classes by the share of the positive one, or of the mix of the images."""
    classes, counts = result["classes"], unpack_confusion(result)
    sizes = counts.sum(axis=1)
    shares = sizes / sizes.sum()
    if prevalence is not None:
        shares = np.array([prevalence if name == result["positive"] else 1 - prevalence for name in classes])
        if not sizes.all():
            return ""  # what the answers would cost there is not known
    costs = read_costs(result["costs"], classes)
    paid = float(shares @ ((counts * costs).sum(axis=1) / np.maximum(sizes, 1)))
    constant = shares @ costs
    best = int(np.argmin(constant))
    if as_shown(constant[best]) > as_shown(paid):
        return ""
    than = f"less than the answers, {thousandths(paid)}"
    if as_shown(constant[best]) == as_shown(paid):
        than = "as much as the answers"
    unit, there = unit_of(result), "" if prevalence is None else f" at a prevalence of {prevalence:g}"
    return (
        f"{classes[best]!r} for every {unit} would cost {thousandths(constant[best])} per {unit}{there}, {than}: "
        "the result does not beat it."
    )


def _find_prevalence(result) -> float | None:
    """Return the prevalence for which classes are predicted by what errors cost; None: that of the images."""
    return result.get("operating_point", {}).get("prevalence")


def describe_equal_majority(result: Mapping) -> list[str]:
    """Say so where grades are no better than the most frequent one, by what decides.

    >>> same = {"quadratic_kappa": {"value": 0.0}}
    >>> describe_equal_majority({"task": "ordinal", "metrics": same, "baselines": {"majority_class": same}})
    ['The baseline majority class has the same quadratic kappa, 0.000: the result does not beat it.']
    """
    primary, runs = PRIMARY[read_task(result)], result.get("baselines", {})
    own, other = (run.get(primary, {}).get("value") for run in (result["metrics"], runs.get("majority_class", {})))
    # An AUC of 0.5 says by itself that the scores rank nothing.
    if primary == "auc" or None in (own, other) or as_shown(own) != as_shown(other):
        return []
    said = f"The baseline majority class has the same {name_inline(primary)}, {thousandths(other)}"
    return [f"{said}: the result does not beat it."]
