"""The content of `metrics.json`: metrics at the chosen threshold and at 0.5, calibration, and subgroups."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tlmed.answer_units import name_rows
from tlmed.columns import MOST_SUBGROUPS
from tlmed.errors import InputError
from tlmed.evaluation.decisions import Decision
from tlmed.evaluation.pooling import Pooled
from tlmed.evaluation.predictions import HALF, Predictions, predict_classes
from tlmed.metrics import METRICS, evaluate, evaluate_stated, positive_index, predictive_values
from tlmed.metrics.decision_rules import name_costs
from tlmed.metrics.definitions import CALIBRATED, RANKED, make_case
from tlmed.metrics.expected_costs import COST_METRICS, costs_at_prevalence, measure_costs
from tlmed.metrics.grades import GRADE_METRICS, measure_cuts, measure_grades
from tlmed.metrics.label_metrics import evaluate_labels
from tlmed.metrics.resampling import find_clusters
from tlmed.metrics.sample_sizes import note_few
from tlmed.sections import Stated
from tlmed.tasks import ORDINAL, PRIMARY
from tlmed.words import count

LEAST_IMAGES = 5  # images for each value on average, with which a column makes subgroups
_OF_PARTS = ("accuracy", "auc", "sensitivity", "specificity")  # the metrics of subgroups
_OF_GRADES = ("quadratic_kappa", "mean_absolute_error")  # and further ones where classes are ordered
_PER_SAMPLE = ("log_loss", "brier")
_USUAL = Stated()
_BY_THRESHOLD = tuple(name for name in METRICS if name not in {*CALIBRATED, *RANKED})


@dataclass(frozen=True)
class Scoring:
    """What predictions are asked, whichever they are.

    Attributes:
        split: The split that is scored.
        positive: The positive of two classes, by default the second in the order of classes.
        seed: Decides the resamples.
        decision: By what the classes were predicted and the probabilities calibrated, where that is known.
        prevalence: The share of positives, between 0 and 1, at which predictive values are wanted.
        order: The classes of a file of predictions, from the lowest grade to the highest, where they are ordered.
        costs: What an answer costs, float [true class, predicted class], where that is stated.
        stated: The numbers at which some metrics are reported.
    """

    split: str = "test"
    positive: str | None = None
    seed: int = 0
    decision: Decision | None = None
    prevalence: float | None = None
    order: tuple[str, ...] | None = None
    costs: np.ndarray | None = None
    stated: Stated = _USUAL


def list_part_metrics(task: str, costs: bool = False) -> tuple[str, ...]:
    """Return the metrics that parts of the images get, such as subgroups; `costs` tells whether any are stated.

    >>> list_part_metrics("ordinal")[-1]
    'mean_absolute_error'
    """
    return (*_OF_PARTS, *(_OF_GRADES if task == ORDINAL else ()), *(COST_METRICS if costs else ()))


def measure(
    predictions: Predictions,
    scoring: Scoring,
    only: Collection[str] = (*METRICS, *GRADE_METRICS),
    scores: np.ndarray | None = None,
    guesses: np.ndarray | None = None,
) -> dict:
    """Return the result of `tlmed.metrics.evaluate` for predictions.

    Args:
        predictions: All of them are scored.
        scoring: `positive`, `seed` and `costs` are used; `split` is only named in the result. What errors cost is a
            metric, too, wherever accuracy is.
        only: The metrics wanted, of `METRICS` and of `GRADE_METRICS`, which ordered classes alone have.
        scores: Other probabilities, float [n, k].
        guesses: Other predicted classes, int [n].
    """
    shown = predictions.predictions if guesses is None else guesses
    answers = predictions.labels, predictions.scores if scores is None else scores, shown, predictions.classes
    names = [name for name in only if name not in GRADE_METRICS]
    if predictions.is_multi:
        found = evaluate_labels(*answers, predictions.groups, scoring.split, names, scoring.seed)
        return name_rows(found, predictions.unit)
    asked = scoring.positive, predictions.groups, scoring.split
    found = evaluate(*answers, *asked, seed=scoring.seed, only=names)
    if predictions.task == ORDINAL:
        grades = measure_grades(predictions.labels, shown, predictions.classes, predictions.groups, only)
        primary = {name: found["metrics"][name] for name in [PRIMARY[ORDINAL]] if name in found["metrics"]}
        found["metrics"] = {**primary, **grades, **found["metrics"]}
    if scoring.costs is not None and "accuracy" in only:
        owners = find_clusters(predictions.groups)
        found["metrics"] |= measure_costs(predictions.labels, shown, scoring.costs, owners)
    return name_rows(found, predictions.unit)


def score_pooled(pooled: Pooled, scoring: Scoring, leaked: Collection[str] = ()) -> dict:
    """Return the content of `metrics.json` for units, and the scores of their samples beside it.

    Args:
        pooled: Samples and units; where nothing is pooled, each sample is a unit, and where only units are known, they
            stand for samples, too.
        scoring: As for `score`; its decision was made on units.
        leaked: Paths of samples that training or validation knows: it knows their units.
    """
    result = score(pooled.units, scoring, pooled.find_units(leaked))
    if pooled.pooling.how is None:
        return result
    result["pool"] = pooled.pooling.how
    if not pooled.are_pooled:  # nothing is known of the samples
        return result
    samples = pooled.samples.of(scoring.split)
    samples = measure(samples, scoring, (*list_part_metrics(samples.task), *_PER_SAMPLE))
    return {**result, "per_sample": {"n": samples["n"], "metrics": samples["metrics"]}}


def score(predictions: Predictions, scoring: Scoring, leaked: Collection[str] = ()) -> dict:
    """Return the content of `metrics.json` for one split of some predictions.

    Args:
        predictions: Of any splits.
        scoring: What is asked of them.
        leaked: Paths of images of the split that training or validation knows; the main metrics are given without
            them too.

    Raises:
        InputError: If the split has no predictions, or a prevalence is given for more than two classes.
    """
    chosen, decision = predictions.of(scoring.split), scoring.decision
    if not chosen.paths:
        raise InputError(f"`split` must have predictions. Received: split={scoring.split!r}, with none.")
    task = {"task": chosen.task, "primary": PRIMARY[chosen.task]}
    result = {"unit": chosen.unit, **task, **measure(chosen, scoring)}
    if not chosen.is_multi:
        _add_stated(result, chosen, scoring)
    if chosen.task == ORDINAL:
        result["cuts"] = _measure_cuts(chosen)
    if result["positive"] is not None:
        result["positive_asked"] = scoring.positive is not None
    if chosen.is_multi:
        result["per_class"] = _describe_labels(result["per_class"], chosen, scoring)
    result["threshold"] = _find_threshold(chosen, decision)
    result |= _describe_decision(chosen, scoring)
    if "prevalence" in (result.get("operating_point") or {}):
        note_mix(result)
    if scoring.prevalence is not None:
        result["at_prevalence"] = name_rows(_weigh(chosen, scoring), chosen.unit)
    if leaked:
        result["without_leaks"] = _leave_out(chosen, set(leaked), scoring)
    if chosen.traits:
        result |= _divide(chosen, set(leaked), scoring)
    return result


def _add_stated(result, chosen, scoring) -> None:
    """Add the metrics at the numbers that the user stated to those of all images and of each class."""
    found = _measure_stated(chosen, scoring, chosen.scores)
    result["metrics"] = {**result["metrics"], **found["metrics"]}
    result["per_class"] = {
        label: {**entry, **found["per_class"][label]} for label, entry in result["per_class"].items()
    }


def _measure_stated(chosen, scoring, scores, of_probabilities=False) -> dict:
    arrays = (chosen.labels, scores, chosen.predictions, chosen.classes)
    asked = (scoring.positive, chosen.groups, scoring.stated, of_probabilities, scoring.split, scoring.seed)
    return name_rows(evaluate_stated(*arrays, *asked), chosen.unit)


def _measure_cuts(chosen) -> dict:
    found = measure_cuts(chosen.labels, chosen.scores, chosen.predictions, chosen.classes, chosen.groups)
    return {name: name_rows(cut, chosen.unit) for name, cut in found.items()}


def _describe_decision(chosen, scoring) -> dict[str, Mapping]:
    """Return what errors cost, by what classes were predicted, the metrics by scores alone, and calibrated ones."""
    decision, classes = scoring.decision, chosen.classes
    said = {} if scoring.costs is None else {"costs": name_costs(scoring.costs, classes)}
    if decision is not None and (decision.operating_point is not None or decision.rule is not None):
        plain = predict_classes(chosen.scores, positive_index(classes, scoring.positive), HALF, chosen.task)
        found = measure(chosen, scoring, _BY_THRESHOLD, guesses=plain)["metrics"]
        if decision.operating_point is not None:
            said["operating_point"] = {**decision.operating_point, "at_half": found}
        if decision.rule is not None:
            by_score = {"by_score": found} if decision.operating_point is None else {}
            said["decision"] = decision.rule.describe(classes) | by_score
    if chosen.calibrated is not None:
        after = measure(chosen, scoring, CALIBRATED, scores=chosen.calibrated)["metrics"]
        if not chosen.is_multi:
            after |= _measure_stated(chosen, scoring, chosen.calibrated, of_probabilities=True)["metrics"]
        said["calibration"] = {**({} if decision is None else decision.calibration), "metrics": after}
    return said


def _describe_labels(tables, chosen, scoring) -> dict[str, dict]:
    """Return the part on several labels with their stated metrics, and what the decision on each of them changes."""
    found, decisions = {}, (None,) * len(chosen.classes) if scoring.decision is None else scoring.decision.labels
    for number, (name, decision) in enumerate(zip(chosen.classes, decisions, strict=True)):
        side = chosen.of_label(number)
        own = replace(scoring, positive=side.classes[1], decision=decision)
        # A label that is not known of any image has no metrics, but a decision, by which new images are predicted.
        more = {} if decision is None else decision.record()
        if side.paths:
            more = _measure_stated(side, own, side.scores)["metrics"] | _describe_decision(side, own)
        found[name] = {**tables[name], **more}
    return found


def _find_threshold(chosen, decision) -> float | None:
    """Return the score from which on an image is positive; None for several classes, or where a file's column decides.

    By which threshold another program made that column is not known.
    """
    if decision is not None:
        return decision.threshold
    return HALF if chosen.by_scores and len(chosen.classes) == 2 and not chosen.is_multi else None


def note_mix(result: dict) -> None:
    """Say of what errors cost that the classes were predicted for another mix of images."""
    share = result["operating_point"]["prevalence"]
    said = f"It is of the mix of these {result['unit']}s; classes are predicted for a prevalence of {share:g}."
    for entry in (result["metrics"][name] for name in COST_METRICS):
        entry["note"] = " ".join(filter(None, [entry.get("note"), said]))


def _weigh(chosen, scoring) -> dict:
    """Return predictive values, and what errors cost, at a prevalence; undefined where a class has no image."""
    main, prevalence, costs = positive_index(chosen.classes, scoring.positive), scoring.prevalence, scoring.costs
    if main is None:
        raise InputError(
            f"`prevalence` needs exactly two classes. Received: prevalence={prevalence} with {len(chosen.classes)}."
        )
    truth, owners = chosen.labels == main, find_clusters(chosen.groups)
    if truth.all() or not truth.any():
        only = chosen.classes[main if truth.all() else 1 - main]
        nothing = {"value": None, "low": None, "high": None, "method": None}
        reason = {**nothing, "reason": f"All images are of class {only!r}."}
        names = ("ppv", "npv", *(COST_METRICS if costs is not None else ()))
        return {"prevalence": prevalence, **dict.fromkeys(names, reason)}
    answers = truth, chosen.predictions == main
    found = predictive_values(*answers, prevalence, owners)
    if costs is not None:
        errors = costs[main, 1 - main], costs[1 - main, main]
        found |= costs_at_prevalence(*answers, errors, prevalence, owners)
    case = make_case(chosen.labels, chosen.scores, chosen.predictions, main)
    for name, entry in found.items():
        own = [] if name in COST_METRICS else [name]
        few = note_few(case, chosen.classes, owners, None, "sensitivity", "specificity", *own)
        if few and entry["value"] is not None:
            entry["note"] = " ".join(filter(None, [entry.get("note"), few]))
    return {"prevalence": prevalence, **found}


def _leave_out(chosen, leaked, scoring) -> dict:
    """Return how many images training or validation has seen, and the metrics of the others, if there are any."""
    rows = np.flatnonzero([path not in leaked for path in chosen.paths])
    left = {"leaked": len(chosen.paths) - len(rows)}
    if not len(rows):
        return {**left, "n": 0, "metrics": {}}
    return {**left, **_measure_part(chosen.take(rows), scoring)}


def _measure_part(part, scoring) -> dict:
    """Return metrics of a part of the images, and which classes have no image there (nothing where all have)."""
    found = measure(part, scoring, list_part_metrics(part.task))
    absent = [label for label, entry in found["per_class"].items() if not entry["n"]]
    return {"n": found["n"], **({"absent": absent} if absent else {}), "metrics": found["metrics"]}


def _count_leaked(part, leaked) -> dict[str, int]:
    return {"leaked": sum(path in leaked for path in part.paths)} if leaked else {}


def _divide(chosen, leaked, scoring) -> dict[str, Mapping]:
    """Return metrics for each value of each trait, and which traits have too many values or only one.

    Where images are known, each value says how many of its own are: they may all be of one value.
    """
    tables, left_out = {}, {}
    for trait, texts in chosen.traits.items():
        values = sorted(set(texts))
        if not 1 < len(values) <= min(MOST_SUBGROUPS, len(texts) // LEAST_IMAGES):
            left_out[trait] = (
                f"{count(len(values), 'value')} in {count(len(texts), chosen.unit)}; subgroups need 2 to "
                f"{MOST_SUBGROUPS} values, with {LEAST_IMAGES} {chosen.unit}s or more on average."
            )
            continue
        column = np.array(texts, dtype=object)
        parts = {value: chosen.take(np.flatnonzero(column == value)) for value in values}
        tables[trait] = {
            value: _count_leaked(part, leaked) | _measure_part(part, scoring) for value, part in parts.items()
        }
    found = {"subgroups": tables, "subgroups_left_out": left_out}
    return {name: content for name, content in found.items() if content}
