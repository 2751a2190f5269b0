"""The page of a check for drift, in a single file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from markupsafe import Markup

from tlmed.drift.drift_check import WHOLE
from tlmed.drift.drift_tests import UNUSUAL
from tlmed.drift_report.watch_plots import draw_distributions, draw_months
from tlmed.drift_report.watch_sentences import (
    conclude,
    describe_month,
    describe_stability,
    name_test,
    say_amounts,
    say_p,
    say_stability,
)
from tlmed.metrics.names import name_metric
from tlmed.novelty.known_images import ALARM
from tlmed.pages.amounts import interval_of, number
from tlmed.pages.figures import draw
from tlmed.pages.templating import make_page, render
from tlmed.tabulation import STRONG, Table, numbers, say, texts
from tlmed.words import count, percent

_MOST_DRAWN = 4  # classes whose scores are drawn


def make_watch_page(content: Mapping, scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Return the whole page as HTML.

    Args:
        content: Of `watch.json`.
        scores: Of some classes: those of the test split, and those since.
    """
    whole, *months = content["periods"]
    lead = render(
        "drift/lead.html",
        said=conclude(content),
        drift=content["drift"],
        here=count(whole["n"], "image"),
        there=count(content["reference"]["n"], "image"),
        tested=bool(content["tests"]),
    )
    sections = {
        "All images": _show_tests(whole),
        "Month by month": _show_months(content, months),
        "How scores are distributed": _show_scores(scores),
        "Predicted classes": _show_classes(content),
        "With known labels": _show_metrics(content),
        "Notes": render("list.html", items=content["notes"]) if content["notes"] else Markup(),
        "What this means": render("drift/meaning.html", alarm=ALARM),
    }
    return make_page(f"Drift of {Path(content['run']).name}", lead, sections)


def _show_tests(period) -> Markup:
    if not period["tests"]:
        return render("list.html", items=[f"Not tested: {period['reason']}."])
    rows = [
        (
            *(name_test(test), *say_amounts(test), test["test"], f"{test['statistic']:.3f}"),
            *(say_p(test["p"]), _mark(say_p(test["adjusted"]), test["drift"]), say_stability(test.get("psi")) or "-"),
        )
        for test in period["tests"]
    ]
    columns = texts("Tested") + numbers("Test split", "Since") + texts("Test")
    columns += numbers("Statistic", "p", "p, corrected", "PSI")
    return render("table.html", table=Table(columns, rows, notes=describe_stability(period["tests"])), stacked=True)


def _mark(text, drift):
    return say(f"{text}, drift", mark=STRONG) if drift else text


def _show_months(content, months) -> Markup:
    if not months:
        return Markup()
    rows = [(_unbroken(month), *cells) for month, *cells in map(describe_month, months)]
    columns = texts("Month") + numbers("Images", "Unusual", "Least p, corrected", "Largest PSI") + texts("Drift in")
    parts = [render("table.html", table=Table(columns, rows), stacked=True)]
    if len(judged := [period for period in months if "unusual" in period]) > 1:
        tests = [test for test in content["periods"][0]["tests"] if test["kind"] == UNUSUAL]
        figure = draw_months(judged, tests[0]["there"] if tests else ALARM, ALARM)
        alt = "The share of unusual images of each month, with 95 % intervals."
        parts.append(render("figure.html", picture=draw(figure, alt, alt)))
    return Markup().join(parts)


def _unbroken(month) -> str:
    """Return a month with a hyphen at which a line does not break."""
    return month.replace("-", "\N{NON-BREAKING HYPHEN}")


def _show_scores(scores) -> Markup:
    if not scores:
        return Markup()
    shown = dict(list(scores.items())[:_MOST_DRAWN])
    figure = draw_distributions(list(shown), *zip(*shown.values(), strict=True))
    caption = "For each score the share of images with at most that score. Where the lines part, scores have moved."
    return render("figure.html", picture=draw(figure, f"Cumulative distributions of scores. {caption}", caption))


def _show_classes(content) -> Markup:
    parts = {"Test split": content["reference"], **{period["period"]: period for period in content["periods"]}}
    parts = {("Since" if name == WHOLE else name): part for name, part in parts.items()}
    rows = []
    for name, part in parts.items():
        shares = map(percent, part["classes"].values())
        rows.append((_unbroken(name), f"{part['n']:,}", *shares))
    table = Table(texts("") + numbers("Images", *content["classes"]), rows)
    return render("table.html", table=table, stacked=True)


def _show_metrics(content) -> Markup:
    if not content["metrics"]:
        return Markup()
    names = list(content["metrics"]["test"]["metrics"])
    rows = []
    for period, found in content["metrics"].items():
        cells = []
        for name in names:
            entry = found["metrics"].get(name) or {"value": None, "low": None, "high": None}
            bounds = interval_of(entry)
            cells.append(say(number(entry["value"]), below=(bounds,) if bounds else ()))
        title = {"test": "Test split", WHOLE: "Since"}.get(period, _unbroken(period))
        rows.append((title, f"{found['n']:,}", *cells))
    columns = texts("") + numbers("Images", *map(name_metric, names))
    return render("table.html", table=Table(columns, rows), stacked=True)
