"""Studies from Python, and from the command line: all cells are trained, or those that a search finds."""

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tlmed.recipe import Study
from tlmed.recipe.search_space import Space, make_space
from tlmed.screen import Screen
from tlmed.studies import Order, StudyResult, run_cells, show_plan


def sweep(
    study: Study,
    out: str | Path,
    data: str | None = None,
    *,
    jobs: int | None = None,
    budget: float | None = None,
    storage: str | None = None,
    verbose: bool = True,
) -> StudyResult:
    """Train the cells of a study, or search for the best ones, and write its tables; nothing is trained twice.

    Several processes, on this machine or on others with the same storage, share the work. A cell that fails is told
    with its reason, and the others go on; the next command that begins alone tries it again.

    Args:
        study: The study.
        out: Its directory.
        data: Where the images come from; None: as each recipe says.
        jobs: How many cells are trained at a time on this machine; None: as many as fit into cores and memory.
        budget: Seconds: a cell that would end later does not begin; None: no limit.
        storage: The address of a database that other machines reach, too; None: a file in the directory.
        verbose: Show what happens.

    Raises:
        InputError: If the study, the directory or the storage cannot be used.
        RunFailed: If the storage is lost.
        Interrupted, Terminated: If it was asked to stop; running cells have saved what they had.
    """
    order = Order(Path(out), jobs, budget, storage)
    screen = Screen(sys.stdout if verbose else io.StringIO(), waits=False)
    for sentence in study.say_kept():
        screen.say(sentence)
    return run_study(study, order, screen, data)


def run_study(
    study: Study,
    order: Order,
    screen: Screen,
    data: str | None = None,
    fixed: Sequence[str] = (),
    own: Mapping | None = None,
) -> StudyResult:
    """Do what `sweep` does, as a command asks for it.

    Args:
        study: The study.
        order: What is asked for besides it.
        screen: Where to show what happens.
        data: Where the images come from; None: as each recipe says.
        fixed: More settings of all cells, as after `--set`.
        own: More values of all cells by dotted names, which are not parsed.
    """
    if study.search is None:
        return run_cells(study.expand(data, fixed, own), order, screen)
    from tlmed.search.searching import run_search  # it loads the libraries of pages, which takes a second

    return run_search(_make_space(study, data, fixed, own), order, screen)


def plan_study(
    study: Study,
    order: Order,
    screen: Screen,
    data: str | None = None,
    fixed: Sequence[str] = (),
    own: Mapping | None = None,
) -> None:
    """Show what a study will cost; nothing is written, and nothing trained. The arguments are those of `run_study`."""
    if study.search is None:
        show_plan(study.expand(data, fixed, own), order, screen)
    else:
        from tlmed.search.searching import plan_search  # as above

        plan_search(_make_space(study, data, fixed, own), order, screen)


def _make_space(study, data, fixed, own) -> Space:
    given = {**(own or {}), **({"data.source": data} if data is not None else {})}
    return make_space(study, fixed, given)
