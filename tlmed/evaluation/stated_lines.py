"""The metrics beside those of `evaluate` as lines for a terminal, where a user stated numbers for them."""

from collections.abc import Mapping

from tlmed.evaluation.lines import describe_metric
from tlmed.metrics.names import list_further, name_entry


def describe_further(result: Mapping) -> list[str]:
    """Return a line for each of these metrics, with its interval, and their notes.

    Args:
        result: The content of `metrics.json`.

    >>> describe_further({"metrics": {"f_beta": {"value": 0.5, "low": None, "high": None, "at": 2.0}}})
    ['Further metrics:', '  F-beta, beta 2  0.500']
    """
    named = {name_entry(name, entry): entry for name, entry in list_further(result["metrics"]).items()}
    width, notes = max(map(len, named), default=0), {}
    for name, entry in named.items():
        if note := entry.get("note"):
            notes.setdefault(note, []).append(name)
    lines = [f"  {name:<{width}}  {describe_metric(entry)}" for name, entry in named.items()]
    return ["Further metrics:", *lines, *(f"  Note on {'; '.join(names)}: {note}" for note, names in notes.items())]
