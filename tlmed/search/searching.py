"""Search a study: say what may be chosen, work, and say what came of it."""

import time

import psutil

from tlmed.errors import InputError, RunFailed
from tlmed.expected_time import ExpectedTime
from tlmed.recipe.search_space import Space, describe_space
from tlmed.run_files.study_files import is_study
from tlmed.screen import Screen
from tlmed.search.first_cells import list_beginnings, refuse_measures
from tlmed.search.proposals import RUNGS, find_winner
from tlmed.search.search_record import write_record
from tlmed.search.search_state import OuterSearch, SearchState
from tlmed.search.steps import list_reasons, step
from tlmed.search.time_left import (
    check_budget,
    count_finals,
    count_pixels,
    describe_shortage,
    estimate,
    list_starts,
    name_kind,
)
from tlmed.search.trial_book import TrialBook
from tlmed.status import describe_seconds
from tlmed.studies.cell_forecasts import forecast_all
from tlmed.studies.crew import Crew, Order
from tlmed.studies.directory import one_at_a_time
from tlmed.studies.impossible_cells import check_backbones
from tlmed.studies.lost_runs import renew_lost
from tlmed.studies.source_look import look_at_sources, refuse_taught, tell_images
from tlmed.studies.sweeping import StudyResult, count_states, open_crew, work
from tlmed.studies.worker_pool import choose_jobs, hire
from tlmed.study_report import describe_search, read_search, write_search_page, write_time
from tlmed.words import count

_WRITE_SECONDS = 2.0  # between two writings of the record, at least


def run_search(space: Space, order: Order, screen: Screen) -> StudyResult:
    """Search a study, train the winner, and write the tables; what is complete is not trained again.

    Args:
        space: What may be chosen.
        order: What else is asked for.
        screen: Where to show what happens.

    Returns:
        The states of the cells that train the winner.

    Raises:
        InputError: If the directory or the storage cannot be used, or the budget is too small.
        RunFailed: If nothing can be trained, the budget ends before anything is judged, or the storage is lost.
        Interrupted, Terminated: If it was asked to stop; running cells have saved what they had.
    """
    source = next(iter(space.recipes.values())).data.source
    check_backbones(list_starts(space))
    if not is_study(order.folder):  # what goes on was looked at when it began
        with hire(1) as pool:
            _check_sources(pool, space, screen)
    about = {"data": source, "varied": list(space.names), "search": space.to_json()}
    beginnings = list_beginnings(space)
    refuse_measures(beginnings)
    with open_crew([], order, about) as crew:
        refuse_taught(crew.pool, beginnings, order)
        state = _begin(crew, space, screen)
        for line in describe_plan(space):
            screen.say(line)
        tell_images(crew.pool, beginnings, order, screen)
        if order.budget is not None:
            _forecast(crew, state)
        crew.extend = _watch(state)
        try:
            work(crew, screen)
        finally:
            _write(crew, state)
        return _conclude(crew, state)


def plan_search(space: Space, order: Order, screen: Screen) -> None:
    """Show what may be chosen and about what a search will cost; nothing is written, and nothing trained.

    Args:
        space: What may be chosen.
        order: What else is asked for.
        screen: Where to show it.
    """
    jobs = choose_jobs(order.jobs, psutil.virtual_memory().available)
    starts = list_starts(space)
    check_backbones(starts)
    refuse_measures(list_beginnings(space))
    with hire(jobs) as pool:
        _check_sources(pool, space, screen)
        found = forecast_all(pool, starts, order.skip_bad, screen)
    costs = {name_kind(cell): found.expected.get(cell.configuration, ExpectedTime()) for cell in starts}
    cells, seconds = estimate(space, costs, jobs)
    said = [f"About {count(cells, 'training')}: {describe_seconds(seconds)} with {count(jobs, 'job')} at a time."]
    if order.budget is not None:
        said.append(f"The budget of {describe_seconds(order.budget)} ends it earlier, if that is less.")
    faults = [f"{' '.join(filter(None, key))}: {reason}" for key, reason in found.faults.items()]
    screen.show([*describe_plan(space), "", f"{' '.join(said)} It may be wrong by a factor of three.", *faults])


def _check_sources(pool, space, screen) -> None:
    """Refuse a search whose candidates all fail for what the list of their images shows, each in its first second."""
    first = {cell.title: cell.recipe for cell in reversed(list_starts(space)) if cell.title in space.recipes}
    with screen.busy("Looking at the list of images"):
        faults = look_at_sources(pool, list(first.values()))
    if all(faults):
        raise InputError(list(dict.fromkeys(fault for each in faults for fault in each)))


def _begin(crew, space, screen) -> SearchState:
    folds = space.study.list_folds()
    searched = folds if space.study.search.nested else folds[:1]
    outers = [OuterSearch(fold, TrialBook(crew.ledger, fold), space) for fold in searched]
    return SearchState(space, screen, outers, crew.ledger.is_alone())


def describe_plan(space: Space) -> list[str]:
    """Return what is searched, by what it is judged, and which images take no part: lines for a terminal."""
    study, search = space.study, space.study.search
    lines = [f"Search: up to {count(search.trials, 'candidate')}, judged by validation images alone", ""]
    lines += [f"  {said}" for said in describe_space(space)]
    lines += ["", f"Each is judged on 1, 2 and {RUNGS[-1]} draws of validation images; half of them go on each time."]
    if search.nested:
        lines.append(
            f"The whole search is done in each of {study.folds} folds, whose test images take no part in it: it costs "
            f"{study.folds} times as much."
        )
    elif study.folds:
        lines.append(
            f"Only the test images of fold 1 take no part; the winner is trained on all {study.folds} folds. "
            "`--nested` searches in each fold anew."
        )
    else:
        lines.append("The test images take no part.")
    lines.append(f"The winner is trained {count(count_finals(study), 'time')} for its test scores.")
    return lines


def _forecast(crew, state) -> None:
    starts = list_starts(state.space)
    crew.forecasts = forecast_all(crew.pool, starts, crew.order.skip_bad, state.screen)
    state.costs = {name_kind(cell): crew.forecasts.expected.get(cell.configuration, ExpectedTime()) for cell in starts}
    state.pixels = {name_kind(cell): count_pixels(cell) for cell in starts}
    state.gone = crew.order.budget - crew.left
    if not crew.forecasts.expected:
        reasons = list(dict.fromkeys(crew.forecasts.faults.values()))
        raise InputError(f"A search needs a candidate that can be trained. Received: none: {reasons[0]}.")
    crew.ask(at_once=True)
    check_budget(crew, state)
    if state.search.nested and not any(outer.book.read() for outer in state.outers):
        share = (crew.order.budget - state.gone) / len(state.outers)
        state.screen.say(f"Each fold has {describe_seconds(share)} of the budget.")


def _watch(state):
    """Return what is called in each round of the work: it takes the steps that can be taken, and writes the record."""
    written, looked = [0.0], [False]

    def extend(crew: Crew) -> bool:
        more = step(crew, state)
        if not more and not looked[0]:
            finals = [cell for cell in crew.cells.values() if cell.draw is None]
            renew_lost(crew.ledger, finals, crew.order.folder, crew.directory)  # of candidates, the score is enough
            looked[0] = True
        if time.monotonic() - written[0] > _WRITE_SECONDS:
            _write(crew, state)
            written[0] = time.monotonic()
        return more

    return extend


def _write(crew, state) -> None:
    with one_at_a_time(crew.order.folder):
        write_record(crew, state)


def _conclude(crew, state) -> StudyResult:
    """Say what came of the search, write its page, and return the states of the cells that train its winner."""
    screen, folder = state.screen, crew.order.folder
    result = count_states(crew, screen)
    with one_at_a_time(folder):
        record = read_search(folder)
        page = write_search_page(folder, record)
    screen.show([*describe_search(record, few=True), f"Page: {page}; `tlmed compare {folder}` shows the table."])
    if any(outer.is_over and find_winner(outer.tried) is None for outer in state.outers):
        enough = write_time(describe_shortage(crew, state)["enough"])
        failed = list_reasons(state.outers)
        besides = f"; what was tried failed: {failed}" if failed else ""
        raise RunFailed(
            f"A search must judge a candidate before its budget ends; `--budget {enough}` should be enough. "
            f"Received: {describe_seconds(crew.order.budget)}{besides}."
        )
    states = crew.list_states()
    finals = [states[name] for name, cell in crew.cells.items() if cell.draw is None]
    return StudyResult(result.path, {state: finals.count(state) for state in result.states})
