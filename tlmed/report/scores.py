"""Scores with their intervals: the headline, every metric, every class, and the baselines."""

from collections.abc import Mapping

from tlmed.evaluation import plots
from tlmed.evaluation.page import bar, bullets, picture, table, text
from tlmed.report.content import Content
from tlmed.report.words import count, interval_of, name_metric, number, value_of


def show_headline(metrics: Mapping) -> str:
    """Return the four metrics that papers report as cards of HTML."""
    cards = []
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        if entry := metrics["metrics"].get(name):
            beside = f"95 %: {interval_of(entry)}" if interval_of(entry) else "&nbsp;"
            cards.append(f"<div>{name_metric(name)}<b>{number(entry['value'])}</b><small>{beside}</small></div>")
    return f'<div class="headline">{"".join(cards)}</div>'


def show_scores(content: Content) -> str:
    """Return every metric, baseline and class, with pictures, as HTML."""
    metrics, split = content.metrics, content.metrics["split"]
    positive = metrics.get("positive")
    of_class = "AUC, sensitivity, specificity, predictive values, F1 and average precision are"
    meaning = (
        f"Positive class: <b>{text(positive)}</b>. {of_class} about it."
        if positive is not None
        else f"{of_class} means over the classes, each against the rest."
    )
    if metrics.get("groups") is not None:
        meaning += f" The images come from {count(metrics['groups'], 'group')}."
    rows = [
        (name_metric(name), value_of(entry), interval_of(entry), bar(entry))
        for name, entry in metrics["metrics"].items()
    ]
    noted = {name: entry["note"] for name, entry in metrics["metrics"].items() if "note" in entry}
    notes = [f"{name_metric(name)}: {text(note)}" for name, note in noted.items()]
    alt = f"ROC curve of the {split} split; AUC {number(metrics['metrics']['auc']['value'])}"
    confusion = f"Confusion matrix of the {split} split: " + "; ".join(
        f"{name}: {', '.join(map(str, row))}"
        for name, row in zip(metrics["classes"], metrics["confusion"], strict=True)
    )
    pictures = picture(plots.roc_curves(content.predictions, split, positive), alt, "ROC")
    pictures += picture(plots.confusion_matrix(metrics), confusion, "Confusion matrix: rows sum to 100 %")
    head = ("Metric", "Value", "95 % interval", "0 to 1")
    return (
        f"<p>{meaning}</p>{table(head, rows, texts=(3,))}{_name_methods(metrics)}{bullets(notes)}"
        f"{_show_baselines(metrics)}"
        f"<h3>Each class against the rest</h3>{_show_classes(metrics)}"
        f'<div class="pair">{pictures}</div>'
    )


def _name_methods(metrics) -> str:
    methods = {}
    for name, entry in metrics["metrics"].items():
        methods.setdefault(entry["method"], []).append(name)
    said = [f"{text(method)} ({', '.join(map(name_metric, names))})" for method, names in methods.items() if method]
    return f"<p><small>Intervals: {'; '.join(said)}.</small></p>" if said else ""


def _show_baselines(metrics) -> str:
    baselines = metrics.get("baselines", {})
    if not baselines:
        return ""
    runs = {"this run": metrics["metrics"], **baselines}
    rows = [
        (
            f"{text(name.replace('_', ' '))}<br><small>{text(run.get('description', ''))}</small>",
            value_of(run["auc"]),
            interval_of(run["auc"]),
            bar(run["auc"]),
        )
        for name, run in runs.items()
    ]
    head = ("", "AUC", "95 % interval", "0 to 1")
    return f"<h3>Against what needs no transfer</h3>{table(head, rows, texts=(3,))}"


def _show_classes(metrics) -> str:
    columns = ("sensitivity", "specificity", "auc", "f1")
    shown = [name for name in columns if all(name in entry for entry in metrics["per_class"].values())]
    rows = [
        (
            text(label),
            f"{entry['n']:,}",
            *(f"{value_of(entry[c])}<br><small>{interval_of(entry[c])}</small>" for c in shown),
        )
        for label, entry in metrics["per_class"].items()
    ]
    notes = [
        f"{text(label)}, {name_metric(c)}: {text(entry[c]['note'])}"
        for label, entry in metrics["per_class"].items()
        for c in shown
        if "note" in entry[c]
    ]
    return table(("Class", "Images", *map(name_metric, shown)), rows) + bullets(notes)
