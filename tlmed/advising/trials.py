"""What is tried: a recipe on folds of the development images, judged by images that its training has not seen."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed.advice_doubts import check_measured
from tlmed.comparison import compare
from tlmed.metrics.areas import newcombe
from tlmed.metrics.fold_means import average_folds
from tlmed.recipe import Cell, Recipe
from tlmed.run_files import METRICS_JSON, TIMING_JSON
from tlmed.run_files.advice_files import name_fold
from tlmed.rundir import RunDir, find_run
from tlmed.sections import KFold

_TO_ERRORS = 2 * 1.96  # the width of a 95 % interval in standard errors, of many images
AUC = "auc"
_LOWEST = {"quadratic_kappa": -1.0}  # of a metric; 0 of the others
_MANY_FOLDS = 5  # from which on their spread says how uncertain their mean is


@dataclass(frozen=True)
class Trial:
    """A recipe on some folds of the development images.

    Attributes:
        name: Unique in the advice; the names of its runs begin with it.
        recipe: Without the division of the development images.
        division: How these are divided.
        folds: The folds that are trained, from 1.
    """

    name: str
    recipe: Recipe
    division: KFold
    folds: tuple[int, ...]

    def list_cells(self) -> list[Cell]:
        """Return what is trained: a run for each fold, in which the test images take no part."""
        # What the same trial takes depends on its epochs, which are settled late.
        varied = {"epochs": str(sum(phase.epochs for phase in self.recipe.phases))}
        return [
            Cell(name_fold(self.name, fold), self._divide(fold), self.name, varied, self.recipe.seed, fold)
            for fold in self.folds
        ]

    def _divide(self, fold) -> Recipe:
        inner = dataclasses.replace(self.division, fold=fold)
        data = dataclasses.replace(self.recipe.data, inner=inner)
        return dataclasses.replace(self.recipe, data=data, examples=0)

    def keep(self, folds: Sequence[int]) -> "Trial":
        """Return the trial on some folds."""
        return dataclasses.replace(self, folds=tuple(folds))

    def list_runs(self, folder: Path) -> list[RunDir]:
        """Return its runs."""
        return [find_run(folder / cell.name) for cell in self.list_cells()]


@dataclass(frozen=True)
class Score:
    """How good a trial is on development images that it was not trained on.

    Attributes:
        metric: Its name in `metrics.json`.
        value: The mean over folds.
        low: Of the 95 % interval; None where there is none.
        high: Likewise.
        method: How the interval was made.
        n: How many answers it rests on.
        folds: How many folds.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    method: str
    n: int
    folds: int

    @property
    def noise(self) -> float | None:
        """Return one standard error, or a little more where the interval is that of a t; None without an interval."""
        return None if self.low is None else (self.value - self.low) * 2 / _TO_ERRORS


@dataclass(frozen=True)
class Gain:
    """How much better one trial is than another on the same images.

    Attributes:
        over: The name of the other.
        value: The difference; above 0: the trial is better. None where it could not be measured.
        noise: One standard error of it.
        folds: On how many folds it was measured: those that both had then.
    """

    over: str
    value: float | None
    noise: float | None
    folds: int = 1

    @property
    def is_measured(self) -> bool:
        """Tell whether the gain and its noise are known."""
        return self.value is not None and self.noise is not None

    @property
    def is_open(self) -> bool:
        """Tell whether more folds could turn the decision: the gain is less than two standard errors from none."""
        return self.is_measured and abs(self.value) < 2 * self.noise

    @property
    def is_real(self) -> bool:
        """Tell whether the gain is above its noise: the rule of one standard error (Breiman et al. 1984)."""
        return self.is_measured and self.value > self.noise


def is_complete(folder: Path) -> bool:
    """Tell whether a run is finished."""
    run = RunDir(folder)
    return run.exists and run.complete


def judge(trial: Trial, folder: Path, metric: str, sides: tuple[int, int] | None = None) -> Score:
    """Return the score of a trial whose runs are complete, perhaps since an earlier command.

    Args:
        trial: The trial.
        folder: Where its runs lie.
        metric: The metric.
        sides: As for `average_scores`.

    Raises:
        InputError: If scores were edited after they were measured.
    """
    runs = trial.list_runs(folder)
    for run in runs:
        check_measured(run)
    return average_scores([METRICS_JSON.read(run) for run in runs], metric, trial.division, sides)


def average_scores(
    results: Sequence[Mapping], metric: str, division: KFold, sides: tuple[int, int] | None = None
) -> Score:
    """Return the mean of a metric over folds, with its interval.

    The interval of fewer than five folds is that of the errors which their images cause, as they are independent; from
    five on it is that of the corrected resampled t (Nadeau & Bengio 2003), which counts what training varies, too. That
    of an AUC is not narrower than Newcombe's (2006), for folds that agree by luck, as where all are 1.

    Args:
        results: The content of `metrics.json` of each fold.
        metric: The metric.
        division: How the development images are divided.
        sides: How many groups, or images on their own, the rarest class has and all others have; None: not known.
    """
    repeats = max(1, -(-len(results) // division.k))  # each tests all images once
    n, entries = sum(result["n"] for result in results) // repeats, [result["metrics"][metric] for result in results]
    if len(entries) == 1:
        found = entries[0]
    elif len(entries) < _MANY_FOLDS:
        found = _average_few(entries, _LOWEST.get(metric, 0.0))
    else:
        values = [entry["value"] for entry in entries]
        bounds = (_LOWEST.get(metric, 0.0), 1.0)
        found = _widen(average_folds(values, division.test_share, bounds, repeats=repeats), metric, sides)
    method = found.get("method") or found.get("reason") or ""
    return Score(metric, found["value"], found["low"], found["high"], method, n, len(entries))


def _widen(found, metric, sides) -> dict:
    """Return an interval that is as wide as the number of images allows; none where folds agree and nothing tells."""
    if found["low"] is None:
        return found
    if metric == AUC and sides is not None and min(sides) > 0:
        low, high = newcombe(found["value"], *sides)
        if low < found["low"] or high > found["high"]:
            method = f"{found['method']}, widened to Newcombe's (2006) for {sum(sides):,} groups or images"
            return {**found, "low": min(low, found["low"]), "high": max(high, found["high"]), "method": method}
    elif found["low"] == found["high"]:
        return {**found, "low": None, "high": None, "method": "All folds agree, from which no interval follows."}
    return found


def _average_few(entries, lowest) -> dict:
    if any(entry.get("low") is None for entry in entries):
        return {"value": None, "low": None, "high": None, "reason": "It is not defined, or has no interval, in a fold."}
    mean = statistics.fmean(entry["value"] for entry in entries)
    # Each side by itself: near 1 an interval reaches further down than up (as in MOVER, Zou & Donner 2008).
    down, up = (
        math.sqrt(sum((entry[side] - entry["value"]) ** 2 for entry in entries)) / len(entries)
        for side in ("low", "high")
    )
    method = f"MOVER of {len(entries)} folds (Zou & Donner 2008), of each: {entries[0]['method']}"
    return {"value": mean, "low": max(lowest, mean - down), "high": min(1.0, mean + up), "method": method}


def measure_gain(trial: Trial, other: Trial, folder: Path, metric: str) -> Gain:
    """Return how much better a trial is than another, on the folds that both have.

    Args:
        trial: The trial.
        other: The one that it is compared with.
        folder: Where the runs of both lie.
        metric: The metric.
    """
    common = [fold for fold in trial.folds if fold in other.folds]
    pairs = zip(trial.keep(common).list_runs(folder), other.keep(common).list_runs(folder), strict=True)
    found = [compare_two(first.path, second.path, metric) for first, second in pairs]
    return join_gains(other.name, found, trial.division.test_share)


def join_gains(over: str, differences: Sequence[dict], test_share: float) -> Gain:
    """Return the mean of differences on several folds, with its standard error.

    Folds have no image in common, so that the errors which their images cause add up like those of independent means.
    What training varies is not in them: the standard error of the corrected resampled t (Nadeau & Bengio 2003), from
    the spread of the folds, counts where it is larger. That of fewer than five folds says too little to count alone.

    Args:
        over: The name of what is compared with.
        differences: Of each fold, as `compare_two` returns them.
        test_share: Test images of a fold divided by those that trained.

    >>> join_gains("a", [{"value": 0.1, "low": 0.1 - 0.0392, "high": 0.1 + 0.0392}] * 4, 0.25).noise.__round__(4)
    0.01
    """
    gains = [to_gain(over, each) for each in differences]
    values, noises = [gain.value for gain in gains], [gain.noise for gain in gains]
    if None in values:
        return Gain(over, None, None, len(gains))
    known = []
    if None not in noises:
        known.append(math.hypot(*noises) / len(gains))
    # Two folds have one degree of freedom, but as the larger of two their spread can do no harm except to hide a gain:
    # `benchmarks/advice_noise.py` counts how often. From five on it counts where no fold has an interval, too.
    if len(gains) >= _MANY_FOLDS or (known and len(gains) > 1):
        known.append(statistics.stdev(values) * math.sqrt(1 / len(gains) + test_share))
    return Gain(over, statistics.fmean(values), max(known, default=None), len(gains))


def compare_two(first: Path, second: Path, metric: str) -> dict:
    """Return how far the metric of a run lies above that of another, with its 95 % interval."""
    return compare([first, second]).difference(0, 1, metric)


def to_gain(over: str, difference: dict) -> Gain:
    """Return a difference of two runs as a gain with its standard error.

    The statistic of a t test is the difference divided by it. The interval of few patients is far wider than 3.92
    standard errors: it is that of a t of few degrees of freedom, and cut at -1 and 1. McNemar's chi-squared is another
    statistic; there the interval tells.

    >>> to_gain("a", {"value": -0.1, "low": -1.0, "high": 1.0, "statistic": -2.5}).noise
    0.04
    """
    value, low, high = (difference.get(part) for part in ("value", "low", "high"))
    if value == 0 and low is None:  # the two differ in no image
        return Gain(over, 0.0, 0.0)
    if value and difference.get("statistic") and "first_only" not in difference:
        return Gain(over, value, value / difference["statistic"])
    return Gain(over, value, None if low is None or high is None else (high - low) / _TO_ERRORS)


def read_seconds(folder: Path, cell: Cell) -> float:
    """Return how long a complete run took."""
    return TIMING_JSON.read(RunDir(folder / cell.name))["total_seconds"]


def find_pace(folder: Path, cells: Sequence[Cell], spent: float) -> float:
    """Return the share of the seconds of some runs that the clock counted: 1 for one at a time, less for several."""
    return min(1.0, spent / sum(read_seconds(folder, cell) for cell in cells))


def count_seconds(trial: Trial, folder: Path) -> float:
    """Return how long the runs of a trial took, together."""
    return sum(TIMING_JSON.read(run)["total_seconds"] for run in trial.list_runs(folder))
