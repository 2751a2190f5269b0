"""Train the cells of a study: enter them, share them with others who work on it, watch, and write down what comes."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tlmed.errors import InputError, Interrupted, RunFailed, Terminated, TlmedError
from tlmed.metrics.names import name_inline
from tlmed.recipe import Cell
from tlmed.run_files.owner_files import BEAT_SECONDS
from tlmed.run_files.study_files import (
    CELL_STATES,
    EARLIER,
    RUNS,
    find_missing,
    has_begun,
    is_study,
    read_cells,
    write_cells,
    write_scores,
)
from tlmed.rundir import RunDir
from tlmed.screen import Screen
from tlmed.status import describe_seconds
from tlmed.studies.cell_forecasts import describe_forecasts, forecast_all, forecast_apart
from tlmed.studies.cell_results import find_score, list_varied, read_result, to_cell_row, to_score_rows
from tlmed.studies.crew import Crew, Order
from tlmed.studies.directory import discard, one_at_a_time, open_directory
from tlmed.studies.impossible_cells import check_backbones, refuse_impossible
from tlmed.studies.jobs import COMPLETE, FAILED, STOPPED, TRAIN, may_stay, name_features, write_job
from tlmed.studies.ledger import Entry, Ledger
from tlmed.studies.lost_runs import note_place, renew_lost, say_place
from tlmed.studies.source_look import tell_images
from tlmed.studies.study_bars import Bars
from tlmed.studies.worker_pool import Pool, choose_jobs, say_end
from tlmed.words import count, listed

LOGS = "logs"
_TICK = 0.1  # seconds between two looks at the processes, at most
_WRITE_SECONDS = 2.0  # between two writings of the tables, at least
_GRACE = 60.0  # seconds in which a cell that is asked to stop may save
_NAMED = 3  # cells that a sentence names; it counts the others
_LEAST_FREE = 2**30  # bytes of memory without which no further cell begins


@dataclass(frozen=True)
class StudyResult:
    """A study as it is now.

    Attributes:
        path: Its directory.
        states: How many cells are "complete", "failed", "running" and "waiting".
    """

    path: Path
    states: Mapping[str, int]


def run_cells(cells: Sequence[Cell], order: Order, screen: Screen) -> StudyResult:
    """Train the cells of a study, and write its tables; what is complete is not trained again.

    Several processes, on this machine or on others with the same storage, share the work. A cell that fails is told
    with its reason, and the others go on; the next command that begins alone tries it again.

    Args:
        cells: As `Study.expand` returns them.
        order: What else is asked for.
        screen: Where to show what happens.

    Raises:
        InputError: If the directory or the storage cannot be used.
        RunFailed: If the storage is lost.
        Interrupted, Terminated: If it was asked to stop; running cells have saved what they had.
    """
    check_backbones(cells)
    about = {"data": cells[0].recipe.data.source, "varied": list_varied(cells)}
    with open_crew(cells, order, about) as crew:
        crew.ledger.enter([cell.name for cell in cells], again=crew.ledger.is_alone())
        if lost := renew_lost(crew.ledger, cells, order.folder, crew.directory):
            amount = count(len(lost), "complete cell")
            screen.warn(f"The runs of {amount} are gone; these are trained again: {listed(lost, _NAMED)}")
        refuse_impossible(crew.ledger, cells, screen)
        jobs = count(len(crew.pool.cores), "job")
        screen.say(f"Study: {count(len(cells), 'cell')}, {jobs} at a time. Directory: {order.folder}")
        crew.ask(at_once=True)
        if waiting := [cell for cell in cells if crew.list_states()[cell.name] == "waiting"]:
            tell_images(crew.pool, waiting, order, screen)
        work(crew, screen)
        return _conclude(crew, screen)


@contextlib.contextmanager
def open_crew(cells: Sequence[Cell], order: Order, about: dict) -> Iterator[Crew]:
    """Open the directory and the ledger of a study for the block.

    Args:
        cells: The cells that are known.
        order: What is asked for.
        about: What `study.json` says besides the cells.

    Raises:
        InputError: If the directory or the storage cannot be used.
    """
    is_new, was_there = not is_study(order.folder), order.folder.exists()
    directory = open_directory(order.folder, cells, about)
    (order.folder / RUNS).mkdir(exist_ok=True)
    ledger, is_refused = Ledger(order.folder, order.storage, f"tlmed {order.folder.resolve().name}"), False
    try:
        pool = Pool(choose_jobs(order.jobs, psutil.virtual_memory().available), order.folder / LOGS)
        try:
            yield Crew({cell.name: cell for cell in cells}, ledger, pool, order, directory)
        finally:
            if not pool.is_ending:  # something was refused before the work began
                pool.end(_GRACE)
    except InputError:
        is_refused = is_new and ledger.is_alone() and all(each.state == "waiting" for each in ledger.read().values())
        raise
    finally:
        ledger.close()
        if is_refused:  # else the same directory would refuse the next command, if this asks for another study
            discard(order.folder, was_there)


def work(crew: Crew, screen: Screen) -> None:
    """Train cells until none is left that this process may train, and write the tables of the study."""
    try:
        _work(crew, screen)
    finally:
        crew.pool.end(_GRACE)
        crew.ask(at_once=True)
        _write_tables(crew)


def show_plan(cells: Sequence[Cell], order: Order, screen: Screen) -> None:
    """Show the cells of a study and what they will cost; nothing is written, and nothing trained.

    Args:
        cells: As `Study.expand` returns them.
        order: `folder` may hold the study already: what is complete there corrects the forecast.
        screen: Where to show it.
    """
    check_backbones(cells)
    jobs = choose_jobs(order.jobs, psutil.virtual_memory().available)
    known = read_cells(order.folder) if has_begun(order.folder) else []
    rows, gone = {row["cell"]: row for row in known}, find_missing(order.folder, known).gone
    done = {name: row["state"] == "complete" and name not in gone for name, row in rows.items()}
    found = forecast_apart(cells, jobs, order.skip_bad, screen)
    for cell in cells:
        if done.get(cell.name):
            found.note(cell, float(rows[cell.name]["seconds"]))
    screen.show(describe_forecasts(cells, done, found, jobs))


def _work(crew: Crew, screen: Screen) -> None:
    """Give jobs to processes until no cell is left that this process may train."""
    if crew.order.budget is not None and crew.extend is None:
        crew.forecasts = forecast_all(crew.pool, crew.cells.values(), crew.order.skip_bad, screen)
        _check_budget(crew)
    written = beaten = 0.0
    with contextlib.ExitStack() as stack:
        bars = Bars(stack, screen, crew)
        try:
            while True:
                crew.ask(at_once=_hear(crew, screen))
                more = crew.extend is not None and crew.extend(crew)
                _assign(crew)
                now = time.monotonic()
                if now - beaten > BEAT_SECONDS / 2:
                    _show_life(crew, screen)
                    beaten = now
                if now - written > _WRITE_SECONDS:
                    _write_tables(crew)
                    written = now
                bars.move()
                if not (more or crew.running or _is_left(crew)):
                    return
                crew.pool.wait(_TICK)
        except (Interrupted, Terminated, KeyboardInterrupt):
            _give_back(crew, screen)
            raise


def _show_life(crew: Crew, screen: Screen) -> None:
    """Tell others that the cells of this process are trained, and take over those of processes that have ended."""
    crew.ledger.beat()
    crew.ledger.enter(list(crew.cells), again=False)  # who gave a cell up may have ended before entering it again
    for name in crew.ledger.find_lost():
        screen.say(f"{name}: taken over from a process that has ended")
        crew.ask(at_once=True)


def _is_left(crew: Crew) -> bool:
    """Tell whether a cell waits that this process may train, or one is trained elsewhere and could be lost."""
    elsewhere = crew.order.budget is None and "running" in crew.list_states().values()
    return elsewhere or crew.count_waiting() > 0


def _assign(crew: Crew) -> None:
    """Give a cell to each idle process."""
    while (waiting := crew.count_waiting()) and (worker := crew.pool.find_idle(waiting)) is not None:
        if crew.running and psutil.virtual_memory().available < _LEAST_FREE:
            return
        # Cells that need the same features wait for the one that computes them: others go first.
        claimed = crew.ledger.claim(crew.prefers) or crew.ledger.claim(crew.accepts)
        crew.ask(at_once=True)
        if claimed is None:
            return
        trial, name = claimed
        crew.running[name] = trial
        cell = crew.cells[name]
        worker.give(cell, write_job(TRAIN, cell, crew.order.folder / RUNS, crew.order.skip_bad))


def _hear(crew: Crew, screen: Screen) -> bool:
    """Take the answers of processes; tell whether there were any."""
    for name in crew.running:
        features = name_features(crew.cells[name])
        if features is not None and features not in crew.warm and _has_begun(crew, name):
            crew.warm.add(features)
    heard = crew.pool.listen()
    for worker, answer in heard:
        cell: Cell = worker.job
        if cell is None:
            raise RunFailed(f"A process that trains cells must start. Received: {say_end(worker)}.")
        trial = crew.running.pop(cell.name)
        if answer is None:
            answer = {"state": FAILED, "reason": say_end(worker)}
        else:
            crew.pool.release(worker, may_stay(cell, answer["state"], crew.pool.has_gpu))
        _settle(crew, screen, cell, trial, answer)
    return bool(heard)


def _has_begun(crew, name) -> bool:
    """Tell whether a cell has its first features: its first phase has begun to train, or has ended."""
    run = RunDir(crew.order.folder / RUNS / name)
    return any((run / file).exists() for file in ("history.csv", "strengths.csv", "search.csv", "metrics.json"))


def _settle(crew, screen, cell, trial, answer) -> None:
    """Note what came of a cell."""
    if answer["state"] == STOPPED:
        crew.ledger.give_back(trial, cell.name)
        return
    if answer["state"] == COMPLETE:
        answer = _read_answer(crew, cell)
    if answer["state"] == FAILED:
        crew.ledger.fail(trial, answer["reason"])
        screen.warn(f"{cell.name}: {answer['reason']}")
        return
    result = answer["result"]
    if (features := name_features(cell)) is not None:
        crew.warm.add(features)
    crew.forecasts.note(cell, result["total_seconds"])
    crew.ledger.finish(trial, find_score(result), result)
    screen.say(f"{cell.name}: {_say_scores(result)}; {result['total_seconds']:.1f} s")


def _say_scores(result) -> str:
    if "validation" in result:
        return f"validation {name_inline(result['primary'])} {result['validation']:.3f}"
    scores = {name: result["metrics"][name]["value"] for name in ("auc", "accuracy") if name in result["metrics"]}
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())


def _read_answer(crew, cell) -> dict:
    """Return the result of a run that is complete, if it has the same images as the others of its fold."""
    try:
        result = read_result(RunDir(crew.order.folder / RUNS / cell.name), cell.draw)
    except TlmedError as error:
        return {"state": FAILED, "reason": " ".join(error.faults)}
    if not (_has_same(crew, "source", result["source"]) and _has_same(crew, _name_split(cell), result["images"])):
        reason = "its images, or their splits, are not those of the other cells, so that it cannot be compared"
        return {"state": FAILED, "reason": reason}
    place = note_place(crew.order.folder, crew.directory)
    return {"state": COMPLETE, "result": {**result, "run": f"{RUNS}/{cell.name}", **place}}


def _has_same(crew, key, digest) -> bool:
    """Tell whether a cell has the images that the first one had; they are noted of the first."""
    if (known := crew.ledger.facts.get(key)) is None:
        crew.ledger.note(key, digest)
    return known in (None, digest)


def _name_split(cell) -> str:
    key = f"images of fold {cell.fold}" if cell.fold is not None else "images"
    return key + (f" in draw {cell.draw}" if cell.draw is not None else "")


def _give_back(crew, screen) -> None:
    """Ask the cells that are trained here to stop, wait until they have saved, and let others go on with them."""
    screen.say(f"Stopping: {count(len(crew.running), 'cell')} will save what they have.")
    crew.pool.end(_GRACE, meanwhile=crew.ledger.beat)  # saving may take longer than others would wait
    _hear(crew, screen)
    for name, trial in crew.running.items():
        crew.ledger.give_back(trial, name)
    crew.running.clear()


def _write_tables(crew: Crew) -> None:
    """Write `cells.csv` and `study.csv` as the ledger has them now."""
    folder, cells = crew.order.folder, list(crew.cells.values())
    entries, varied = crew.entries, list_varied(cells)
    tested = [cell for cell in cells if cell.draw is None]
    complete = [(cell, entries[cell.name]) for cell in tested if _is_complete(entries.get(cell.name))]
    rows = (row for cell, entry in complete for row in to_score_rows(cell, entry))
    beaten = [_make_row(crew, cell) | {"reason": EARLIER} for cell in crew.list_earlier()]
    with one_at_a_time(folder):
        write_cells(folder, varied, [*(_make_row(crew, cell) for cell in cells), *beaten])
        write_scores(folder, list_varied(tested), rows)


def _make_row(crew, cell) -> dict[str, object]:
    entry = crew.entries.get(cell.name)
    return to_cell_row(cell, entry, say_place(entry, crew.order.folder, crew.directory))


def _is_complete(entry: Entry | None) -> bool:
    return entry is not None and entry.state == "complete"


def count_states(crew: Crew, screen: Screen) -> StudyResult:
    """Say how many cells are complete, and what the others wait for."""
    states = list(crew.list_states().values())
    counts = {state: states.count(state) for state in CELL_STATES}
    said = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    earlier = len(crew.list_earlier())
    screen.say(f"Cells: {said} of {len(states)}{f'; {earlier} more {EARLIER}' if earlier else ''}.")
    if counts["waiting"]:
        screen.say("The budget is spent; the same command goes on." if crew.order.budget else "Others are to come.")
    return StudyResult(crew.order.folder, counts)


def _conclude(crew, screen) -> StudyResult:
    """Say what came of the cells; write the page, and say what follows."""
    # Here, because it loads the libraries of pages and plots: processes begin a second sooner.
    from tlmed.study_report import analyse, conclude, read_study_scores, warn, write_study_page

    folder, result = crew.order.folder, count_states(crew, screen)
    try:
        with one_at_a_time(folder):
            analysis = analyse(read_study_scores(folder))
            page = write_study_page(folder, analysis)
    except InputError as error:
        screen.say(f"Not compared: {' '.join(error.faults)}")
    else:
        for sentence in warn(analysis.scores):
            screen.warn(sentence)
        screen.show([*conclude(analysis), f"Page: {page}; `tlmed compare {folder}` shows the table."])
    return result


def _check_budget(crew: Crew) -> None:
    least = min((each.seconds for each in crew.forecasts.expected.values()), default=0.0)
    if (needed := crew.order.budget - crew.left + least) > crew.order.budget:
        raise InputError(
            "`--budget` must be enough to begin, and for one cell. Received: "
            f"{describe_seconds(crew.order.budget)}; with the shortest cell, this takes about "
            f"{describe_seconds(needed)}."
        )
