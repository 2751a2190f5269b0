"""Step 7: networks of folds answer together with the one that all development images train.

Each is trained on other images, and their mean is better than they are on average: the errors of networks that disagree
cancel out (Krogh & Vedelsby, Neural network ensembles, cross validation, and active learning, NIPS 7, 1995, 231-238).
Those of a trial are there already.
"""

import dataclasses
import time

from tlmed.advising.attempts import ENSEMBLE, PROBES, Attempt
from tlmed.advising.climbing import Choice
from tlmed.advising.team import train_cells
from tlmed.advising.trials import is_complete
from tlmed.advising.work import Work
from tlmed.plan.costs import FLOPS_PER_SECOND
from tlmed.replicas import device_class
from tlmed.run_files import BUILDING, PLAN_JSON, SPLITS_CSV, TIMING_JSON
from tlmed.run_files.advice_files import KEPT, UNTRIED
from tlmed.rundir import RunDir
from tlmed.split_names import UNUSED
from tlmed.status import describe_seconds
from tlmed.words import count

# Times that building a network takes: to load and trace the first one; to load another one, whose graph is there then.
_FIRST, _NEXT = 4, 2


def answer_together(work: Work, choice: Choice) -> Choice:
    """Let the networks of folds of what was decided answer, too, and train further ones where there is time.

    Where the answer was not tried, those of its probe answer, should its validation images keep the head alone.

    Args:
        work: The work.
        choice: What is decided for.
    """
    answer, begun, fault = choice.answer, work.diary.seconds, ""
    if answer.step != PROBES:
        fault = _train_further(work, choice)
    spent = round(work.diary.seconds - begun, 3)
    own, head = _list_complete(work, answer), [] if choice.is_tried else _list_probe(work, answer)
    joint = Attempt(ENSEMBLE, f"folds-{answer.name}", answer.network, seconds=spent or None)
    if not (own or head):
        return choice
    folds, folds_of_head = (_fit(work, choice, names) for names in (own, head))
    if not (folds or folds_of_head):
        needed = describe_seconds(_time_scores(work, (own or head)[:1]))
        reason = f"one more network would score the test images for about {needed}, and the answer needs what is left"
        joint = joint.decide(UNTRIED, reason)
        said = f"{joint.name}: {joint.decision}: {reason}."
    else:
        changes = _say_folds(folds, folds_of_head)
        reason = (
            "each was trained on a part of these images, and networks of other images are better together than they "
            "are on average (Krogh & Vedelsby 1995); the gain cannot be measured on these images, because each network "
            f"was trained on most of them{fault}"
        )
        joint = dataclasses.replace(joint, changes=changes).decide(KEPT, reason)
        said = f"{joint.name} is kept: {changes}{fault}."
    work.log.add(dataclasses.replace(joint, ended=work.diary.stamp(joint.name)))
    work.log.said[ENSEMBLE] = said
    work.screen.say(said)
    return dataclasses.replace(choice, folds=tuple(folds), folds_of_head=tuple(folds_of_head))


def _say_folds(folds, folds_of_head) -> str:
    """Say which networks answer, too.

    >>> _say_folds(["a", "b"], [])
    '2 networks of folds answer, too'
    >>> _say_folds(["a"], ["b", "c"])
    '1 network of folds answers, too, or, if the validation images keep the head alone, 2 of folds of the probe'
    """
    if not folds:
        return f"if the validation images keep the head alone, {_count(folds_of_head)} of the probe answer, too"
    other = f", or, if the validation images keep the head alone, {len(folds_of_head):,} of folds of the probe"
    return f"{_count(folds)} answer{'s' if len(folds) == 1 else ''}, too{other if folds_of_head else ''}"


def _count(folds) -> str:
    return f"{count(len(folds), 'network')} of folds"


def _list_complete(work, each: Attempt) -> list[str]:
    """Return the names of the complete runs of an attempt: of the first of several divisions."""
    cells = each.trial.keep(range(1, each.trial.division.k + 1)).list_cells()
    return [cell.name for cell in cells if is_complete(work.log.folder / cell.name)]


def _list_probe(work, answer) -> list[str]:
    """Return those of the probe of the network that answers."""
    probe = next((each for each in work.log.of(PROBES) if each.network == answer.network), None)
    return _list_complete(work, probe) if probe else []


def _fit(work, choice, names) -> list[str]:
    """Return as many of the networks as there is time to ask: the first of them gain most."""
    reserve = work.reserve(choice.answer, choice.doubt)
    while names and reserve + _time_scores(work, names) > work.left_in_doubt:
        names = names[:-1]
    return names


def _train_further(work, choice) -> str:
    """Train the answer on as many folds that could judge it as there is time for; return why one failed, or ""."""
    answer, folder = choice.answer, work.log.folder
    cells = answer.trial.keep((*work.folds, *work.further)).list_cells()
    left = [cell for cell in cells if not is_complete(folder / cell.name)]
    sample, there = _list_probe(work, answer), len(cells) - len(left)
    while left:
        expected, fault = work.team.expect(left, work.together)
        if fault:
            return ""
        asking = _time_scores(work, sample[:1] * (there + len(left)))
        if choice.doubt * expected + work.reserve(answer, choice.doubt) + asking <= work.left:
            break
        left.pop()
    if not left:
        return ""
    begun, deadline = work.diary.seconds, time.monotonic() + work.left - work.reserve(answer) - asking
    problem = train_cells(work.team, left, folder, deadline, work.together)
    done = [(cell, _read_seconds(folder / cell.name)) for cell in left if is_complete(folder / cell.name)]
    for cell, seconds in done:
        pace = min(1.0, (work.diary.seconds - begun) / sum(taken for _, taken in done))
        work.team.forecasts.note(cell, pace * seconds)
    return f"; {count(len(left) - len(done), 'further fold')} could not be trained: {problem}" if problem else ""


def _read_seconds(run) -> float:
    return TIMING_JSON.read(RunDir(run))["total_seconds"]


def _time_scores(work, names: list[str]) -> float:
    """Return about how many seconds some networks take to score the test images; all are like the first."""
    if not names:
        return 0.0
    run = RunDir(work.log.folder / names[0])
    stages = {stage["name"]: stage["seconds"] for stage in TIMING_JSON.read(run)["stages"]}
    tested = sum(row["split"] == UNUSED for row in SPLITS_CSV.read(run))
    whole = int(PLAN_JSON.read(run)["phases"][0]["cache"]["flops"])  # of a head: all but its own few
    loading = stages.get(BUILDING, 0.0) * (_FIRST + _NEXT * (len(names) - 1))
    return loading + len(names) * tested * whole / FLOPS_PER_SECOND[device_class()]
