"""What a process knows while it works on a study, and what it was asked for."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlmed.recipe import Cell
from tlmed.studies.cell_forecasts import Forecasts
from tlmed.studies.jobs import name_features
from tlmed.studies.ledger import Entry, Ledger
from tlmed.studies.worker_pool import Pool

_ASK_SECONDS = 1.0  # between two questions to the ledger, where nothing has changed here


@dataclass(frozen=True)
class Order:
    """What a command asks for besides the study.

    Attributes:
        folder: The directory of the study.
        jobs: How many cells are trained at a time on this machine; None: as many as fit.
        budget: Seconds after which no cell begins, or would end; None: no limit.
        storage: The address of a database; None: a file in the directory.
        skip_bad: Leave out images that cannot be read.
        begin: When the command began, as `time.monotonic` gives it: the budget counts from here.
    """

    folder: Path
    jobs: int | None = None
    budget: float | None = None
    storage: str | None = None
    skip_bad: bool = False
    begin: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Reserve:
    """What a cell that is judged by validation images leaves of the budget, in seconds.

    Attributes:
        later: For the searches of later folds.
        winner: For training what may win by now.
        waves: How many trainings would follow one another if the candidate of the cell won.
    """

    later: float = 0.0
    winner: float = 0.0
    waves: int = 0

    def keep(self, expected: float = 0.0) -> float:
        """Return the seconds that a cell leaves which takes so many itself.

        >>> Reserve(later=100.0, winner=20.0, waves=2).keep(30.0)
        160.0
        """
        return self.later + max(self.winner, self.waves * expected)


@dataclass
class Crew:
    """What this process knows while it works on a study.

    Attributes:
        cells: The cells by name.
        ledger: Who works on which.
        pool: The processes of this machine.
        order: What was asked for.
        directory: The identifier of the directory of the study.
        earlier: Complete cells of a search that trained a candidate which another has beaten since.
        running: The trial of each cell that is trained here, by the cell's name.
        warm: What features are in the store for certain, as `name_features` names them.
        forecasts: How long cells will take.
        entries: What the ledger said when it was last asked.
        asked: When that was.
        extend: Enters further cells, as a search finds them, and tells whether more may come; None: all are there.
        refused: The names of cells for which the budget has no time, whatever they take.
        reserves: What cells that are judged by validation images leave of the budget, by their fold.
    """

    cells: dict[str, Cell]
    ledger: Ledger
    pool: Pool
    order: Order
    directory: str
    earlier: dict[str, Cell] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    warm: set[tuple] = field(default_factory=set)
    forecasts: Forecasts = field(default_factory=Forecasts)
    entries: dict[str, Entry] = field(default_factory=dict)
    asked: float = -_ASK_SECONDS
    extend: Callable[["Crew"], bool] | None = None
    refused: set[str] = field(default_factory=set)
    reserves: dict[int | None, Reserve] = field(default_factory=dict)

    def ask(self, at_once: bool = False) -> None:
        """Ask the ledger what others have done, if that was some time ago: a database may be far away."""
        if at_once or time.monotonic() - self.asked >= _ASK_SECONDS:
            self.entries, self.asked = self.ledger.read(), time.monotonic()

    def add(self, cells: Sequence[Cell], again: bool = False) -> None:
        """Enter further cells.

        Args:
            cells: The cells; those that are there already stay as they are.
            again: Whether those that failed are entered once more.
        """
        new = [cell for cell in cells if cell.name not in self.cells]
        if new:
            self.cells |= {cell.name: cell for cell in new}
            self.ledger.enter([cell.name for cell in new], again)
            self.ask(at_once=True)

    def list_earlier(self) -> list[Cell]:
        """Return the cells of earlier winners of a search, which are no part of it any more."""
        return [cell for name, cell in self.earlier.items() if name not in self.cells]

    def list_states(self) -> dict[str, str]:
        """Return the state of each cell."""
        return {name: self.entries[name].state if name in self.entries else "waiting" for name in self.cells}

    def count_waiting(self) -> int:
        """Return how many cells wait that this process would train now."""
        return sum(state == "waiting" and self.accepts(name) for name, state in self.list_states().items())

    def accepts(self, name: str) -> bool:
        """Tell whether a cell may begin now: it is of this study, and time must do."""
        cell = self.cells.get(name)
        if cell is None or name in self.refused:
            return False
        # The winner of a search is trained even if forecasts were too low: without it, all before was for nothing.
        return (self.extend is not None and cell.draw is None) or self.has_time_for(cell)

    def has_time_for(self, cell: Cell) -> bool:
        """Tell whether the budget has the time of a cell, and of what it must leave."""
        if self.order.budget is None:
            return True
        expected = self.forecasts.expect(cell)
        return expected + self.reserves.get(cell.fold, Reserve()).keep(expected) <= self.left

    def prefers(self, name: str) -> bool:
        """Tell whether a cell may begin now, and would not wait for features that another cell may compute."""
        if not self.accepts(name):
            return False
        features = name_features(self.cells[name])
        computed = {name_features(self.cells[other]) for other in self.running}
        return features is None or features in self.warm or features not in computed

    @property
    def left(self) -> float:
        """Return the seconds that are left of the budget."""
        return self.order.budget - (time.monotonic() - self.order.begin)
