"""The means over folds of one of several labels, over the folds whose test images tell about it."""

from collections.abc import Mapping, Sequence

from tlmed.run.metric_averages import average_some
from tlmed.sections import KFold

_UNKNOWN = "it is not known of any image."


def average_label(names: Sequence[str], split: KFold, parts: Sequence[Mapping]) -> dict[str, object]:
    """Return the mean of each metric of a label, also at 0.5 and of calibrated scores.

    Where every test image of a fold has the label, or none, metrics that need both values leave the fold out: which
    images a fold tests does not depend on the network. A `note` names such folds.

    Args:
        names: The names of the folds.
        split: How the images were divided.
        parts: The label in `per_class` of each fold's `metrics.json`.
    """
    folds = dict(zip(names, parts, strict=True))
    constant = {name: why for name, part in folds.items() if (why := _say_constant(part))}
    # Every repeat tests all images once, so that a sum counts each of them `repeats` times.
    found = {key: sum(part[key] for part in parts) // split.repeats for key in ("n", "positives", "unknown")}
    found |= _average_table(folds, constant, split)
    if "operating_point" in parts[0]:
        halves = {name: part["operating_point"].get("at_half", {}) for name, part in folds.items()}
        rule = parts[0]["operating_point"]["rule"]
        found["operating_point"] = {"rule": rule, "at_half": _average_table(halves, constant, split)}
    if "calibration" in parts[0]:
        calibrated = {name: part["calibration"].get("metrics", {}) for name, part in folds.items()}
        found["calibration"] = {"metrics": _average_table(calibrated, constant, split)}
    return found


def _say_constant(part) -> str:
    """Say why the images of a fold do not tell of some metrics; "" where some have the label, and others have not."""
    if not part["n"]:
        return _UNKNOWN
    if not part["positives"]:
        return "no image has it."
    return "" if part["positives"] < part["n"] else "every image has it."


def _average_table(tables, constant, split) -> dict[str, Mapping]:
    """Return the mean of each metric that all folds have whose images tell of the label at all."""
    known = [table for fold, table in tables.items() if constant.get(fold) != _UNKNOWN] or [*tables.values()]
    shown = [name for name in known[0] if all("value" in _get(table, name) for table in known)]
    return {metric: _average_metric(metric, tables, constant, split) for metric in shown}


def _average_metric(metric, tables, constant, split) -> dict:
    entries = {fold: _get(table, metric) for fold, table in tables.items()}
    left_out = {fold: why for fold, why in constant.items() if entries[fold].get("value") is None}
    kept = {fold: entry for fold, entry in entries.items() if fold not in left_out}
    found = average_some(metric, kept, left_out, split)
    stated = [entry["at"] for entry in entries.values() if "at" in entry]
    return found | ({"at": stated[0]} if stated else {})


def _get(table, metric) -> Mapping:
    """Return a metric's entry; an empty one for what is no metric."""
    entry = table.get(metric)
    return entry if isinstance(entry, Mapping) else {}
