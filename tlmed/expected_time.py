"""How long a training is expected to take, in parts that other trainings share or correct each by itself."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ExpectedTime:
    """The seconds of a training, as forecast.

    Attributes:
        start: Of what every run does, whatever it trains: building, reading images that are known, scores.
        once: Of what runs that are alike share: the first of them computes and keeps features, the others read them.
        work: Of training, and of all else that depends on the recipe.
    """

    start: float = 0.0
    once: float = 0.0
    work: float = 0.0

    @property
    def seconds(self) -> float:
        """Return those of a run that shares nothing."""
        return self.start + self.once + self.work

    def scale(self, factor: float) -> "ExpectedTime":
        """Return it for so many times the pixels.

        >>> ExpectedTime(3.0, 1.0, 10.0).scale(2)
        ExpectedTime(start=3.0, once=2.0, work=20.0)
        """
        return ExpectedTime(self.start, self.once * factor, self.work * factor)


@dataclass(frozen=True)
class Correction:
    """How far forecasts were wrong, as factors.

    Attributes:
        start: Of the start.
        work: Of all else.
    """

    start: float = 1.0
    work: float = 1.0

    def apply(self, expected: ExpectedTime, runs: int = 1) -> float:
        """Return the seconds of some runs that are alike, one after the other.

        >>> Correction(0.5, 2.0).apply(ExpectedTime(4.0, 1.0, 10.0), runs=3)
        68.0
        """
        return self.start * expected.start * runs + self.work * (expected.once + expected.work * runs)


def learn_correction(pairs: Iterable[tuple[ExpectedTime, float]]) -> Correction:
    """Return what complete runs have shown of forecasts.

    Runs that are mostly start, such as probes, tell how long a start takes and little of training: a start that took
    half as long as forecast does not make trainings twice as fast. But one that took longer tells of a slow machine,
    or a busy one. What trainings took beside it tells of work.

    Args:
        pairs: What was forecast of a run, and the seconds that it took.

    >>> learn_correction([(ExpectedTime(4.0, 0.0, 1.0), 3.0)])
    Correction(start=0.5, work=1.0)
    >>> learn_correction([(ExpectedTime(4.0, 0.0, 1.0), 7.0)])
    Correction(start=1.5, work=1.5)
    >>> learn_correction([(ExpectedTime(4.0, 0.0, 1.0), 3.0), (ExpectedTime(4.0, 0.0, 10.0), 22.0)])
    Correction(start=0.5, work=2.0)
    """
    pairs = list(pairs)
    starts = [max(taken - each.work, 0.0) / each.start for each, taken in pairs if each.work <= each.start > 0]
    start = statistics.median(starts) if starts else 1.0
    works = [_compare_work(each, taken, start) for each, taken in pairs if each.work > each.start]
    return Correction(start, statistics.median(works) if works else max(1.0, start))


def _compare_work(each, taken, start) -> float:
    """Return what the work of a run took, as a part of its forecast; where it was short, of the whole forecast."""
    beside = taken - start * each.start
    return beside / each.work if beside > 0 else taken / each.seconds
