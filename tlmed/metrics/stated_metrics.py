"""What reviewers ask for beside `evaluate`: ratios, indices, points of a ranking and recalibration, with intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed import seeds
from tlmed.errors import InputError
from tlmed.metrics.arguments import find_class_faults, find_classes_faults, find_group_faults, find_score_faults
from tlmed.metrics.benefits import benefit_at, mean_benefit
from tlmed.metrics.classes import positive_index
from tlmed.metrics.classwise_errors import bound_errors, measure_errors
from tlmed.metrics.combining import combine
from tlmed.metrics.definitions import Case, make_case
from tlmed.metrics.f_scores import f_beta
from tlmed.metrics.fold_means import mean_of
from tlmed.metrics.image_means import average_images
from tlmed.metrics.likelihood_ratios import likelihood_ratios, youden_index
from tlmed.metrics.logistic_recalibration import recalibrate, say_extremes
from tlmed.metrics.measured import Measured, bounded, unbounded, undefined
from tlmed.metrics.names import RATIOS, find_base
from tlmed.metrics.partial_areas import partial_area
from tlmed.metrics.ranked_points import ppv_at, sensitivity_at, specificity_at
from tlmed.metrics.resampling import has_clusters, number_groups
from tlmed.metrics.sample_sizes import (
    MANY_CLASSES,
    MOST_NAMED,
    NO_INTERVAL,
    count_in,
    name_units,
    note_few,
    say_absent,
    say_few,
)
from tlmed.metrics.weighted_kappas import find_weight_faults, weigh_confusions, weighted_kappa
from tlmed.sections import Stated, find_faults
from tlmed.words import listed

_NO_PROBABILITIES = "The scores are not probabilities that sum to 1."
_RATES = ("sensitivity", "specificity")
_BOTH_SIDES = ("average_precision",)  # five images or groups of the class, and of the rest
_SEED, _SPLIT = 0, "stated"  # of the resamples of the class-wise error, which are the same each time


_POINTS = ("sensitivity_at_specificity", "specificity_at_sensitivity", "ppv_at_sensitivity")
_ENOUGH_OF_A_CLASS = 100  # images, or groups: means over classes of these then cover as they should


@dataclass(frozen=True)
class _Kind:
    """Metrics of one class against the rest.

    Attributes:
        names: What they are called.
        rests: The metrics of `evaluate` that rest on the same images and need as many.
        measure: Returns them, for a case, a class and the groups.
        of_probabilities: Whether they say what scores are worth as probabilities, and so change with calibration.
        notes_stay: Whether the notes on them are about their values, and so hold without an interval, too.
        average: Returns their mean over the classes present, where those of the classes are not to be combined.
    """

    names: tuple[str, ...]
    rests: tuple[str, ...]
    measure: Callable[[Case, int, np.ndarray | None], Mapping[str, Measured]]
    of_probabilities: bool = False
    notes_stay: bool = False
    average: Callable[[Case, np.ndarray | None], Measured] | None = None


def evaluate_stated(
    labels: np.ndarray,
    scores: np.ndarray,
    predictions: np.ndarray,
    classes: Sequence[str],
    positive: str | None = None,
    groups: Sequence[str] | None = None,
    stated: Stated | None = None,
    of_probabilities: bool = False,
    split: str = "test",
    seed: int = 0,
) -> dict:
    """Return metrics that `evaluate` leaves out, some of them at numbers that the user states.

    `lr_positive`, `lr_negative`, `youden`, `f_beta`, `sensitivity_at_specificity`, `specificity_at_sensitivity`,
    `ppv_at_sensitivity`, `partial_auc`, `net_benefit_at_RISK`, `calibration_intercept`, `calibration_slope`,
    `weighted_kappa`, `root_brier` and, of more than two classes, `classwise_ece`. Of two classes they are those of the
    positive one; of more, the mean over the classes present, each against the rest (of ratios the geometric mean).
    All intervals are of 95 %, and by groups if a group has several images. docs/metrics.md says how often they cover.

    Args:
        labels: True classes, int [n], 0..k-1.
        scores: One column per class, float [n, k].
        predictions: Predicted classes, int [n], 0..k-1.
        classes: The k names.
        positive: The positive of two classes, by default the second in the order of classes.
        groups: Who each image belongs to, as for `evaluate`.
        stated: The numbers, by default those of `Stated()`.
        of_probabilities: Only those that change if scores are calibrated: net benefit, calibration, root Brier score.
        split: As for `evaluate`: the same split and seed draw the same rates for the kappas of two classes.
        seed: Decides them.

    Returns:
        `metrics` and `per_class`, as in `metrics.json`; an entry may have `at`, the number that the user stated.

    Raises:
        InputError: With all faults of the arguments.

    >>> labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> found = evaluate_stated(labels, scores, scores.argmax(axis=1), ["benign", "malignant"])
    >>> found["metrics"]["youden"]["value"], found["metrics"]["lr_positive"]["value"]
    (0.5, 2.0)
    """
    labels, scores, predictions = np.asarray(labels), np.asarray(scores, dtype=float), np.asarray(predictions)
    stated = stated or Stated()
    _check(labels, scores, predictions, classes, groups, stated)
    main, owners = positive_index(classes, positive), number_groups(groups)
    owners = owners if has_clusters(owners) else None
    case = make_case(labels, scores, predictions, main)
    kinds = [kind for kind in _list_kinds(stated) if kind.of_probabilities or not of_probabilities]
    overall, per_class = _measure_kinds(kinds, case, classes, owners)
    if not of_probabilities:
        rng = np.random.default_rng(seeds.derive(seed, "bootstrap", split))
        overall["weighted_kappa"] = _measure_kappa(case, classes, owners, stated, rng)
    overall["root_brier"] = _measure_brier(case, classes, owners)
    if main is None:
        overall["classwise_ece"], errors = _measure_errors(case, classes, owners)
        for label, entry in errors.items():
            per_class[label]["classwise_ece"] = entry
    for entries in (overall, *per_class.values()):
        for name, number in _list_numbers(stated).items():
            if name in entries:
                entries[name]["at"] = number
    return {"metrics": overall, "per_class": per_class}


def _check(labels, scores, predictions, classes, groups, stated) -> None:
    n, k = len(labels), len(classes)
    faults = find_classes_faults(classes) + find_score_faults("scores", scores, n, k)
    for name, values in {"labels": labels, "predictions": predictions}.items():
        faults += find_class_faults(name, values, n, k)
    faults += find_group_faults(groups, n)
    if faults := faults + (find_faults(stated, "stated.") or find_weight_faults(stated.kappa_weights, k)):
        raise InputError(faults)


def _list_kinds(stated: Stated) -> list[_Kind]:
    """Return the metrics of a class, in the order in which they are reported."""
    at = {
        "sensitivity_at_specificity": (sensitivity_at, stated.specificity),
        "specificity_at_sensitivity": (specificity_at, stated.sensitivity),
        "ppv_at_sensitivity": (ppv_at, stated.sensitivity),
    }
    benefits = {_name_benefit(risk): (benefit_at, risk) for risk in stated.net_benefit}
    return [
        _Kind(("lr_positive", "lr_negative"), _RATES, lambda *of: likelihood_ratios(*_decide(*of))),
        _Kind(("youden",), _RATES, lambda *of: {"youden": youden_index(*_decide(*of))}),
        _Kind(("f_beta",), ("f1",), lambda case, own, owners: _measure_f(case, own, owners, stated.beta)),
        *(_Kind((name,), _RATES, _rank(name, *which)) for name, which in at.items()),
        _Kind(("partial_auc",), _BOTH_SIDES, _rank("partial_auc", partial_area, stated.partial_auc)),
        *(
            _Kind((name,), _RATES, _rank(name, *which), True, average=_mean_at(which[1]))
            for name, which in benefits.items()
        ),
        _Kind(("calibration_intercept", "calibration_slope"), _BOTH_SIDES, _recalibrate, True, True),
    ]


def _decide(case, own, owners) -> tuple:
    return case.labels == own, case.predictions == own, owners


def _measure_f(case, own, owners, beta) -> dict[str, Measured]:
    return {"f_beta": f_beta(case.labels == own, case.predictions == own, beta, owners)}


def _rank(name, measure, number) -> Callable:
    return lambda case, own, owners: {name: measure(case.labels == own, case.scores[:, own], number, owners)}


def _mean_at(risk) -> Callable:
    return lambda case, owners: mean_benefit(case.labels, case.scores, risk, owners)


def _recalibrate(case, own, owners) -> dict[str, Measured]:
    # Scores with few digits may leave 0..1 by what `are_probabilities` tolerates.
    return recalibrate(case.labels == own, np.clip(case.scores[:, own], 0, 1), owners)


def _name_benefit(risk: float) -> str:
    return f"net_benefit_at_{risk:g}"


def _list_numbers(stated: Stated) -> dict[str, object]:
    weights = stated.kappa_weights
    return {
        "f_beta": stated.beta,
        "sensitivity_at_specificity": stated.specificity,
        "specificity_at_sensitivity": stated.sensitivity,
        "ppv_at_sensitivity": stated.sensitivity,
        "partial_auc": stated.partial_auc,
        **{_name_benefit(risk): risk for risk in stated.net_benefit},
        "weighted_kappa": weights if isinstance(weights, str) else [list(row) for row in weights],
    }


def _measure_kinds(kinds, case, classes, owners) -> tuple[dict, dict]:
    """Return the metrics of all images and those of each class, by their names."""
    overall, per_class = {}, {label: {} for label in classes}
    for kind in kinds:
        found = [_measure_class(kind, case, own, classes, owners) for own in range(case.classes)]
        for name in kind.names:
            parts = [each[name] for each in found]
            for label, part in zip(classes, parts, strict=True):
                per_class[label][name] = part.entry
            whole = parts[case.main] if case.main is not None else _average(kind, name, parts, case, classes, owners)
            overall[name] = dict(whole.entry)
    return overall, per_class


def _measure_class(kind: _Kind, case, own, classes, owners) -> dict[str, Measured]:
    """Return metrics of a class against the rest, without intervals where too few images decide."""
    if reason := _find_reason(kind, case, classes, own):
        return dict.fromkeys(kind.names, undefined(reason))
    few = next(filter(None, (say_few(case, owners, own, name) for name in kind.rests)), "")
    rests = note_few(case, classes, owners, own, *kind.rests)
    found = kind.measure(case, own, owners)
    return {name: _note(found[name], few, rests, kind.notes_stay) for name in kind.names}


def _find_reason(kind, case, classes, own) -> str:
    if kind.of_probabilities and not case.probable:
        return _NO_PROBABILITIES
    present = np.unique(case.labels).tolist()
    if own not in present:
        return f"No image is of class {classes[own]!r}."
    return f"All images are of class {classes[own]!r}." if len(present) == 1 else ""


def _note(part: Measured, few: str, rests: str, notes_stay: bool = False) -> Measured:
    if part.entry["value"] is None:
        return part
    own = part.entry.get("note") if notes_stay or not few else ""
    if few:
        part = unbounded(part.entry["value"], part.influences, few)
    said = " ".join(filter(None, (few, own, rests)))
    return Measured(part.entry | ({"note": said} if said else {}), part.influences)


def _average(kind, name, parts: Sequence[Measured], case, classes, owners) -> Measured:
    """Return the mean over the classes present, of ratios the geometric one, with the interval theirs give together."""
    if name == "calibration_intercept":
        return undefined(
            "Scores of all classes sum to 1, so that their intercepts cancel out: see those of each class."
        )
    present, absent = np.unique(case.labels), sorted(set(range(case.classes)) - set(case.labels.tolist()))
    if missing := [classes[own] for own in present if parts[own].entry["value"] is None]:
        first = parts[classes.index(missing[0])].entry["reason"]
        return undefined(f"It is undefined for {listed(map(repr, missing), MOST_NAMED)}. {first}")
    shown = [parts[own] for own in present]
    logs = name in RATIOS
    values = [part.entry["value"] for part in shown]
    value = mean_of(name, values)
    note = say_extremes(case.scores[:, present]) if name == "calibration_slope" else ""
    if absent:
        note = f"{say_absent(classes[own] for own in absent)} {note}".rstrip()
    if kind.average:
        return _note(kind.average(case, owners), "", note)
    if why := _say_few_of_a_class(name, case, owners) or _say_open(shown, case, logs):
        return unbounded(value, np.zeros(0), " ".join(filter(None, (note, why))))
    entries = [_take_logs(part.entry) if logs else part.entry for part in shown]
    moved = (part.influences / part.entry["value"] if logs else part.influences for part in shown)
    bounds = combine(entries, moved, [1 / len(shown)] * len(shown), owners)
    by = "" if owners is None else " by groups"
    method = f"MOVER of {len(shown)} classes{by}{', on the log scale' if logs else ''} (Zou & Donner 2008)"
    return bounded(value, tuple(map(math.exp, bounds)) if logs else bounds, method, np.zeros(0), note)


def _say_few_of_a_class(name, case, owners) -> str:
    """Say so where a mean of points of the ROC curve rests on few images of a class; "" where it may have an interval.

    Few images decide the threshold of a class, and jump from draw to draw: with 20 to 60 images of the smallest class
    the intervals of the classes, combined, covered 66 to 95 %.
    """
    fewest = min(count_in(case.labels == own, owners) for own in np.unique(case.labels))
    if find_base(name) not in _POINTS or fewest >= _ENOUGH_OF_A_CLASS:
        return ""
    few = f"fewer than {_ENOUGH_OF_A_CLASS} {name_units(owners)}"
    return f"A class has {few}, from which no interval of this mean follows."


def _take_logs(entry) -> dict[str, float]:
    return {end: math.log(entry[end]) for end in ("value", "low", "high")}


def _say_open(parts, case, logs) -> str:
    """Say why the mean over classes has no interval; "" where it has one."""
    if case.classes < MANY_CLASSES and min(filter(None, np.bincount(case.labels).tolist())) < 2:
        return f"A class has a single image, {NO_INTERVAL}"
    if open_ := sum(part.entry["low"] is None for part in parts):
        verb = "has" if open_ == 1 else "have"
        return f"{open_} of {len(parts)} classes {verb} no interval, so that their mean has none."
    if logs and not all(part.entry["value"] for part in parts):
        return f"The ratio of a class is 0, which makes the mean 0 whatever the others are, {NO_INTERVAL}"
    return ""


def _measure_kappa(case, classes, owners, stated, rng) -> dict:
    rests = "kappa" if case.main is not None else "quadratic_kappa"
    weights = weigh_confusions(stated.kappa_weights, case.classes)
    found = weighted_kappa(case.labels, case.predictions, weights, owners, rng)
    return _note(found, say_few(case, owners, None, rests), note_few(case, classes, owners, None, rests)).entry


def _measure_brier(case, classes, owners) -> dict:
    """Return the root of the Brier score, with the root of its interval."""
    if not case.probable:
        return undefined(_NO_PROBABILITIES).entry
    found = average_images(case.losses[1], case.labels, classes, owners, 1.0 if case.main is not None else 2.0)
    return found | {end: math.sqrt(found[end]) for end in ("value", "low", "high") if found[end] is not None}


def _measure_errors(case, classes, owners) -> tuple[dict, dict[str, dict]]:
    """Return the class-wise calibration error, and that of each class."""
    if not case.probable:
        nothing = undefined(_NO_PROBABILITIES).entry
        return nothing, {label: dict(nothing) for label in classes}
    if case.classes >= MANY_CLASSES:
        mean, each = measure_errors(case.labels, case.scores)
    else:
        mean, each = bound_errors(case.labels, case.scores, owners, _SEED, _SPLIT)
    few, rests = say_few(case, owners, None, "ece"), note_few(case, classes, owners, None, "ece")
    found = {label: _note(part, few, rests).entry for label, part in zip(classes, each, strict=True)}
    return _note(mean, few, rests).entry, found
