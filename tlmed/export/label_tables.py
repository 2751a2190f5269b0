"""What a model card tells of several labels: how many images have each, thresholds, temperatures and metrics."""

from collections.abc import Mapping, Sequence

from tlmed.answer_units import IMAGE, unit_of
from tlmed.export.entries_of_card import show_beside
from tlmed.export.further_section import show_further
from tlmed.label_texts import NEGATIVE, NOTHING, POSITIVE, UNDECIDED
from tlmed.label_vectors import read_labels
from tlmed.metrics.names import name_metric
from tlmed.pages.entries import list_notes
from tlmed.split_names import PLACES, SPLITS, UNUSED
from tlmed.tabulation import Table, numbers, texts
from tlmed.tabulation.markdown import plain
from tlmed.words import join_names, thousandths

_SHOWN = ("auc", "average_precision", "sensitivity", "specificity", "f1")
_RULES = {
    "fixed": "that of the recipe",
    "youden": "chosen on the split `val` for the largest sum of sensitivity and specificity (Youden 1950)",
}


def count_label_images(names: Sequence[str], splits: Sequence[Mapping]) -> str:
    """Return how many images of each split have each label, of those of which it is known, as a table in Markdown.

    Args:
        names: Of the labels.
        splits: The rows of `splits.csv`.
    """
    labels = read_labels([row["label"] for row in splits], names, several=True)
    places = list_places(splits)
    where = [[i for i, row in enumerate(splits) if row["split"] == place] for place in places]
    rows = [(name, *(_say_amount(labels[own, column]) for own in where)) for column, name in enumerate(names)]
    without = {NOTHING: (labels == NEGATIVE).all(axis=1)}
    without[UNDECIDED] = (labels != POSITIVE).all(axis=1) & ~without[NOTHING]
    rows += [(name, *(f"{own[part].sum():,}" for part in where)) for name, own in without.items() if own.any()]
    rows += [("all images", *(f"{len(own):,}" for own in where))]
    said = f"Images that have the label, of those of which it is known. {NOTHING}: all labels known, and none there."
    return Table(texts("Label") + numbers(*places), rows, footnote=said).markdown()


def list_places(splits: Sequence[Mapping]) -> tuple[str, ...]:
    """Return the splits that a card has columns for, with "unused" where a run left images aside.

    >>> list_places([{"split": "train"}])
    ('train', 'val', 'test')
    """
    return PLACES if any(row["split"] == UNUSED for row in splits) else SPLITS


def _say_amount(labels) -> str:
    known = labels != -1
    unknown = int((~known).sum())
    return f"{(labels == 1).sum():,} of {known.sum():,}" + (f" ({unknown:,} unknown)" if unknown else "")


def say_label_rule(metrics: Mapping) -> str:
    """Return what metrics of several labels mean and how labels are predicted, in Markdown."""
    points = [entry["operating_point"] for entry in metrics["per_class"].values() if "operating_point" in entry]
    rules = {_RULES.get(point["rule"], f"chosen on the split `val` by {plain(point['rule'])}") for point in points}
    rule = f" Each label is predicted from a score of its own on, {join_names(sorted(rules))}." if rules else ""
    unit = unit_of(metrics)
    pairs = f"{'an' if unit == IMAGE else 'a'} {unit} and a label"
    return (
        f"Metrics are means over the labels, each by the {unit}s of which it is known; micro: over all pairs of "
        f"{pairs}. Exact match: all labels right; Hamming loss: the share of wrong labels.{rule}"
    )


def show_labels(metrics: Mapping) -> list[str]:
    """Return the table of labels, and their further metrics, in Markdown.

    Args:
        metrics: The content of `metrics.json`.
    """
    labels = metrics["per_class"]
    rows = [
        (
            name,
            f"{entry['positives']:,}",
            f"{entry['n']:,}",
            f"{entry['unknown']:,}",
            _show_number(entry, "operating_point", "threshold"),
            _show_number(entry, "calibration", "temperature"),
            *(show_beside(entry[metric]) for metric in _SHOWN),
        )
        for name, entry in labels.items()
    ]
    columns = ("Has it", "Known", "Unknown", "Threshold", "Temperature", *map(name_metric, _SHOWN))
    noted = [(f"{name_metric(metric)} ({name})", entry[metric]) for name, entry in labels.items() for metric in _SHOWN]
    noted += [
        (f"{part} of {name}", entry[key])
        for name, entry in labels.items()
        for key, part in (("operating_point", "Threshold"), ("calibration", "Temperature"))
        if key in entry
    ]
    table = Table(texts("Label") + numbers(*columns), rows, list_notes(noted, ("note",)))
    return [table.markdown(), *show_further(metrics)]


def _show_number(entry, part, key) -> str:
    return thousandths(entry[part][key]) if key in entry.get(part, {}) else ""
