"""What `metrics.json` holds of several labels in words: the names of means, and a line of a terminal for each label."""

from collections.abc import Mapping

from tlmed.answer_units import unit_of
from tlmed.metrics.definitions import CLASS_METRICS
from tlmed.metrics.names import name_inline, name_metric
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count, listed, span, thousandths

_MEANS = (
    "  Means over the labels, but exact_match: all labels right; hamming_loss: the share of wrong labels; micro: over "
    "all pairs of {} and label."
)
_NAMED = 3  # labels without a value
SHOWN = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity"}


def name_mean(metric: str, result: Mapping) -> str:
    """Return the name of a metric of all images within a sentence; of several labels also of which it is the mean.

    Args:
        metric: Its name in `metrics.json`.
        result: The content of `metrics.json`.

    >>> labels = {"edema": {"auc": {"value": 0.9}}, "mass": {"auc": {"value": None}}}
    >>> several = {"task": "multi-label", "metrics": {"auc": {"value": 0.9, "absent": ["mass"]}}, "per_class": labels}
    >>> name_mean("auc", several), name_mean("auc", {"task": "single-label"})
    ('mean AUC of 1 of 2 labels (without mass)', 'AUC')
    """
    labels = result.get("per_class", {})
    if read_task(result) != MULTI_LABEL or not all(metric in entry for entry in labels.values()):
        return name_inline(metric)
    name = name_whole(metric, result)
    # A label that lacks in some folds of a cross-validation counts in the others.
    absent = result["metrics"][metric].get("absent", [])
    if not absent:
        return f"{name} of {count(len(labels), 'label')}"
    return f"{name} of {len(labels) - len(absent)} of {count(len(labels), 'label')} (without {listed(absent, _NAMED)})"


def name_whole(metric: str, result: Mapping) -> str:
    """Return the name of a metric of all images within a sentence, such as "mean AUC" where it is a mean over labels.

    Args:
        metric: Its name in `metrics.json`: one that each label has, too.
        result: The content of `metrics.json`.
    """
    return f"{'mean ' * (read_task(result) == MULTI_LABEL)}{name_inline(metric)}"


def is_class_mean(metric: str, result: Mapping) -> bool:
    """Tell whether a metric is a mean over more than two classes, each against the rest.

    >>> [is_class_mean(name, {"classes": ["a", "b", "c"]}) for name in ("auc", "accuracy")]
    [True, False]
    """
    return len(result["classes"]) > 2 and read_task(result) != MULTI_LABEL and metric in CLASS_METRICS


def name_averaged(metric: str, result: Mapping) -> str:
    """Return the name of a metric of all images within a sentence, and over what it is a mean.

    >>> name_averaged("auc", {"classes": ["a", "b", "c"]}), name_averaged("accuracy", {"classes": ["a", "b", "c"]})
    ('mean AUC of 3 classes', 'accuracy')
    """
    if is_class_mean(metric, result):
        return f"mean {name_inline(metric)} of {count(len(result['classes']), 'class')}"
    return name_mean(metric, result)


def name_monitor(monitor: str, result: Mapping) -> str:
    """Return the name of what chooses epochs and phases; of several labels their mean.

    >>> name_monitor("val_auc", {}), name_monitor("val_auc", {"task": "multi-label"})
    ('validation AUC', 'mean validation AUC of the labels')
    """
    name = name_metric(monitor)
    return f"mean {name} of the labels" if monitor == "val_auc" and read_task(result) == MULTI_LABEL else name


def say_means(result: Mapping) -> str:
    """Return what a heading of several metrics says of them: that they are means, where there are several labels.

    >>> say_means({"task": "multi-label"}), say_means({})
    (', means over the labels', '')
    """
    return ", means over the labels" * (read_task(result) == MULTI_LABEL)


def describe_labels(result: Mapping) -> list[str]:
    """Return what metrics of several labels mean, and a line for each label; nothing for other tasks.

    The line of a label says how often it is present and known, its metrics and its threshold.

    >>> auc = {"value": 0.9, "low": 0.8, "high": 0.95}
    >>> label = {"n": 90, "positives": 20, "unknown": 10, "auc": auc, "operating_point": {"threshold": 0.25}}
    >>> describe_labels({"task": "multi-label", "per_class": {"edema": label}})[1]
    'edema (20 of 90, 10 unknown): AUC 0.900 (0.800 to 0.950), threshold 0.250'
    """
    if read_task(result) != MULTI_LABEL:
        return []
    lines = [f"{name} ({_say_amount(entry)}): {', '.join(_list(entry))}" for name, entry in result["per_class"].items()]
    return [_MEANS.format(unit_of(result)), *lines, *_note_few(result["per_class"])]


def _note_few(labels) -> list[str]:
    """Name the labels whose threshold was chosen on few validation images."""
    noted = {name: entry.get("operating_point", {}).get("note") for name, entry in labels.items()}
    said = [f"{name}: {note}" for name, note in noted.items() if note]
    more = [f"{len(said) - _NAMED:,} more labels: see the report."] if len(said) > _NAMED else []
    return [f"  Note on the threshold of {words}" for words in (*said[:_NAMED], *more)]


def _say_amount(entry) -> str:
    unknown = f", {entry['unknown']:,} unknown" if entry["unknown"] else ""
    return f"{entry['positives']:,} of {entry['n']:,}{unknown}"


def _list(entry) -> list[str]:
    said = [f"{words} {_say(entry[name])}" for name, words in SHOWN.items() if name in entry]
    point = entry.get("operating_point", {})
    # Each fold of a cross-validation has another one.
    return said + ([f"threshold {thousandths(point['threshold'])}"] if "threshold" in point else [])


def _say(metric) -> str:
    if metric["value"] is None:
        return "undefined"
    # The mean of a cross-validation may be that of some folds only.
    some = f" in folds {listed(metric['folds'], _NAMED)}" if "folds" in metric else ""
    if metric["low"] is None:
        return thousandths(metric["value"]) + some
    return f"{thousandths(metric['value'])} ({span(metric['value'], metric['low'], metric['high'])}){some}"


def describe_choices(result: Mapping) -> list[str]:
    """Say which thresholds decide, for a table of predictions of several labels.

    >>> describe_choices({"per_class": {"edema": {"operating_point": {"threshold": 0.25}}}})
    ['`prediction_` is 1 from the threshold of the run on, of 1 label: edema 0.250.']
    """
    named = [f"{name} {thousandths(it['operating_point']['threshold'])}" for name, it in result["per_class"].items()]
    return [
        f"`prediction_` is 1 from the threshold of the run on, of {count(len(named), 'label')}: {', '.join(named)}."
    ]
