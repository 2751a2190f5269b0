"""Every pair of runs: how far apart their metrics are on the same test images, and whether chance explains that."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.answer_units import GROUP, name_rows, unit_of
from tlmed.comparison.checks import check_comparable, find_notes
from tlmed.comparison.groups import choose_groups, list_owners, use_groups
from tlmed.comparison.results import Result, read_results
from tlmed.metrics import average_folds, compare_pairs, holm, measure_pairs
from tlmed.metrics.names import name_metric
from tlmed.metrics.resampling import has_clusters, number_groups
from tlmed.metrics.sample_sizes import FEW_UNITS
from tlmed.metrics.spreads import Spread
from tlmed.sections import KFold
from tlmed.tasks import ORDINAL, PRIMARY, read_task
from tlmed.words import join_names

QUESTIONS = ("auc", "accuracy", "sensitivity", "specificity", "f1", "brier")
GRADED_QUESTIONS = (PRIMARY[ORDINAL], *QUESTIONS)  # where all runs predict grades
_MAIN = ("auc", "accuracy")  # of which sentences and pictures speak
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
    """

    first: int
    second: int
    questions: Mapping[str, Mapping]


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
        """Return the metrics that are compared; of runs that all predict grades, their primary one comes first."""
        return list_questions(self.results)

    @property
    def main_questions(self) -> tuple[str, ...]:
        """Return those of which sentences and pictures speak, the one that decides first."""
        return tuple(name for name in self.questions if name in (PRIMARY[ORDINAL], *_MAIN))

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

    def difference(self, first: int, second: int, question: str) -> dict:
        """Return how far the metric of one run lies above that of another one, whatever their order."""
        pair = next(pair for pair in self.pairs if {pair.first, pair.second} == {first, second})
        found = dict(pair.questions[question])
        if pair.first == first:
            return found
        turned = {"value": found["value"], "low": found["high"], "high": found["low"]}
        return found | {key: None if number is None else -number for key, number in turned.items()}


def list_questions(results: Sequence[Result]) -> tuple[str, ...]:
    """Return the metrics by which some runs are compared."""
    graded = all(read_task(result.metrics) == ORDINAL for result in results)
    return GRADED_QUESTIONS if graded else QUESTIONS


def compare(paths: Sequence[str | Path]) -> Comparison:
    """Compare runs on the same test images, or cross-validations over the same folds.

    AUCs of two classes are compared by paired DeLong, accuracies (and of two classes sensitivities and specificities)
    by McNemar, everything else by a paired t test of the influences of the images, all by groups where a group has
    several images; cross-validations by the corrected resampled t of their folds' differences, or the sampling error
    of the images where that is larger. p-values are corrected by Holm over all pairs, for each question by itself.

    Args:
        paths: Run directories, two or more.

    Raises:
        InputError: If a run cannot be read, or their test images, folds or classes are not the same.
    """
    given = read_results(paths)
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
    _correct(found)
    unit = unit_of(results[0].metrics)
    pairs = tuple(Pair(*place, name_rows(found[place], unit)) for place in places)
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


def _compare_tables(results, owners) -> dict[tuple[int, int], dict[str, dict]]:
    """Return every question of every pair, in the order of the images' paths."""
    metrics = results[0].metrics
    labels, tables = _list_tables(results)
    asked = list_questions(results)
    found = compare_pairs(labels, tables, metrics["classes"], metrics.get("positive"), owners, only=asked)
    return {pair: {name: questions[name] for name in asked} for pair, questions in found.items()}


def _measure_folds(results) -> list[dict[tuple[int, int], dict[str, Spread]]]:
    """Return for each fold how much its images move the differences of every pair."""
    metrics, found = results[0].metrics, []
    for folds in zip(*(result.folds for result in results), strict=True):
        labels, tables = _list_tables(folds)
        asked = (metrics["classes"], metrics.get("positive"), _find_owners(folds))
        found.append(measure_pairs(labels, tables, *asked, only=list_questions(results)))
    return found


def _compare_folds(first: Result, second: Result, spreads: Sequence[Mapping[str, Spread]]) -> dict[str, dict]:
    """Return the mean difference over the folds for each question, and the test of it; `spreads` are of each fold."""
    split = first.recipe["data"]["split"]
    share = KFold(split["k"], val=split["val"]).test_share  # as in the runs' own means
    found = {}
    for name in list_questions((first, second)):
        values = [[fold.metrics["metrics"].get(name, {}).get("value") for fold in run.folds] for run in (first, second)]
        folds = zip(*values, strict=True)
        differences = [None if None in pair else pair[0] - pair[1] for pair in folds]
        moved = [spread.get(name) for spread in spreads]
        # The largest possible difference: a Brier score goes up to 2, a kappa from -1 to 1, the others from 0 to 1.
        most = 2.0 if name in ("brier", PRIMARY[ORDINAL]) else 1.0
        found[name] = _average(differences, first.folds, share, moved, split.get("repeats", 1), most)
    return found


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


def _note_few(pairs, unit) -> tuple[str, ...]:
    """Name the metrics whose differences rest on a few images, files or groups."""
    units = {}  # the same for all pairs; a difference that is left open has none
    for pair in pairs:
        units |= {name: entry["units"] for name, entry in pair.questions.items() if "units" in entry}
    few = [f"{name_metric(name)} {number}" for name, number in units.items() if number < FEW_UNITS]
    if not few:
        return ()
    counted = "groups" if unit == GROUP else f"{unit}s or groups"
    return (f"Only large differences can show where few {counted} of a class decide: {join_names(few)}.",)


def _leave_open(value, reason) -> dict:
    return {"value": value, "low": None, "high": None, "p": None, "method": None, "reason": reason}


def _correct(found) -> None:
    """Add `p_holm` to every entry: Holm's correction over all pairs, for each question by itself."""
    for name in next(iter(found.values())):
        entries = [questions[name] for questions in found.values()]
        for entry, p in zip(entries, holm([entry["p"] for entry in entries]), strict=True):
            entry["p_holm"] = p


def is_shown(entry: Mapping) -> bool:
    """Tell whether a difference counts as shown: its corrected p-value is below 0.05.

    >>> is_shown({"p_holm": 0.049}), is_shown({"p_holm": 0.05}), is_shown({"p_holm": None})
    (True, False, False)
    """
    return entry["p_holm"] is not None and entry["p_holm"] < LEVEL
