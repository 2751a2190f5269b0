"""The metrics beside those of `evaluate` in a model card."""

from collections.abc import Mapping

from tlmed.answer_units import unit_of
from tlmed.metrics.names import list_further
from tlmed.pages.entries import list_stated


def show_further(metrics: Mapping) -> list[str]:
    """Return these metrics as parts of a card in Markdown; nothing where an older version made `metrics.json`.

    Args:
        metrics: The content of `metrics.json`.
    """
    entries = list_further(metrics["metrics"])
    if not entries:
        return []
    said = f"Further metrics. A threshold that gives a stated rate is chosen on the test {unit_of(metrics)}s."
    return [said, list_stated(entries).markdown()]
