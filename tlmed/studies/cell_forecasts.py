"""How long the cells of a study will take: a forecast for each configuration, corrected by the cells that are done."""

import dataclasses
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlmed.expected_time import Correction, ExpectedTime, learn_correction
from tlmed.recipe import Cell
from tlmed.screen import Bar, Screen
from tlmed.status import describe_seconds
from tlmed.studies.cell_results import list_varied
from tlmed.studies.jobs import COMPLETE, FORECAST, write_job
from tlmed.studies.worker_pool import Pool, hire, say_end
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import count

PARTS = tuple(field.name for field in dataclasses.fields(ExpectedTime))
_TICK = 0.1  # seconds between two looks at the processes, at most


@dataclass
class Forecasts:
    """What is expected of cells, by their configuration.

    Attributes:
        expected: The time, as forecast from the operations of each network.
        faults: Why there is no forecast.
        taken: Seconds of the cells that are complete.
    """

    expected: dict[tuple, ExpectedTime] = field(default_factory=dict)
    faults: dict[tuple, str] = field(default_factory=dict)
    taken: dict[tuple, list[float]] = field(default_factory=dict)

    def note(self, cell: Cell, seconds: float) -> None:
        """Note how long a cell has taken."""
        self.taken.setdefault(cell.configuration, []).append(seconds)

    def expect(self, cell: Cell) -> float:
        """Return the seconds of a cell: as its like took, else as forecast, corrected; 0 where nothing is known."""
        return self.expect_alike([cell])

    def expect_alike(self, cells: Sequence[Cell]) -> float:
        """Return the seconds of cells of one configuration, one after the other, which keep features for each other."""
        key = cells[0].configuration
        if taken := self.taken.get(key):
            return statistics.median(taken) * len(cells)
        return self.correction.apply(self.expected[key], len(cells)) if key in self.expected else 0.0

    @property
    def correction(self) -> Correction:
        """Return what complete cells have shown of the forecasts.

        >>> Forecasts({("a",): ExpectedTime(work=10.0)}, taken={("a",): [20.0, 30.0]}).correction
        Correction(start=1.0, work=2.5)
        """
        return learn_correction(
            (self.expected[key], statistics.median(seconds))
            for key, seconds in self.taken.items()
            if key in self.expected
        )


def forecast_all(pool: Pool, cells: Iterable[Cell], skip_bad: bool, screen: Screen) -> Forecasts:
    """Ask the processes of a pool how long a cell of each configuration will take.

    Args:
        pool: The processes.
        cells: The cells.
        skip_bad: Leave out images that cannot be read.
        screen: Shows how far it is.
    """
    first = _find_first(cells)
    found, left = Forecasts(), list(first.values())
    with screen.wait(Bar("Forecasting", total=len(first))) as bar:
        while len(found.expected) + len(found.faults) < len(first):
            for worker, answer in pool.listen():
                cell = worker.job
                if answer is None:
                    found.faults[cell.configuration] = say_end(worker)
                else:
                    pool.release(worker, keep=True)
                    if answer["state"] == COMPLETE:
                        found.expected[cell.configuration] = ExpectedTime(*(answer[part] for part in PARTS))
                    else:  # it will fail for the same reason when it is trained
                        found.faults[cell.configuration] = answer.get("reason", "it was stopped")
                bar.move(bar.done + 1)
            while left and (worker := pool.find_idle(len(left))) is not None:
                cell = left.pop(0)
                worker.give(cell, write_job(FORECAST, cell, Path("."), skip_bad))
            pool.wait(_TICK)
    return found


def forecast_apart(cells: Iterable[Cell], jobs: int, skip_bad: bool, screen: Screen) -> Forecasts:
    """Do what `forecast_all` does, by processes that are started for it and end with it.

    Args:
        cells: The cells.
        jobs: How many processes.
        skip_bad: Leave out images that cannot be read.
        screen: Shows how far it is.
    """
    with hire(jobs) as pool:
        return forecast_all(pool, cells, skip_bad, screen)


def _find_first(cells: Iterable[Cell]) -> dict[tuple, Cell]:
    """Return the first cell of each configuration."""
    first: dict[tuple, Cell] = {}
    for cell in cells:
        first.setdefault(cell.configuration, cell)
    return first


def describe_forecasts(
    cells: Sequence[Cell], done: Mapping[str, bool], found: Forecasts, jobs: int
) -> list[str | Table]:
    """Return a table of the configurations, and what is left to do.

    Args:
        cells: The cells.
        done: Whether each is complete, by its name.
        found: The forecasts.
        jobs: How many cells are trained at a time.
    """
    of_configuration = Counter(cell.configuration for cell in cells)
    complete = Counter(cell.configuration for cell in cells if done.get(cell.name))
    rows = []
    for key, cell in _find_first(cells).items():
        fault = found.faults.get(key)
        each = "cannot be trained" if fault else describe_seconds(found.expect(cell))
        rows.append((*key, str(of_configuration[key]), str(complete[key]), each))
    table = Table(
        texts("recipe", "backbone", "weights", *list_varied(cells)) + numbers("cells", "done", "each, about"), rows
    )
    left = [cell for cell in cells if not done.get(cell.name) and cell.configuration not in found.faults]
    seconds = sum(found.expect(cell) for cell in left) / max(1, min(jobs, len(left) or 1))
    said = f"{count(len(cells), 'cell')}, {len(left)} to be trained: about {describe_seconds(seconds)}"
    corrected = ", corrected by what complete cells took" if found.taken else ""
    faults = [f"{' '.join(key)}: {reason}" for key, reason in found.faults.items()]
    return [
        table,
        "",
        f"{said} with {count(jobs, 'job')} at a time{corrected}. It may be wrong by a factor of three.",
        *faults,
    ]
