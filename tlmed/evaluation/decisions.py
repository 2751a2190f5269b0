"""How scores become decisions and probabilities: a threshold and a temperature, chosen on validation data."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tlmed.answer_units import name_rows
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import AnswerRule, read_rule
from tlmed.evaluation.predictions import HALF, Predictions, predict_classes, reach
from tlmed.evaluation.predictions_csv import CALIBRATED, SCORE
from tlmed.metrics import apply_temperature, choose_threshold, fit_temperature, positive_index
from tlmed.metrics.calibration import TEMPERATURES
from tlmed.metrics.decision_rules import uncalibrate
from tlmed.metrics.label_metrics import as_two_classes, name_sides
from tlmed.metrics.resampling import find_clusters
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task
from tlmed.words import count, listed, shorten

FEW = 10  # with fewer validation images of a class, or groups, there is a note
# Columns count as exchanged if the correlation with another class's scores exceeds that with the own ones by this.
_APART = 0.5
_ROUNDED = 1e-6  # how far a half may be off in probabilities that were written with few digits
METHOD = "temperature scaling (Guo et al. 2017)"


@dataclass(frozen=True)
class Decision:
    """The threshold and the temperature chosen on validation data, as in `metrics.json`.

    Attributes:
        operating_point: `rule`, `threshold`, the `split` and the number `n` of images that it was chosen on, its
            `sensitivity` and `specificity` there, and a `note` where there is something to say; None for more classes
            than two.
        calibration: `method`, `temperature`, `split`, `n`, and a `note`; of several labels only `method`.
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
    predictions: Predictions, positive: str | None, rule: str | float | AnswerRule, costs: np.ndarray | None = None
) -> Decision:
    """Choose a threshold and a temperature on validation images, or on the files or groups that they make up.

    Args:
        predictions: Their labels and scores; all rows are used. A note says where few of them, or few groups, choose.
        positive: The positive of two classes, by default the second in the order of classes.
        rule: How to choose the threshold, as for `choose_threshold`; or the threshold itself, 0..1; or how calibrated
            probabilities become classes.
        costs: What an answer costs, float [true class, predicted class], for the rule "costs".

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
        asked = None if costs is None else (costs[main, 1 - main], costs[1 - main, main])
        point = (
            _map_back(*case, rule, main, calibration["temperature"])
            if by_rule
            else _choose_point(*case, classes, main, rule, asked)
        )
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
    rates = {"sensitivity": chosen[positive], "specificity": ~chosen[~positive]}
    return found | {name: float(right.mean()) if len(right) else None for name, right in rates.items()}


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


def _calibrate(labels, scores) -> dict:
    if len(set(labels.tolist())) < 2:
        note = "The validation images are of one class only, so no temperature can be fitted: scores stay as they are."
        return {"method": METHOD, "temperature": 1.0, "split": "val", "n": len(labels), "note": note}
    temperature = fit_temperature(scores, labels)
    found = {"method": METHOD, "temperature": temperature, "split": "val", "n": len(labels)}
    low, high = TEMPERATURES
    if low * 1.001 < temperature < high / 1.001:  # the search by halving comes close to the ends but never reaches them
        return found
    return found | {"note": f"The temperature is at the end of the range that is searched, {low:g} to {high:g}."}


def describe_contradictions(predictions: Predictions, positive: str | None) -> list[str]:
    """Return a sentence where predicted classes are not those with the highest score, and which threshold explains it.

    Of ordered classes it is said where they are not the median.

    Args:
        predictions: All rows are checked; rows with several highest scores contradict nothing.
        positive: The positive of two classes, by default the second in the order of classes.

    >>> rows = ["a", "b", "c"], ["test"] * 3, np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    >>> (said,) = describe_contradictions(Predictions(*rows, np.array([0, 1, 1]), ("ill", "well")), "well")
    >>> print(said.partition(" explains")[0])
    In 1 of 3 rows `prediction` is not the class with the highest score. A threshold of 'well' above 0.2 and up to 0.4
    """
    scores, guesses, graded = predictions.scores, predictions.predictions, predictions.task == ORDINAL
    lower = int((scores[np.arange(len(guesses)), guesses] < scores.max(axis=1)).sum())
    rows = _count_off_median(predictions) if graded else lower
    if predictions.by_scores or not rows:
        return []
    rule = "the median grade" if graded else "the class with the highest score"
    said = f"In {rows:,} of {count(len(guesses), 'row')} `prediction` is not {rule}."
    main, cause = positive_index(predictions.classes, positive), ""
    if graded and not lower:
        cause = " In every row it is the class with the highest score."
    elif main is not None:
        cause = f" {_explain_by_threshold(scores[:, main], guesses == main, predictions.classes[main])}"
    return [
        f"{said}{cause} Metrics that count predicted classes, such as accuracy, sensitivity and F1, are computed from "
        "the column `prediction`; those that need probabilities, such as AUC and log loss, from the scores."
    ]


def _count_off_median(predictions) -> int:
    """Count rows whose grade is no median; where a grade is reached with just a half, so are it and the one below."""
    scores = predictions.scores if predictions.calibrated is None else predictions.calibrated
    reached = np.pad(reach(scores), ((0, 0), (0, 1)))  # nothing lies above the highest grade
    rows, guesses = np.arange(len(scores)), predictions.predictions
    off = (reached[rows, guesses] < HALF - _ROUNDED) | (reached[rows, guesses + 1] > HALF + _ROUNDED)
    return int(off.sum())


def _explain_by_threshold(scores, chosen, name) -> str:
    """Say which thresholds give the rows that are predicted as a class, or how many rows the best one leaves."""
    highest, lowest = scores[~chosen].max(initial=-math.inf), scores[chosen].min(initial=math.inf)
    if highest < lowest:
        bounds = [f"above {highest:.6g}"] if chosen.sum() < len(chosen) else []
        bounds += [f"up to {lowest:.6g}"] if chosen.any() else []
        return f"A threshold of {name!r} {' and '.join(bounds)} explains it."
    # `left` counts contradictions for each score as threshold: chosen rows below it, and rows from it on that are not
    # chosen. Its last entry is for a threshold above all scores.
    order = np.argsort(scores, kind="stable")
    levels, first = np.unique(scores[order], return_index=True)
    below = np.concatenate([[0], np.cumsum(chosen[order])])
    above = np.cumsum(~chosen[order][::-1])[::-1]
    left = [*(below[first] + above[first]), below[-1]]
    best = int(np.argmin(left))
    nearest = f"{levels[best]:.6g}" if best < len(levels) else f"any above {levels[-1]:.6g}"
    rows = count(int(left[best]), "row")
    return f"No single threshold of {name!r} explains it: the nearest, {nearest}, contradicts {rows}."


def describe_hard_scores(predictions: Predictions) -> list[str]:
    """Return a sentence where all scores, or all calibrated ones, are 0 or 1: decisions, of which there is no ranking.

    >>> rows = ["a", "b"], ["test"] * 2, np.array([0, 1]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])
    >>> describe_hard_scores(Predictions(*rows, ("ill", "well")))[0].partition(":")[0]
    'All scores are 0 or 1, decisions and not probabilities'
    """
    if _is_hard(predictions.scores):
        return [
            "All scores are 0 or 1, decisions and not probabilities: the AUC is only the mean of sensitivity and "
            "specificity, and log loss, Brier score and ECE say nothing of calibration."
        ]
    if predictions.calibrated is not None and _is_hard(predictions.calibrated):
        return [f"All columns `{CALIBRATED}CLASS` are 0 or 1: what is computed from them says nothing of calibration."]
    return []


def _is_hard(scores) -> bool:
    return bool(np.isin(scores, (0, 1)).all())


def describe_exchanged(predictions: Predictions) -> list[str]:
    """Return a sentence where calibrated probabilities go with the scores of other classes: columns are exchanged.

    Calibration keeps the order of scores, more or less: each column correlates best with its own.

    >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> rows = ["a", "b", "c"], ["test"] * 3, np.array([0, 1, 1]), scores, np.array([0, 1, 1]), ("ill", "well")
    >>> describe_exchanged(Predictions(*rows, calibrated=scores[:, ::-1]))
    ['Are columns exchanged? `calibrated_ill` goes with `score_well`, `calibrated_well` goes with `score_ill`.']
    """
    if predictions.calibrated is None:
        return []
    classes = predictions.classes
    # Correlations [k, k]: rows are calibrated columns, columns are scores.
    likeness = _standardise(predictions.calibrated).T @ _standardise(predictions.scores)
    nearest = likeness.argmax(axis=1)
    moved = set(np.flatnonzero(likeness.max(axis=1) - likeness.diagonal() > _APART).tolist())
    said = [
        f"`{CALIBRATED}{classes[c]}` goes with `{SCORE}{classes[nearest[c]]}`"
        for c in sorted(moved)
        if nearest[c] in moved  # an exchange: the other column must be out of place, too
    ]
    return [f"Are columns exchanged? {listed(said, 3)}."] if said else []


def _standardise(table) -> np.ndarray:
    """Return columns with mean 0 and length 1, whose products are correlations; a constant one becomes zeros."""
    centred = table - table.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    return centred / np.where(length > 1e-9, length, np.inf)
