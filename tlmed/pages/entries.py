"""Metrics as tables: one after the other, or several sets side by side."""

from collections.abc import Iterable, Mapping, Sequence

from tlmed.metrics.names import find_base, name_entry, name_metric
from tlmed.metrics.sample_sizes import read_single_unit
from tlmed.pages.amounts import EMPTY, number, says_nothing
from tlmed.pages.glossary import explain
from tlmed.tabulation import EMPHASIS, SCALE, Cell, Table, numbers, say, texts
from tlmed.words import span


def list_entries(entries: Mapping[str, Mapping], value: str = "Value", ends: Mapping[str, float | None] = {}) -> Table:
    """Return metrics with intervals and drawings; the methods of the intervals and notes stand below.

    Args:
        entries: Metrics by name.
        value: The title of the column of values.
        ends: Where the scales end of metrics that are drawn from 0 to another number than 1, by name;
            None where that is not known, and nothing is drawn.
    """
    rows = [
        (explain(name), number(entry["value"]), _draw_interval(entry, ends.get(name, 1)))
        for name, entry in entries.items()
    ]
    named = {name_metric(name): entry for name, entry in entries.items()}
    columns = texts("Metric") + numbers(value, say(explain("interval"), " ", say("0 to 1", mark=SCALE)))
    return Table(columns, rows, list_notes(named.items()), say_methods(named))


def list_stated(entries: Mapping[str, Mapping], value: str = "Value") -> Table:
    """Return the metrics beside those of `evaluate`, many of which do not lie between 0 and 1, and so without drawings.

    Args:
        entries: Metrics by name.
        value: The title of the column of values.
    """
    rows = [(_name(name, entry), number(entry["value"]), _say_interval(entry)) for name, entry in entries.items()]
    named = {name_entry(name, entry): entry for name, entry in entries.items()}
    columns = texts("Metric") + numbers(value, explain("interval"))
    return Table(columns, rows, list_notes(named.items()), say_methods(named))


def compare_stated(columns: Mapping[str, Mapping[str, Mapping]]) -> Table:
    """Return the same metrics of several classes side by side, the interval below each value.

    Args:
        columns: The classes' names to metrics by name; all have the same.
    """
    first = next(iter(columns.values()))
    rows = [
        (
            _name(name, entry),
            *(
                say(number(metrics[name]["value"]), below=(said,) if (said := _say_interval(metrics[name])) else ())
                for metrics in columns.values()
            ),
        )
        for name, entry in first.items()
    ]
    entries = [
        (f"{name_entry(name, metrics[name])} ({column})", metrics[name])
        for name in first
        for column, metrics in columns.items()
    ]
    return Table(texts("Metric") + numbers(*columns), rows, list_notes(entries))


def _name(name, entry) -> Cell:
    return explain(find_base(name), name_entry(name, entry))


def _say_interval(entry) -> str:
    return "" if entry["low"] is None else span(entry["value"], entry["low"], entry["high"])


def compare_entries(columns: Mapping[str, Mapping[str, Mapping]]) -> Table:
    """Return several sets of metrics side by side, a row for each metric and its interval below each value.

    Args:
        columns: Their names to metrics by name.
    """
    names = dict.fromkeys(name for metrics in columns.values() for name in metrics)
    rows = [(explain(name), *(show_cell(metrics.get(name)) for metrics in columns.values())) for name in names]
    entries = [
        (f"{name_metric(name)} ({column})", metrics[name])
        for name in names
        for column, metrics in columns.items()
        if name in metrics
    ]
    return Table(texts("Metric") + numbers(*columns), rows, list_notes(entries))


def show_cell(entry: Mapping | None) -> str | Cell:
    """Return a value with its interval below it; nothing where there is none."""
    if entry is None:
        return ""
    return say(number(entry["value"]), below=() if entry["low"] is None else (_show_interval(entry),))


def list_notes(entries: Iterable[tuple[str, Mapping]], parts: Sequence[str] = ("reason", "note")) -> list[str]:
    """Return the notes on metrics, and the reasons why some are undefined.

    They stand below the table, because a sentence in a cell would push the numbers off a screen.

    Args:
        entries: Names of metrics, and the metrics.
        parts: The keys of a metric that hold such sentences.
    """
    noted = {}
    for name, entry in entries:
        for words in map(entry.get, parts):
            if words:
                noted.setdefault(words, []).append(name)
    return [f"{', '.join(names)}: {words}" for words, names in noted.items()]


def say_methods(entries: Mapping[str, Mapping]) -> str:
    """Return how the intervals of metrics were made; the names of the metrics, where there were several ways."""
    methods = {}
    for name, entry in entries.items():
        if entry["method"]:
            methods.setdefault(entry["method"], []).append(name)
    said = [(f"{', '.join(names)}: " if len(methods) > 1 else "") + method for method, names in methods.items()]
    return f"Intervals: {'; '.join(said)}." if said else ""


def _draw_interval(entry, end) -> str | Cell:
    """Return an interval with its drawing, which stands beside it, or on a phone below it."""
    if entry["low"] is None:
        return ""
    if end is None:
        return _show_interval(entry)
    drawn = tuple(entry[part] / end for part in ("low", "value", "high"))
    return _show_interval(entry, () if end == 1 else (f"drawn from 0 to {end:g}",), interval=drawn)


def _show_interval(entry, below=(), **shown) -> Cell:
    """Return an interval for a narrow cell, marked below where it says nothing, or where one image or group decides."""
    single = read_single_unit(entry.get("note"))
    marks = [*([EMPTY] if says_nothing(entry) else []), *([f"of {single}"] if single else [])]
    below = (*below, *(say(mark, mark=EMPHASIS) for mark in marks))
    return say(span(entry["value"], entry["low"], entry["high"]), below=below, **shown)
