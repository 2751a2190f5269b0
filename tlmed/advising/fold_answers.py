"""Step 7: networks of folds answer together with the one that all development images train.

Each is trained on other images, and their mean is better than they are on average: the errors of networks that disagree
cancel out (Krogh & Vedelsby, Neural network ensembles, cross validation, and active learning, NIPS 7, 1995, 231-238).
Those of a trial are there already.
"""

import dataclasses
import time
from dataclasses import dataclass

from tlmed.advising.attempts import ENSEMBLE, PROBES, Attempt
from tlmed.advising.climbing import Choice
from tlmed.advising.team import train_cells
from tlmed.advising.trials import find_pace, read_seconds
from tlmed.advising.work import Work, list_left
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


@dataclass(frozen=True)
class Asking:
    """About how long networks of one kind take to score the test images.

    Attributes:
        building: The seconds that building one took.
        scoring: Those of its operations for all test images.
    """

    building: float
    scoring: float

    def take(self, networks: int) -> float:
        """Return the seconds of so many networks, one after the other.

        >>> Asking(0.5, 0.5).take(1), Asking(0.5, 0.5).take(3)
        (2.5, 5.5)
        """
        return self.building * (_FIRST + _NEXT * (networks - 1)) + networks * self.scoring


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
        needed = describe_seconds(_look_at(work, (own or head)[0]).take(1))
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
    left = list_left(work, cells)
    return [cell.name for cell in cells if cell not in left]


def _list_probe(work, answer) -> list[str]:
    """Return those of the probe of the network that answers."""
    probe = next((each for each in work.log.of(PROBES) if each.network == answer.network), None)
    return _list_complete(work, probe) if probe else []


def _fit(work, choice, names) -> list[str]:
    """Return as many of the networks as there is time to ask: the first of them gain most."""
    if not names:
        return []
    asking, free = _look_at(work, names[0]), work.left_in_doubt - work.reserve(choice.answer, choice.doubt)
    while names and asking.take(len(names)) > free:
        names = names[:-1]
    return names


def _train_further(work, choice) -> str:
    """Train the answer on as many folds that could judge it as there is time for; return why one failed, or ""."""
    answer, folder = choice.answer, work.log.folder
    cells = answer.trial.keep((*work.folds, *work.further)).list_cells()
    left, sample = list_left(work, cells), _list_probe(work, answer)
    there, asking = len(cells) - len(left), _look_at(work, sample[0]) if sample else Asking(0.0, 0.0)
    while left:
        expected, fault = work.team.expect(left, work.together)
        if fault:
            return ""
        kept = work.reserve(answer, choice.doubt) + asking.take(there + len(left))
        if choice.doubt * expected + kept <= work.left:
            break
        left.pop()
    if not left:
        return ""
    begun, kept = work.diary.seconds, work.reserve(answer) + asking.take(there + len(left))
    problem = train_cells(work.team, left, folder, time.monotonic() + work.left - kept, work.together)
    missing = list_left(work, left)
    if done := [cell for cell in left if cell not in missing]:
        pace = find_pace(folder, done, work.diary.seconds - begun)
        for cell in done:
            work.team.forecasts.note(cell, pace * read_seconds(folder, cell))
    return f"; {count(len(missing), 'further fold')} could not be trained: {problem}" if problem else ""


def _look_at(work, name: str) -> Asking:
    """Return how long networks like that of a run take."""
    run = RunDir(work.log.folder / name)
    stages = {stage["name"]: stage["seconds"] for stage in TIMING_JSON.read(run)["stages"]}
    tested = sum(row["split"] == UNUSED for row in SPLITS_CSV.read(run))
    whole = int(PLAN_JSON.read(run)["phases"][0]["cache"]["flops"])  # of a head: all but its own few
    return Asking(stages.get(BUILDING, 0.0), tested * whole / FLOPS_PER_SECOND[device_class()])
