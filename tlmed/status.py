"""Tell how far a run is, from its directory, while another process trains."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tlmed.advice_doubts import find_changes, find_doubts, say_edited, say_no_page
from tlmed.errors import InputError
from tlmed.regular_files import read_regular
from tlmed.run_files import HISTORY_CSV, RECIPE_JSON, STATUS_JSON
from tlmed.run_files.advice_files import TRIED, is_complete_advice, read_advice_json, read_state
from tlmed.run_files.advice_scores import count_test, find_without_copies
from tlmed.run_files.advice_seal import read_seal, say_opening
from tlmed.run_files.owner_files import GRACE_SECONDS, find_age, read_owners
from tlmed.run_files.search_files import is_finished, is_search, read_candidates, read_search_json
from tlmed.run_files.study_files import (
    CELL_STATES,
    EARLIER,
    describe_missing,
    find_missing,
    has_begun,
    read_cells,
    say_begun,
)
from tlmed.rundir import WORKER, RunDir
from tlmed.sealed import DamagedFile, read_facts
from tlmed.words import count

_RUNNING, _COMPLETE = "running", "complete"  # states of a cell
_STOPPED = "stopped"  # is in no table: the process of the cell has ended


def describe_status(run: RunDir) -> list[str]:
    """Return in a few lines whether a run is training, stopped or complete, and how far it is."""
    if run.complete:
        return [f"{run.path}: complete{f', {len(run.folds)} folds' if run.folds else ''}."]
    state = "running." if run.is_running else "stopped; the same `tlmed train` command continues it."
    return [f"{run.path}: {state}", _read_words(run), *(_describe_folds(run) or _describe_step(run))]


def say_progress(run: RunDir) -> str:
    """Return where a running run is in a few words; "" before its first phase."""
    try:
        now = STATUS_JSON.read(run) if (run / STATUS_JSON.name).exists() else None
    except InputError:
        return ""
    return f"{now['phase']}, epoch {now['epoch']} of {now['epochs']}" if now else ""


def find_runs(folder: Path) -> list[RunDir]:
    """Return the runs that lie in a folder, by name; folds belong to their cross-validation."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith(WORKER))
    except OSError:
        return []
    return [run for path in paths if (run := RunDir(path)).exists]


def describe_study(folder: Path) -> list[str]:
    """Return how many cells of a study are complete, which failed and why, and how far the running ones are.

    A cell whose process has ended counts as stopped, whatever the table says that this process wrote.
    """
    if not has_begun(folder):
        return [say_begun(folder)]
    rows, owners = read_cells(folder), read_owners(folder)
    age = find_age(folder, owners)
    places = {row["cell"]: _say_place(folder, row, owners, age) for row in rows if row["state"] == _RUNNING}
    counts = Counter(_find_state(row, places) for row in rows)
    said = ", ".join(f"{counts[state]} {state}" for state in (*CELL_STATES, _STOPPED) if counts[state])
    earlier = sum(row["reason"] == EARLIER for row in rows)
    more = f" ({earlier} {EARLIER})" if earlier else ""
    lines = [f"{folder}: a study of {count(len(rows), 'cell')}: {said}{more}."]
    lines += _describe_candidates(folder) if is_search(folder) else []
    lines += [f"{row['cell']}: failed: {row['reason']}" for row in rows if row["state"] == "failed"]
    lines += [f"{name}: {said}" for name, said in places.items()]
    lines += _say_signs(owners, age) if places or counts["waiting"] else []
    return [*lines, *describe_missing(find_missing(folder, rows))]


def _find_state(row, places) -> str:
    said = places.get(row["cell"], "")
    return next((state for state in (_STOPPED, _COMPLETE) if said.startswith(state)), row["state"])


def _say_place(folder, row, owners, age) -> str:
    """Return how far a cell is that was trained when the table was written, or that its process has ended."""
    owner = next((each for each in owners if row["cell"] in each.cells), None)
    if owner is None:  # a process that has no file in this directory, or an earlier version, trains it
        run = RunDir(folder / row["run"])
        if run.exists and run.complete:  # its process ended before it wrote the table
            return "complete, which the table does not say yet"
        if owners and all(each.has_ended for each in owners):
            return f"{_STOPPED}, or trained elsewhere: no process works on it here"
        if age <= GRACE_SECONDS:
            return f"{say_progress(run) or 'running'}{'' if run.is_running else ' elsewhere'}"
        return f"{_STOPPED}, or trained elsewhere: the table is {describe_seconds(age)} old"
    named = f"process {owner.process.pid} of {owner.process.host}" if owner.process else "its process"
    if not owner.has_ended:
        return f"{say_progress(RunDir(folder / row['run'])) or 'running'} ({named})"
    if owner.process is not None and owner.process.has_ended:
        return f"{_STOPPED}: {named} has ended"
    return f"{_STOPPED}: {named} has given no sign of life for {describe_seconds(owner.age)}"


def _say_signs(owners, age) -> list[str]:
    """Say how old the last sign of life is, and whether anyone works on a study that is not complete."""
    alive = sum(not owner.has_ended for owner in owners)
    if alive:
        work = "1 process works" if alive == 1 else f"{alive} processes work"
        return [f"{work} on it here. Last sign of life: {describe_seconds(age)} ago."]
    return [
        f"No process works on it here; the same `tlmed sweep` command goes on. Last sign of life: "
        f"{describe_seconds(age)} ago."
    ]


def describe_advice(folder: Path) -> list[str]:
    """Return how far an advice is: what came of it, or how long it has worked and how far what it trains is.

    What makes its scores doubtful stands first.
    """
    is_complete = is_complete_advice(folder)
    content = read_advice_json(folder) if is_complete else {"sealed": read_seal(folder)}
    doubts = [f"Warning: {doubt}" for doubt in (*find_doubts(folder, content), *find_changes(folder, content))]
    edited = list(filter(None, [say_edited(folder, content["sealed"], is_complete)]))
    if is_complete:
        said = f"complete after {describe_seconds(content['seconds'])} of work"
        doubts += [f"Warning: {missing}" for missing in say_no_page(folder)]
        return [*doubts, f"{folder}: an advice: {said}; {_say_answer(folder, content['answer'])}.", *edited]
    now = f"{describe_seconds(read_state(folder).get('seconds', 0.0))} of work"
    runs = [run for place in (folder / TRIED, folder) for run in find_runs(place)]
    said = f"{folder}: an advice: not complete, {now}. {say_opening(content['sealed'])}"
    return [*doubts, said, *edited, *list_status(runs)]


def _say_answer(folder, answer) -> str:
    """Return the score of an answer, and whether the network that has it is still there."""
    path = folder / answer["path"]
    said = f"{answer['metric']} {_say_score(answer)} on {count_test(answer)}"
    if (found := find_without_copies(answer)) is not None:
        name, entry = found
        left = answer["without_copies"]["n"]
        said += f", {name} {_say_score(entry)} on the {left:,} that repeat no development image"
    if not RunDir(path).complete:
        return f"{path} is gone or not complete, and had {said}; the same command trains it again"
    return f"{path}: {said}"


def _say_score(entry) -> str:
    return "not defined" if entry["value"] is None else f"{entry['value']:.3f}"


def _describe_candidates(folder) -> list[str]:
    """Return how many candidates of a search were tried, and the best one so far."""
    content, rows = read_search_json(folder), read_candidates(folder)
    most = content["trials"] * len(content["searches"])
    finished = ", finished" if all(map(is_finished, content["searches"])) else ""
    lines = [f"Search: {len(rows)} of {count(most, 'candidate')} tried{finished}."]
    for search in content["searches"]:
        if (winner := search["winner"]) is not None:
            fold = f" of fold {search['fold']}" if content["nested"] else ""
            title = "Winner" if is_finished(search) else "Best so far"
            lines.append(
                f"{title}{fold}: candidate {winner['candidate']} ({winner['recipe']}, {winner['backbone']}), "
                f"{search['validation']:.3f} over {count(winner['draws'], 'draw')} of validation images."
            )
    return lines


def list_status(runs: Iterable[RunDir]) -> list[str]:
    """Return a line for each of several runs: whether it is training, stopped or complete, and how far it got."""
    lines = []
    for run in runs:
        folds = f", {_count_folds(run)}" if run.folds else ""
        state = "complete" if run.complete else f"{'running' if run.is_running else 'stopped'}: {_read_words(run)}"
        lines.append(f"{run.path}: {state.rstrip('.')}{folds}.")
    return lines


def _count_folds(run) -> str:
    if run.complete:
        return count(len(run.folds), "fold")
    return f"{count(sum(fold.complete for fold in run.folds), 'fold')} complete"


def _read_words(run) -> str:
    try:
        return read_regular(run.marker).decode().strip().split(" The same command")[0]  # that advice is given above
    except (OSError, UnicodeDecodeError):
        return f"How far it got cannot be read from {run.marker}."


def _describe_folds(run) -> list[str]:
    """Return how many folds of a cross-validation are complete, and how far the others are; of another run nothing."""
    if not run.folds:
        return []
    split = RECIPE_JSON.read(run, "data.split.k", "data.split.repeats")["data"]["split"]
    complete = sum(fold.complete for fold in run.folds)
    lines = [f"{complete} of {split['k'] * split['repeats']} folds complete."]
    for fold in run.folds:
        if not fold.complete:
            lines += [f"Fold {fold.path.name}: {_read_words(fold)}", *_describe_step(fold)]
    return lines


def _describe_step(run) -> list[str]:
    return _describe_note(run) if run.is_running else _describe_saved(run)


def _describe_note(run) -> list[str]:
    """Return where a running run is, by its own note, written about once a second, and by its recorded epochs.

    A note that is older than the marker belongs to an earlier phase.
    """
    file = run / STATUS_JSON.name
    try:
        begun = run.marker.stat().st_mtime
        if not file.exists():
            return [f"Since {_show(begun)}."]
        now = STATUS_JSON.read(run)
        if now["time"] < begun:
            return [f"Since {_show(begun)}."]
        speed = f"{now['images_per_second']:.1f} images a second, validation included"
        left = f"at most {describe_seconds(now['seconds_left'])} left in this phase"
        place = f"epoch {now['epoch']} of {now['epochs']}, step {now['step']} of {now['steps']}"
        return [
            f"Phase {now['phase']!r} ({now['number']} of {now['phases']}), {place}; {speed}; {left}.",
            f"As of {_show(now['time'])}.",
            *_describe_epoch(run, now),
        ]
    except (InputError, OSError, ValueError, OverflowError):  # the last three: a time that no calendar has
        return [f"Its step cannot be read from {file}."]


def _describe_epoch(run, now) -> list[str]:
    """Return the epoch that was recorded last, if it is newer than the note."""
    history = run / HISTORY_CSV.name
    if not history.exists() or history.stat().st_mtime < now["time"]:
        return []
    rows = [row for row in HISTORY_CSV.read(run) if row["phase"] == now["phase"]]
    if not rows or int(rows[-1]["epoch"]) < now["epoch"]:
        return []
    return [f"Epoch {rows[-1]['epoch']} of {now['epochs']} ended at {_show(history.stat().st_mtime)}."]


def _show(seconds) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _describe_saved(run) -> list[str]:
    """Return the point from which a stopped run will continue, which is before the point where it ended."""
    whole = {file.stem: file for file in run.progress.glob("*.phase")}
    files = (file for file in (run.progress / "checkpoints").glob("*.checkpoint") if file.stem.isdecimal())
    for file in sorted(files, key=lambda file: int(file.stem), reverse=True):
        try:
            about = read_facts(file)
            if about["phase"] not in whole:
                return [f"Saved: phase {about['phase']!r}, after epoch {about['epoch']}, step {about['step']}."]
            break
        except (DamagedFile, FileNotFoundError, KeyError, TypeError):  # a continued run uses the one before, too
            continue
    if whole:
        last = max(whole, key=lambda name: whole[name].lstat().st_mtime_ns)
        return [f"Saved: phase {last!r}, whole."]
    return ["Saved: nothing of the phase that was training."] if (run / STATUS_JSON.name).exists() else []


def describe_seconds(seconds: float) -> str:
    """Return a time in words that are short and exact enough.

    >>> describe_seconds(42.4), describe_seconds(200), describe_seconds(7500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
