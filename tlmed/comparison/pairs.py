"""Every pair of runs: how far apart their metrics are on the same test images, and whether chance explains that."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlmed.answer_units import GROUP, name_rows, unit_of
from tlmed.comparison.checks import check_comparable, find_notes
from tlmed.comparison.compared_metrics import COST, ERROR, choose_main, list_questions, name_question
from tlmed.comparison.groups import choose_groups, list_owners, use_groups
from tlmed.comparison.results import Result, align_classes, read_results
from tlmed.evaluation.answer_rules import read_costs
from tlmed.metrics import average_folds, compare_pairs, holm, measure_pairs
from tlmed.metrics.label_differences import MATCH, LabelDifferences, compare_label_pairs, measure_label_pairs
from tlmed.metrics.names import name_metric
from tlmed.metrics.paired_means import compare_image_means, measure_image_means
from tlmed.metrics.resampling import has_clusters, number_groups
from tlmed.metrics.sample_sizes import FEW_UNITS
from tlmed.sections import KFold
from tlmed.tasks import MULTI_LABEL, ORDINAL, PRIMARY, read_task
from tlmed.words import begin_sentence, join_names

LEVEL = 0.05  # a difference counts as shown if its corrected p-value is below this


@dataclass(frozen=True)
class Pair:
    """Two runs and the differences of their metrics.

    Attributes:
        first: The place of the one in `Comparison.results`.
        second: The place of the other run, which comes after it.
        questions: Metric to `value` (that of the first minus that of the second), `low`, `high`, `p`, `p_holm` and
            `method`; `reason` where it is undefined, `note` where there is something to say of its interval, `units`
            that it rests on; for accuracy of two networks `first_only` and `second_only`, the images that
            one alone got right. `low` and `high` are None with a `p` of 1 where no image shows a difference.
        labels: Of several labels, each label to the same, on the images of which it is known; empty for other tasks.
    """

    first: int
    second: int
    questions: Mapping[str, Mapping]
    labels: Mapping[str, Mapping[str, Mapping]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Several runs on the same test images.

    Attributes:
        results: The runs, as they were given.
        pairs: Each two of them.
        images: How many test images; of a cross-validation all images.
        groups: How many groups they come from, or None where no group has several.
        notes: What a reader has to know, as sentences.
    """

    results: tuple[Result, ...]
    pairs: tuple[Pair, ...]
    images: int
    groups: int | None
    notes: tuple[str, ...]

    @property
    def questions(self) -> tuple[str, ...]:
        """Return the metrics that are compared (`list_questions`)."""
        return list_questions(self.results)

    @property
    def main_questions(self) -> tuple[str, ...]:
        """Return those of which sentences and pictures speak, the one that decides first."""
        return choose_main(self.questions)

    @property
    def shown_questions(self) -> tuple[str, ...]:
        """Return those in the tables of runs and pairs: the main ones, and what an answer costs or is off."""
        return (*self.main_questions, *(name for name in self.questions if name in (COST, ERROR)))

    def label(self, place: int) -> str:
        """Return the number and the name of a run."""
        return f"{place + 1}  {self.results[place].name}"

    def name(self, question: str) -> str:
        """Return the name of a metric within a sentence."""
        return name_question(question, self.results)

    def title(self, question: str) -> str:
        """Return the name of a metric at the beginning of a sentence."""
        return begin_sentence(self.name(question))

    def value(self, place: int, question: str) -> float | None:
        """Return a run's metric."""
        return self.results[place].metrics["metrics"].get(question, {}).get("value")

    def leaders(self, question: str) -> list[int]:
        """Return the places of the runs that share the highest value; none where a run's is undefined."""
        values = [self.value(place, question) for place in range(len(self.results))]
        if None in values:
            return []
        # Values that differ by rounding only share the lead.
        return [place for place, value in enumerate(values) if value > max(values) - 1e-12]

    def best(self, question: str) -> int | None:
        """Return the place of the run with the highest value, the first of equal ones; None where one is undefined."""
        return next(iter(self.leaders(question)), None)

    def count_tests(self, question: str) -> int:
        """Return over how many tests Holm corrects the p-values of labels: those of all labels and pairs that exist."""
        entries = (table.get(question, {}) for pair in self.pairs for table in pair.labels.values())
        return sum(entry.get("p") is not None for entry in entries)

    def difference(self, first: int, second: int, question: str) -> dict:
        """Return how far the metric of one run lies above that of another one, whatever their order."""
        pair = next(pair for pair in self.pairs if {pair.first, pair.second} == {first, second})
        found = dict(pair.questions[question])
        if pair.first == first:
            return found
        turned = {"value": found["value"], "low": found["high"], "high": found["low"]}
        return found | {key: None if number is None else -number for key, number in turned.items()}


def compare(paths: Sequence[str | Path]) -> Comparison:
    """Compare runs on the same test images, or cross-validations over the same folds.

    AUCs of two classes are compared by paired DeLong, accuracies (and of two classes sensitivities and specificities)
    by McNemar, everything else by a paired t test of the influences of the images, all by groups where a group has
    several images; cross-validations by the corrected resampled t of their folds' differences, or the sampling error
    of the images where that is larger. p-values are corrected by Holm over all pairs, for each question by itself.

    Of several labels the means over labels are compared, and each label by itself, with Holm over labels and pairs.

    Args:
        paths: Run directories, two or more.

    Raises:
        InputError: If a run cannot be read, or their test images, folds or classes are not the same.
    """
    given = align_classes(read_results(paths))
    check_comparable(given)
    results = use_groups(given)
    places = list(itertools.combinations(range(len(results)), 2))
    if results[0].folds:
        spreads = _measure_folds(results)
        found = {
            place: _compare_folds(*(results[i] for i in place), [fold[place] for fold in spreads]) for place in places
        }
        images, groups = results[0].metrics.get("n"), choose_groups(results).metrics.get("groups")
    else:
        owners = _find_owners(results)
        found = _compare_tables(results, owners)
        images = len(results[0].test.paths)
        groups = len(set(number_groups(owners))) if has_clusters(number_groups(owners)) else None
    for pair in found.values():
        for table in (pair.means, *pair.labels.values()):
            _note_cut(table, results[0].metrics)
    _correct([pair.means for pair in found.values()])
    _correct([label for pair in found.values() for label in pair.labels.values()])
    unit = unit_of(results[0].metrics)
    pairs = tuple(
        Pair(*place, name_rows(pair.means, unit), name_rows(pair.labels, unit)) for place, pair in found.items()
    )
    return Comparison(results, pairs, images, groups, find_notes(given) + _note_few(pairs, unit))


def _find_owners(results) -> list[str]:
    owners = list_owners(choose_groups(results))
    return [owners[path] for path in sorted(owners)]


def _list_tables(results) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Return the labels, and each run's scores and predicted classes, in the order of the images' paths."""
    # Runs may list the same images in different orders, and the tests are paired image by image.
    orders = [np.argsort(np.array(result.test.paths, dtype=object)) for result in results]
    tables = [
        (result.test.scores[order], result.test.predictions[order])
        for result, order in zip(results, orders, strict=True)
    ]
    return results[0].test.labels[orders[0]], tables


def _compare_tables(results, owners) -> dict[tuple[int, int], LabelDifferences]:
    """Return every question of every pair, in the order of the images' paths."""
    metrics = results[0].metrics
    labels, tables = _list_tables(results)
    asked = list_questions(results)
    if read_task(metrics) == MULTI_LABEL:
        return compare_label_pairs(labels, tables, metrics["classes"], owners, asked)
    usual = [name for name in asked if name not in (COST, ERROR)]
    found = compare_pairs(labels, tables, metrics["classes"], metrics.get("positive"), owners, only=usual)
    for (i, j), questions in found.items():
        for name in set(asked) - set(usual):
            first, second = (_rate_answers(name, labels, tables[place][1], metrics) for place in (i, j))
            most = _find_most(name, metrics)
            questions[name] = compare_image_means(first, second, labels, owners, most)
    return {pair: LabelDifferences({name: questions[name] for name in asked}, {}) for pair, questions in found.items()}


def _rate_answers(name, labels, predictions, metrics) -> np.ndarray:
    """Return for each image what its answer costs, or by how many grades it is off."""
    if name == ERROR:
        return np.abs(labels - predictions).astype(float)
    return read_costs(metrics["costs"], metrics["classes"])[labels, predictions]


def _find_most(name, metrics) -> float:
    """Return the largest possible difference: a Brier score goes up to 2, a kappa from -1 to 1, most from 0 to 1."""
    if name == ERROR:
        return len(metrics["classes"]) - 1.0
    if name == COST:
        return float(read_costs(metrics["costs"], metrics["classes"]).max())
    several = read_task(metrics) == MULTI_LABEL
    return 2.0 if name == PRIMARY[ORDINAL] or (name == "brier" and not several) else 1.0


def _measure_folds(results) -> list[dict[tuple[int, int], LabelDifferences]]:
    """Return for each fold how much its images move the differences of every pair."""
    asked = list_questions(results)
    return [
        _measure_tables(folds, asked, results[0].metrics) for folds in zip(*(it.folds for it in results), strict=True)
    ]


def _measure_tables(folds, asked, metrics) -> dict[tuple[int, int], LabelDifferences]:
    (labels, tables), owners, classes = _list_tables(folds), _find_owners(folds), metrics["classes"]
    if read_task(metrics) == MULTI_LABEL:
        return measure_label_pairs(labels, tables, classes, owners, asked)
    usual = [name for name in asked if name not in (COST, ERROR)]
    found = measure_pairs(labels, tables, classes, metrics.get("positive"), owners, only=usual)
    for (i, j), spreads in found.items():
        for name in set(asked) - set(usual):
            first, second = (_rate_answers(name, labels, tables[place][1], metrics) for place in (i, j))
            spreads[name] = measure_image_means(first, second, labels, owners)
    return {pair: LabelDifferences(spreads, {}) for pair, spreads in found.items()}


def _compare_folds(first: Result, second: Result, spreads: Sequence[LabelDifferences]) -> LabelDifferences:
    """Return the mean difference over the folds for each question, and the test of it; `spreads` are of each fold."""
    asked = list_questions((first, second))
    labels = first.metrics["classes"] if read_task(first.metrics) == MULTI_LABEL else ()
    return LabelDifferences(
        {name: _average_folds((first, second), [spread.means.get(name) for spread in spreads], name) for name in asked},
        {
            label: {
                name: _average_folds(
                    (first, second), [spread.labels.get(label, {}).get(name) for spread in spreads], name, label
                )
                for name in asked
                if name != MATCH
            }
            for label in labels
        },
    )


def _average_folds(runs, spreads, name, label=None) -> dict:
    """Return the mean difference of one question, of all classes or of one label; `spreads` are of each fold."""
    first, split = runs[0], runs[0].recipe["data"]["split"]
    # As in the runs' own means; of two that trained on other shares, what the smaller one says.
    trained = min(run.recipe["data"].get("train_share", 1.0) for run in runs)
    share = KFold(split["k"], val=split["val"]).test_share / trained
    values = [[_find_value(fold.metrics, name, label) for fold in run.folds] for run in runs]
    differences = [None if None in pair else pair[0] - pair[1] for pair in zip(*values, strict=True)]
    most = _find_most(name, first.metrics)
    return _average(differences, first.folds, share, spreads, split.get("repeats", 1), most)


def _find_value(metrics, name, label) -> float | None:
    table = metrics["metrics"] if label is None else metrics["per_class"][label]
    return table.get(name, {}).get("value")


def _average(differences, folds, share, spreads, repeats, most) -> dict:
    undefined = [fold.name for fold, value in zip(folds, differences, strict=True) if value is None]
    if undefined:
        return _leave_open(None, f"The metric is undefined in fold {', '.join(undefined)} of one of the two.")
    # Where neither folds nor images vary, a t test would divide by 0.
    if np.ptp(differences) < 1e-12 and not any(spread.variance for spread in spreads):
        said = "All folds have the same difference, from which no interval follows."
        # No difference in any fold is no evidence of one (p = 1); another constant one has no valid test.
        if abs(differences[0]) > 1e-12:
            return _leave_open(differences[0], said)
        method = "corrected resampled t (Nadeau & Bengio 2003)"
        return {"value": 0.0, "low": None, "high": None, "p": 1.0, "method": method, "note": said}
    entry = average_folds(differences, share, (-most, most), spreads, repeats)
    return {name: entry[name] for name in ("value", "low", "high", "p", "method")}


def _note_cut(table: Mapping[str, dict], metrics) -> None:
    """Say of each interval where it is cut; those of shares by McNemar end there by themselves."""
    for name, entry in table.items():
        most = _find_most(name, metrics)
        ends = () if entry["low"] is None or "first_only" in entry else (entry["low"], entry["high"])
        if cut := [f"{end:+g}" for end in ends if abs(end) >= most - 1e-12]:
            note = f"The interval is cut at {' and at '.join(cut)}."
            entry["note"] = " ".join(filter(None, [entry.get("note"), note]))


def _note_few(pairs, unit) -> tuple[str, ...]:
    """Name the metrics whose differences rest on a few images, files or groups."""
    units = {}  # the fewest of all pairs; a difference that is left open has none
    for pair in pairs:
        for name, entry in pair.questions.items():
            # A cost, or an error in grades, rests on the images with different answers, and says so itself.
            if "units" in entry and name not in (COST, ERROR):
                units[name] = min(entry["units"], units.get(name, entry["units"]))
    few = [f"{name_metric(name)} {number}" for name, number in units.items() if number < FEW_UNITS]
    if not few:
        return ()
    counted = "groups" if unit == GROUP else f"{unit}s or groups"
    return (f"Only large differences can show where few {counted} of a class decide: {join_names(few)}.",)


def _leave_open(value, reason) -> dict:
    return {"value": value, "low": None, "high": None, "p": None, "method": None, "reason": reason}


def _correct(tables: Sequence[Mapping[str, dict]]) -> None:
    """Add `p_holm` to every entry: Holm's correction over all tables, for each question by itself."""
    for name in tables[0] if tables else ():
        entries = [questions[name] for questions in tables]
        for entry, p in zip(entries, holm([entry["p"] for entry in entries]), strict=True):
            entry["p_holm"] = p


def is_shown(entry: Mapping) -> bool:
    """Tell whether a difference counts as shown: its corrected p-value is below 0.05.

    >>> is_shown({"p_holm": 0.049}), is_shown({"p_holm": 0.05}), is_shown({"p_holm": None})
    (True, False, False)
    """
    return entry["p_holm"] is not None and entry["p_holm"] < LEVEL
