"""The section of a comparison's page on each of several labels: its scores by every run, and the differences."""

import re
from collections.abc import Mapping

from markupsafe import Markup

from tlmed.answer_units import unit_of
from tlmed.comparison.contradictions import list_label_contradictions
from tlmed.comparison.pairs import LEVEL, Comparison, is_shown
from tlmed.comparison.sentences import say_p, sign
from tlmed.metrics.label_differences import MATCH
from tlmed.metrics.names import name_metric
from tlmed.pages.entries import list_notes, show_cell
from tlmed.pages.glossary import explain
from tlmed.pages.templating import render
from tlmed.tabulation import STRONG, Table, numbers, say, texts
from tlmed.words import count

_FREEDOM = re.compile(r",( t with)? \d+ df")  # differs from row to row, and stands in `pairs.csv`
_MOST_TESTS = 30  # of labels and pairs that are shown without a click


def show_labels(comparison: Comparison) -> Markup:
    """Return each label's AUC by every run, and the differences of every pair; nothing for other tasks."""
    labels = list(comparison.pairs[0].labels)
    if not labels:
        return Markup()
    names = [comparison.label(place) for place in range(len(comparison.results))]
    scores = [
        (label, *(show_cell(result.metrics["per_class"][label]["auc"]) for result in comparison.results))
        for label in labels
    ]
    questions = [name for name in comparison.questions if name != MATCH]
    return render(
        "comparison/labels.html",
        unit=unit_of(comparison.results[0].metrics),
        tests=count(comparison.count_tests("auc"), "test"),
        level=LEVEL,
        scores=Table(texts("Label") + numbers(*names), scores, list_notes(_list_label_scores(comparison))),
        questions=[
            {
                "title": name_metric(question),
                "table": _tabulate_labels(comparison, question),
                "open": question == "auc" and len(labels) * len(comparison.pairs) <= _MOST_TESTS,
            }
            for question in questions
        ],
    )


def _list_label_scores(comparison) -> list[tuple[str, Mapping]]:
    return [
        (f"{label}, {result.name}", entry["auc"])
        for result in comparison.results
        for label, entry in result.metrics["per_class"].items()
    ]


def _tabulate_labels(comparison, question) -> Table:
    rows, noted = [], []
    for pair in comparison.pairs:
        for label, table in pair.labels.items():
            entry, names = table[question], f"{pair.first + 1} - {pair.second + 1}"
            interval = () if entry["low"] is None else (f"{sign(entry['low'])} to {sign(entry['high'])}",)
            p = say(say_p(entry["p_holm"]), mark=STRONG if is_shown(entry) else "")
            rows.append((label, names, say(sign(entry["value"]), below=interval), p))
            noted.append((f"{label}, {names}", entry))
    methods = (table[question]["method"] for pair in comparison.pairs for table in pair.labels.values())
    said = "; ".join(dict.fromkeys(_FREEDOM.sub("", method) for method in methods if method))
    columns = texts("Label", "Pair") + numbers("Difference", explain("corrected", "p"))
    notes = [*list_notes(noted), *list_label_contradictions(comparison, question)]
    return Table(columns, rows, notes, footnote=f"{said}." if said else "")
