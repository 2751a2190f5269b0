"""The scores section of a model card: metrics with intervals, of all images and of each class, and their limits."""

from collections.abc import Mapping, Sequence

from tlmed.answer_units import say_all_undecided, say_least, say_undecided, unit_of
from tlmed.evaluation.answer_rules import say_rule
from tlmed.evaluation.deciding_lines import list_deciding
from tlmed.evaluation.decision_lines import list_at_prevalence, name_rule, say_effect, say_median
from tlmed.evaluation.label_lines import say_means
from tlmed.evaluation.lines import (
    describe_below_majority,
    describe_better_baselines,
    describe_reversed,
    describe_size,
    describe_validation,
)
from tlmed.evaluation.pooling import say_pooling
from tlmed.export.card_facts import CardFacts
from tlmed.export.entries_of_card import show_beside, show_entry
from tlmed.export.further_section import show_further
from tlmed.export.label_tables import say_label_rule, show_labels
from tlmed.metrics import say_positive
from tlmed.metrics.definitions import CALIBRATED, CLASS_METRICS
from tlmed.metrics.names import list_once, name_metric
from tlmed.pages.entries import list_notes, say_methods
from tlmed.run_files.check_summary import say_errors
from tlmed.tabulation import Table, numbers, texts
from tlmed.tabulation.markdown import code, plain
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count, join_names, thousandths

PER_CLASS = ("sensitivity", "specificity", "auc", "f1")


def show_score_section(content: CardFacts) -> str:
    """Return the scores of a run in Markdown."""
    metrics = content.metrics
    groups = f" of {metrics['groups']:,} groups" if metrics.get("groups") else ""
    several = read_task(metrics) == MULTI_LABEL
    if several:
        meaning = say_label_rule(metrics)
    elif metrics["positive"] is None:
        averaged = join_names(map(name_metric, CLASS_METRICS))
        rule = f"Predicted is {say_rule(metrics['decision'])}." if "decision" in metrics else say_median(metrics)
        meaning = f"{averaged} are means over the classes, each against the rest. {rule}".rstrip()
    else:
        meaning = (
            f"{name_positive(metrics)} It is predicted from a probability of {thousandths(metrics['threshold'])} "
            f"on{_name_rule(metrics)}.{_note(metrics.get('operating_point', {}))}"
        )
    parts = [
        f"{metrics['n']:,} {unit_of(metrics)}s{groups}, split {code(metrics['split'])}. {meaning}",
        *([plain(say_pooling(metrics))] if "pool" in metrics else []),
        *map(plain, describe_size(metrics)),
        tabulate_all(metrics),
        *([] if several else show_further(metrics)),
        *(f"**{plain(said)}**" for said in (*describe_reversed(metrics), *describe_validation(metrics))),
        *(f"**{plain(said)}**" for said in content.unchecked),
        *show_without_leaks(metrics),
        *(f"**{plain(said)}**" for said in say_errors(content.check)),
        *show_parts(metrics),
        *_show_prevalence(metrics),
        *_show_calibration(metrics),
        *show_baselines(metrics),
    ]
    return "\n\n".join(parts)


def show_without_leaks(metrics: Mapping) -> list[str]:
    """Return the scores without the test images that training or validation has seen, if there are such images."""
    if not (found := metrics.get("without_leaks")):
        return [f"**{said}**"] if (said := say_all_undecided(metrics)) else []
    known = f"{say_least(metrics).capitalize()}{found['leaked']:,} of {metrics['n']:,} test {unit_of(metrics)}s"
    are = "is" if found["n"] == 1 else "are"
    said = (
        f"**{known} are in training or validation too (of this run, or of "
        f"one that gave it its weights), or of a group that has images there**{say_undecided(metrics)}: the scores "
        f"above may be too good. Without them {count(found['n'], unit_of(metrics))} {are} left"
    )
    defined = any(entry["value"] is not None for entry in found["metrics"].values())
    said += f"; the metadata of this card has {'their' if defined else 'no'} scores."
    if not found["metrics"]:
        return [said]
    entries = {name_metric(name): entry for name, entry in found["metrics"].items()}
    return [said, tabulate(found["metrics"], notes=list_notes(entries.items(), ("note",)))]


def name_positive(metrics: Mapping) -> str:
    """Say which of two classes is the positive one, and why; "" where there is none."""
    if metrics.get("positive") is None:
        return ""
    asked = metrics.get("positive_asked", False)
    return plain(say_positive(metrics["classes"], metrics["positive"], asked, "The positive class is {}."))


def tabulate_all(metrics: Mapping) -> str:
    """Return the metrics of all images as a table, with the methods of their intervals and what is to be noted."""
    entries = {name_metric(name): entry for name, entry in list_once(metrics).items()}
    return tabulate(list_once(metrics), say_methods(entries), list_notes(entries.items(), ("note",)))


def show_parts(metrics: Mapping) -> list[str]:
    """Return the metrics of each class, or of each label."""
    return show_labels(metrics) if read_task(metrics) == MULTI_LABEL else [_show_classes(metrics)]


def tabulate(entries: Mapping, footnote: str = "", notes: Sequence[str] = ()) -> str:
    """Return metrics by name as a table of values and intervals in Markdown."""
    rows = [(name_metric(name), *show_entry(entry)) for name, entry in entries.items()]
    return Table(texts("Metric") + numbers("Value", "95 % interval"), rows, notes, footnote).markdown()


def _name_rule(metrics) -> str:
    point = metrics.get("operating_point", {})
    return f" ({name_rule(point)} on {point['n']:,} validation {unit_of(metrics)}s)" if point.get("n") else ""


def _show_prevalence(metrics) -> list[str]:
    """Return the predictive values, and what errors cost, at the stated prevalence."""
    found = metrics.get("at_prevalence")
    if not found:
        return []
    said = f"PPV and NPV hold for the mix of classes in the split. At a prevalence of {found['prevalence']:g}:"
    return [said, tabulate({name: found[name] for name in list_at_prevalence(found)})]


def _note(part) -> str:
    return f" {plain(part['note'])}" if part.get("note") else ""


def _show_calibration(metrics) -> list[str]:
    """Return how probabilities are calibrated, and how that changes the scores."""
    if not (calibration := metrics.get("calibration")):
        return []
    rows = [
        (name_metric(name), *show_entry(metrics["metrics"][name]), *show_entry(after))
        for name, after in calibration["metrics"].items()
        if name in CALIBRATED
    ]
    said = f"Calibration: {plain(calibration['method'])}, {_say_fit(metrics)} {say_effect(metrics)} Lower is better."
    columns = texts("Metric") + numbers("Before", "95 % interval", "After", "95 % interval")
    return [said, Table(columns, rows).markdown()]


def _say_fit(metrics) -> str:
    """Return the temperature, or that each label has its own, and on which images it was fitted."""
    calibration = metrics["calibration"]
    if "temperature" not in calibration:
        where = f"fitted on validation {unit_of(metrics)}s"
        return f"a temperature for each label (see above), {where}; means over the labels."
    if not calibration.get("fitted", True):
        return calibration["note"]
    fitted = f"fitted on {count(calibration['n'], unit_of(metrics))} of the split {code(calibration['split'])}"
    return f"temperature {thousandths(calibration['temperature'])}, {fitted}.{_note(calibration)}"


def _show_classes(metrics) -> str:
    rows = [
        (label, f"{entry['n']:,}", *(show_beside(entry[name]) for name in PER_CLASS))
        for label, entry in metrics["per_class"].items()
    ]
    counted = f"{unit_of(metrics)}s".capitalize()
    return Table(texts("Class against the rest") + numbers(counted, *map(name_metric, PER_CLASS)), rows).markdown()


def show_baselines(metrics: Mapping) -> list[str]:
    """Return what classifiers without transfer learning reach beside the network; nothing where there are none."""
    if not (baselines := metrics.get("baselines")):
        return []
    runs, shown = [{"description": "this model", **metrics["metrics"]}, *baselines.values()], list_deciding(metrics)
    rows = [(run["description"], *(cell for name in shown for cell in show_entry(run[name]))) for run in runs]
    columns = [cell for name in shown for cell in (name_metric(name), "95 % interval")]
    table = Table(texts("") + numbers(*columns), rows).markdown()
    doubts = [f"**{plain(said)}**" for said in (*describe_better_baselines(metrics), *describe_below_majority(metrics))]
    return [f"Compared with no transfer learning{say_means(metrics)}:", table, *doubts]
