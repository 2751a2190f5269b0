"""Compare two results at a level (bits, predictions or metrics), and find where two trainings began to differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlmed.lock.levels import BITS, METRICS, PREDICTIONS
from tlmed.lock.lock_json import TABLES, read_rows
from tlmed.lock.printable import shorten
from tlmed.words import count, tell_apart


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Attributes:
        part: "weights", "predictions", "pooled", "metrics" or "history".
        name: What is compared.
        there: The locked value, as text for a person.
        here: The new value, likewise.
        same: Whether both agree as the level demands; None where the level does not compare them.
        note: How far apart they are.
    """

    part: str
    name: str
    there: str
    here: str
    same: bool | None
    note: str = ""


def compare_results(there: Mapping, here: Mapping, level: str, tolerance: float) -> list[Row]:
    """Return a line for weights, predictions, each metric and the histories of two results.

    Args:
        there: `results` of a lock.
        here: The same of another.
        level: "bits": all must be equal, metrics within `tolerance`, which is 0 where bits are promised.
            "predictions": the predicted labels, and their scores within `tolerance`. "metrics": each overall metric
            within `tolerance`.
        tolerance: Absolute, 0..1.
    """
    return [
        *_compare_hashes(there, here, level),
        *(row for part in TABLES for row in _compare_predictions(part, there, here, level, tolerance)),
        *_compare_metrics(there["metrics"], here["metrics"], level, tolerance),
        *compare_history(there["history"], here["history"], 0.0 if level == BITS else None),
    ]


def compare_history(there: Sequence[str], here: Sequence[str], tolerance: float | None) -> list[Row]:
    """Return a line that names the first phase and epoch at which two histories differ; none for hybrids.

    Args:
        there: Lines of CSV with the header in front.
        here: The same of another run.
        tolerance: The largest difference, relative to 1 or to the value if that is larger; None: the first difference
            is named, but none counts as a fault.
    """
    old, new = read_rows(list(there)), read_rows(list(here))
    if not old and not new:
        return []
    largest = 0.0
    # As far as both go: lengths are compared below, after the rows, because where rows part says more.
    for a, b in zip(old, new, strict=False):
        apart = _part(a, b)
        largest = max(largest, math.inf if apart is None else apart[1])
        if apart is None or apart[1] > (tolerance or 0.0):
            return [_describe_parting(a, b, apart, None if tolerance is None else False)]
    ends = [f"{len(rows)} epochs" for rows in (old, new)]
    same = None if tolerance is None else len(old) == len(new)
    note = f"largest difference {largest:.2g}" if largest else "equal"
    return [Row("history", "epochs", *ends, same, note if len(old) == len(new) else "one is longer")]


def _part(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[str, float] | None:
    """Return the column that differs most and by how much; None where the rows are of different epochs."""
    if (a["phase"], a["epoch"]) != (b["phase"], b["epoch"]):
        return None
    differences = {name: _differ(a[name], b.get(name, "")) for name in a if name not in ("phase", "epoch")}
    name = max(differences, key=differences.get)
    return name, differences[name]


def _differ(a: str, b: str) -> float:
    if a == b:
        return 0.0
    try:
        difference = abs(float(a) - float(b)) / max(1.0, abs(float(a)))
    except ValueError:
        return math.inf
    # Every comparison with NaN is false, so it would pass as within the tolerance.
    return math.inf if math.isnan(difference) else difference


def _describe_parting(a, b, apart, same) -> Row:
    if apart is None:
        there, here = (f"phase {row['phase']!r}, epoch {row['epoch']}" for row in (a, b))
        return Row("history", "first parting", there, here, same, "another course")
    name, difference = apart
    place = f"phase {a['phase']!r}, epoch {a['epoch']}: {name}"
    note = "different" if math.isinf(difference) else _say_apart(float(a[name]), float(b[name]))
    return Row("history", f"first parting, {place}", a[name], b[name], same, note)


def _compare_hashes(there, here, level) -> list[Row]:
    rows = []
    for name in ("weights", "classifier"):
        old, new = there[name], here[name]
        if old or new:
            same = old == new if level == BITS else None
            rows.append(Row("weights", f"SHA-256 of the {name}", shorten(old), shorten(new), same, _say(old == new)))
    return rows


def _say(equal: bool) -> str:
    return "equal" if equal else "different"


def _compare_predictions(part, there, here, level, tolerance) -> list[Row]:
    """Return lines for a table of predictions, of `TABLES`; none where neither result has it."""
    old, new = there.get(part), here.get(part)
    if old is None and new is None:
        return []
    sums = [found and found["sha256"] for found in (old, new)]
    equal = sums[0] == sums[1]
    same = equal if level == BITS or None in sums else None
    row = Row(part, "SHA-256 of the file", *map(shorten, sums), same, _say(equal))
    if equal or None in sums:
        return [row]
    return [row, *_compare_scores(part, old["rows"], new["rows"], level, tolerance)]


def _compare_scores(part, there, here, level, tolerance) -> list[Row]:
    asked, noun = level == PREDICTIONS, "image" if part == "predictions" else "row"
    # A group may have a row in several splits.
    old, new = ({(row["path"], row["split"]): row for row in read_rows(lines)} for lines in (there, here))
    both = [key for key in old if key in new]
    rows = []
    if len(both) < len(old) or len(both) < len(new):
        counts = (count(len(found), noun) for found in (old, new))
        odd, _ = min(old.keys() ^ new.keys())  # not any of the set, so that the message is the same each time
        rows.append(Row(part, f"{noun}s", *counts, False, f"{len(both):,} in both; not so {odd}"))
    moved = [key for key in both if old[key]["prediction"] != new[key]["prediction"]]
    label = f"label of {moved[0][0]}" if moved else "labels"
    values = (source[moved[0]]["prediction"] if moved else count(len(both), noun) for source in (old, new))
    note = f"{len(moved):,} of {len(both):,} moved"
    rows.append(Row(part, label, *values, not moved if asked else None, note))
    rows += _compare_largest(part, old, new, both, asked, tolerance)
    return rows


def _compare_largest(part, old, new, both, asked, tolerance) -> list[Row]:
    """Return a line for the score that moved most, among rows with the same predicted label.

    Where the label differs, the two scores are of different classes.
    """
    same = [key for key in both if old[key]["prediction"] == new[key]["prediction"]]
    found = [(_differ(old[key]["score"], new[key]["score"]), key) for key in same]
    if not found:
        return []
    largest, key = max(found)
    note = _say_difference(largest, tolerance) if asked else f"difference {largest:.2g}"
    verdict = largest <= tolerance if asked else None
    name = f"score of {old[key]['prediction']} for {key[0]}, moved most"
    return [Row(part, name, old[key]["score"], new[key]["score"], verdict, note)]


def _compare_metrics(there, here, level, tolerance) -> list[Row]:
    """Return a line for each metric.

    A lock of an older version lacks metrics that a later one adds. They follow from predictions, which are compared.
    """
    rows = []
    old, new = there["metrics"], here["metrics"]
    for name in {**old, **new}:
        a, b = old.get(name, {}), new.get(name, {})
        same, note = _judge_metric(a, b, level, tolerance) if name in old else (None, "not in the lock")
        rows.append(Row("metrics", name, *_show_metrics(a, b), same, note))
    if level == BITS:
        alike = all("whole" in found for found in (there, here)) and new.keys() <= old.keys()
        kind, of = ("whole", "") if alike else ("sha256", " and new metrics")
        equal, values = there[kind] == here[kind], (shorten(found[kind]) for found in (there, here))
        rows.append(Row("metrics", f"SHA-256 of metrics.json without times{of}", *values, equal, _say(equal)))
    return rows


def _judge_metric(a, b, level, tolerance) -> tuple[bool | None, str]:
    if level == BITS:
        return _judge_entry(a, b, tolerance)
    asked = level == METRICS
    old, new = a.get("value"), b.get("value")
    if old is None or new is None:
        return (old is new if asked else None), "undefined" if old is new else "undefined in one of them"
    note = _say_apart(old, new, tolerance if asked else None)
    return (_measure(old, new) <= tolerance if asked else None), note


def _judge_entry(a, b, tolerance) -> tuple[bool, str]:
    """Compare a metric with its interval and its texts.

    Numbers are compared within the tolerance, because sums in another order differ in their last digits.
    """
    if a == b:
        return True, "equal"
    parts = {name: (a.get(name), b.get(name)) for name in {**a, **b}}
    apart = {name: _measure(*pair) for name, pair in parts.items() if pair[0] != pair[1]}
    if not apart:  # one of them says that a part is None, and the other does not name it
        return True, "equal"
    if max(apart.values()) <= tolerance:
        return True, f"equal to rounding (difference {max(apart.values()):.2g})"
    if apart.get("value", 0.0) > tolerance:
        return False, "different" if math.isinf(apart["value"]) else _say_apart(*parts["value"])
    bounds = [apart[name] for name in ("low", "high") if name in apart]
    return False, "only the interval differs" if bounds and max(bounds) > tolerance else "only words differ"


def _measure(a, b) -> float:
    """Return how far apart two parts of a metric are, relative to 1 or to the value; infinite for different texts.

    A log loss or a likelihood ratio has no upper bound.
    """
    if not all(isinstance(part, int | float) for part in (a, b)):
        return math.inf
    return abs(a - b) / max(1.0, abs(a))


def _show_metrics(*metrics: Mapping) -> tuple[str, str]:
    """Return two metrics with their intervals, which are there for context; numbers that differ read differently."""
    shown = [{}, {}]
    for part, places in (("value", 4), ("low", 3), ("high", 3)):
        numbers = [metric.get(part) for metric in metrics]
        texts = iter(tell_apart(*(number for number in numbers if number is not None), places=places))
        for texts_of, number in zip(shown, numbers, strict=True):
            texts_of[part] = None if number is None else next(texts)
    return tuple(_show_metric(metric, texts) for metric, texts in zip(metrics, shown, strict=True))


def _show_metric(metric, texts) -> str:
    if texts["value"] is None:
        return "undefined" if metric else "none"
    if texts["low"] is None or texts["high"] is None:
        return texts["value"]
    return f"{texts['value']} ({texts['low']} to {texts['high']})"


def _say_apart(old: float, new: float, tolerance: float | None = None) -> str:
    """Return how far apart two numbers are; above 1 also in shares of the first, which are what is judged.

    >>> _say_apart(0.25, 0.5), _say_apart(6.5, 5.2), _say_apart(6.5, 5.2, 0.005)
    ('difference 0.25', 'difference 1.3, 0.2 of the value', 'difference 1.3, 0.2 of the value, tolerance 0.005')
    """
    apart = _measure(old, new)
    shown = f"difference {apart:.2g}" if tolerance is None else _say_difference(apart, tolerance)
    if abs(old) <= 1:
        return shown
    share, comma, rest = shown.removeprefix("difference ").partition(",")
    return f"difference {abs(old - new):.2g}, {share} of the value{comma}{rest}"


def _say_difference(difference: float, tolerance: float) -> str:
    """Return how large a difference is, with the digits that show on which side of the tolerance it is."""
    for digits in range(2, 18):
        if (float(shown := f"{difference:.{digits}g}") > tolerance) == (difference > tolerance):
            break
    return f"difference {shown}, tolerance {tolerance:g}"
