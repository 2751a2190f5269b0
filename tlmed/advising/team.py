"""Processes that train what is tried, so that memory comes back and one that crashes does not end the advice."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tlmed.advising.trials import is_complete
from tlmed.errors import RunFailed
from tlmed.failures import NO_ROOM
from tlmed.recipe import Cell
from tlmed.screen import Bar, Screen
from tlmed.studies.cell_forecasts import Forecasts, forecast_all
from tlmed.studies.jobs import COMPLETE, FAILED, STOPPED, TRAIN, may_stay, write_job
from tlmed.studies.worker_pool import Pool, choose_jobs, say_end

_TICK = 0.1  # seconds between two looks at the processes, at most
_NOTE_SECONDS = 5.0  # between two notes of the time: if all is killed, no more of it is lost
_GRACE = 60.0  # seconds in which a run that is asked to stop may save
LATE = "the budget was spent before it ended"


@dataclass
class Team:
    """The processes of an advice.

    Attributes:
        logs: Where their logs go.
        skip_bad: Leave out images that cannot be read.
        screen: Shows how far they are.
        jobs: How many runs are trained at a time, at most; None: as many as fit.
        note: Called every few seconds, to write down how long the work has taken.
        forecasts: How long runs take.
        pool: The processes that stand ready; None: none.
    """

    logs: Path
    skip_bad: bool
    screen: Screen
    jobs: int | None = None
    note: Callable[[], None] = lambda: None
    forecasts: Forecasts = field(default_factory=Forecasts)
    pool: Pool | None = None

    def close(self) -> None:
        """Ask the processes to stop; runs that are not complete save what they have."""
        if self.pool is not None:
            self.pool.end(_GRACE)
            self.pool = None

    def open(self, together: int) -> Pool:
        """Return processes for so many runs at a time; those that stand ready, if they are as many.

        Args:
            together: How many runs may be trained at a time. One alone has all cores.
        """
        jobs = max(1, min(together, choose_jobs(self.jobs, psutil.virtual_memory().available)))
        if self.pool is not None and len(self.pool.cores) != jobs:
            self.close()
        if self.pool is None:
            self.pool = Pool(jobs, self.logs)
        return self.pool

    def warm(self, together: int) -> None:
        """Start the processes for so many runs at a time: they load TensorFlow while the images are looked at."""
        self.open(together).find_idle(together)

    def expect(self, cells: Sequence[Cell], together: int = 1) -> tuple[float, str]:
        """Return about how many seconds some runs of one configuration take, one after another; or 0 and a fault.

        Args:
            cells: They differ in their folds or draws alone.
            together: For how many at a time processes are started, where none stands ready.
        """
        first = cells[0]
        if first.configuration not in self.forecasts.expected and first.configuration not in self.forecasts.taken:
            ready = self.pool or self.open(together)  # to start others would take longer than the forecast
            found = forecast_all(ready, [first], self.skip_bad, self.screen)
            if first.configuration in found.faults:
                return 0.0, found.faults[first.configuration]
            self.forecasts.expected |= found.expected
        return self.forecasts.expect_alike(cells), ""


def train_cells(
    team: Team, cells: Sequence[Cell], folder: Path, deadline: float, together: int = 1, report: bool = False
) -> str:
    """Train runs that are not complete; return "" or why one could not be trained.

    Args:
        team: The processes.
        cells: The runs.
        folder: Where they go.
        deadline: As `time.monotonic` gives it: what runs then is stopped.
        together: How many may be trained at a time.
        report: Write the pages of the runs, which takes about a second for each.

    Raises:
        RunFailed: If the disk is full.
    """
    left = [cell for cell in cells if not is_complete(folder / cell.name)]
    if not left:
        return ""
    pool = team.open(min(together, len(left)))
    running: dict[str, Cell] = {}
    noted = time.monotonic()
    with team.screen.wait(Bar(cells[0].title, total=len(cells), done=len(cells) - len(left))) as bar:
        try:
            while left or running:
                for cell, answer in _hear(pool):
                    del running[cell.name]
                    if answer["state"] != COMPLETE:
                        return _refuse_full_disk(answer["reason"])
                    bar.move(bar.done + 1)
                while left and (worker := pool.find_idle(len(left))) is not None:
                    cell = left.pop(0)
                    running[cell.name] = cell
                    worker.give(cell, write_job(TRAIN, cell, folder, team.skip_bad, report))
                if time.monotonic() - noted > _NOTE_SECONDS:
                    team.note()
                    noted = time.monotonic()
                if time.monotonic() > deadline:
                    return LATE
                bar.move(bar.done)
                pool.wait(_TICK)
        finally:
            if running:  # also where the advice is asked to stop: they save what they have
                team.close()
    return ""


def _refuse_full_disk(reason) -> str:
    """Return why a run could not be trained; that the disk is full says nothing of what was tried, and decides nothing.

    Raises:
        RunFailed: If the disk is full.
    """
    if NO_ROOM in reason:
        raise RunFailed(f"{reason.rstrip('.')}. The advice goes on with the same command.")
    return reason


def _hear(pool) -> list[tuple[Cell, dict]]:
    heard = []
    for worker, answer in pool.listen():
        cell = worker.job
        if cell is None:
            raise RunFailed(f"A process that trains must start. Received: {say_end(worker)}.")
        if answer is None:
            answer = {"state": FAILED, "reason": say_end(worker)}
        elif answer["state"] != STOPPED:
            pool.release(worker, may_stay(cell, answer["state"], pool.has_gpu))
        heard.append((cell, {"reason": "it was stopped", **answer}))
    return heard
