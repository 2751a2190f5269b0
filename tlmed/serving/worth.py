"""What the answers of a run are worth, in sentences: scores with intervals, the threshold and why, calibration."""

from collections.abc import Mapping
from dataclasses import dataclass

from tlmed.answer_units import FILE, IMAGE, say_where, unit_of
from tlmed.evaluation.answer_rules import say_rule
from tlmed.evaluation.decision_lines import name_rule, order_by_main, say_effect, say_median
from tlmed.evaluation.decisions import METHOD
from tlmed.evaluation.label_lines import name_averaged
from tlmed.evaluation.lines import describe_below_majority, describe_worse, say_without_leaks
from tlmed.evaluation.pooling import say_pooling, say_unknown_groups
from tlmed.evaluation.unusual_lines import describe_lack, say_share
from tlmed.inference.panel import Panel, describe_check, describe_panel
from tlmed.inference.unlike_images import Jury
from tlmed.novelty import ALARM
from tlmed.report.summary import list_doubts
from tlmed.run_files import METRICS_JSON, NOVELTY_JSON
from tlmed.synthetic import describe_learned
from tlmed.tasks import ORDINAL, read_task
from tlmed.words import begin_sentence, count, percent, span, thousandths

NO_DEVICE = (
    "This is research software and not a medical device. Do not use it to diagnose, to treat, or to decide about a "
    "patient."
)
_AIMS = {
    "youden": "for the largest sum of sensitivity and specificity (Youden 1950)",
    "costs": "for the least cost of errors",
}
_AS_STATED = {"fixed": "as the recipe says", "half": "because none was chosen", "stated": "as it was stated"}
_SHOWN = ("auc", "quadratic_kappa", "sensitivity", "specificity", "accuracy")


@dataclass(frozen=True)
class Measured:
    """A score of the run on its test images.

    Attributes:
        name: As a person reads it.
        value: None where it is not defined.
        low: Of the 95 % interval; None where there is none.
        high: Likewise.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Worth:
    """What a user should know of a run before believing an answer.

    Attributes:
        scored_on: Such as "On 117 images of the test split".
        measured: Scores with 95 % intervals: the AUC first.
        thresholds: From which score, not calibrated, a class or label is predicted; nothing where another rule decides.
        decision: How classes are predicted, and who chose that; sentences.
        calibration: Whether probabilities are calibrated, and how; sentences.
        unusual: Whether images unlike those of training are marked, and how often others are; sentences.
        cautions: Reasons to doubt the answers; sentences.
        no_device: That this is no medical device.
    """

    scored_on: str
    measured: tuple[Measured, ...]
    thresholds: Mapping[str, float]
    decision: tuple[str, ...]
    calibration: tuple[str, ...]
    unusual: tuple[str, ...]
    cautions: tuple[str, ...]
    no_device: str = NO_DEVICE

    @property
    def short(self) -> str:
        """Return it in a line, to stand beside an answer."""
        said = [
            f"{score.name} {thousandths(score.value)}"
            + ("" if score.low is None else f" (95 % interval {span(score.value, score.low, score.high)})")
            for score in self.measured[:1]
            if score.value is not None
        ]
        return f"{self.scored_on}: {', '.join(said) or 'no score is defined'}. {self.calibration[0]}"


def find_worth(panel: Panel, jury: Jury) -> Worth:
    """Return what the answers of a run are worth, from what it wrote.

    Args:
        panel: What answers; of a cross-validation the scores are means over its folds.
        jury: What the networks know of their training images.
    """
    result = METRICS_JSON.read(panel.run)
    n = count(result["n"], unit_of(result))
    scored_on = f"{say_where(result)}, {n}" if "folds" in result else f"On {n} of the {result['split']} split"
    found = result["metrics"]
    names = [name for name in _SHOWN if name in found and (name != "quadratic_kappa" or read_task(result) == ORDINAL)]
    measured = tuple(
        Measured(
            begin_sentence(name_averaged(name, result)), *(found[name].get(part) for part in ("value", "low", "high"))
        )
        for name in names
    )
    cautions = [*describe_learned(panel.recipe.data.source), *list_doubts(result), *describe_worse(result)]
    without = [] if describe_below_majority(result) else say_without_leaks(result)  # which a doubt has said already
    cautions += [*describe_check(panel), *without]
    return Worth(
        scored_on,
        measured,
        _find_thresholds(panel),
        tuple(_say_decision(panel)),
        tuple(_say_calibration(panel)),
        tuple(_say_unusual(panel, jury)),
        tuple(cautions),
    )


def _find_thresholds(panel) -> dict[str, float]:
    decision, asked = panel.decision, panel.metrics
    if decision.labels:
        return dict(zip(asked["classes"], decision.thresholds, strict=True))
    if decision.threshold is None:
        return {}
    return {order_by_main(asked)[0]: decision.threshold}


def _say_decision(panel) -> list[str]:
    """Say how classes are predicted, who answers, and for what."""
    asked, decision = panel.metrics, panel.decision
    said = [*describe_panel(panel), *filter(None, [say_pooling(asked)]), *say_unknown_groups(asked)]
    if decision.labels:
        named = (
            f"{name} from {thousandths(label.threshold)} on ({_say_aim(label.operating_point, asked)})"
            for name, label in zip(asked["classes"], decision.labels, strict=True)
        )
        return [*said, f"Each label is predicted from its own score on: {'; '.join(named)}."]
    if decision.threshold is None:
        rule = say_rule(asked["decision"]) if "decision" in asked else "the class with the highest score"
        return [*said, say_median(asked) or f"Predicted is {rule}."]
    positive, other = order_by_main(asked)
    point = decision.operating_point
    said.append(
        f"{positive} is predicted from a score of {thousandths(decision.threshold)} on, else {other}: "
        f"{_say_aim(point, asked)}."
    )
    return said + ([point["note"]] if point.get("note") else [])


def _say_aim(point: Mapping, asked: Mapping) -> str:
    """Say why a threshold is what it is.

    >>> _say_aim({"rule": "youden", "n": 40}, {})
    'chosen on 40 validation images for the largest sum of sensitivity and specificity (Youden 1950)'
    >>> _say_aim({"rule": "costs", "n": 40, "prevalence": 0.02}, {})
    'chosen on 40 validation images for the least cost of errors at a prevalence of 0.02'
    >>> _say_aim({"rule": "sensitivity>=0.95", "n": 40}, {}), _say_aim({"rule": "fixed", "n": None}, {})
    ('chosen on 40 validation images for sensitivity>=0.95', 'as the recipe says')
    """
    if point["rule"] in _AS_STATED:
        return _AS_STATED[point["rule"]]
    where = "" if point["n"] is None else f" on {count(point['n'], f'validation {unit_of(asked)}')}"
    if "cutoff" in point:
        cutoff = thousandths(point["cutoff"])
        return f"a calibrated probability of {cutoff}, by {name_rule(point)}, calibrated{where}"
    aim = _AIMS.get(point["rule"], f"for {point['rule']}")
    return f"chosen{where} {aim}{name_rule(point).removeprefix(point['rule'])}"


def _say_calibration(panel) -> list[str]:
    """Say whether probabilities are calibrated, and whether that decides anything."""
    decision, asked = panel.decision, panel.metrics
    parts = dict(zip(asked["classes"], decision.labels, strict=True)) if decision.labels else {"": decision}
    noted = {name: part.calibration["note"] for name, part in parts.items() if part.calibration.get("note")}
    notes = [f"{name}: {note}" if name else note for name, note in noted.items()]
    fitted = [part for part in parts.values() if part.calibration.get("fitted", True)]
    if not fitted:
        return ["Probabilities are not calibrated.", *notes]
    n = count(fitted[0].calibration["n"], f"validation {unit_of(asked)}")
    if decision.labels:
        of = f", a temperature for each of {count(len(fitted), 'label')}"
    else:
        of = f" at temperature {thousandths(decision.temperature)}"
    return [f"Probabilities are calibrated on {n}: {METHOD}{of}.", say_effect(asked), *notes]


def _say_unusual(panel, jury) -> list[str]:
    """Say how images unlike those of training are marked, and how many of the run's own test images are."""
    if jury.reason:
        return describe_lack(jury.reason)
    unit = FILE if panel.pooling.how else IMAGE
    what, p = ("A file", "p, the mean over its images,") if unit == FILE else ("An image", "p")
    return [
        f"{what} is marked as unlike the training images where {p} is below {ALARM:g}. Of {unit}s like those of "
        f"training at most about {percent(ALARM)} are marked as well, by chance.",
        *_say_own_shares({run.path.name: NOVELTY_JSON.find(run) for run in jury.known}, unit, bool(panel.run.folds)),
    ]


def _say_own_shares(novelties: Mapping[str, Mapping], unit: str, are_folds: bool) -> list[str]:
    """Say how many images, or files, of the test splits are marked, or why that was not counted.

    Args:
        novelties: The `novelty.json` of each network, by the name of its run.
        unit: What is marked.
        are_folds: Whether they are of a cross-validation.

    >>> share = {"n": 21, "unusual": 1, "value": 1 / 21, "low": None, "high": None}
    >>> _say_own_shares({"a": {"unit": "file", "test": share}}, "file", False)
    ['Tried on new files of its own test split, the run marks 1 of 21 files, 5 %.']
    >>> _say_own_shares({"a": {"test": share}}, "file", False)
    ['How many files of the test split are marked was not counted: an older version trained the run.']
    >>> _say_own_shares({"01": {"test": share}, "02": {"test": share}}, "image", True)[0].partition("Each")[2]
    ' alone, tried on new images of the test split of its fold, they mark 2 of 42 images, 5 %.'
    >>> _say_own_shares({"a": {"test": share}, "b": {"test": share}}, "image", False)[0].partition("Alone")[2]
    ', tried on new images of its test split, a marks 1 of 21 images, 5 %; b marks 1 of 21 images, 5 %.'
    """
    if any(unit_of(novelty) != unit for novelty in novelties.values()):
        return [f"How many {unit}s of the test split are marked was not counted: an older version trained the run."]
    shares = {name: novelty["test"] for name, novelty in novelties.items() if "test" in novelty}
    if not shares:
        return [f"How many {unit}s of the test split are marked was not counted: all are of patients of other splits."]
    if len(novelties) == 1:
        return [f"Tried on new {unit}s of its own test split, the run marks {say_share(*shares.values(), unit)}."]
    if not are_folds:
        each = "; ".join(f"{name} marks {say_share(share, unit)}" for name, share in shares.items())
        rule = f"How many test {unit}s they mark together was not counted."
        return [f"{rule} Alone, tried on new {unit}s of its test split, {each}."]
    n, unusual = (sum(share[part] for share in shares.values()) for part in ("n", "unusual"))
    total = {"n": n, "unusual": unusual, "value": unusual / n, "low": None, "high": None}
    return [
        f"How many test {unit}s the networks mark together cannot be counted, because other folds learned from each of "
        f"them. Each alone, tried on new {unit}s of the test split of its fold, they mark {say_share(total, unit)}."
    ]
