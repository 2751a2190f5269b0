"""Degrees of fine-tuning: how the scores change with the number of thawed blocks."""

from collections.abc import Mapping, Sequence

from tlmed.evaluation import training_plots
from tlmed.evaluation.page import picture, table, text
from tlmed.pages.amounts import duration, say_half
from tlmed.report.content import Content
from tlmed.report.glossary import explain
from tlmed.report.words import enumerate_names, name_metric
from tlmed.words import count

_SCORES = {
    "val_loss": "Val loss",
    "val_accuracy": "Val acc.",
    "val_auc": "Val AUC",
    "test_accuracy": "Test acc.",
    "test_auc": "Test AUC",
}
_OF_TEST = ("test_accuracy", "test_auc")
_STARTS = {
    "previous": "from the best epoch of the one before it",
    "pretrained": "anew from the initial weights, with the trained head",
}


def show_degrees(content: Content) -> str:
    """Return score against degree, as a picture and a table of HTML; nothing where there is one phase or none."""
    rows = _hide_test(content)
    if not rows:
        return ""
    monitor = content.recipe.get("monitor", "val_auc")
    kept = ", ".join(row["phase"] for row in rows if row["kept"] == "yes")
    alt = (
        f"{name_metric(monitor)}{' and test AUC' if rows[0]['test_auc'] else ''} of {count(len(rows), 'degree')} of "
        "fine-tuning, "
        f"from {_name_thawed(rows[0])} thawed to {_name_thawed(rows[-1])}; kept: {kept}"
    )
    drawn = picture(training_plots.score_by_degree(rows, monitor), alt, "Score against degree of fine-tuning")
    choice = f"<p>{_say_choice(content.recipe, monitor)} {_say_starts(rows)}</p>"
    beside = " ".join(filter(None, [say_half(content.metrics), _say_known(rows, content.metrics)]))
    return choice + (f"<p>{beside}</p>" if beside else "") + drawn + _tabulate(rows)


def _hide_test(content) -> list[dict]:
    """Return the degrees without test scores, unless the recipe asks for a comparison of degrees on test images.

    Seen beside the validation scores they invite one to choose by them. A recipe of an older tlmed does not say.
    """
    hidden = {} if content.recipe.get("score_degrees", True) else dict.fromkeys(_OF_TEST, "")
    return [{**row, **hidden} for row in content.degrees]


def _say_choice(recipe, monitor) -> str:
    if recipe.get("keep", "best") == "best":
        return (
            f"The kept degree was chosen by {name_metric(monitor)}, on validation data alone (ties go to fewer thawed "
            "blocks); the test scores had no part in it."
        )
    return "The last degree is the result, as the recipe says; no score had a part in it."


def _say_known(rows, metrics) -> str:
    """Say that test scores are of all images, where the network knows some of them."""
    found = metrics.get("without_leaks")
    if found is None or not any(row[name] for row in rows for name in _OF_TEST):
        return ""
    known = f"{found['leaked']:,} of {count(metrics['n'], 'test image')}"
    return f"<b>The test scores include {known} that the network knows</b>, so that they may be too good."


def _say_starts(rows: Sequence[Mapping]) -> str:
    """Say how the degrees after the first one began."""
    begun = {}
    for row in rows[1:]:
        begun.setdefault(row["start"], []).append(row["phase"])
    if len(begun) == 1:
        return f"Each degree after the first started {text(_describe_start(*begun))}."
    parts = [f"{enumerate_names(names)} {text(_describe_start(start))}" for start, names in begun.items()]
    return f"The degrees after the first started: {'; '.join(parts)}." if parts else ""


def _describe_start(start) -> str:
    return _STARTS.get(start, f"from {start}")


def _tabulate(rows) -> str:
    shown = [name for name in _SCORES if any(row[name] for row in rows)]
    cells = [
        (
            text(row["phase"]) + ("<br><small>kept</small>" if row["kept"] == "yes" else ""),
            f"{text(_name_thawed(row))}<br><small>{_describe_share(row)}</small>",
            f"{int(row['trainable_parameters']):,}",
            f"{text(row['best_epoch'])} of {text(row['epochs'])}",
            *(f"{float(row[name]):.3f}" if row[name] else "" for name in shown),
            duration(float(row["seconds"])),
        )
        for row in rows
    ]
    head = ("Degree", "Thawed", "Trainable", "Best epoch", *(_SCORES[name] for name in shown), "Time")
    ratio = explain("fine_tuning_ratio", "fine-tuning ratio")
    return table(head, cells) + f"<p><small>Percentages: the {ratio}, of the backbone's weighted layers.</small></p>"


def _name_thawed(row) -> str:
    """Return how much is thawed; a unit of the kind "layer" may hold several weighted layers, which are counted."""
    return count(int(row["layers" if row["unit"] == "layer" else "blocks"]), row["unit"])


def _describe_share(row) -> str:
    share = f"{float(row['fine_tuning_ratio']):.0%}"
    return share if row["unit"] == "layer" else f"{count(int(row['layers']), 'layer')}, {share}"
