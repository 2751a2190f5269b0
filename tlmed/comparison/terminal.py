"""A comparison as lines and tables for a terminal."""

from tlmed.comparison.contradictions import list_label_contradictions, list_pair_contradictions
from tlmed.comparison.pairs import LEVEL, Comparison, is_shown
from tlmed.comparison.sentences import (
    conclude,
    list_all_notes,
    name_images,
    say_cost,
    say_difference,
    say_leaks,
    say_main,
    say_p,
    say_score,
    say_unknown_patients,
)
from tlmed.pages.amounts import number
from tlmed.pages.entries import list_notes
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import count, quote_commas

_COSTS = {
    "train_images": "images",
    "training_seconds": "training",
    "trainable_parameters": "trainable",
    "peak_memory_mb": "MB",
}
_MOST_METHODS = 3  # that a line names; with many pairs each may have its own degrees of freedom


def describe_comparison(comparison: Comparison) -> list[str | Table]:
    """Return the runs with their scores and costs, every pair of them, and what follows, as lines and tables."""
    return [
        _head(comparison),
        _list_runs(comparison),
        "",
        _list_pairs(comparison),
        "",
        *_list_labels(comparison),
        *say_leaks(comparison),
        *conclude(comparison),
        *(f"Note: {note}" for note in comparison.notes),
        *(f"Note: {note}" for note in list_all_notes(comparison, comparison.shown_questions)),
    ]


def _head(comparison) -> str:
    metrics = comparison.results[0].metrics
    positive = say_main(comparison, "; positive: {}")
    images = f"{name_images(comparison)}{say_unknown_patients(comparison)}"
    return f"Compared on {images}; classes: {', '.join(quote_commas(metrics['classes']))}{positive}."


def _list_runs(comparison) -> Table:
    named = [comparison.name(name) for name in comparison.shown_questions]
    columns = texts("", "run", *named) + numbers(*_COSTS.values())
    rows = []
    for place, result in enumerate(comparison.results, 1):
        scores = [say_score(result.metrics["metrics"][name]) for name in comparison.shown_questions]
        costs = [say_cost(name, result.costs[name]) for name in _COSTS]
        rows.append([str(place), result.name, *scores, *costs])
    return Table(columns, rows)


def _list_pairs(comparison) -> Table:
    named = [comparison.name(name) for name in comparison.shown_questions]
    titles = (title for name in named for title in (f"{name}: difference", "p", ""))
    rows = []
    for pair in comparison.pairs:
        entries = [pair.questions[name] for name in comparison.shown_questions]
        cells = [(say_difference(it), say_p(it["p_holm"]), "*" if is_shown(it) else "") for it in entries]
        rows.append([f"{pair.first + 1} - {pair.second + 1}", *(cell for three in cells for cell in three)])
    contradictions = [
        f"{name}, {said}"
        for question, name in zip(comparison.shown_questions, named, strict=True)
        for said in list_pair_contradictions(comparison, question)
    ]
    notes = [_explain(comparison), *_name_methods(comparison), *contradictions]
    return Table(texts("pair", *titles), rows, notes=notes)


def _list_labels(comparison) -> list[Table | str]:
    """Return the differences in the AUC of each label; nothing for other tasks."""
    rows = [
        [label, f"{pair.first + 1} - {pair.second + 1}", *_show_pair(comparison, pair, label)]
        for pair in comparison.pairs
        for label in pair.labels
    ]
    if not rows:
        return []
    columns = texts("label", "pair", "first", "second", "AUC: difference", "p", "")
    corrected = f"p: corrected for {count(comparison.count_tests('auc'), 'test')}, of all labels and pairs (Holm)."
    notes = [corrected, *_list_untested(comparison), *list_label_contradictions(comparison, "auc")]
    return [Table(columns, rows, notes=notes), ""]


def _list_untested(comparison) -> list[str]:
    """Say why a label has no test of its AUC: a run's own reason where it has no AUC."""
    own = [
        (label, entry["auc"])
        for result in comparison.results
        for label, entry in result.metrics["per_class"].items()
        if entry["auc"]["value"] is None
    ]
    without = {label for label, _ in own}
    pairs = ((label, it.labels[label]["auc"]) for it in comparison.pairs for label in it.labels if label not in without)
    notes = list_notes([*dict(own).items(), *dict(it for it in pairs if it[1]["p"] is None).items()], ["reason"])
    return [f"Not tested: {note}" for note in notes]


def _show_pair(comparison, pair, label) -> list[str]:
    entry = pair.labels[label]["auc"]
    own = (comparison.results[place].metrics["per_class"][label]["auc"]["value"] for place in (pair.first, pair.second))
    return [*map(number, own), say_difference(entry), say_p(entry["p_holm"]), "*" if is_shown(entry) else ""]


def _name_methods(comparison) -> list[str]:
    """Say by which methods the differences that are shown were tested: of folds they vary from pair to pair."""
    lines = []
    for name in comparison.shown_questions:
        methods = [*dict.fromkeys(filter(None, (pair.questions[name]["method"] for pair in comparison.pairs)))]
        if methods:
            more = f"; and {len(methods) - _MOST_METHODS:,} more" if len(methods) > _MOST_METHODS else ""
            lines.append(f"{comparison.name(name)}: {'; '.join(methods[:_MOST_METHODS])}{more}.")
    return lines


def _explain(comparison) -> str:
    corrected = f", corrected for {len(comparison.pairs)} pairs (Holm)" if len(comparison.pairs) > 1 else ""
    mean = ", the mean over the folds" if comparison.results[0].folds else ""
    return (
        f"images: for training{mean}; trainable: parameters of the phase that was kept; MB: peak memory. Differences: "
        "the first run minus the second, each with its own 95 % interval. p: test of no difference"
        f"{corrected}; * below {LEVEL}."
    )
