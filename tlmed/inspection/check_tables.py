"""Figures of an inspection as tables: what the data are, in numbers, and what each check measured."""

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from tlmed.pages.templating import render
from tlmed.tabulation import Table, texts

_NAMES = {
    "imbalance_ratio": "images of the most frequent class for each of the rarest",
    "intrinsic_dimension": "intrinsic dimension of the features",
    "nearest_neighbour_auc": "AUC of the nearest image of another group",
}
_SPAN = {"min", "median", "max"}


def show_fingerprint(fingerprint: Mapping[str, object]) -> Markup:
    """Return what the data are, a row for each fact; nothing where that was not measured."""
    if not fingerprint:
        return Markup()
    return render("table.html", table=Table(texts("fact", "value"), list(_list_facts(fingerprint))))


def _list_facts(facts, within="") -> Iterator[tuple[str, str]]:
    """Yield name and value of each fact; facts that are made of others are named by both.

    >>> list(_list_facts({"sizes": {"height": {"min": 4, "median": 5.0, "max": 9}, "bits": {"8": 1200}}}))
    [('sizes: height', '4 to 9, median 5'), ('sizes: bits', '8 (1,200)')]
    """
    for key, value in facts.items():
        name = within + _NAMES.get(key, key.replace("_", " "))
        if isinstance(value, Mapping) and any(isinstance(each, Mapping) for each in value.values()):
            yield from _list_facts(value, f"{name}: ")
        else:
            yield name, _say(value)


def _say(value) -> str:
    if isinstance(value, Mapping):
        if set(value) == _SPAN:
            return f"{_say(value['min'])} to {_say(value['max'])}, median {_say(value['median'])}"
        if all(isinstance(each, int) for each in value.values()):
            return ", ".join(f"{name} ({each:,})" for name, each in value.items()) or "unknown"
        return ", ".join(f"{name} {_say(each)}" for name, each in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
