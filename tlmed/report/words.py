"""Names and intervals as a report says them, in HTML that is escaped already."""

from collections.abc import Iterable, Mapping

from tlmed.evaluation.page import text
from tlmed.metrics.names import name_metric as name_plain
from tlmed.pages import amounts
from tlmed.pages.amounts import EMPTY, interval_of


def name_metric(metric: str) -> str:
    """Return a metric's name as HTML."""
    return text(name_plain(metric))


def show_interval(entry: Mapping) -> str:
    """Return what `interval_of` does as HTML for a narrow cell: the mark on a line of its own."""
    return interval_of(entry).replace(f", which {EMPTY}", f"<br><em>{EMPTY}</em>")


def enumerate_names(names: Iterable[object]) -> str:
    """Return names as a sentence lists them, as HTML; of many the first ones."""
    return text(amounts.enumerate_names(names))
