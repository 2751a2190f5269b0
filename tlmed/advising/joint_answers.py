"""Step 7: do several networks, trained on other draws of validation images, answer better together than one?"""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from tlmed.advising.attempts import ENSEMBLE, Attempt
from tlmed.advising.team import LATE, train_cells
from tlmed.advising.trials import Trial, average_scores, compare_two, count_seconds, join_gains
from tlmed.advising.work import Work, say_score
from tlmed.ensembles import gather_runs, make_ensemble, write_ensemble
from tlmed.run_files import METRICS_JSON
from tlmed.run_files.advice_files import DROPPED, KEPT, STOPPED, UNTRIED
from tlmed.rundir import RunDir
from tlmed.seeds import derive
from tlmed.status import describe_seconds
from tlmed.words import count

MEMBERS = 3


def join(work: Work, best: Attempt) -> Attempt:
    """Try an ensemble of the best attempt; return it if it is better by more than the noise, else the best attempt.

    Args:
        work: The work.
        best: The best attempt so far.
    """
    alone = best.trial.keep(work.folds)
    trials = [draw_again(work, alone, number) for number in range(2, MEMBERS + 1)]
    cells = [cell for trial in trials for cell in trial.list_cells()]
    changes = f"{count(MEMBERS, 'network')} on other draws of validation images answer together"
    name = f"ensemble-{best.name}"
    each = Attempt(ENSEMBLE, name, best.network, changes, alone, members=MEMBERS)
    one = work.reserve(best)
    expected = work.team.expect(cells, work.together)[0]
    if expected + one * MEMBERS > work.left:
        reason = (
            f"it would take about {describe_seconds(expected + one * MEMBERS)} with its training on all images, and "
            f"{describe_seconds(max(0.0, work.left))} of the budget are left"
        )
        work.log.said[ENSEMBLE] = f"An ensemble was not tried: {reason}."
        work.screen.say(work.log.said[ENSEMBLE])
        work.log.add(each.decide(UNTRIED, reason))
        return best
    deadline = time.monotonic() + work.left - one
    problem = train_cells(work.team, cells, work.log.folder, deadline, work.together)
    if problem:
        work.log.add(each.decide(STOPPED if problem == LATE else DROPPED, problem))
        work.log.said[ENSEMBLE] = f"An ensemble was not judged: {problem}."
        return best
    each = _judge(work, each, best, trials)
    kept = each.decision == KEPT
    verdict = "not known to be better" if not each.gain.is_measured else "better" if kept else "not better"
    work.log.said[ENSEMBLE] = (
        f"{count(MEMBERS, 'network')} that answer together are {verdict} than one beyond the noise."
    )
    work.screen.say(f"{say_score(work, each)}: {each.decision}")
    return each if kept else best


def draw_seed(work: Work, number: int) -> int:
    """Return what decides all that training draws for a member of an ensemble."""
    return derive(work.base.seed, "advice", "member", number)


def draw_again(work: Work, trial: Trial, number: int) -> Trial:
    """Return a trial with another draw of validation images and of all that training draws; the test images stay."""
    recipe = dataclasses.replace(trial.recipe, seed=draw_seed(work, number))
    return dataclasses.replace(trial, name=f"{trial.name}-draw{number}", recipe=recipe, draw=number)


def _judge(work, each: Attempt, best: Attempt, trials) -> Attempt:
    folder = work.log.folder
    joint = [_write(work, each.trial, trials, fold) for fold in each.trial.folds]
    singles = [run.path for run in each.trial.list_runs(folder)]
    found = [compare_two(*pair, work.metric) for pair in zip(joint, singles, strict=True)]
    gain = join_gains(best.name, found, best.trial.division.test_share)
    results = [METRICS_JSON.read(RunDir(path)) for path in joint]
    seconds = sum(count_seconds(trial, folder) for trial in trials)
    each = dataclasses.replace(
        each,
        score=average_scores(results, work.metric, work.division, work.sides),
        gain=gain,
        seconds=round(seconds, 3),
        ended=work.diary.stamp(each.name),
    )
    if gain.is_real:
        return work.log.add(each.decide(KEPT, f"better than {best.name} alone by more than the noise"))
    if not gain.is_measured:
        reason = f"how much better than {best.name} alone it is could not be measured"
        return work.log.add(each.decide(DROPPED, reason))
    return work.log.add(each.decide(DROPPED, f"not better than {best.name} alone by more than the noise"))


def _write(work, trial, others, fold) -> Path:
    """Write the ensemble of one fold, if it is not there, and return its directory."""
    folder = work.log.folder
    runs = [each.keep([fold]).list_runs(folder)[0].path for each in (trial, *others)]
    return write_joint(trial.keep([fold]).list_joint(folder)[0].path, runs)


def write_joint(target: Path, runs: Sequence[Path]) -> Path:
    """Write an ensemble of runs, if it is not there, and return its directory."""
    if not RunDir(target).is_ensemble:
        if target.exists():  # a command was killed while it wrote
            shutil.rmtree(target)
        write_ensemble(target, make_ensemble(gather_runs(runs)))
    return target
