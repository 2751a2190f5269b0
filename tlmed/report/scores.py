"""Scores with their intervals: every metric, every class, subgroups, and the baselines."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.answer_units import name_scored, say_least, unit_of
from tlmed.evaluation.answer_rules import read_costs
from tlmed.evaluation.deciding_lines import list_deciding
from tlmed.evaluation.decision_lines import say_median
from tlmed.evaluation.label_lines import say_means
from tlmed.evaluation.lines import describe_size
from tlmed.evaluation.pooling import say_pooling
from tlmed.metrics import say_positive
from tlmed.metrics.grades import OF_CUT
from tlmed.metrics.names import list_further, list_once, name_metric
from tlmed.pages.entries import compare_entries, compare_stated, list_entries, list_notes, list_stated, show_cell
from tlmed.pages.glossary import explain
from tlmed.pages.templating import render
from tlmed.report.image_counts import MOST_CLASSES
from tlmed.report.loaded_files import RunContent
from tlmed.tabulation import EMPHASIS, Table, numbers, say, texts
from tlmed.tasks import MULTI_LABEL, ORDINAL, PRIMARY, read_task
from tlmed.words import listed

_MOST_WEAK = 10  # classes, of many
_MOST_NOTED = 6  # classes that a note names
_EMPTY = "empty"  # the name of the subgroup of images without a value
_OF_CLASS = "AUC, sensitivity, specificity, predictive values, F1 and average precision"


def show_scores(content: RunContent) -> Markup:
    """Return every metric, of all images and of each class."""
    metrics = content.metrics
    return render(
        "report/scores.html",
        **list_common(metrics),
        positive=say_positive(metrics["classes"], metrics.get("positive"), metrics.get("positive_asked", False)),
        of_class=_OF_CLASS,
        cuts=_tabulate_cuts(metrics),
        median=say_median(metrics),
        classes=show_classes(metrics),
    )


def list_common(metrics: Mapping) -> dict[str, object]:
    """Return what the section of scores says whatever was asked: how much was scored, its metrics, those of samples."""
    return {
        "n": metrics["n"],
        "of": name_scored(metrics),
        "unit": unit_of(metrics),
        "several": read_task(metrics) == MULTI_LABEL,
        "pooling": say_pooling(metrics),
        "samples": compare_samples(metrics),
        "one_by_one": say_one_by_one(metrics),
        "groups": metrics.get("groups"),
        "few": describe_size(metrics),
        "entries": list_all(metrics),
        "further": show_further(metrics),
    }


def list_all(metrics: Mapping, value: str = "Value") -> Table:
    """Return the metrics of all images with their intervals, each drawn on its own scale.

    Args:
        metrics: The content of `metrics.json`.
        value: The title of the column of values.
    """
    # The means over folds do not say what answers cost.
    costs = read_costs(metrics["costs"], metrics["classes"]).max() if "costs" in metrics else None
    ends = {"mean_absolute_error": len(metrics["classes"]) - 1, "expected_cost": costs}
    return list_entries(list_once(metrics), value, ends)


def show_further(metrics: Mapping, value: str = "Value") -> Markup:
    """Return the metrics beside those of `evaluate`, folded; nothing where an older version made `metrics.json`.

    Args:
        metrics: The content of `metrics.json`.
        value: The title of the column of values.
    """
    several, entries = read_task(metrics) == MULTI_LABEL, list_further(metrics["metrics"])
    found = {label: list_further(entry) for label, entry in metrics["per_class"].items()}
    classes = {label: own for label, own in found.items() if own}  # of a label that is known nowhere there is nothing
    if not (classes if several else entries):
        return Markup()
    many = len(classes) > 2 and not several
    return render(
        "report/further.html",
        unit=unit_of(metrics),
        entries=list_stated(entries, value) if entries else None,
        many=many,
        classes=compare_stated(classes) if (many or several) and len(classes) <= MOST_CLASSES else None,
    )


def compare_samples(metrics) -> Table | None:
    """Return the scores beside those of single images, where these were pooled."""
    if "per_sample" not in metrics:
        return None
    found, unit = metrics["per_sample"], unit_of(metrics)
    own = {name: metrics["metrics"][name] for name in found["metrics"]}
    return compare_entries({f"{unit.capitalize()}s": own, f"{found['n']:,} images by themselves": found["metrics"]})


def say_one_by_one(metrics: Mapping) -> str:
    """Say how the classes of single images were predicted, where their scores were pooled.

    >>> say_one_by_one({"classes": ["a", "b", "c"]})
    'How well images are told apart one by one.'
    """
    several = read_task(metrics) == MULTI_LABEL
    how = f", with the same threshold{'s' * several}" if several or len(metrics["classes"]) == 2 else ""
    if metrics.get("evaluated", {}).get("predicted") is False:
        how = f", by the column{'s `prediction_<class>`' if several else ' `prediction`'} of the file"
    return f"How well images are told apart one by one{how}."


def show_baselines(metrics: Mapping) -> Markup:
    """Return the baselines beside the run; nothing where none was scored."""
    baselines = metrics.get("baselines", {})
    if not baselines:
        return Markup()
    runs = {"this run": metrics["metrics"], **baselines}
    asked = (*list_deciding(metrics), "accuracy", "log_loss")
    shown = [name for name in asked if all(name in run for run in runs.values())]
    rows = [
        (
            say(name.replace("_", " "), below=(run["description"],) if "description" in run else ()),
            *(show_cell(run[metric]) for metric in shown),
        )
        for name, run in runs.items()
    ]
    entries = [(f"{name_metric(it)} ({name.replace('_', ' ')})", run[it]) for name, run in runs.items() for it in shown]
    table = Table(texts("") + numbers(*map(explain, shown)), rows, list_notes(entries))
    return render("report/baselines.html", unit=unit_of(metrics), baselines=table, means=say_means(metrics))


def show_subgroups(metrics: Mapping) -> Markup:
    """Return the metrics of the images that share a value of a column; nothing where there are no such columns.

    Below them stand the columns by which the images are not divided, and why.
    """
    columns = {column: _tabulate(values, metrics) for column, values in metrics.get("subgroups", {}).items()}
    left_out = [f"Not by {column}: {why}" for column, why in metrics.get("subgroups_left_out", {}).items()]
    return render("report/subgroups.html", columns=columns, left_out=left_out, means=say_means(metrics))


def _tabulate(values, metrics) -> Table:
    whole = {"n": metrics["n"], "metrics": metrics["metrics"], "leaked": metrics.get("without_leaks", {}).get("leaked")}
    parts = {f"all {unit_of(metrics)}s": whole, **values}
    known = any("leaked" in part for part in values.values())
    order = ("auc", "accuracy", "sensitivity", "specificity", "brier")
    if read_task(metrics) == ORDINAL:
        order = (PRIMARY[ORDINAL], "mean_absolute_error", *order)
    shown = [name for name in order if any(name in part["metrics"] for part in values.values())]
    rows = [
        (
            value or say(_EMPTY, mark=EMPHASIS),
            f"{part['n']:,}",
            *([f"{part['leaked']:,}"] if known else []),
            *(show_cell(part["metrics"].get(name)) for name in shown),
        )
        for value, part in parts.items()
    ]
    entries = [
        (f"{name_metric(name)} ({value or _EMPTY})", part["metrics"][name])
        for value, part in values.items()
        for name in shown
        if name in part["metrics"]
    ]
    counts = (_name_column(metrics), *([f"{say_least(metrics)}known".capitalize()] if known else []))
    return Table(texts("Value") + numbers(*counts, *map(explain, shown)), rows, list_notes(entries))


def show_classes(metrics: Mapping) -> Markup:
    """Return the metrics of each class against the rest, from `metrics.json`.

    Of many classes the weakest are shown, and all of them folded.
    """
    classes = metrics["per_class"]
    if len(classes) <= MOST_CLASSES:
        return render("report/classes.html", classes=_tabulate_classes(classes, metrics), weakest=None)
    found = [label for label, entry in classes.items() if entry["sensitivity"]["value"] is not None]
    weakest = sorted(found, key=lambda label: classes[label]["sensitivity"]["value"])[:_MOST_WEAK]
    return render(
        "report/classes.html",
        classes=_tabulate_classes(classes, metrics),
        weakest=_tabulate_classes({label: classes[label] for label in weakest}, metrics),
    )


def _tabulate_cuts(metrics) -> Table | None:
    """Return how well grades above each class are told from those up to it; None where classes have no order."""
    cuts = metrics.get("cuts")
    if not cuts:
        return None
    rows = [
        (f"above {name}", f"{cut['n']:,}", *(show_cell(cut[each]) for each in OF_CUT)) for name, cut in cuts.items()
    ]
    noted = [(f"{name_metric(each)} (above {name})", cut[each]) for name, cut in cuts.items() for each in OF_CUT]
    return Table(texts("Cut") + numbers(_name_column(metrics), *map(explain, OF_CUT)), rows, list_notes(noted))


def _name_column(metrics) -> str:
    return f"{unit_of(metrics)}s".capitalize()


def _tabulate_classes(classes, metrics) -> Table:
    columns = ("auc", "sensitivity", "specificity", "ppv", "npv", "f1")
    shown = [name for name in columns if all(name in entry for entry in classes.values())]
    rows = [(label, f"{entry['n']:,}", *(show_cell(entry[name]) for name in shown)) for label, entry in classes.items()]
    columns = texts("Class") + numbers(_name_column(metrics), *map(explain, shown))
    return Table(columns, rows, _list_notes_of_classes(classes, shown))


def _list_notes_of_classes(classes, shown) -> list[str]:
    """Return the notes on the metrics of classes; where many classes share a note, only the first are named."""
    noted = {}
    for name in shown:
        for label, entry in classes.items():
            for words in (entry[name].get("reason"), entry[name].get("note")):
                if words:
                    noted.setdefault((name, words), []).append(label)
    return [f"{name_metric(name)} ({listed(labels, _MOST_NOTED)}): {words}" for (name, words), labels in noted.items()]
