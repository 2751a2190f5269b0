"""Differences whose p and interval seem to contradict each other, and why they do."""

from collections.abc import Mapping, Sequence

from tlmed.comparison.pairs import LEVEL, Comparison, is_shown
from tlmed.words import count, listed

_MOST_NAMED = 6  # pairs that a sentence names; it counts the others
_SEPARATOR = "; interval: "  # between the two methods of one entry


def list_pair_contradictions(comparison: Comparison, question: str) -> list[str]:
    """Return sentences on the pairs of which p and interval of a metric seem to contradict each other.

    Args:
        comparison: The comparison.
        question: The metric.
    """
    entries = [(f"{pair.first + 1} - {pair.second + 1}", pair.questions[question]) for pair in comparison.pairs]
    return explain_contradictions(entries, f"{count(len(comparison.pairs), 'pair')} (Holm)")


def list_label_contradictions(comparison: Comparison, question: str) -> list[str]:
    """Return the same for the differences of each of several labels; arguments as of `list_pair_contradictions`."""
    entries = [
        (f"{label}, {pair.first + 1} - {pair.second + 1}", table[question])
        for pair in comparison.pairs
        for label, table in pair.labels.items()
    ]
    return explain_contradictions(entries, f"{count(comparison.count_tests(question), 'test')} (Holm)")


def explain_contradictions(entries: Sequence[tuple[str, Mapping]], corrected: str) -> list[str]:
    """Return why some differences are called shown beside an interval that holds 0, or not beside one that does not.

    Either p is corrected for the number of tests and the interval is not, or they come from two methods.

    Args:
        entries: Differences, and what they are called.
        corrected: For what p-values are corrected.

    >>> entry = {"low": -0.01, "high": 0.2, "p": 0.04, "p_holm": 0.04, "method": "A; interval: B"}
    >>> explain_contradictions([("1 - 2", entry)], "1 pair (Holm)")[0][:48]
    '1 - 2: p is below 0.05, but the interval holds 0'
    >>> explain_contradictions([("1 - 2", entry | {"p_holm": 0.08})], "2 pairs (Holm)")
    []
    """
    found: dict[str, list[str]] = {}
    for name, entry in entries:
        if entry["low"] is not None and entry["p"] is not None and (said := _explain(entry, corrected)):
            found.setdefault(said, []).append(name)
    return [f"{listed(names, _MOST_NAMED)}: {said}" for said, names in found.items()]


def _explain(entry, corrected) -> str:
    holds = entry["low"] <= 0 <= entry["high"]
    if is_shown(entry) != holds:
        return ""
    but = f"p is {'' if holds else 'not '}below {LEVEL}, but the interval {'holds' if holds else 'leaves out'} 0"
    if not holds and entry["p"] < LEVEL:
        return f"{but}: p is corrected for {corrected}, the interval is not."
    test, separator, interval = entry["method"].partition(_SEPARATOR)
    if not separator:
        return ""
    return f"{but}: p is by {test}, the interval by {interval}. Two methods may disagree near {LEVEL}."
