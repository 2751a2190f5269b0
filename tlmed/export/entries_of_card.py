"""A metric in a table of a model card: value and interval, or why it is undefined."""

from collections.abc import Mapping

from tlmed.words import span, thousandths


def show_entry(entry: Mapping) -> tuple[str, str]:
    """Return value and interval of a metric; of an undefined one, why it has none.

    >>> show_entry({"value": 0.9, "low": 0.8, "high": 0.95})
    ('0.900', '0.800 to 0.950')
    """
    if entry["value"] is None:
        return f"undefined: {entry.get('reason', 'the run says no reason')}", ""
    interval = "" if entry["low"] is None else span(entry["value"], entry["low"], entry["high"])
    return thousandths(entry["value"]), interval


def show_beside(entry: Mapping) -> str:
    """Return value and interval of a metric as the words of one cell.

    >>> show_beside({"value": 0.9, "low": 0.8, "high": 0.95})
    '0.900 (0.800 to 0.950)'
    """
    value, interval = show_entry(entry)
    return f"{value} ({interval})" if interval else value
