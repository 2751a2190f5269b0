"""What runs hold that a comparison needs, read and checked one by one."""

import csv
import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tlmed import rundir, whole_files
from tlmed.comparison.traits import MIXED, find_approach, find_costs, join_costs, to_number
from tlmed.errors import InputError
from tlmed.evaluation.predictions import Predictions, read_predictions
from tlmed.intact import RECORDED, check_intact
from tlmed.pages.amounts import join
from tlmed.regular_files import read_regular
from tlmed.rundir import RunDir, find_run
from tlmed.words import listed

_REQUIRED = ("recipe.json", "metrics.json")
_OPTIONAL = ("plan.json", "timing.json", "environment.json")
_COLUMNS = ("path", "label", "split", "sha256")
_PARTS = {"value", "low", "high"}
# Lists of JSON objects, with what is a number in each.
_LISTS = {"phases": ("fine_tuning_ratio",), "extractions": ("images", "computed")}
# What `metrics.json` holds beside its numbers.
_KINDS = {
    "kept": dict | None,
    "positive": str | None,
    "threshold": float | int | None,
    "n": int | None,
    "groups": int | None,
    "without_leaks": dict,
}


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
        test: The predictions of the test images; None for a cross-validation, whose folds have them.
        folds: The runs of a cross-validation's folds; empty for the run of one network.
        unchecked: Sentences that say which of its files nothing shows to be as they were written.
    """

    path: Path
    name: str
    recipe: Mapping
    plan: Mapping
    environment: Mapping
    timing: Mapping
    metrics: Mapping
    splits: Mapping[str, Mapping[str, str]]
    test: Predictions | None = None
    folds: tuple["Result", ...] = ()
    unchecked: tuple[str, ...] = ()

    def of(self, split: str) -> Mapping[str, Mapping[str, str]]:
        """Return path and row of the images of one split."""
        return self._by_split.get(split, {})

    @cached_property
    def _by_split(self) -> dict[str, dict[str, Mapping[str, str]]]:
        found = {}
        for path, row in self.splits.items():
            found.setdefault(row["split"], {})[path] = row
        return found

    @property
    def without_leaks(self) -> Mapping | None:
        """Return how many test images the run knows, how many are left, and scores of these; None where it knows none.

        Of a cross-validation that does not say, they are numbers of all folds together, without scores.
        """
        if not self.folds or "without_leaks" in self.metrics:
            return self.metrics.get("without_leaks")
        if not any(fold.without_leaks for fold in self.folds):
            return None
        tested = sum(len(fold.of("test")) for fold in self.folds)
        leaked = sum(fold.without_leaks["leaked"] for fold in self.folds if fold.without_leaks)
        return {"leaked": leaked, "n": tested - leaked, "metrics": {}}

    @property
    def backbone(self) -> str:
        """Return the backbone's name, or those of several."""
        return join(self.recipe.get("backbone")) or "unknown"

    @property
    def weights(self) -> str:
        """Return the weights that it started from, by their full name where the run says it."""
        plan = self.folds[0].plan if self.folds else self.plan
        return join(plan.get("weights", self.recipe.get("weights"))) or "unknown"

    @property
    def approach(self) -> str:
        """Return which of the review's approaches it is."""
        if not self.folds:
            return find_approach(self.recipe, self.plan, self.metrics)
        found = {fold.approach for fold in self.folds}
        return found.pop() if len(found) == 1 else MIXED

    @cached_property
    def costs(self) -> dict[str, float | None]:
        """Return what it cost, by the names in `tlmed.comparison.traits.COSTS`."""
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
    taken = Counter([*titles, *(result.name for result in results)])
    return tuple(
        dataclasses.replace(result, name=title) if title and taken[title] == 1 else result
        for result, title in zip(results, titles, strict=True)
    )


def shorten(paths: Sequence[Path]) -> list[str]:
    """Return for each path as many of its last parts as tell it from all others; of a fold also its run.

    >>> shorten([Path("/a/one/run"), Path("/a/two/run"), Path("/a/other"), Path("/a/cv/folds/01")])
    ['one/run', 'two/run', 'other', 'cv/folds/01']
    """
    return [_shorten_one(path, [other for other in paths if other != path]) for path in paths]


def _shorten_one(path, others) -> str:
    for count in range(3 if path.parent.name == rundir.FOLDS else 1, len(path.parts) + 1):
        ending = path.parts[-count:]
        if all(other.parts[-count:] != ending for other in others):
            return "/".join(ending)
    return str(path)


def _find(path) -> RunDir:
    run = find_run(path, complete=False)
    return run if run.complete and run.folds else find_run(path)


def _read(run: RunDir, name: str) -> Result:
    folds = tuple(_read_single(fold, fold.path.name) for fold in run.folds)
    if not folds:
        return _read_single(run, name)
    files = {"timing.json": {}, **_read_files(run)}
    split = files["recipe.json"].get("data", {}).get("split")
    if not isinstance(split, dict) or not isinstance(split.get("k"), int) or split["k"] < 2:
        raise InputError(f"`recipe.json` of a cross-validation must say `data.split`. Received: {run / 'recipe.json'}.")
    first = folds[0].environment
    metrics = files["metrics.json"]
    return Result(run.path, name, files["recipe.json"], {}, first, files["timing.json"], metrics, {}, None, folds)


def _read_single(run, name) -> Result:
    files = _read_files(run)
    splits = _read_splits(run / "splits.csv")
    test = _read_test(run, splits, files["metrics.json"]["classes"])
    parts = (files.get(file, {}) for file in ("recipe.json", *("plan.json", "environment.json", "timing.json")))
    names = [*files, "splits.csv", "predictions.csv"]
    unchecked = check_intact(run, [file for file in names if file in RECORDED])
    return Result(run.path, name, *parts, files["metrics.json"], splits, test, unchecked=tuple(unchecked))


def _read_files(run) -> dict[str, dict]:
    names = [*_REQUIRED, *(name for name in _OPTIONAL if (run / name).is_file())]
    files = {name: _read_json(run / name) for name in names}
    for name, content in files.items():
        _check_parts(run / name, content)
    _check_metrics(run / "metrics.json", files["metrics.json"])
    return files


def _read_json(path) -> dict:
    try:
        content = json.loads(read_regular(path))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"`{path.name}` of a run must be JSON in UTF-8. Received: {path}: {error}.") from error
    if not isinstance(content, dict):
        raise InputError(f"`{path.name}` of a run must hold a JSON object. Received: {path}.")
    return content


def _check_parts(path, content) -> None:
    """Refuse parts of another kind than `tlmed train` writes; missing ones are those of an older version."""
    lists = {} if path.name == "recipe.json" else _LISTS  # whose phases may be degrees
    wrong = [name for name, numbers in lists.items() if not _is_list(content.get(name, []), numbers)]
    kinds = _KINDS if path.name == "metrics.json" else {"data": dict, "name": str | None}
    wrong += [name for name, kind in kinds.items() if name in content and not isinstance(content[name], kind)]
    if wrong:
        names = ", ".join(f"`{name}`" for name in wrong)
        raise InputError(
            f"`{path.name}` of a run must be as `tlmed train` writes it. Received: {path}: another kind of {names}."
        )


def _is_list(found, numbers) -> bool:
    """Tell whether this is a list of JSON objects, in each of which some parts are numbers, null or missing."""
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        return False
    return all(item.get(key) is None or to_number(item[key]) is not None for item in found for key in numbers)


def _check_metrics(path, content) -> None:
    """Refuse what `tlmed train` would not write: every number below is shown as it stands there."""
    classes, metrics = content.get("classes"), content.get("metrics")
    sound = (
        isinstance(classes, list)
        and all(isinstance(name, str) for name in classes)
        and isinstance(metrics, dict)
        and {"auc", "accuracy"} <= set(metrics)
        and all(map(_is_entry, metrics.values()))
        and _is_without_leaks(content.get("without_leaks"))
    )
    if not sound:
        rule = "`metrics.json` of a run must hold `classes` and `metrics`, each with `value`, `low` and `high`"
        raise InputError(f"{rule}. Received: {path}.")


def _is_without_leaks(found) -> bool:
    if found is None:
        return True
    counted = all(to_number(found.get(name)) is not None for name in ("leaked", "n"))
    metrics = found.get("metrics")
    return counted and isinstance(metrics, dict) and all(map(_is_entry, metrics.values()))


def _is_entry(entry) -> bool:
    if not isinstance(entry, dict) or not set(entry) >= _PARTS:
        return False
    if not all(isinstance(entry.get(part) or "", str) for part in ("reason", "note")):
        return False
    return all(entry[part] is None or to_number(entry[part]) is not None for part in _PARTS)


def _read_splits(path) -> dict[str, dict[str, str]]:
    try:
        rows = whole_files.read_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"`splits.csv` of a run must be a CSV file in UTF-8. Received: {path}: {error}.") from error
    if not rows or any(row.get(column) is None for row in rows for column in _COLUMNS):
        columns = ", ".join(_COLUMNS)
        raise InputError(f"`splits.csv` of a run must have the columns {columns} in every row. Received: {path}.")
    if twice := [name for name, count in Counter(row["path"] for row in rows).items() if count > 1]:
        raise InputError(f"`splits.csv` of a run must name each image once. Received: {path}: {twice[0]!r} twice.")
    return {row["path"]: row for row in rows}


def _read_test(run, splits, classes) -> Predictions:
    """Return the predictions of the test images, which must be those of `splits.csv`, with their labels."""
    path = run / "predictions.csv"
    test = read_predictions(path).of("test")
    if list(test.classes) != classes:
        raise InputError(
            f"`predictions.csv` must have the classes of `metrics.json`: {', '.join(classes)}. "
            f"Received: {path}: {', '.join(test.classes)}."
        )
    predicted = {name: test.classes[label] for name, label in zip(test.paths, test.labels, strict=True)}
    expected = {name: row["label"] for name, row in splits.items() if row["split"] == "test"}
    if wrong := sorted(name for name in {**expected, **predicted} if expected.get(name) != predicted.get(name)):
        raise InputError(
            "`predictions.csv` must hold the test images of `splits.csv`, with their labels. "
            f"Received: {path}: other than there: {listed(wrong, 3)}."
        )
    if not predicted:
        raise InputError(f"A run must have test images to be compared. Received: {run.path}.")
    return test
