"""Scores with their intervals: the headline, every metric, every class, subgroups, and the baselines."""

from collections.abc import Mapping

from tlmed.evaluation.lines import describe_size
from tlmed.evaluation.page import bullets, fold, table, text
from tlmed.metrics.names import list_once
from tlmed.pages.amounts import interval_of, number
from tlmed.report.content import Content
from tlmed.report.entries import list_entries, say_notes, show_cell
from tlmed.report.glossary import explain
from tlmed.report.images import MOST_CLASSES
from tlmed.report.words import name_metric
from tlmed.words import count, listed

_MOST_WEAK = 10  # classes, of many
_MOST_NOTED = 6  # classes that a note names
EMPTY = "<em>empty</em>"  # a cell without a value makes a subgroup too


def show_headline(metrics: Mapping) -> str:
    """Return the four metrics that papers report as cards of HTML, each with what it is without images that leaked."""
    cards, without = [], metrics.get("without_leaks", {}).get("metrics", {})
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        if entry := metrics["metrics"].get(name):
            beside = f"95 %: {interval_of(entry)}" if interval_of(entry) else "&nbsp;"
            cards.append(
                f"<div>{explain(name)}<b>{number(entry['value'])}</b><small>{beside}</small>{_show_without(without.get(name))}</div>"
            )
    return f'<div class="headline">{"".join(cards)}</div>{say_leaks(metrics)}'


def _show_without(entry) -> str:
    if entry is None:
        return ""
    interval = f"<br>95 %: {interval_of(entry)}" if interval_of(entry) else ""
    interval += f"<br>{text(entry['reason'])}" if "reason" in entry else ""
    return f"<br><small>without {explain('leak', 'leaks')}: <strong>{number(entry['value'])}</strong>{interval}</small>"


def say_leaks(metrics: Mapping) -> str:
    """Return how many test images are no news to the network, as a notice of HTML; nothing where none is."""
    found = metrics.get("without_leaks")
    if found is None:
        return ""
    left = (
        f"Without them {count(found['n'], 'image')} {'is' if found['n'] == 1 else 'are'} left, whose scores stand "
        "beside the others above."
        if found["n"]
        else "No image is left without them: these scores tell nothing of new images."
    )
    verb, whom = "is" if found["leaked"] == 1 else "are", "networks" if "folds" in metrics else "network"
    return (
        f'<p class="notice"><b>{found["leaked"]:,} of {count(metrics["n"], "test image")} '
        f"({found['leaked'] / metrics['n']:.0%}) {verb} known to the {whom}</b>: in training or validation too (of "
        f"this run, or of one that gave it its weights), or of a {explain('group', 'group')} that is there. "
        f"The scores may be too good. {left}</p>"
    )


def show_scores(content: Content) -> str:
    """Return every metric, of all images and of each class, as HTML."""
    metrics = content.metrics
    positive = metrics.get("positive")
    of_class = "AUC, sensitivity, specificity, predictive values, F1 and average precision are"
    meaning = (
        f"{explain('positive')}: <b>{text(positive)}</b>. {of_class} about it."
        if positive is not None
        else f"{of_class} means over the classes, each against the rest."
    )
    where = f"{count(metrics['n'], 'image')} of the {text(metrics['split'])} split"
    if metrics.get("groups") is not None:
        where += f". The images come from {explain('group', count(metrics['groups'], 'group'))}"
    few = "".join(f" {text(sentence)}" for sentence in describe_size(metrics))
    return (
        f"<p>On {where}.{few} {meaning}</p>{list_entries(list_once(metrics))}"
        f"<h3>Each class against the rest</h3>{show_classes(metrics)}"
    )


def show_baselines(metrics: Mapping) -> str:
    """Return what needs no transfer beside the run, as HTML; nothing where no baseline was scored."""
    baselines = metrics.get("baselines", {})
    if not baselines:
        return ""
    runs = {"this run": metrics["metrics"], **baselines}
    shown = [name for name in ("auc", "accuracy", "log_loss") if all(name in run for run in runs.values())]
    rows = [
        (
            f"{text(name.replace('_', ' '))}<br><small>{text(run.get('description', ''))}</small>",
            *(show_cell(run[metric]) for metric in shown),
        )
        for name, run in runs.items()
    ]
    notes = [
        (f"{name_metric(it)} ({text(name.replace('_', ' '))})", run[it]) for name, run in runs.items() for it in shown
    ]
    return (
        f"<p>What a result has to beat ({explain('baseline', 'baselines')}): scores on the same test images that need "
        "no transfer.</p>" + table(("", *map(explain, shown)), rows) + say_notes(notes)
    )


def show_subgroups(metrics: Mapping) -> str:
    """Return the metrics of the images that share a value of a column, as HTML; nothing where none was given.

    Below them stands by which columns the images are not divided, and why.
    """
    tables = (
        f"<h3>{text(column)}</h3>{_show_values(values, metrics)}"
        for column, values in metrics.get("subgroups", {}).items()
    )
    left_out = metrics.get("subgroups_left_out", {}).items()
    return "".join(tables) + bullets(f"Not by {text(column)}: {text(why)}" for column, why in left_out)


def _show_values(values, metrics) -> str:
    parts = {"all images": {"n": metrics["n"], "metrics": metrics["metrics"]}, **values}
    order = ("auc", "accuracy", "sensitivity", "specificity", "brier")
    shown = [name for name in order if any(name in part["metrics"] for part in values.values())]
    rows = [
        (text(value) or EMPTY, f"{part['n']:,}", *(show_cell(part["metrics"].get(name)) for name in shown))
        for value, part in parts.items()
    ]
    notes = [
        (f"{name_metric(name)} ({text(value) or EMPTY})", part["metrics"][name])
        for value, part in values.items()
        for name in shown
        if name in part["metrics"]
    ]
    return table(("Value", "Images", *map(explain, shown)), rows) + say_notes(notes)


def show_classes(metrics: Mapping) -> str:
    """Return the metrics of each class against the rest, from `metrics.json`, as HTML.

    Of many classes the weakest are shown, and all of them folded.
    """
    classes = metrics["per_class"]
    if len(classes) <= MOST_CLASSES:
        return _tabulate_classes(classes)
    found = [label for label, entry in classes.items() if entry["sensitivity"]["value"] is not None]
    weakest = sorted(found, key=lambda label: classes[label]["sensitivity"]["value"])[:_MOST_WEAK]
    return (
        f"<p>The {len(weakest)} classes of {len(classes)} with the lowest sensitivity:</p>"
        + _tabulate_classes({label: classes[label] for label in weakest})
        + fold(f"All {count(len(classes), 'class')}", _tabulate_classes(classes))
    )


def _tabulate_classes(classes) -> str:
    columns = ("auc", "sensitivity", "specificity", "ppv", "npv", "f1")
    shown = [name for name in columns if all(name in entry for entry in classes.values())]
    rows = [
        (text(label), f"{entry['n']:,}", *(show_cell(entry[name]) for name in shown))
        for label, entry in classes.items()
    ]
    return table(("Class", "Images", *map(explain, shown)), rows) + _say_notes_of_classes(classes, shown)


def _say_notes_of_classes(classes, shown) -> str:
    """Return what there is to say of the metrics of classes; of those that share a note the first are named."""
    noted = {}
    for name in shown:
        for label, entry in classes.items():
            for words in (entry[name].get("reason"), entry[name].get("note")):
                if words:
                    noted.setdefault((name, words), []).append(label)
    return bullets(
        f"{name_metric(name)} ({text(listed(labels, _MOST_NOTED))}): {text(words)}"
        for (name, words), labels in noted.items()
    )
