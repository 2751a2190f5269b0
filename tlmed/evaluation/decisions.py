"""How scores become decisions and probabilities: a threshold and a temperature, chosen on validation data."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.answer_units import name_rows
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import AnswerRule, read_rule
from tlmed.evaluation.predictions import HALF, STATED, Predictions, predict_classes
from tlmed.metrics import apply_temperature, choose_threshold, fit_temperature, positive_index
from tlmed.metrics.calibration import TEMPERATURES
from tlmed.metrics.decision_rules import uncalibrate, weigh_costs
from tlmed.metrics.label_metrics import as_two_classes, name_sides
from tlmed.metrics.resampling import find_clusters
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task
from tlmed.words import count, shorten

FEW = 10  # with fewer validation images of a class, or groups, there is a note
METHOD = "temperature scaling (Guo et al. 2017)"


@dataclass(frozen=True)
class Decision:
    """The threshold and the temperature chosen on validation data, as in `metrics.json`.

    Attributes:
        operating_point: `rule`, `threshold`, the `split` and the number `n` of images that it was chosen on, its
            `sensitivity` and `specificity` there, and a `note` where there is something to say; None for more classes
            than two.
        calibration: `method`, `temperature`, `split`, `n`, and a `note`; of several labels only `method`; nothing where
            thresholds were stated for scores of another program.
        rule: By what else than the highest score a class is predicted; None: by nothing else. Of two classes the
            threshold follows from it.
        labels: Where an image may have several labels, the threshold and the temperature of each; then there is no
            `operating_point`.
    """

    operating_point: Mapping | None
    calibration: Mapping
    rule: AnswerRule | None = None
    labels: tuple["Decision", ...] = ()

    @property
    def threshold(self) -> float | None:
        """Return the score from which on an image is predicted as positive; None for more classes than two."""
        return None if self.operating_point is None else self.operating_point["threshold"]

    def record(self) -> dict[str, Mapping]:
        """Return what of it stands in `metrics.json` where nothing is scored."""
        parts = {"operating_point": self.operating_point, "calibration": self.calibration}
        return {name: part for name, part in parts.items() if part}

    def choose(self, scores: np.ndarray, main: int | None, task: str) -> np.ndarray:
        """Return the classes, or the labels, that uncalibrated scores give.

        Args:
            scores: One column per class, float [n, k].
            main: The positive one of two classes, None for more.
            task: Of `tlmed.tasks`.
        """
        if main is not None or (self.rule is None and task != ORDINAL):
            return predict_classes(scores, main, self.thresholds or self.threshold, task)
        # In double precision: in single precision, calibration could make scores equal that are not.
        calibrated = apply_temperature(np.asarray(scores, dtype=float), self.temperature)
        # Medians of scores that are too flat, as soft labels make them, lie too near to the middle grade.
        return predict_classes(calibrated, None, task=task) if self.rule is None else self.rule.choose(calibrated)

    @property
    def thresholds(self) -> list[float]:
        """Return the threshold of each of several labels."""
        return [label.threshold for label in self.labels]

    def calibrate(self, scores: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities for scores, float [n, k]."""
        if not self.labels:
            return apply_temperature(scores, self.temperature)
        pairs = zip(scores.T, self.labels, strict=True)
        return np.stack([apply_temperature(as_two_classes(own), it.temperature)[:, 1] for own, it in pairs], axis=1)

    @property
    def temperature(self) -> float:
        """Return the number by which the logarithms of scores are divided to calibrate them."""
        return self.calibration["temperature"]


def read_decision(run: RunDir) -> Decision:
    """Return a run's threshold and temperature, from its `metrics.json`.

    Raises:
        InputError: If they are not there.
    """
    metrics = METRICS_JSON.read(run)
    classes, positive = metrics.get("classes"), metrics.get("positive")
    names = isinstance(classes, list) and len(classes) > 1 and all(isinstance(name, str) for name in classes)
    if not names or positive not in (None, *classes):
        raise InputError(
            "`metrics.json` must name the classes and the positive one, as `tlmed train` writes it. "
            f"Received: {run / 'metrics.json'}: classes={shorten(repr(classes))}, positive={shorten(repr(positive))}."
        )
    if read_task(metrics) == MULTI_LABEL:
        parts = tuple(_read_parts(run, metrics["per_class"][name], name_sides(name)) for name in classes)
        return Decision(None, {"method": METHOD}, labels=parts)
    return _read_parts(run, metrics, classes)


def _read_parts(run, found, classes) -> Decision:
    """Return the decision that `metrics.json`, or its part on one of several labels, holds."""
    point, calibration = found.get("operating_point"), found.get("calibration")
    if not _holds_number(calibration, "temperature") or _holds_number(point, "threshold") != (len(classes) == 2):
        raise InputError(
            "RUN must say how its threshold and its temperature were chosen, which older versions of tlmed did not: "
            f"train it again. Received: {str(run.path)!r}."
        )
    return Decision(
        # `at_half` is of the test images.
        None if point is None else {name: value for name, value in point.items() if name != "at_half"},
        {name: value for name, value in calibration.items() if name != "metrics"},
        _read_rule(run, found.get("decision"), classes),
    )


def _read_rule(run, content, classes) -> AnswerRule | None:
    try:
        return None if content is None else read_rule(content, classes)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "`decision` in `metrics.json` must be as `tlmed train` writes it. "
            f"Received: {run / 'metrics.json'}: decision={shorten(repr(content))}."
        ) from error


def _holds_number(part, name) -> bool:
    """Tell whether a part of `metrics.json` has a usable number; a threshold may be 0, but a temperature may not."""
    found = part.get(name) if isinstance(part, dict) else None
    return isinstance(found, int | float) and 0 <= found < math.inf and (found > 0 or name == "threshold")


def decide(
    predictions: Predictions,
    positive: str | None,
    rule: str | float | AnswerRule,
    costs: np.ndarray | None = None,
    prevalence: float | None = None,
) -> Decision:
    """Choose a threshold and a temperature on validation images, or on the files or groups that they make up.

    Args:
        predictions: Their labels and scores; all rows are used. A note says where few of them, or few groups, choose.
        positive: The positive of two classes, by default the second in the order of classes.
        rule: How to choose the threshold, as for `choose_threshold`; or the threshold itself, 0..1; or how calibrated
            probabilities become classes.
        costs: What an answer costs, float [true class, predicted class], for the rule "costs".
        prevalence: The share of positives where the answers are used, for the rule "costs"; None: that of these images.

    >>> scores, labels = np.array([[0.8, 0.2], [0.6, 0.4], [0.4, 0.6], [0.1, 0.9]]), np.array([0, 0, 1, 1])
    >>> rows = Predictions(("a", "b", "c", "d"), ("val",) * 4, labels, scores, labels, ("benign", "malignant"))
    >>> decide(rows, None, "youden").threshold
    0.5
    """
    if predictions.is_multi:
        sides = [predictions.of_label(number) for number in range(len(predictions.classes))]
        return Decision(None, {"method": METHOD}, labels=tuple(decide(side, side.classes[1], rule) for side in sides))
    labels, scores, classes = predictions.labels, predictions.scores, predictions.classes
    main, by_rule = positive_index(classes, positive), isinstance(rule, AnswerRule)
    point = None
    calibration = _calibrate(labels, scores)
    if main is not None:
        case = labels == main, scores[:, main]
        asked = None if costs is None else _count_errors(costs, main, case[0], prevalence)
        point = (
            _map_back(*case, rule, main, calibration["temperature"])
            if by_rule
            else _choose_point(*case, classes, main, rule, asked)
        )
        point |= {"prevalence": prevalence} if rule == "costs" and prevalence is not None else {}
    if scarce := _list_scarce(labels, classes, find_clusters(predictions.groups)):
        few = f"It rests on few validation images ({', '.join(scarce)}): others would give another value."
        for part in (point, calibration):
            if part and part["n"] is not None:
                part["note"] = " ".join(filter(None, [part.get("note"), few]))
    parts = (part and name_rows(part, predictions.unit) for part in (point, calibration))
    return Decision(*parts, rule if by_rule else None)


def decide_anew(decision: Decision, rule: AnswerRule, main: int | None) -> Decision:
    """Return a decision by another rule, at the temperature that was chosen before.

    Args:
        decision: What was chosen on validation images, which are not there any more.
        rule: How calibrated probabilities become classes.
        main: The positive one of two classes, None for more.
    """
    nothing = np.zeros(0, bool), np.zeros(0)
    point = None if main is None else _map_back(*nothing, rule, main, decision.temperature)
    return Decision(point and {**point, "n": decision.calibration["n"]}, decision.calibration, rule)


def apply_decision(predictions: Predictions, decision: Decision | None, positive: str | None) -> Predictions:
    """Return predictions with the classes that a threshold gives, and with scores calibrated at a temperature.

    Args:
        predictions: Of any splits; their scores may be in single precision, and those that are returned are not.
        decision: The threshold and the temperature; None: 0.5 decides, and nothing is calibrated.
        positive: The positive of two classes, by default the second in the order of classes.
    """
    scores = np.asarray(predictions.scores, "float64")
    main, task = None if predictions.is_multi else positive_index(predictions.classes, positive), predictions.task
    chosen = predict_classes(scores, main, HALF, task) if decision is None else decision.choose(scores, main, task)
    return replace(
        predictions,
        scores=scores,
        predictions=chosen,
        # In the precision of the scores as they came: a network's in single precision.
        calibrated=None if decision is None else decision.calibrate(predictions.scores),
        by_scores=decision is None or (decision.threshold is None and decision.rule is None),
    )


def _list_scarce(labels, classes, owners) -> list[str]:
    """Return the classes with few validation images, or with few groups where a group has several images."""
    if owners is None:
        counts = Counter(labels.tolist())
        return [f"{counts[c]} of {name!r}" for c, name in enumerate(classes) if counts[c] < FEW]
    sizes = [len(set(owners[labels == c].tolist())) for c in range(len(classes))]
    return [f"{count(size, 'group')} of {name!r}" for size, name in zip(sizes, classes, strict=True) if size < FEW]


def _map_back(positive, scores, rule: AnswerRule, main, temperature) -> dict:
    """Return the threshold of uncalibrated scores that decides as a rule does by calibrated ones."""
    cutoff = rule.find_cutoff(main)
    threshold = uncalibrate(cutoff, temperature)
    chosen = scores >= threshold
    found = {"rule": rule.name, "threshold": threshold, "cutoff": cutoff, "split": "val", "n": len(positive)}
    found |= {} if rule.stated is None else {"prevalence": float(rule.stated[main])}
    rates = {"sensitivity": chosen[positive], "specificity": ~chosen[~positive]}
    return found | {name: float(right.mean()) if len(right) else None for name, right in rates.items()}


def _count_errors(costs, main, positive, prevalence) -> tuple[float, float]:
    """Return what a missed positive and a false alarm count among these images, for a prevalence if one is stated."""
    priors = np.bincount(positive, minlength=2) / max(len(positive), 1)
    weighed = costs[[1 - main, main]][:, [1 - main, main]]  # of the negative class, then of the positive one
    if prevalence is not None and priors.all():
        weighed = weigh_costs(weighed, priors, np.array([1 - prevalence, prevalence]))
    return weighed[1, 0], weighed[0, 1]


def _choose_point(positive, scores, classes, main, rule, costs) -> dict:
    nothing = {"sensitivity": None, "specificity": None}
    if not isinstance(rule, str):
        return {"rule": "fixed", "threshold": float(rule), "split": None, "n": None, **nothing}
    chosen_on = {"split": "val", "n": len(positive)}
    if not len(positive):
        note = f"It is not known of any validation image, so no threshold can be chosen: it is {HALF}."
        return {"rule": rule, "threshold": HALF, **chosen_on, **nothing, "note": note}
    if positive.all() or not positive.any():
        only = classes[main if positive.all() else 1 - main]
        note = f"The validation images are of class {only!r} only, so no threshold can be chosen: it is {HALF}."
        return {"rule": rule, "threshold": HALF, **chosen_on, **nothing, "note": note}
    chosen = choose_threshold(positive, scores, rule, *([] if costs is None else [costs]))
    found = {"rule": rule, "threshold": chosen.value, **chosen_on}
    found |= {"sensitivity": chosen.sensitivity, "specificity": chosen.specificity}
    return found | ({"note": f"On validation data: {chosen.note}"} if chosen.note else {})


def state_thresholds(thresholds: Sequence[tuple[float, bool]], several: bool) -> Decision:
    """Return the decision by thresholds that no validation images chose, without any calibration.

    Args:
        thresholds: That of two classes, or one for each of several labels; each with whether a user stated it.
        several: Whether they are of several labels.
    """
    chosen_on = {"split": None, "n": None}
    parts = [
        Decision({"rule": STATED if stated else "half", "threshold": float(threshold), **chosen_on}, {})
        for threshold, stated in thresholds
    ]
    return Decision(None, {}, labels=tuple(parts)) if several else parts[0]


def _calibrate(labels, scores) -> dict:
    if len(set(labels.tolist())) < 2:
        note = "The validation images are of one class only, so no temperature can be fitted: scores stay as they are."
        return {"method": METHOD, "temperature": 1.0, "split": "val", "n": len(labels), "fitted": False, "note": note}
    temperature = fit_temperature(scores, labels)
    found = {"method": METHOD, "temperature": temperature, "split": "val", "n": len(labels)}
    low, high = TEMPERATURES
    if low * 1.001 < temperature < high / 1.001:  # the search by halving comes close to the ends but never reaches them
        return found
    return found | {"note": f"The temperature is at the end of the range that is searched, {low:g} to {high:g}."}
