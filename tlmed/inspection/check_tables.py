"""Figures of an inspection as tables: what the data are, in numbers, and what each check measured."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.pages.templating import render
from tlmed.tabulation import Table, texts


def show_fingerprint(fingerprint: Mapping[str, object]) -> Markup:
    """Return what the data are, a row for each fact; nothing where that was not measured."""
    if not fingerprint:
        return Markup()
    rows = [(name.replace("_", " "), _say(value)) for name, value in fingerprint.items()]
    return render("table.html", table=Table(texts("fact", "value"), rows))


def _say(value) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_say(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_say, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "unknown" if value is None else str(value)
