"""What `metrics.json` says of predictions: metrics, before and after what validation data decided, and subgroups."""

from collections.abc import Mapping

import numpy as np

from tlmed.data.table import count
from tlmed.errors import InputError
from tlmed.evaluation.decisions import HALF, Decision
from tlmed.evaluation.predictions import Predictions, predict_classes
from tlmed.metrics import METRICS, evaluate, positive_index, predictive_values
from tlmed.metrics.rates import CALIBRATED, RANKED
from tlmed.metrics.resampling import has_clusters, number_groups

MOST_SUBGROUPS = 12  # different values of a trait that each get a row
LEAST_IMAGES = 5  # of a value, on average
SUBGROUP_METRICS = ("accuracy", "auc", "sensitivity", "specificity")
_BY_THRESHOLD = tuple(name for name in METRICS if name not in {*CALIBRATED, *RANKED})


def score(
    predictions: Predictions,
    split: str,
    positive: str | None,
    seed: int,
    decision: Decision | None = None,
    prevalence: float | None = None,
) -> dict:
    """Return the content of `metrics.json` for one split of some predictions.

    Args:
        predictions: Of any splits.
        split: The one that is scored.
        positive: The positive of two classes, by default the second in sorted order.
        seed: Decides the resamples.
        decision: By what the classes were predicted and the probabilities calibrated, where that is known.
        prevalence: The share of positives, between 0 and 1, at which predictive values are wanted.

    Raises:
        InputError: If the split has no predictions, or a prevalence is given for more than two classes.
    """
    chosen = predictions.of(split)
    if not chosen.paths:
        raise InputError(f"`split` must have predictions. Received: split={split!r}, with none.")
    result = _evaluate(chosen, positive, seed, split)
    result["threshold"] = None if decision is None else decision.threshold
    if decision is not None and decision.operating_point is not None:
        half = predict_classes(chosen.scores, positive_index(chosen.classes, positive), HALF)
        at_half = _evaluate(chosen, positive, seed, split, only=_BY_THRESHOLD, predictions=half)["metrics"]
        result["operating_point"] = {**decision.operating_point, "at_half": at_half}
    if chosen.calibrated is not None:
        after = _evaluate(chosen, positive, seed, split, only=CALIBRATED, scores=chosen.calibrated)["metrics"]
        result["calibration"] = {**({} if decision is None else decision.calibration), "metrics": after}
    if prevalence is not None:
        result["at_prevalence"] = _weigh(chosen, positive, prevalence)
    if chosen.traits:
        result |= _divide(chosen, positive, seed, split)
    return result


def _evaluate(chosen, positive, seed, split, **changed) -> dict:
    only = changed.pop("only", METRICS)
    tables = {"scores": chosen.scores, "predictions": chosen.predictions, **changed}
    return evaluate(
        chosen.labels,
        tables["scores"],
        tables["predictions"],
        chosen.classes,
        positive,
        chosen.groups,
        split,
        seed=seed,
        only=only,
    )


def _weigh(chosen, positive, prevalence) -> dict:
    """Return the predictive values at a prevalence; undefined where one of the two classes has no image."""
    main = positive_index(chosen.classes, positive)
    if main is None:
        raise InputError(
            f"`prevalence` needs exactly two classes. Received: prevalence={prevalence} with {len(chosen.classes)}."
        )
    truth, owners = chosen.labels == main, number_groups(chosen.groups)
    if truth.all() or not truth.any():
        only = chosen.classes[main if truth.all() else 1 - main]
        nothing = {"value": None, "low": None, "high": None, "method": None}
        reason = {**nothing, "reason": f"The split has images of class {only!r} only."}
        return {"prevalence": prevalence, "ppv": reason, "npv": reason}
    owners = owners if has_clusters(owners) else None
    return {"prevalence": prevalence, **predictive_values(truth, chosen.predictions == main, prevalence, owners)}


def _divide(chosen, positive, seed, split) -> dict[str, Mapping]:
    """Return metrics for each value of each trait, and which traits have too many values or only one."""
    tables, left_out = {}, {}
    for trait, texts in chosen.traits.items():
        values = sorted(set(texts))
        if not 1 < len(values) <= min(MOST_SUBGROUPS, len(texts) // LEAST_IMAGES):
            left_out[trait] = (
                f"{count(len(values), 'value')} in {count(len(texts), 'image')}; 2 to {MOST_SUBGROUPS} values, of "
                f"{LEAST_IMAGES} images on average or more, make subgroups."
            )
            continue
        column = np.array(texts, dtype=object)
        parts = {value: chosen.take(np.flatnonzero(column == value)) for value in values}
        tables[trait] = {
            value or "(empty)": {
                "n": len(part.paths),
                "metrics": _evaluate(part, positive, seed, split, only=SUBGROUP_METRICS)["metrics"],
            }
            for value, part in parts.items()
        }
    found = {"subgroups": tables, "subgroups_left_out": left_out}
    return {name: content for name, content in found.items() if content}
