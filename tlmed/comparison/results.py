"""Read and check the files of runs that a comparison needs."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tlmed.comparison.traits import ENSEMBLE, MIXED, UNSTATED, add_costs, find_approach, find_costs, join_costs
from tlmed.errors import InputError
from tlmed.evaluation.pooled_csv import list_tables, name_table, read_samples, read_units
from tlmed.evaluation.pooling import read_pooling
from tlmed.evaluation.predictions import Predictions
from tlmed.intact import check_intact
from tlmed.label_texts import SEPARATOR
from tlmed.label_vectors import write_labels
from tlmed.members import list_members, name_members, shorten
from tlmed.pages.amounts import join
from tlmed.run_files import (
    ENVIRONMENT_JSON,
    METRICS_JSON,
    PLAN_JSON,
    RECIPE_JSON,
    SPLITS_CSV,
    TIMING_JSON,
    Environment,
    Metrics,
    Plan,
    ResolvedRecipe,
    Timing,
)
from tlmed.run_files.check_summary import CheckSummary, read_summary
from tlmed.rundir import RunDir, find_run
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task
from tlmed.words import listed

_OF_MEMBERS = ("recipe.json", "splits.csv", "metrics.json", "predictions.csv")  # that a comparison relies on
_SHOWN = ("metrics.auc", "metrics.accuracy")  # of every run


# Not compared field by field: `==` of the arrays in `test` is an array.
@dataclass(frozen=True, eq=False)
class Result:
    """One of the runs that are compared.

    Attributes:
        path: The run directory, as it was given.
        name: Its title, or as much of its path as tells it from the others.
        recipe: `recipe.json`.
        plan: `plan.json`; empty for a cross-validation.
        environment: `environment.json`; of a cross-validation that of its first fold.
        timing: `timing.json`.
        metrics: `metrics.json`.
        splits: Path of an image to its row of `splits.csv`; empty for a cross-validation.
        test: The predictions of the test images, or of the files or groups that they make up; None for a
            cross-validation, whose folds have them.
        folds: The runs of a cross-validation's folds; empty for the run of one network.
        members: The runs that an ensemble is made of; empty for others.
        unchecked: Sentences that say which of its files nothing shows to be as they were written.
        check: What the check of the data found before training; None in runs of older versions.
    """

    path: Path
    name: str
    recipe: ResolvedRecipe
    plan: Plan
    environment: Environment
    timing: Timing
    metrics: Metrics
    splits: Mapping[str, Mapping[str, str]]
    test: Predictions | None = None
    folds: tuple["Result", ...] = ()
    unchecked: tuple[str, ...] = ()
    check: CheckSummary | None = None
    members: tuple["Result", ...] = ()

    def of(self, split: str) -> Mapping[str, Mapping[str, str]]:
        """Return path and row of the images of one split."""
        return self._by_split.get(split, {})

    @cached_property
    def _by_split(self) -> dict[str, dict[str, Mapping[str, str]]]:
        found = {}
        for path, row in self.splits.items():
            found.setdefault(row["split"], {})[path] = row
        return found

    @cached_property
    def units(self) -> dict[str, str]:
        """Return what the answer for each test image is an answer for: the image itself, its file or its group."""
        return _name_units(self.of("test"), self.metrics)

    @property
    def without_leaks(self) -> Mapping | None:
        """Return how many test images the run has seen, how many are left, and the scores of these; None if none.

        Of a cross-validation that does not say, they are numbers of all folds together, without scores.
        """
        if not self.folds or "without_leaks" in self.metrics:
            return self.metrics.get("without_leaks")
        if not any(fold.without_leaks for fold in self.folds):
            return None
        tested = sum(len(set(fold.units.values())) for fold in self.folds)
        leaked = sum(fold.without_leaks["leaked"] for fold in self.folds if fold.without_leaks)
        return {"leaked": leaked, "n": tested - leaked, "metrics": {}}

    @property
    def backbone(self) -> str:
        """Return the backbone's name, or those of several."""
        return join(self.recipe.get("backbone")) or "unknown"

    @property
    def modality(self) -> str:
        """Return how its images were made; "not stated" where its recipe does not say it."""
        return self.recipe.get("data", {}).get("modality") or UNSTATED

    @property
    def weights(self) -> str:
        """Return the weights that it started from, by their full name where the run says it."""
        plan = self.folds[0].plan if self.folds else self.plan
        return join(plan.get("weights", self.recipe.get("weights"))) or "unknown"

    @property
    def approach(self) -> str:
        """Return which of the review's approaches it is, or that it is an ensemble."""
        if self.members:
            return ENSEMBLE
        if not self.folds:
            return find_approach(self.recipe, self.plan, self.metrics)
        found = {fold.approach for fold in self.folds}
        return found.pop() if len(found) == 1 else MIXED

    @cached_property
    def costs(self) -> dict[str, float | None]:
        """Return what it cost, by the names in `tlmed.comparison.traits.COSTS`."""
        if self.members:
            return add_costs([member.costs for member in self.members], self.timing)
        if self.folds:
            return join_costs([fold.costs for fold in self.folds], self.timing)
        return find_costs(self.plan, self.metrics, self.timing, len(self.of("train")))


def read_results(paths: Sequence[str | Path]) -> tuple[Result, ...]:
    """Read several runs, each of one network or a cross-validation.

    Args:
        paths: Run directories, two or more, all different.

    Raises:
        InputError: If they are fewer than two, one is given twice, is no run, is unfinished, or has a file that cannot
            be read.
    """
    if len(paths) < 2:
        raise InputError(f"A comparison needs two runs or more. Received: {', '.join(map(str, paths)) or 'none'}.")
    places = [Path(path).resolve() for path in paths]
    if twice := [str(path) for path, place in zip(paths, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"Each run must be given once. Received: {', '.join(twice)}, the same directory.")
    runs = [_find(path) for path in paths]
    return _use_titles([_read(run, name) for run, name in zip(runs, shorten(places), strict=True)])


def _use_titles(results: Sequence[Result]) -> tuple[Result, ...]:
    """Call a run by its own title where that tells it from all others."""
    titles = [result.recipe.get("name") for result in results]
    # Names count too: a title that is another run's name would mislead.
    taken = Counter([*titles, *(result.name for result in results)])
    return tuple(
        dataclasses.replace(result, name=title) if title and taken[title] == 1 else result
        for result, title in zip(results, titles, strict=True)
    )


def _find(path) -> RunDir:
    # A complete cross-validation counts as a whole; `find_run` refuses any other that is not one finished network.
    run = find_run(path, complete=False)
    return find_run(path, several=True) if run.complete else find_run(path)


def _read(run: RunDir, name: str) -> Result:
    if run.is_ensemble:
        return read_ensemble(run, name)
    folds = tuple(read_result(fold, fold.path.name) for fold in run.folds)
    if not folds:
        return read_result(run, name)
    recipe, metrics = RECIPE_JSON.read(run), METRICS_JSON.read(run, *_SHOWN)
    split = recipe.get("data", {}).get("split")
    if not isinstance(split, dict) or not isinstance(split.get("k"), int) or split["k"] < 2:
        raise InputError(f"`recipe.json` of a cross-validation must say `data.split`. Received: {run / 'recipe.json'}.")
    whole = (recipe, {}, folds[0].environment, TIMING_JSON.find(run), metrics, {}, None, folds)
    return Result(run.path, name, *whole, check=read_summary(run))


def read_result(run: RunDir, name: str) -> Result:
    """Read the run of one network.

    Args:
        run: A complete run.
        name: What it is called.

    Raises:
        InputError: If a file of it cannot be read.
    """
    recipe, plan, environment = RECIPE_JSON.read(run), PLAN_JSON.find(run), ENVIRONMENT_JSON.find(run)
    timing, metrics = TIMING_JSON.find(run), METRICS_JSON.read(run, *_SHOWN)
    splits = {row["path"]: _order_labels(row, metrics) for row in SPLITS_CSV.read(run)}
    test = _read_test(run, splits, metrics)
    compared = ("recipe.json", "metrics.json", "plan.json", "environment.json", "splits.csv", *list_tables(metrics))
    unchecked = check_intact(run, [file for file in compared if (run / file).exists()])
    found = (recipe, plan, environment, timing, metrics, splits, test)
    return Result(run.path, name, *found, unchecked=tuple(unchecked), check=read_summary(run))


def read_ensemble(run: RunDir, name: str) -> Result:
    """Return an ensemble as one of the runs that are compared: its test images are those that it scored.

    An image counts as trained on, or validated on, where it is so for all members, but for networks of folds.
    """
    found = list_members(run, _OF_MEMBERS)
    members = tuple(read_result(it.run, called) for it, called in zip(found, name_members(found), strict=True))
    first, metrics = members[0], METRICS_JSON.read(run, *_SHOWN)
    whole = len(members) - metrics.get("ensemble", {}).get("folds", 0)
    scored = set(read_samples(run.path, metrics).paths)
    splits = {}
    for path, row in first.splits.items():
        used = {member.splits[path]["split"] for member in members[:whole]}
        if path in scored or (len(used) == 1 and used != {"test"}):
            splits[path] = {**row, "split": "test" if path in scored else row["split"]}
    recipe = merge_recipes([member.recipe for member in members]) | {"name": None, "seed": first.recipe.get("seed", 0)}
    recipe |= {field: list(dict.fromkeys(getattr(it, field) for it in members)) for field in ("backbone", "weights")}
    # What earlier runs know, the members have left out of their own test images already.
    environment = {part: content for part, content in first.environment.items() if part != "earlier"}
    test, unchecked = _read_test(run, splits, metrics), dict.fromkeys(said for it in members for said in it.unchecked)
    parts = (recipe, {}, environment, TIMING_JSON.find(run), metrics, splits, test)
    return Result(run.path, name, *parts, unchecked=tuple(unchecked), check=read_summary(run), members=members)


def merge_recipes(parts: Sequence):
    """Return what recipes have in common; where they differ, the texts of all values.

    >>> merge_recipes([{"seed": 1, "data": {"image_size": [32, 32]}}, {"seed": 1, "data": {"image_size": [64, 64]}}])
    {'seed': 1, 'data': {'image_size': '[32, 32] / [64, 64]'}}
    """
    if all(part == parts[0] for part in parts):
        return parts[0]
    if all(isinstance(part, Mapping) for part in parts):
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: merge_recipes([part.get(name) for part in parts]) for name in names}
    return " / ".join(dict.fromkeys(map(str, parts)))


def _order_labels(row: Mapping[str, str], metrics) -> Mapping[str, str]:
    """Return a row of `splits.csv` whose labels, of several, are in the order of their names: runs may order them."""
    return {**row, "label": _sort(row["label"])} if read_task(metrics) == MULTI_LABEL else row


def _sort(label: str) -> str:
    return SEPARATOR.join(sorted(label.split(SEPARATOR)))


def align_classes(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return the runs with the classes, or labels, of all in the order of the first one; grades keep theirs.

    Runs with other classes, or other tasks, stay as they are.
    """
    first = results[0].metrics
    return tuple(
        _align(result, first["classes"]) if _may_align(first, result.metrics) else result for result in results
    )


def _may_align(first, other) -> bool:
    tasks = {read_task(first), read_task(other)}
    differ = first["classes"] != other["classes"] and sorted(first["classes"]) == sorted(other["classes"])
    return differ and len(tasks) == 1 and tasks != {ORDINAL}


def _align(result, classes) -> Result:
    given = result.metrics["classes"]
    places = [given.index(name) for name in classes]
    metrics = {
        **result.metrics,
        "classes": list(classes),
        "per_class": {name: result.metrics["per_class"][name] for name in classes},
    }
    test = None if result.test is None else _turn(result.test, places)
    folds = tuple(_align(fold, classes) for fold in result.folds)
    return dataclasses.replace(result, metrics=metrics, test=test, folds=folds)


def _turn(test: Predictions, places: Sequence[int]) -> Predictions:
    """Return predictions with their classes in another order; `places` are those of the new classes in the old ones."""
    numbers = np.argsort(places)  # the new number of each class
    columns = {
        "classes": tuple(test.classes[place] for place in places),
        "scores": test.scores[:, places],
        "calibrated": None if test.calibrated is None else test.calibrated[:, places],
    }
    answers = {"labels": test.labels, "predictions": test.predictions}
    turned = {name: part[:, places] if test.is_multi else numbers[part] for name, part in answers.items()}
    return dataclasses.replace(test, **columns, **turned)


def _name_units(rows: Mapping[str, Mapping[str, str]], metrics) -> dict[str, str]:
    names = read_pooling(metrics).name(list(rows), [row.get("group") or "" for row in rows.values()])
    return dict(zip(rows, names, strict=True))


def _read_test(run, splits, metrics) -> Predictions:
    """Return the predictions of the test images, which must be those of `splits.csv`, with their labels."""
    table, classes = name_table(metrics), metrics["classes"]
    test = read_units(run.path, metrics).of("test")
    if list(test.classes) != classes:
        raise InputError(
            f"`{table}` must have the classes of `metrics.json`: {', '.join(classes)}. "
            f"Received: {run / table}: {', '.join(test.classes)}."
        )
    written = write_labels(test.labels, test.classes)
    predicted = dict(zip(test.paths, map(_sort, written) if test.is_multi else written, strict=True))
    rows = {path: row for path, row in splits.items() if row["split"] == "test"}
    expected = {unit: rows[path]["label"] for path, unit in _name_units(rows, metrics).items()}
    if wrong := sorted(name for name in {**expected, **predicted} if expected.get(name) != predicted.get(name)):
        raise InputError(
            f"`{table}` must hold the test {test.unit}s of `splits.csv`, with their labels. "
            f"Received: {run / table}: other than there: {listed(wrong, 3)}."
        )
    if not predicted:
        raise InputError(f"A run must have test images to be compared. Received: {run.path}.")
    return test
