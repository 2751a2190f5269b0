"""Graphs of the networks that are served: kept ones, and others that a process of its own converts.

That process alone loads TensorFlow, which takes seconds; the one that serves does other work meanwhile.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tlmed.errors import InputError, RunFailed
from tlmed.graph_runs import CannotConvert
from tlmed.launch import start_leashed
from tlmed.run_files import RECIPE_JSON
from tlmed.rundir import RunDir
from tlmed.serving.graph_engines import AUTO, KERAS, GraphEngine, choose_engine, load_graph
from tlmed.serving.kept_graphs import Shelf, open_shelf

# Looking for garbage takes a sixth of its time.
_PROGRAM = "import gc; gc.disable(); from tlmed.serving.converting import main; main()"
Fits = Callable[[GraphEngine], bool]


@dataclass(eq=False)
class Preparation:
    """What makes the networks of a run ready.

    Attributes:
        engine: Which runs them, of `tlmed.serving.graph_engines.ENGINES`, and not "auto".
        falls_back: Whether Keras runs a network that the engine cannot run.
        warn: Is told what is wrong with the cache.
    """

    engine: str
    falls_back: bool
    warn: Callable[[str], None]
    _shelves: dict[str, Shelf] = field(default_factory=dict)
    _waited: list[str] = field(default_factory=list)  # the runs that the process converts, in order
    _process: subprocess.Popen | None = None

    def begin(self, runs: Sequence[RunDir]) -> None:
        """Look for the graphs of some runs, and begin to convert the networks of those that have none."""
        missing = []
        for run in runs:
            with contextlib.suppress(OSError):  # a run without its network is refused when it is opened
                shelf = self._shelves[str(run.path)] = self._open_shelf(run)
                if not shelf.found:
                    missing.append(run)
        if missing:
            self._start(missing)

    def say_begun(self) -> str:
        """Return that networks are being converted, which takes seconds; "" where none is."""
        if not self._waited:
            return ""
        what, graphs = ("network", "graph") if len(self._waited) == 1 else ("networks", "graphs")
        is_kept = all(self._shelves[path].key for path in self._waited)
        return f"Converting the {what}{f'; later starts take the kept {graphs}' if is_kept else ''}."

    def open(self, run: RunDir, fits: Fits) -> GraphEngine:
        """Return the network of a run, ready to run: from its kept graph, or from one that is converted now.

        Args:
            run: The run.
            fits: Whether what is ready has the outputs that the run needs.

        Raises:
            CannotConvert: The engine cannot run it.
            InputError: It cannot be loaded, or does not fit the run.
            RunFailed: It cannot be loaded here.
        """
        shelf = self._shelves[str(run.path)]
        for parts in shelf.found:
            with contextlib.suppress(CannotConvert):
                if fits(engine := load_graph(self.engine, parts)):
                    return engine
        if str(run.path) not in self._waited:  # what was kept is none, or of another run: converting says what is wrong
            self.end()
            self._start([run])
        self._waited.remove(str(run.path))
        words, parts = _read_answer(self._process)
        engine = load_graph(self.engine, parts)
        if list(engine.widths) != words["widths"]:  # another order of outputs would mix features up
            raise CannotConvert(f"outputs {list(engine.widths)} instead of {words['widths']}")
        if words["keeps"]:
            shelf.keep(parts)
        return engine

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.stdout.close()
            self._process.wait()
        self._process, self._waited = None, []

    def _open_shelf(self, run: RunDir) -> Shelf:
        if RECIPE_JSON.read(run).get("cache") == "off":
            return Shelf()
        return open_shelf(run, self.engine, self.warn)

    def _start(self, runs: Sequence[RunDir]) -> None:
        self._waited = [str(run.path) for run in runs]
        command = (sys.executable, "-P", "-c", _PROGRAM, self.engine, *self._waited)
        self._process = start_leashed(command, os.environ, subprocess.DEVNULL, None)


@contextlib.contextmanager
def preparing(run: RunDir, engine: str, warn: Callable[[str], None]) -> Iterator[Preparation]:
    """Begin to make the networks of a run ready; at the end of the block nothing is converted any more.

    Args:
        run: A complete run, a cross-validation or an ensemble.
        engine: Of `tlmed.serving.graph_engines.ENGINES`.
        warn: Is told what is wrong with the cache.

    Raises:
        InputError: The engine is not installed.
    """
    found = Preparation(choose_engine(engine), engine == AUTO, warn)
    try:
        if found.engine != KERAS:
            found.begin(_list_runs(run))
        yield found
    finally:
        found.end()


def _list_runs(run: RunDir) -> list[RunDir]:
    if not run.folds and not run.is_ensemble:
        return [run]
    from tlmed.members import list_members  # takes a quarter of a second

    return [member.run for member in list_members(run, ()) if member.weight > 0]


def _read_answer(process: subprocess.Popen) -> tuple[dict, tuple[bytes, ...]]:
    """Return what the process says of its next network, and its graph, once they are there.

    Raises:
        CannotConvert, InputError, RunFailed: As it says.
    """
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        raise RunFailed(
            "The network must be converted, in a process of its own, before it is served; `--engine keras` does "
            f"without. Received: its exit status {process.wait()}."
        )
    words = json.loads(line)
    if "cannot" in words:
        raise CannotConvert(words["cannot"])
    if "faults" in words:
        raise (InputError if words["exit_status"] == InputError.exit_status else RunFailed)(words["faults"])
    return words, tuple(process.stdout.read(size) for size in words["sizes"])
