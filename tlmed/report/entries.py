"""Metrics as tables of HTML: one after the other, or several sets side by side."""

from collections.abc import Iterable, Mapping

from tlmed.evaluation.page import bar, bullets, table, text
from tlmed.report.words import interval_of, name_metric, number


def list_entries(entries: Mapping[str, Mapping], value: str = "Value") -> str:
    """Return metrics with intervals and drawings; how the intervals were made, and notes, stand below.

    Args:
        entries: Names, as HTML, to entries of `metrics.json`.
        value: What the values are.
    """
    rows = [(name, number(entry["value"]), interval_of(entry), bar(entry)) for name, entry in entries.items()]
    head = ("Metric", value, "95 % interval", "0 to 1")
    return table(head, rows, texts=(3,)) + say_methods(entries) + say_notes(entries.items())


def compare_entries(columns: Mapping[str, Mapping[str, Mapping]]) -> str:
    """Return several sets of metrics side by side, a row for each metric and its interval below each value.

    Args:
        columns: Their names, as HTML, to metrics by name.
    """
    names = dict.fromkeys(name for metrics in columns.values() for name in metrics)
    rows = [(name_metric(name), *(show_cell(metrics.get(name)) for metrics in columns.values())) for name in names]
    entries = [
        (f"{name_metric(name)} ({column})", metrics[name])
        for name in names
        for column, metrics in columns.items()
        if name in metrics
    ]
    return table(("Metric", *columns), rows) + say_notes(entries)


def show_cell(entry: Mapping | None) -> str:
    """Return a value with its interval below it; nothing where there is none."""
    return "" if entry is None else f"{number(entry['value'])}<br><small>{interval_of(entry)}</small>"


def say_methods(entries: Mapping[str, Mapping]) -> str:
    """Return how the intervals of metrics were made; their names, HTML, where there were several ways."""
    methods = {}
    for name, entry in entries.items():
        if entry["method"]:
            methods.setdefault(entry["method"], []).append(name)
    said = [(f"{', '.join(names)}: " if len(methods) > 1 else "") + text(method) for method, names in methods.items()]
    return f"<p><small>Intervals. {'; '.join(said)}.</small></p>" if said else ""


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
