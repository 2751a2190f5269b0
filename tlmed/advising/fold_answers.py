"""Step 7: networks of folds answer together with the one that all development images train.

Each is trained on other images, and their mean is better than one of them: the errors of networks that disagree cancel
out (Krogh & Vedelsby, Neural network ensembles, cross validation, and active learning, NIPS 1994, 7:231-238). Those of
a trial are there already. The images that judged a network choose the threshold, too: no layer was trained on them.
"""

import dataclasses
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tlmed.advising.attempts import ENSEMBLE, PROBES, Attempt
from tlmed.advising.climbing import Choice
from tlmed.advising.team import LATE, train_cells
from tlmed.advising.trials import is_complete
from tlmed.advising.work import DOUBT, Work, say_late
from tlmed.ensembles import gather_runs, make_ensemble, score_put_aside, write_ensemble
from tlmed.run_files import BUILDING, LOOKING, SPLITS_CSV, TIMING_JSON
from tlmed.run_files.advice_files import KEPT, UNTRIED
from tlmed.rundir import RunDir
from tlmed.split_names import LEARNED, UNUSED
from tlmed.words import count

_FIRST = 4  # times that a network takes to be built: to load one and to trace it; the next of its kind have its graph


def answer_together(work: Work, choice: Choice) -> Choice:
    """Let the networks of folds of what was decided answer, too, and train further ones where there is time.

    Where no fold of the answer was trained, those of its probe answer, should the validation images keep its head.

    Args:
        work: The work.
        choice: What is decided for.
    """
    answer = choice.answer
    if answer.step != PROBES:
        _train_further(work, choice)
    own, probe = _list_complete(work, answer), _find_probe(work, answer)
    names = own or (_list_complete(work, probe) if probe else [])
    if not names:
        return choice
    networks, head = count(len(names), "network"), "" if own else ", should its head be kept"
    each = Attempt(ENSEMBLE, f"folds-{answer.name}", answer.network, f"{networks} of folds answer, too{head}")
    needed = _reserve(work, choice) + _time_scores(work.log.folder, names)
    if needed > work.left_in_doubt:
        each = work.log.add(each.decide(UNTRIED, say_late(needed, work.left)))
        return _say(work, choice, f"{each.name}: {each.decision}: {each.reason}")
    condition = "" if own else " If the validation images of the answer keep its head, they are of its kind."
    reason = (
        "each was trained on a part of these images, and such networks together are better than one (Krogh & Vedelsby "
        f"1995); how much, these images cannot say, because most of them taught each.{condition}"
    )
    each = work.log.add(each.decide(KEPT, reason))
    kept = dataclasses.replace(choice, **{"folds" if own else "folds_of_head": tuple(names)})
    return _say(work, kept, f"{each.name} is kept: {networks} of folds answer, too{head}.")


def write_joint(target: Path, run: Path, folds: Sequence[Path], tell: Callable[[int], None]) -> Path:
    """Write the common answer of a run and of networks of folds, if it is not there, and return its directory.

    Args:
        target: The directory.
        run: What all development images trained.
        folds: Runs of folds of these images.
        tell: Called with the number of networks of folds that have scored the test images.
    """
    if not RunDir(target).is_ensemble:
        if target.exists():  # a command was killed while it wrote
            shutil.rmtree(target)
        first, *others = gather_runs([run, *folds])
        write_ensemble(target, make_ensemble([first], folds=score_put_aside(others, tell)))
    return target


def _say(work, choice, sentence) -> Choice:
    work.log.said[ENSEMBLE] = sentence
    work.screen.say(sentence)
    return choice


def _find_probe(work, answer) -> Attempt | None:
    return next((each for each in work.log.of(PROBES) if each.network == answer.network), None)


def _reserve(work, choice) -> float:
    return work.reserve(choice.answer, 1.0 if choice.is_tried else DOUBT)


def _train_further(work, choice) -> None:
    """Train the answer on as many of the folds that could judge it as there is time for."""
    trial, wait = choice.answer.trial, 1.0 if choice.is_tried else DOUBT
    cells = trial.keep((*work.folds, *work.further)).list_cells()
    left = [cell for cell in cells if not is_complete(work.log.folder / cell.name)]
    while left:
        expected, fault = work.team.expect(left, work.together)
        if fault:
            return
        if wait * expected + _reserve(work, choice) <= work.left:
            break
        left.pop()
    if not left:
        return
    deadline = time.monotonic() + work.left - work.reserve(choice.answer)
    problem = train_cells(work.team, left, work.log.folder, deadline, work.together)
    if problem and problem != LATE:
        work.screen.say(f"A further fold of {choice.answer.name} could not be trained: {problem}")


def _list_complete(work, each: Attempt) -> list[str]:
    """Return the names of the complete runs of an attempt: of the first of several divisions."""
    cells = each.trial.keep(range(1, each.trial.division.k + 1)).list_cells()
    return [cell.name for cell in cells if is_complete(work.log.folder / cell.name)]


def _time_scores(folder: Path, names: list[str]) -> float:
    """Return about how many seconds some networks take to score the test images, by what they took for others."""
    found = [_time_one(RunDir(folder / name)) for name in names]
    return (_FIRST - 1) * found[0][0] + sum(building + scoring for building, scoring in found)


def _time_one(run) -> tuple[float, float]:
    """Return the seconds that building a network took, and those that it will take for the test images."""
    stages = {stage["name"]: stage["seconds"] for stage in TIMING_JSON.read(run)["stages"]}
    amounts = Counter(row["split"] for row in SPLITS_CSV.read(run))
    looking = stages.get(LOOKING, 0.0) / max(1, sum(amounts[split] for split in LEARNED))
    return stages.get(BUILDING, 0.0), looking * amounts[UNUSED]
