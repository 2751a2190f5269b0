"""The metrics beside those of `evaluate` in a model card."""

from collections.abc import Mapping

from tlmed.answer_units import unit_of
from tlmed.metrics.names import list_further
from tlmed.pages.entries import compare_stated, list_stated
from tlmed.report.image_counts import MOST_CLASSES
from tlmed.tabulation import Table
from tlmed.tasks import MULTI_LABEL, read_task


def show_further(metrics: Mapping) -> list[str]:
    """Return these metrics as parts of a card in Markdown; nothing where an older version made `metrics.json`.

    Args:
        metrics: The content of `metrics.json`.
    """
    several = read_task(metrics) == MULTI_LABEL
    table = _compare_labels(metrics["per_class"]) if several else _list(list_further(metrics["metrics"]))
    if table is None:
        return []
    whose = " of each label" * several
    said = f"Further metrics{whose}. A threshold that gives a stated rate is chosen on the test {unit_of(metrics)}s."
    return [said, table.markdown()]


def _list(entries) -> Table | None:
    return list_stated(entries) if entries else None


def _compare_labels(labels) -> Table | None:
    """Return the metrics of labels side by side; None of many labels, for which a card has no room."""
    found = {name: further for name, entry in labels.items() if (further := list_further(entry))}
    return compare_stated(found) if found and len(found) <= MOST_CLASSES else None
