"""Sections of the page of an inspection that show what checks measured: shortcuts, labels, enough images."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.evaluation.curve_plot import draw_forecast
from tlmed.gate.wrong_labels import describe_estimate
from tlmed.inspection.found_pictures import Album
from tlmed.pages.amounts import interval_of, number
from tlmed.pages.figures import draw
from tlmed.pages.templating import render
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import percent, thousandths

MOST_TESTS = 15  # rows of a table that stand open; the others are folded
MOST_LABELS = 24  # pictures of labels that are least certain


def show_shortcuts(figures: Mapping) -> Markup:
    """Return how well the class follows from each thing that is no finding, and subgroups by class.

    Args:
        figures: Of `tlmed.gate.shortcuts.check_shortcuts`.
    """
    tests = figures.get("tests", [])
    if not tests:
        return Markup()
    return render(
        "check/shortcuts.html",
        images=figures["images"],
        permutations=figures["permutations"],
        tests=_tabulate_tests(tests[:MOST_TESTS]),
        rest=_tabulate_tests(tests[MOST_TESTS:]) if len(tests) > MOST_TESTS else None,
        subgroups={column: _tabulate_subgroups(column, values) for column, values in figures["subgroups"].items()},
    )


def _tabulate_tests(tests) -> Table:
    several = any("label" in test for test in tests)
    columns = (
        *texts("what is looked at"),
        *(texts("label") if several else ()),
        *numbers("AUC", "p, corrected", "images"),
    )
    rows = [
        [
            test["name"],
            *([test["label"]] if several else []),
            *map(number, (test["auc"], test["p_corrected"])),
            f"{test['images']:,}",
        ]
        for test in tests
    ]
    return Table(columns, rows)


def _tabulate_subgroups(column, values) -> Table:
    names = list(next(iter(values.values()), {}))
    rows = [[value or "(empty)", *(f"{amounts[name]:,}" for name in names)] for value, amounts in values.items()]
    return Table((*texts(column), *numbers(*names)), rows)


def show_labels(figures: Mapping, album: Album) -> Markup:
    """Return how many labels are wrong by estimate, and pictures of those that are least certain.

    Args:
        figures: Of `tlmed.gate.wrong_labels.check_labels`.
        album: Gives pictures.
    """
    if "estimate" not in figures:
        return Markup()
    shown = []
    for entry in figures["ranked"][:MOST_LABELS]:
        about = f"{entry['about']}: " if "about" in entry else ""
        said = f"{entry['path']}: {about}labelled {entry['label']}"
        if entry["suggested"] != entry["label"]:
            said += f", the rest suggests {entry['suggested']}"
        shown += album.show([entry["path"]], f"{said} ({thousandths(entry['self_confidence'])})")
    return render("check/labels.html", sentence=describe_estimate(figures), shown=shown)


def show_forecast(figures: Mapping) -> Markup:
    """Return how the AUC grows with the number of images, and how many are needed.

    Args:
        figures: Of `tlmed.gate.learning_curves.forecast`.
    """
    if not figures.get("points"):
        return Markup()
    alt = "Learning curve: AUC against the number of training images. The sentences below have the numbers."
    caption = "Dots: measured, with 95 % intervals; diamonds: forecast, with 90 % intervals; line: fitted"
    picture = draw(draw_forecast(figures), alt, caption)
    return render("check/forecast.html", picture=picture, sentences=[*figures["sentences"], *figures["test"]["says"]])


def show_views(figures: Mapping) -> Markup:
    """Return how well a run's network knows the class of whole images, and of images without parts.

    Args:
        figures: Of `tlmed.inference.masked_centre.check_run`.
    """
    if not figures.get("views"):
        return Markup()
    rows = [
        (
            *(name, number(view["auc"]), interval_of(view, "auc")),
            "unknown" if view["left"] is None else percent(view["left"]),
        )
        for name, view in figures["views"].items()
    ]
    columns = (*texts("what the network sees"), *numbers(figures["metric"], "95 % interval", "left of what it knows"))
    looked = figures["map"]
    return render(
        "check/views.html",
        images=figures["images"],
        split=figures["split"],
        views=Table(columns, rows),
        looked=looked,
        interval=None if looked is None or looked["low"] is None else (looked["low"], looked["high"]),
    )
