"""What makes an advice doubtful: a seal that does not fit, edited scores, or files that changed or are gone."""

import statistics
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from tlmed.errors import InputError
from tlmed.intact import check_intact
from tlmed.members import list_members
from tlmed.regular_files import sha256
from tlmed.run_files import METRICS_JSON
from tlmed.run_files.advice_files import (
    ADVICE_HTML,
    ADVICE_JSON,
    COMPLETE,
    ENSEMBLE,
    RECIPE_PY,
    RUN,
    STATE_JSON,
    TRIED,
    WRITTEN,
    AdviceContent,
    digest_decision,
    name_fold,
    read_decision,
    read_state,
)
from tlmed.run_files.advice_seal import find_contradictions, read_seal
from tlmed.rundir import RunDir
from tlmed.words import count, tell_apart

_PROVEN = ("predictions.csv", "metrics.json")
_NETWORK = "model.keras"
_ROUNDING = 1e-6  # of a mean over folds
_PARTS = ("value", "low", "high", "method")


def find_doubts(folder: Path, content: AdviceContent) -> list[str]:
    """Return in sentences what makes the test scores of an advice doubtful; nothing where nothing does.

    Args:
        folder: The directory of the advice.
        content: Its `advice.json`.
    """
    return [
        *_doubt_seal(folder, content.get("sealed")),
        *find_contradictions(folder),
        *_doubt_notes(folder, content),
        *_doubt_scores(folder, content.get("answer")),
    ]


def find_changes(folder: Path, content: AdviceContent) -> list[str]:
    """Return in sentences what of an advice changed or is gone, and doubts no test score.

    No network is loaded: weights are compared by the digests of a run's lock, and trials by their scores.

    Args:
        folder: The directory of the advice.
        content: Its `advice.json`.
    """
    edited = _list_edited(folder)
    if content.get("state") != COMPLETE:  # what is not finished goes on changing
        return edited
    return [
        *edited,
        *_list_state(folder),
        *_list_check(folder, content.get("gate")),
        *_list_network(folder, content["answer"]),
        *_list_trials(folder, content["steps"]),
    ]


def say_no_page(folder: Path) -> list[str]:
    """Return that a complete advice lacks its page, in a sentence; nothing where it is there."""
    if (folder / ADVICE_HTML).is_file():
        return []
    return [f"`{ADVICE_HTML}` is gone: the same command writes it anew."]


def say_edited(folder: Path, sealed: Mapping | None, is_complete: bool) -> str:
    """Return that `recipe.py` is not the one that was decided, which is no fault; "" where it is, or nothing tells.

    Args:
        folder: The directory of the advice.
        sealed: What `advice.json` says of the decision.
        is_complete: Whether the advice was finished.
    """
    file, own = folder / RECIPE_PY, f"{RUN}/{RECIPE_PY}"
    if not sealed or digest_decision(folder) != sealed["sha256"]:
        return ""
    decided = read_decision(folder).get("recipe_sha256")
    if file.is_file() and decided in (None, sha256(file)):
        return ""
    said = f"`{RECIPE_PY}` {'differs from the one that was decided' if file.is_file() else 'is gone'}"
    if not is_complete:
        return f"{said}; the advice goes on only if the one that was decided is put back."
    return f"{said}; the scores are of {f'`{own}`' if (folder / own).is_file() else 'the one that was decided'}."


def check_measured(run: RunDir, names: Collection[str] = _PROVEN) -> list[str]:
    """Refuse a run or an ensemble with files that are not as they were written.

    Args:
        run: The run; of an ensemble, its members.
        names: The files; by default predictions and metrics.

    Returns:
        A sentence if that cannot be told, because the run has no lock; otherwise an empty list.

    Raises:
        InputError: If one was edited, or is of another run.
    """
    if run.is_ensemble:
        list_members(run, names)
        return []
    return check_intact(run, names, "A run of an advice")


def _list_edited(folder) -> list[str]:
    """Return that `advice.json` is not the one whose digest was noted; an earlier version noted none."""
    file, noted = folder / ADVICE_JSON.name, read_state(folder).get("done", {}).get(WRITTEN)
    if noted is None or not file.is_file() or sha256(file) == noted:
        return []
    return [f"`{ADVICE_JSON.name}` is not as it was written: it was edited. The same command writes it anew."]


def _list_check(folder, gate: Mapping | None) -> list[str]:
    page = (gate or {}).get("page")
    return [f"`{page}` is gone, the page of the check of the data."] if page and not (folder / page).is_file() else []


def _list_state(folder) -> list[str]:
    if (folder / STATE_JSON.name).is_file():
        return []
    return [
        f"`{STATE_JSON.name}` is gone: `{ADVICE_JSON.name}` alone says when it was decided and when the test images "
        "were opened, and the same command does not go on here."
    ]


def _list_network(folder, answer) -> list[str]:
    """Return what is wrong with the network that has the scores; that its run is gone is said elsewhere."""
    run = RunDir(folder / answer["path"])
    if not run.complete:
        return []
    if answer["path"] != ENSEMBLE and not (run / _NETWORK).exists():
        return [f"`{answer['path']}/{_NETWORK}` is gone: the network that has these scores cannot be used any more."]
    try:
        check_measured(run, (_NETWORK, "recipe.json"))
    except InputError as error:
        return [f"The network may not be the one that was scored. {' '.join(error.faults)}"]
    return []


def _list_trials(folder, steps) -> list[str]:
    """Return which scores on development images are not those of the runs that they are of."""
    tried = [each for step in steps for each in step["tried"]]
    scored = [each for each in tried if each.get("score") and each["score"]["value"] is not None]
    if scored and not (folder / TRIED).is_dir():
        return [f"`{TRIED}` is gone, with the runs of {count(len(scored), 'score')} on development images."]
    named = {name_fold(each["name"], fold) for each in scored for fold in _list_folds(each["score"])}
    return [
        *(said for each in scored for said in _compare_trial(folder / TRIED, each["name"], each["score"])),
        *_list_unnamed(folder / TRIED, named),
    ]


def _list_folds(score) -> range:
    return range(1, 1 + (score.get("folds") or 1))


def _list_unnamed(folder, named) -> Iterator[str]:
    """Yield which runs that have no score of their own, such as the members of an ensemble, were edited."""
    for path in sorted(path for path in folder.glob("*") if path.name not in named):
        run = RunDir(path)
        try:
            if run.complete:
                check_measured(run)
        except InputError as error:
            yield f"`{TRIED}/{path.name}` is not as it was written. {' '.join(error.faults)}"


def _compare_trial(folder, name, score) -> Iterator[str]:
    runs = [RunDir(folder / name_fold(name, fold)) for fold in _list_folds(score)]
    if missing := sum(not run.complete for run in runs):
        are = "is" if missing == 1 else "are"
        yield f"{missing:,} of {count(len(runs), 'run')} of {name} in `{TRIED}` {are} gone or not complete."
        return
    try:
        for run in runs:
            check_measured(run)
        values = [METRICS_JSON.read(run)["metrics"][score["metric"]]["value"] for run in runs]
        found = statistics.fmean(values)
    except InputError as error:
        yield f"The score of {name} may not be the one that was measured. {' '.join(error.faults)}"
        return
    except (KeyError, TypeError):  # a metric that is missing, or not defined
        yield f"The score of {name} cannot be read from its runs in `{TRIED}`."
        return
    if abs(found - score["value"]) > _ROUNDING:
        here, there = tell_apart(found, score["value"])
        yield (
            f"The score of {name} on development images is {here} in its runs in `{TRIED}`, and was {there} when all "
            "was decided."
        )


def _doubt_seal(folder, sealed: Mapping | None) -> list[str]:
    """Return what shows that test images may have been opened before all was decided."""
    if not sealed:
        return []
    doubts, file, digest = [], sealed["file"], digest_decision(folder)
    if not digest:
        doubts.append(f"`{file}` is missing, so nothing proves what was decided before the test images were scored.")
    elif digest != sealed["sha256"]:
        doubts.append(
            f"`{file}` is not what was sealed before the test images were scored: its SHA-256 is {digest} now, and was "
            f"{sealed['sha256']}."
        )
    noted = [sealed[name] for name in ("at", "opening_began_at", "test_scored_at") if sealed.get(name)]
    times = [datetime.fromisoformat(each) for each in noted]
    if times and times[0] > min(times):
        doubts.append("The test images were opened before it was decided what to advise.")
    elif times != sorted(times):
        doubts.append("The test images were scored before their opening began, if the notes are right.")
    return doubts


def _doubt_notes(folder, content) -> list[str]:
    """Return that a complete advice says of its seal what its notes do not; those of another one go on changing."""
    noted, state = read_seal(folder), STATE_JSON.name
    if content.get("state") != COMPLETE or noted in (None, content["sealed"]):
        return []
    return [
        f"`{ADVICE_JSON.name}` and `{state}` contradict each other in what was decided, or when the test images were "
        "opened."
    ]


def _doubt_scores(folder, answer: Mapping | None) -> list[str]:
    """Return what shows that scores were edited; a run that is not there any more proves nothing."""
    run = RunDir(folder / answer["path"]) if answer else None
    if run is None or not run.complete:
        return []
    try:
        unsure = check_measured(run)
        found = METRICS_JSON.read(run)
    except InputError as error:
        return [f"The test scores may not be those that were measured. {' '.join(error.faults)}"]
    entry = found["metrics"].get(answer["metric"]) or {}
    said = (answer.get("metrics"), answer["n"], *(answer.get(part) for part in _PARTS))
    if said == (found["metrics"], found["n"], *(entry.get(part) for part in _PARTS)):
        return unsure
    return [*unsure, f"The test scores in `advice.json` are not those of `{answer['path']}/{METRICS_JSON.name}`."]
