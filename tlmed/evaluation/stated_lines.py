"""The metrics beside those of `evaluate` as lines for a terminal, where a user stated numbers for them."""

from collections.abc import Mapping

from tlmed.evaluation.lines import describe_metric
from tlmed.metrics.names import list_further, name_entry
from tlmed.tasks import MULTI_LABEL, read_task


def describe_further(result: Mapping) -> list[str]:
    """Return a line for each of these metrics, with its interval, and their notes; of several labels for each label.

    Args:
        result: The content of `metrics.json`.

    >>> describe_further({"metrics": {"f_beta": {"value": 0.5, "low": None, "high": None, "at": 2.0}}})
    ['Further metrics:', '  F-beta, beta 2  0.500']
    """
    if read_task(result) == MULTI_LABEL:
        return [
            line for name, entry in result["per_class"].items() for line in _list(entry, f"Further metrics of {name}:")
        ]
    return _list(result["metrics"], "Further metrics:")


def _list(metrics, title) -> list[str]:
    named = {name_entry(name, entry): entry for name, entry in list_further(metrics).items()}
    width, notes = max(map(len, named), default=0), {}
    for name, entry in named.items():
        if note := entry.get("note"):
            notes.setdefault(note, []).append(name)
    lines = [f"  {name:<{width}}  {describe_metric(entry)}" for name, entry in named.items()]
    return [title, *lines, *(f"  Note on {'; '.join(names)}: {note}" for note, names in notes.items())]
