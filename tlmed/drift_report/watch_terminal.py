"""A check for drift on a terminal."""

from collections.abc import Mapping

from tlmed.drift.drift_check import WHOLE
from tlmed.drift_report.watch_sentences import (
    conclude,
    describe_month,
    describe_stability,
    name_test,
    say_amounts,
    say_p,
    say_stability,
)
from tlmed.evaluation.unusual_lines import say_share
from tlmed.metrics.names import name_metric
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import count, span, thousandths


def describe_watch(content: Mapping) -> list[str | Table]:
    """Return a check for drift as lines and tables for a terminal.

    Args:
        content: Of `watch.json`.
    """
    whole, *months = content["periods"]
    there = content["reference"]
    columns = texts("tested") + numbers("test split", "now", "p", "PSI") + texts("verdict")
    lines = [
        f"{count(whole['n'], 'image')} against {there['n']:,} of the test split.",
        Table(columns, [_describe_test(test) for test in whole["tests"]]),
        *describe_stability(whole["tests"]),
    ]
    if "unusual" in whole:
        lines.append(f"Unlike the training images: {say_share(whole['unusual'])}.")
    if months:
        columns = texts("month") + numbers("images", "unusual", "least p", "largest PSI") + texts("drift")
        lines.append(Table(columns, [describe_month(period) for period in months]))
    return [*lines, *_describe_metrics(content), *content["notes"], conclude(content)]


def _describe_test(test) -> tuple:
    verdict = "DRIFT" if test["drift"] else "-"
    return name_test(test), *say_amounts(test), say_p(test["adjusted"]), say_stability(test.get("psi")) or "-", verdict


def _describe_metrics(content) -> list[Table]:
    found = content["metrics"]
    if WHOLE not in found:
        return []
    parts = {"test split": found["test"], "now": found[WHOLE]}
    rows = [
        (name_metric(name), *(_say_entry(part["metrics"].get(name, {})) for part in parts.values()))
        for name in found[WHOLE]["metrics"]
    ]
    titles = [f"{name} (n = {part['n']:,})" for name, part in parts.items()]
    return [Table(texts("with known labels", *titles), rows)]


def _say_entry(entry) -> str:
    if entry.get("value") is None:
        return "undefined"
    bounds = "" if entry.get("low") is None else f" ({span(entry['value'], entry['low'], entry['high'])})"
    return f"{thousandths(entry['value'])}{bounds}"
