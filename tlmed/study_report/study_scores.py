"""The scores of a study as arrays, and how single test images move them."""

import functools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.comparison.groups import list_owners
from tlmed.comparison.results import Result, read_result
from tlmed.contests import SplitImages, draw_means
from tlmed.errors import InputError
from tlmed.metrics import positive_index
from tlmed.metrics.definitions import Case, make_case
from tlmed.metrics.influences import influence_of_all
from tlmed.metrics.resampling import find_clusters
from tlmed.metrics.sample_sizes import MANY_CLASSES, count_units, note_few, say_few_moves
from tlmed.metrics.spreads import Spread, find_strata, measure_spread
from tlmed.run_files.study_files import CELL_COLUMNS, describe_missing, find_missing, read_cells, read_scores
from tlmed.rundir import RunDir
from tlmed.tasks import ORDINAL, PRIMARY, read_task

NAMED = ("recipe", "backbone", "weights")  # columns that a configuration has in each study
SIZE = "data.train_share"  # the field whose values are shares of the training images
DRAWS = 2000
_RANGES = {"auc": (0.0, 1.0), "quadratic_kappa": (-1.0, 1.0)}


@dataclass(frozen=True)
class Configuration:
    """What differs between the cells of a study besides seed and fold.

    Attributes:
        fields: The names of its columns to their values.
        seconds: Median seconds of training of its cells.
        parameters: Of its network.
        train_images: How many images trained it, the mean over its cells.
    """

    fields: Mapping[str, str]
    seconds: float
    parameters: float
    train_images: float

    @property
    def millions(self) -> float:
        """Return its parameters in millions."""
        return self.parameters / 1e6


@dataclass(frozen=True, eq=False)
class StudyScores:
    """The complete configurations of a study.

    Attributes:
        metric: The metric that decides.
        configurations: m of them, those whose cells are all complete.
        names: What each is called: the fields in which they differ.
        folds: The numbers of the folds; (0,) where the images are divided once.
        seeds: The seeds.
        values: float [m, folds, seeds].
        results: The run of each cell, by configuration, fold and seed.
        repeats: How often the images were divided into folds.
        missing: What is not complete: a name, and a reason or how many of its cells are missing.
    """

    metric: str
    configurations: tuple[Configuration, ...]
    names: tuple[str, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    values: np.ndarray
    results: tuple[tuple[tuple[Result, ...], ...], ...]
    repeats: int
    missing: tuple[tuple[str, str], ...]

    @property
    def means(self) -> np.ndarray:
        """Return the mean of each configuration over folds and seeds, float [m]."""
        return self.values.mean((1, 2))

    @property
    def has_folds(self) -> bool:
        """Tell whether the images were divided into folds."""
        return self.folds != (0,)

    @property
    def range(self) -> tuple[float, float]:
        """Return the lowest and the highest value of the metric."""
        return _RANGES[self.metric]

    @property
    def test_share(self) -> float:
        """Return the test images of a fold divided by those that train where all do: the mean over folds."""
        most = [max(_count_train(row[fold][0]) for row in self.results) for fold in range(len(self.folds))]
        tested = [len(of_fold[0].of("test")) for of_fold in self.results[0]]
        return statistics.fmean(test / train for test, train in zip(tested, most, strict=True))

    @property
    def tells_images(self) -> bool:
        """Tell whether it is known how single images move a score: not where an image may have several labels."""
        return not self.results[0][0][0].test.is_multi

    @functools.cached_property
    def draws(self) -> tuple[np.ndarray, int]:
        """Return the scores of the first fold in resamples of its test images or groups, float [m, seeds, draws].

        The score of a resample is that of all images plus how the images that it has more or less often move it, which
        is exact for means and good for areas. With it, how many images, or groups, are drawn from.
        """
        moved = self.influences[0]
        values = self.values[:, 0, :, None] + moved * moved.shape[-1]
        return draw_means(values, _find_groups(self.results[0][0][0]), DRAWS, seed=0)

    @functools.cached_property
    def influences(self) -> tuple[np.ndarray, ...]:
        """Return for each fold how each of its test images moves each score, float [m, seeds, images]."""
        return tuple(self._move_all(fold) for fold in range(len(self.folds)))

    @functools.cached_property
    def images(self) -> SplitImages:
        """Return the test images of the first fold, and whether they are enough to estimate an error."""
        first = self.results[0][0][0]
        case, owners = _make_case(first), find_clusters(_find_groups(first))
        strata = find_strata(case.labels, owners)
        # As in a run: with many classes, a few images of each are enough together.
        units = len(strata) if case.classes >= MANY_CLASSES else count_units(case, owners, None, self.metric)
        return SplitImages(strata, owners, units, say_few_moves(case, owners, self.metric))

    @property
    def few(self) -> str:
        """Say if the metric rests on few test images, or groups, in the first fold; "" if they are enough."""
        first = self.results[0][0][0]
        owners = find_clusters(_find_groups(first))
        return note_few(_make_case(first), first.test.classes, owners, None, self.metric)

    def list_entries(self, place: int) -> list[Mapping]:
        """Return the metric of each seed of a configuration in the first fold, as its run has it: with its interval."""
        return [result.metrics["metrics"][self.metric] for result in self.results[place][0]]

    def find_spreads(self, weights: np.ndarray) -> list[Spread] | None:
        """Return how the test images of each fold move a sum of configurations' means over seeds; None if not known.

        Args:
            weights: Of each configuration, float [m]: 1 for one, 1 and -1 for a difference.
        """
        if not self.tells_images:
            return None
        spreads = []
        for fold, moved in enumerate(self.influences):
            test = self.results[0][fold][0].test
            owners = find_clusters(_find_groups(self.results[0][fold][0]))
            strata = find_strata(test.labels, owners)
            spreads.append(measure_spread(np.tensordot(weights, moved.mean(1), axes=1), strata, owners))
        return spreads

    def _move_all(self, fold) -> np.ndarray:
        paths = self.results[0][fold][0].test.paths
        return np.array([[_move(result, paths, self.metric) for result in row[fold]] for row in self.results])


def read_study_scores(folder: Path) -> StudyScores:
    """Read the scores of a study.

    Args:
        folder: Its directory.

    Raises:
        InputError: If a file or the run of a complete cell is missing or cannot be read, fewer than two configurations
            are complete, or their test images differ.
    """
    cells, scores = read_cells(folder), read_scores(folder)
    if faults := describe_missing(find_missing(folder, cells)):
        rule = f"A study can be compared when the runs of its complete cells are there. Received: {folder}."
        raise InputError([rule, *faults])
    varied = [name for name in cells[0] if name not in CELL_COLUMNS] if cells else []
    by_cell: dict[str, dict[str, float]] = {}
    for row in scores:
        by_cell.setdefault(row["cell"], {})[row["metric"]] = float(row["value"])
    groups: dict[tuple, list[Mapping]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell[name] for name in (*NAMED, *varied)), []).append(cell)
    whole = {key: rows for key, rows in groups.items() if all(row["state"] == "complete" for row in rows)}
    missing = tuple((_join(key), _say_missing(rows)) for key, rows in groups.items() if key not in whole)
    if len(whole) < 2:
        raise InputError(
            "A study can be compared when all cells of two configurations are complete. "
            f"Received: {folder}, {len(whole)} of {len(groups)}."
        )
    return _gather(folder, varied, whole, by_cell, missing)


def read_one_configuration(folder: Path, name: str, cells: Sequence[str]) -> StudyScores | None:
    """Read the scores of some cells as those of one configuration; None unless all of them are complete.

    Args:
        folder: The directory of a study.
        name: What the configuration is called.
        cells: The names of its cells: one for each seed, or for each fold and seed.

    Raises:
        InputError: If a file cannot be read.
    """
    rows = [row for row in read_cells(folder) if row["cell"] in cells]
    here = [row for row in rows if row["state"] == "complete" and RunDir(folder / row["run"]).complete]
    if not cells or len(here) < len(cells):
        return None
    return _gather(folder, [], {(name, "", ""): here}, {}, ())


def _gather(folder, varied, whole, by_cell, missing) -> StudyScores:
    first = next(iter(whole.values()))
    folds = tuple(sorted({int(row["fold"] or 0) for row in first}))
    seeds = tuple(sorted({int(row["seed"]) for row in first}))
    results, metric = [], ""
    for rows in whole.values():
        place = {(int(row["fold"] or 0), int(row["seed"])): row for row in rows}
        results.append(tuple(tuple(_read(folder, place[fold, seed]) for seed in seeds) for fold in folds))
    tasks = {read_task(result.metrics) for row in results for fold in row for result in fold}
    if len(tasks) > 1:
        raise InputError(f"All cells of a study must ask one question. Received: {', '.join(sorted(tasks))}.")
    metric = PRIMARY[tasks.pop()]
    if metric == PRIMARY[ORDINAL]:
        _refuse_orders(results)
    values = np.array([[[_score(result, metric) for result in fold] for fold in row] for row in results])
    keys = list(whole)
    configurations = tuple(_describe(key, varied, row) for key, row in zip(keys, results, strict=True))
    split = results[0][0][0].recipe.get("data", {}).get("split")
    repeats = split.get("repeats", 1) if isinstance(split, Mapping) else 1
    return StudyScores(
        metric, configurations, _name_all(configurations), folds, seeds, values, tuple(results), repeats, missing
    )


def _refuse_orders(results) -> None:
    """Refuse quadratic kappas of several orders of grades; an order and its reverse have the same."""
    orders = {tuple(result.test.classes) for row in results for fold in row for result in fold}
    if len(kept := {min(order, order[::-1]) for order in orders}) > 1:
        raise InputError(
            "A study compares quadratic kappas of one order of grades: those of others are other measures. "
            f"Received: {'; '.join(', '.join(order) for order in sorted(kept))}."
        )


def _read(folder, row) -> Result:
    return read_result(RunDir(folder / row["run"]), row["cell"])


def _score(result, metric) -> float:
    value = result.metrics["metrics"][metric]["value"]
    if value is None:
        raise InputError(f"Every cell must have its {metric}. Received: {result.path}, where it could not be measured.")
    return value


def _describe(key, varied, row) -> Configuration:
    fields = dict(zip((*NAMED, *varied), key, strict=True))
    cells = [result for fold in row for result in fold]
    seconds = statistics.median(result.timing["training_seconds"] for result in cells)
    parameters = statistics.median(result.plan["parameters"] for result in cells)
    return Configuration(fields, seconds, parameters, statistics.fmean(map(_count_train, cells)))


def _count_train(result) -> int:
    return len(result.of("train"))


def _name_all(configurations: Sequence[Configuration]) -> tuple[str, ...]:
    """Name configurations by the fields in which they differ."""
    names = list(configurations[0].fields)
    differ = [name for name in names if len({each.fields[name] for each in configurations}) > 1] or names[:1]
    return tuple(
        " / ".join(each.fields[name] if name in NAMED[:2] else f"{name}={each.fields[name]}" for name in differ)
        for each in configurations
    )


def _join(key) -> str:
    return " / ".join(key)


def _say_missing(rows) -> str:
    reasons = list(dict.fromkeys(row["reason"] for row in rows if row["state"] == "failed"))
    done = sum(row["state"] == "complete" for row in rows)
    return "; ".join([f"{done} of {len(rows)} cells complete", *reasons])


def _find_groups(result: Result) -> list[str]:
    """Return the group of each test image, or of each answer; an empty text stands for one on its own."""
    owners = list_owners(result)
    return [owners.get(path, "") for path in result.test.paths]


def _make_case(result: Result) -> Case:
    test = result.test
    main = positive_index(test.classes, result.metrics.get("positive"))
    return make_case(test.labels, test.scores, test.predictions, main)


def _move(result: Result, paths: Sequence[str], metric: str) -> np.ndarray:
    """Return how each test image moves the score of a run, in the order of some paths."""
    test = result.test
    place = {path: number for number, path in enumerate(test.paths)}
    if place.keys() != set(paths):
        raise InputError(f"All cells of a fold must have the same test images. Received: others in {result.path}.")
    moved = influence_of_all(_make_case(result), metric)
    return moved[[place[path] for path in paths]]
