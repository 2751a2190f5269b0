"""Degrees of fine-tuning: how the scores change with the number of thawed blocks."""

import itertools
from collections.abc import Collection, Mapping, Sequence

from markupsafe import Markup

from tlmed.answer_units import say_least, scored_image
from tlmed.evaluation import training_plots
from tlmed.metrics.names import name_metric
from tlmed.pages.amounts import duration, enumerate_names, say_apart
from tlmed.pages.figures import draw
from tlmed.pages.glossary import explain
from tlmed.pages.templating import render
from tlmed.report.image_counts import say_test_apart
from tlmed.report.loaded_files import RunContent
from tlmed.tabulation import Table, numbers, say, texts
from tlmed.words import count, percent, tell_apart, thousandths

_SCORES = {
    "val_loss": "Val loss",
    "val_accuracy": "Val acc.",
    "val_auc": "Val AUC",
    "test_accuracy": "Test acc.",
    "test_auc": "Test AUC",
}
_OF_TEST = ("test_accuracy", "test_auc")
_ANEW = "anew from the initial weights, with the trained head"


def show_degrees(content: RunContent) -> Markup:
    """Return score against degree, as a picture and a table; nothing where there is one phase or none."""
    rows = _hide_test(content)
    if not rows:
        return Markup()
    monitor = content.recipe.get("monitor", "val_auc")
    kept = ", ".join(row["phase"] for row in rows if row["kept"] == "yes")
    alt = (
        f"{name_metric(monitor)}{' and test AUC' if rows[0]['test_auc'] else ''} of {count(len(rows), 'degree')} of "
        "fine-tuning, "
        f"from {_name_thawed(rows[0])} thawed to {_name_thawed(rows[-1])}; kept: {kept}"
    )
    return render(
        "report/degrees.html",
        choice=_say_choice(content, monitor),
        starts=_say_starts(rows, _find_solved(content)),
        apart=say_apart(content.metrics),
        known=_count_known(rows, content.metrics),
        picture=draw(training_plots.score_by_degree(rows, monitor), alt, "Score against degree of fine-tuning"),
        degrees=_tabulate(rows, monitor, _find_solved(content)),
    )


def _hide_test(content) -> list[dict]:
    """Return the degrees without test scores, unless the recipe asks for a comparison of degrees on test images.

    Test scores beside validation scores invite a reader to choose by them. Recipes of older versions have no such
    field: their test scores are shown.
    """
    hidden = {} if content.recipe.get("score_degrees", True) else dict.fromkeys(_OF_TEST, "")
    return [{**row, **hidden} for row in content.degrees]


def _say_choice(content, monitor) -> str:
    if content.recipe.get("keep", "best") == "best":
        return (
            f"The kept degree was chosen by {name_metric(monitor)}, on validation data alone (ties go to fewer thawed "
            f"blocks); {say_test_apart(content.metrics, content.copies)}."
        )
    return "The last degree is the result, as the recipe says; no score had a part in it."


def _count_known(rows, metrics) -> str:
    """Say how many test images the network has seen, where test scores that include them are shown."""
    found = metrics.get("without_leaks")
    if found is None or not any(row[name] for row in rows for name in _OF_TEST):
        return ""
    return f"{say_least(metrics)}{found['leaked']:,} of {count(metrics['n'], scored_image(metrics))}"


def _say_starts(rows: Sequence[Mapping], solved: Collection[str]) -> str:
    """Say how the degrees after the first one began."""
    begun = {}
    for before, row in itertools.pairwise(rows):
        found = "the head as it was solved" if before["phase"] in solved else "the best epoch of the one before it"
        named = {"previous": found}.get(row["start"], row["start"])
        start = _ANEW if row["start"] == "pretrained" else f"from {named}"
        begun.setdefault(start, []).append(row["phase"])
    if len(begun) == 1:
        return f"Each degree after the first started {next(iter(begun))}."
    parts = [f"{enumerate_names(names)} {start}" for start, names in begun.items()]
    return f"The degrees after the first started: {'; '.join(parts)}." if parts else ""


def _find_solved(content) -> set[str]:
    """Return the names of phases whose head was solved: they have no epochs."""
    return {phase["name"] for phase in content.plan.get("phases", []) if phase.get("solver")}


def _tabulate(rows, monitor, solved) -> Table:
    shown = [name for name in _SCORES if any(row[name] for row in rows)]
    columns = {name: _show_scores(rows, name, monitor) for name in shown}
    cells = [
        (
            say(row["phase"], below=("kept",) if row["kept"] == "yes" else ()),
            say(_name_thawed(row), below=(_describe_share(row),)),
            f"{int(row['trainable_parameters']):,}",
            "solved" if row["phase"] in solved else f"{row['best_epoch']} of {row['epochs']}",
            *(columns[name][place] for name in shown),
            duration(float(row["seconds"])),
        )
        for place, row in enumerate(rows)
    ]
    head = ("Thawed", "Trainable", "Best epoch", *(_SCORES[name] for name in shown), "Time")
    ratio = explain("fine_tuning_ratio", "fine-tuning ratio")
    footnote = say("Percentages: the ", ratio, ", of the backbone's weighted layers.")
    return Table(texts("Degree") + numbers(*head), cells, footnote=footnote)


def _show_scores(rows, name, monitor) -> Sequence[str]:
    """Return a score of each degree; that which decides with the digits in which degrees differ."""
    if name == monitor and all(row[name] for row in rows):
        return tell_apart(*(float(row[name]) for row in rows))
    return [thousandths(float(row[name])) if row[name] else "" for row in rows]


def _name_thawed(row) -> str:
    """Return how much is thawed; a unit of the kind "layer" may hold several weighted layers, which are counted."""
    return count(int(row["layers" if row["unit"] == "layer" else "blocks"]), row["unit"])


def _describe_share(row) -> str:
    share = percent(float(row["fine_tuning_ratio"]))
    return share if row["unit"] == "layer" else f"{count(int(row['layers']), 'layer')}, {share}"
