"""What a terminal shows while a study is trained."""

import contextlib

from tlmed.run_files.study_files import RUNS
from tlmed.rundir import RunDir
from tlmed.screen import Bar, Screen
from tlmed.status import say_progress
from tlmed.studies.crew import Crew


class Bars:
    """The bars of a study on a terminal: all cells, and each one that is trained here."""

    def __init__(self, stack: contextlib.ExitStack, screen: Screen, crew: Crew):
        self.stack, self.screen, self.crew = stack, screen, crew
        self.whole = stack.enter_context(screen.wait(Bar("Cells", total=len(crew.cells))))
        self.of_cells: dict[str, tuple[contextlib.ExitStack, Bar]] = {}

    def move(self) -> None:
        """Show how far all is; nothing without a terminal."""
        if self.screen.console is None:
            return
        states = self.crew.list_states().values()
        self.whole.total = len(self.crew.cells)
        self.whole.move(sum(state in ("complete", "failed") for state in states))
        for name in self.of_cells.keys() - self.crew.running.keys():
            self.of_cells.pop(name)[0].close()
        for name in self.crew.running:
            if name not in self.of_cells:
                inner = self.stack.enter_context(contextlib.ExitStack())
                self.of_cells[name] = inner, inner.enter_context(self.screen.wait(Bar(name)))
            said = say_progress(RunDir(self.crew.order.folder / RUNS / name))
            self.of_cells[name][1].label = f"{name}: {said}" if said else name
