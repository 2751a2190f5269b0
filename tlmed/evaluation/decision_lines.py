"""By which threshold or rule classes are predicted, as sentences from `metrics.json`."""

from collections.abc import Mapping

from tlmed.answer_units import unit_of
from tlmed.evaluation.answer_rules import say_rule
from tlmed.evaluation.ensemble_lines import answers_in_parts
from tlmed.evaluation.prediction_rows import SCORE
from tlmed.evaluation.predictions import HALF, STATED
from tlmed.metrics import positive_index
from tlmed.metrics.expected_costs import COST_METRICS
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task
from tlmed.words import count, join_names, thousandths


def say_threshold(result: Mapping) -> str:
    """Return the threshold of two classes, and where it comes from.

    >>> point = {"rule": "youden", "threshold": 0.25, "n": 40}
    >>> say_threshold({"operating_point": point})
    '0.250 (youden, from 40 validation images)'
    >>> say_threshold({"operating_point": {**point, "rule": "expected-cost", "cutoff": 0.1}})
    '0.250 (expected-cost: a calibrated probability of 0.100, calibrated on 40 validation images)'
    """
    point = result["operating_point"]
    where = "" if point["n"] is None else count(point["n"], f"validation {unit_of(result)}")
    rule = name_rule(point)
    if "cutoff" in point:
        origin = f"{rule}: a calibrated probability of {thousandths(point['cutoff'])}, calibrated on {where}"
    else:
        origin = f"{rule}, from {where}" if where else rule
    return f"{thousandths(point['threshold'])} ({origin})"


def name_rule(point: Mapping) -> str:
    """Return the rule that chose a threshold, with the prevalence that it is for, if one was stated.

    >>> name_rule({"rule": "youden"}), name_rule({"rule": "costs", "prevalence": 0.02})
    ('youden', 'costs at a prevalence of 0.02')
    """
    return point["rule"] + (f" at a prevalence of {point['prevalence']:g}" if "prevalence" in point else "")


def say_effect(result: Mapping) -> str:
    """Say whether calibration has a part in which classes are predicted.

    >>> say_effect({}), say_effect({"decision": {"rule": "expected-cost"}})
    ('It changes no class that is predicted.', 'Classes are predicted by the calibrated probabilities.')
    >>> say_effect({"task": "ordinal"}), say_effect({"task": "multi-label"})
    ('Classes are predicted by the calibrated probabilities.', 'It changes no label that is predicted.')
    """
    if "decision" in result or read_task(result) == ORDINAL:
        return "Classes are predicted by the calibrated probabilities."
    return f"It changes no {'label' if read_task(result) == MULTI_LABEL else 'class'} that is predicted."


def say_median(result: Mapping) -> str:
    """Say how a grade is predicted; "" where costs or a logit adjustment decide, or classes are not ordered.

    >>> say_median({"task": "ordinal"})
    'Predicted is the median grade: the highest that is reached with a probability of more than a half.'
    >>> say_median({"task": "ordinal", "evaluated": {"predicted": False}})
    'Predicted is the grade in the column `prediction`.'
    """
    if read_task(result) != ORDINAL or "decision" in result:
        return ""
    if _is_by_column(result):
        return "Predicted is the grade in the column `prediction`."
    kind = "calibrated probability" if "calibration" in result else "probability"
    return f"Predicted is the median grade: the highest that is reached with a {kind} of more than a half."


def describe_choice(result: Mapping) -> list[str]:
    """Say which threshold of which score decides between two classes; of more, which rule, or how a grade is predicted.

    >>> describe_choice({"classes": ["ill", "well"], "positive": "well", "threshold": 0.000225})
    ['`prediction` is well where `score_well` is 0.00022 or more, the threshold of the run, and ill elsewhere.']
    """
    if "decision" in result and result.get("threshold") is None:
        return [f"`prediction` is {say_rule(result['decision'])}, the rule of the run."]
    if said := say_median(result):
        return [said]
    if result.get("threshold") is None:
        return []
    positive, other = order_by_main(result)
    return [
        f"`prediction` is {positive} where `{SCORE}{positive}` is {thousandths(result['threshold'])} or more, the "
        f"threshold of the run, and {other} elsewhere."
    ]


def caption_choice(result: Mapping) -> str:
    """Return the threshold, or the rule, for the end of a caption; "" where the highest score decides.

    >>> caption_choice({"classes": ["ill", "well"], "positive": "well", "threshold": 0.000225})
    '; well from 0.00022 on'
    """
    if "decision" in result and result.get("threshold") is None:
        return f"; by {result['decision']['rule']}"
    if result.get("threshold") is not None and answers_in_parts(result):
        return "; each by the threshold of the members that scored it"
    if result.get("threshold") in (None, HALF):
        return ""
    return f"; {order_by_main(result)[0]} from {thousandths(result['threshold'])} on"


def list_at_prevalence(found: Mapping) -> list[str]:
    """Return the metrics in `at_prevalence` of `metrics.json`, in the order in which they are shown.

    >>> list_at_prevalence({"prevalence": 0.02, "ppv": {}, "npv": {}})
    ['ppv', 'npv']
    """
    return [name for name in ("ppv", "npv", *COST_METRICS) if name in found]


def order_by_main(result) -> tuple[str, str]:
    """Return the positive one of two classes, and the other."""
    main = positive_index(result["classes"], result["positive"])
    return result["classes"][main], result["classes"][1 - main]


def describe_rule(result: Mapping) -> list[str]:
    """Say how the classes of a file of predictions were predicted, where it does not say them itself.

    Args:
        result: The content of `metrics.json`.

    >>> found = {"classes": ["ill", "well"], "positive": "well", "threshold": 0.5, "evaluated": {"predicted": True}}
    >>> describe_rule(found)
    ["The file has no column `prediction`: 'well' is predicted where its score is 0.5 or more, and 'ill' elsewhere."]
    >>> describe_rule({"classes": ["a", "b", "c"], "evaluated": {"predicted": True}})
    ['The file has no column `prediction`: of each row the class with the highest score is predicted.']
    """
    if read_task(result) == MULTI_LABEL and _is_by_column(result):
        return ["The columns `prediction_<class>` say which labels are predicted."]
    if not result["evaluated"].get("predicted"):
        return []
    if read_task(result) == MULTI_LABEL:
        return [_describe_label_rule(result)]
    if len(result["classes"]) == 2:
        positive, other = map(repr, order_by_main(result))
        how = f"{positive} is predicted where its score is {result['threshold']:g} or more, and {other} elsewhere"
    elif read_task(result) == ORDINAL:
        how = "of each row the median grade is predicted"
    else:
        how = "of each row the class with the highest score is predicted"
    stated = result.get("operating_point", {}).get("rule") == STATED
    return [f"{'`--threshold` decides' if stated else 'The file has no column `prediction`'}: {how}."]


def _is_by_column(result) -> bool:
    """Tell whether a file says what is predicted; what is pooled is predicted anew."""
    return result.get("evaluated", {}).get("predicted") is False and "per_sample" not in result


def _describe_label_rule(result) -> str:
    points = {name: entry["operating_point"] for name, entry in result["per_class"].items()}
    if not any(point["rule"] == STATED for point in points.values()):
        return "The file has no columns `prediction_<class>`: a label is predicted where its score is 0.5 or more."
    named = join_names(f"{name!r} from {point['threshold']:g} on" for name, point in points.items())
    return f"`--threshold` decides: {named}."
