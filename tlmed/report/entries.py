"""Metrics as tables of HTML: one after the other, or several sets side by side."""

from collections.abc import Iterable, Mapping

from tlmed.evaluation.page import bar, bullets, table, text
from tlmed.pages.amounts import number
from tlmed.report.glossary import explain
from tlmed.report.words import name_metric, show_interval


def list_entries(entries: Mapping[str, Mapping], value: str = "Value") -> str:
    """Return metrics with intervals and drawings; how the intervals were made, and notes, stand below.

    Args:
        entries: Metrics by name.
        value: What the values are.
    """
    rows = [(explain(name), number(entry["value"]), _show_bar(entry)) for name, entry in entries.items()]
    named = {name_metric(name): entry for name, entry in entries.items()}
    head = ("Metric", value, f'{explain("interval")} <span class="bar">0 to 1</span>')
    return table(head, rows) + say_methods(named) + say_notes(named.items())


def _show_bar(entry) -> str:
    """Return an interval with its drawing, which stands beside it, or on a phone below it."""
    if entry["low"] is None:
        return ""
    interval, *mark = show_interval(entry).split("<br>")
    return f'{interval} <span class="bar">{bar(entry)}</span>{"".join(f"<br>{each}" for each in mark)}'


def compare_entries(columns: Mapping[str, Mapping[str, Mapping]]) -> str:
    """Return several sets of metrics side by side, a row for each metric and its interval below each value.

    Args:
        columns: Their names, as HTML, to metrics by name.
    """
    names = dict.fromkeys(name for metrics in columns.values() for name in metrics)
    rows = [(explain(name), *(show_cell(metrics.get(name)) for metrics in columns.values())) for name in names]
    entries = [
        (f"{name_metric(name)} ({column})", metrics[name])
        for name in names
        for column, metrics in columns.items()
        if name in metrics
    ]
    return table(("Metric", *columns), rows) + say_notes(entries)


def show_cell(entry: Mapping | None) -> str:
    """Return a value with its interval below it; nothing where there is none."""
    return "" if entry is None else f"{number(entry['value'])}<br><small>{show_interval(entry)}</small>"


def say_methods(entries: Mapping[str, Mapping]) -> str:
    """Return how the intervals of metrics were made; their names, HTML, where there were several ways."""
    methods = {}
    for name, entry in entries.items():
        if entry["method"]:
            methods.setdefault(entry["method"], []).append(name)
    said = [(f"{', '.join(names)}: " if len(methods) > 1 else "") + text(method) for method, names in methods.items()]
    return f"<p><small>Intervals: {'; '.join(said)}.</small></p>" if said else ""


def say_notes(entries: Iterable[tuple[str, Mapping]]) -> str:
    """Return what there is to say of metrics, and why some are undefined, as a list of HTML.

    It stands below their table: a sentence in a cell would push the numbers off a screen.
    """
    noted = {}
    for name, entry in entries:
        for words in (entry.get("reason"), entry.get("note")):
            if words:
                noted.setdefault(words, []).append(name)
    return bullets(f"{', '.join(names)}: {text(words)}" for words, names in noted.items())
