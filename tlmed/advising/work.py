"""The work on an advice: what it stands on, what time is left, and how one attempt is made."""

import dataclasses
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tlmed.advising.attempts import PROBES, Attempt, Log
from tlmed.advising.diary import Diary
from tlmed.advising.request import Request
from tlmed.advising.team import LATE, Team, train_cells
from tlmed.advising.trials import (
    AUC,
    Score,
    Trial,
    average_scores,
    count_seconds,
    find_pace,
    is_complete,
    judge,
    measure_gain,
    read_seconds,
)
from tlmed.metrics.names import name_inline
from tlmed.recipe import Cell, Recipe
from tlmed.run_files import METRICS_JSON, SPLITS_CSV, Metrics
from tlmed.run_files.advice_files import DROPPED, STOPPED, UNTRIED
from tlmed.screen import Screen
from tlmed.sections import KFold
from tlmed.sections.adaptation import NONE_FITS, RANK_TOO_HIGH
from tlmed.status import describe_seconds
from tlmed.words import count, span, thousandths

CHANCE = 0.5  # the AUC of guessing
# All development images but validation train the answer, four fifths of them a trial: 1.25 times as many; and more, so
# that an answer that takes a little longer than its trials still fits.
_WHOLE = 1.3
DOUBT = 1.25  # times what is forecast of a training that was never tried, so that the budget is kept all the same
_GRACE = 0.05  # of the budget, which is to be kept within a tenth
# The end (the conclusions, the page) takes a part of the seconds that the look at the images took, which
# tell how fast this machine is: a twelfth, when nothing else runs. Where trials shared the cores, a process that has
# all of them loads TensorFlow before.
_CLOSING, _CLOSING_LEAST, _START_LEAST, _CLOSING_MOST = 1 / 3, 2.0, 4.0, 12.0
_ALONE = 0.85  # of what a run takes beside another it takes with all cores: small images leave them idle (0.7 to 0.9)


@dataclass
class Work:
    """What the steps of an advice stand on.

    Attributes:
        request: What is asked for.
        diary: What is written down.
        team: The processes that train.
        screen: Where to say what happens.
        log: What was tried.
        base: The recipe with what the rules decided; networks and schedules are put into it.
        division: How the development images are divided.
        folds: The folds that a training is judged on; probes are judged on all.
        further: Folds that are added one after the other where those leave it open which of two is better.
        sides: How many groups, or images on their own, the rarest class has and all others have; None: not known.
        epochs: For how many blocks of a network are trained; 0 until the probes have shown how fast this machine is.
        skipped: What an earlier command had no time for within the same budget, and why: it is not tried by a later one
            that has less time, after what came of it was judged.
        sharing: How many times longer a run takes that has all cores than its part of the time of trials that share
            them; 1 until one has shown it.
    """

    request: Request
    diary: Diary
    team: Team
    screen: Screen
    log: Log
    base: Recipe
    division: KFold
    folds: tuple[int, ...]
    further: tuple[int, ...]
    sides: tuple[int, int] | None
    epochs: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    sharing: float = 1.0

    @property
    def metric(self) -> str:
        """Return the metric by which options are compared."""
        return self.request.goal.metric

    @property
    def left(self) -> float:
        """Return the seconds of the budget that are left; infinity without one."""
        budget = self.request.budget
        return math.inf if budget is None else budget - self.diary.seconds

    @property
    def left_in_doubt(self) -> float:
        """Return the seconds that a forecast with its doubt may take: what is left, and a twentieth of the budget.

        What was kept for a training, with its doubt, must not be lost because judging took a few seconds longer.
        """
        return self.left + _GRACE * (self.request.budget or 0.0)

    @property
    def closing(self) -> float:
        """Return the seconds that are kept for the end, and for the start of the process that trains the answer."""
        least = (_CLOSING_LEAST, _START_LEAST) if self.together > 1 else (_CLOSING_LEAST,)
        return sum(min(_CLOSING_MOST, max(seconds, _CLOSING * self.log.begin)) for seconds in least)

    def time_answer(self, seconds: float, doubt: float = 1.0) -> float:
        """Return how long an answer takes, to its end.

        Args:
            seconds: What a trial of it takes on one fold.
            doubt: How many times longer than forecast its training may take.
        """
        return self.closing + _WHOLE * doubt * self.sharing * seconds

    def reserve(self, best: Attempt | None, doubt: float = 1.0) -> float:
        """Return the seconds that are kept for training the best attempt on all development images, and for the end.

        Args:
            best: The best attempt so far.
            doubt: How many times longer than forecast its training may take.
        """
        if best is None or best.trial is None:
            return self.closing
        return self.time_answer(self.team.forecasts.expect(best.trial.list_cells()[0]), doubt)

    @property
    def together(self) -> int:
        """Return how many runs may be trained at a time: one with all cores, where one part judges a training."""
        return len(self.folds)

    def make_trial(self, name: str, recipe: Recipe, folds: tuple[int, ...] | None = None) -> Trial:
        """Return a trial on the folds that trainings are judged on, or on others."""
        return Trial(name, recipe, self.division, self.folds if folds is None else folds)


def attempt(work: Work, each: Attempt, best: Attempt | None, share: float = 1.0, held: float = 0.0) -> Attempt:
    """Train and judge an attempt if time allows; its gain is measured elsewhere.

    Args:
        work: The work.
        each: The attempt, with a trial.
        best: The best attempt so far, for which time is kept.
        share: The share of the time that is left that it may take, 0..1.
        held: Seconds that are kept for something else that promises more.
    """
    cells = each.trial.list_cells()
    if not (left := list_left(work, cells)):  # an earlier command trained it
        return _judge(work, each, cells)
    if reason := work.skipped.get(_name_skipped(each)):
        return _skip(work, each, left, reason)
    expected, run, fault = _expect(work, cells)
    if fault:
        return work.log.add(each.decide(UNTRIED, _say_unfit(fault)))
    own, free = work.time_answer(run), work.left * share
    if expected + max(own, work.reserve(best), held) > free:
        return _skip(work, each, left, say_late(expected + own, free, held, share))
    deadline = time.monotonic() + work.left - max(work.reserve(best), held)
    begun = work.diary.seconds
    problem = train_cells(work.team, cells, work.log.folder, deadline, work.together)
    if not problem:
        pace = find_pace(work.log.folder, left, work.diary.seconds - begun)
        if each.step != PROBES:  # which are mostly start
            work.sharing = max(1.0, _ALONE / pace)
        return _judge(work, each, cells, pace)
    spent, ended = round(work.diary.seconds - begun, 3), work.diary.stamp(each.name)
    each = dataclasses.replace(each, seconds=spent, ended=ended)  # time that it took is not hidden
    if problem == LATE:
        return work.log.add(each.decide(STOPPED, problem))
    return work.log.add(each.decide(DROPPED, f"it could not be trained: {problem}"))


def was_trained(work: Work, each: Attempt) -> bool:
    """Tell whether all runs of an attempt are complete, as an earlier command may have left them."""
    return not list_left(work, each.trial.list_cells())


def list_left(work: Work, cells: Sequence[Cell]) -> list[Cell]:
    """Return the runs that are not complete."""
    return [cell for cell in cells if not is_complete(work.log.folder / cell.name)]


def _expect(work, cells) -> tuple[float, float, str]:
    """Return the seconds of those runs of a configuration that are not complete, those of one, and a fault or ""."""
    expected, fault = work.team.expect(cells, work.together)
    if fault:
        return 0.0, 0.0, fault
    left = list_left(work, cells)
    rest = expected if len(left) == len(cells) else sum(work.team.expect([cell], work.together)[0] for cell in left)
    return rest, expected / len(cells), ""


def _name_skipped(each) -> str:
    return f"{each.name} on {count(len(each.trial.folds), 'part')}"


def _skip(work, each, left, reason) -> Attempt:
    """Return an attempt that there is no time for, and note it; runs of it that an earlier command ended are named."""
    known = work.diary.done.setdefault("skipped", {})
    known[_name_skipped(each)] = {"budget": work.request.budget, "reason": reason}
    work.diary.note()
    cells = each.trial.list_cells()
    if made := [cell for cell in cells if cell not in left]:
        seconds = round(sum(read_seconds(work.log.folder, cell) for cell in made), 3)
        begun = f"an earlier command was stopped after {len(made)} of {count(len(cells), 'run')} of it; to end it, "
        each = dataclasses.replace(each, seconds=seconds, ended=work.diary.stamp(each.name))
        return work.log.add(each.decide(STOPPED, begun + reason))
    return work.log.add(each.decide(UNTRIED, reason))


def recall_skipped(diary: Diary, budget: float | None) -> dict[str, str]:
    """Return what earlier commands had no time for, and why, where their budget was the same.

    Args:
        diary: The diary.
        budget: Of this command, in seconds.
    """
    found = diary.done.get("skipped", {})
    return {name: entry["reason"] for name, entry in found.items() if entry["budget"] == budget}


def _say_unfit(fault: str) -> str:
    """Return why something cannot be trained; of adapters, whose fields the advice chose itself, without these.

    >>> _say_unfit(f"{RANK_TOO_HIGH} 4. Received: rank=8.")
    'this network has no layers that low-rank adapters fit'
    """
    if NONE_FITS in fault or RANK_TOO_HIGH in fault:
        return "this network has no layers that low-rank adapters fit"
    return f"it cannot be trained: {fault}"


def say_late(needed: float, free: float, held: float = 0.0, share: float = 1.0) -> str:
    """Return that something takes longer than there is time.

    Args:
        needed: Its seconds, with those of the answer.
        free: The seconds that it may take.
        held: Of these, those that are kept for something else.
        share: What part of the time that is left `free` is.
    """
    needs, left = describe_seconds(needed), describe_seconds(max(0.0, free - held))
    kept = ", after what is kept for training all layers" if held else ""
    if share < 1:
        kept = f": {share:.0%} of what is left, as others need the rest"
    return (
        f"it would take about {needs} with its training on all images, and {left} of the budget are left for it{kept}"
    )


def time_trial(work: Work, each: Attempt) -> tuple[float, float]:
    """Return the seconds that an attempt would take with its training on all images, and those of the latter alone.

    Both are 0 where it cannot be trained.

    Args:
        work: The work.
        each: The attempt, with a trial.
    """
    expected, run, fault = _expect(work, each.trial.list_cells())
    if fault:
        return 0.0, 0.0
    return expected + work.time_answer(run), work.time_answer(run, DOUBT)


def _judge(work, each, cells, pace: float = 1.0) -> Attempt:
    """Return an attempt whose runs are complete with its score.

    Of runs that share the cores the clock counts a part, which `pace` tells: so long will other trials take.
    """
    for cell in cells:
        work.team.forecasts.note(cell, pace * read_seconds(work.log.folder, cell))
    seconds = round(count_seconds(each.trial, work.log.folder), 3)
    score = judge(each.trial, work.log.folder, work.metric, work.sides)
    return work.log.add(
        dataclasses.replace(
            each, score=score, seconds=seconds, ended=work.diary.stamp(each.name), decision="", reason=""
        )
    )


def compare(work: Work, each: Attempt, other: Attempt, held: float = 0.0) -> tuple[Attempt, Attempt]:
    """Measure how much better one attempt is than another, on the same folds; return both, the first with its gain.

    Where it is open which is better, further folds are added to both as long as time allows: a race, as of Maron &
    Moore (Artificial Intelligence Review 1997, 11:193-225), with standard errors for their bounds.

    Args:
        work: The work.
        each: An attempt that was judged.
        other: Another one.
        held: Seconds that are kept for something else that promises more.
    """
    each = dataclasses.replace(each, gain=measure_gain(each.trial, other.trial, work.log.folder, work.metric))
    judged = each.trial.folds
    for fold in work.further:
        if not each.gain.is_open:
            break
        reserve = max(work.reserve(each), held)
        wanting = [one for one in (other, each) if fold not in one.trial.folds]
        # Both or none: a score of one alone tells nothing of their difference.
        if _time_fold(work, wanting, fold) + reserve > work.left:
            break
        grown = [_grow(work, one, fold, reserve) for one in (other, each)]
        if None in grown:
            break
        other, each = grown
        gain = measure_gain(each.trial, other.trial, work.log.folder, work.metric)
        each = dataclasses.replace(each, gain=gain)
    if each.trial.folds != judged:  # its step lasted until now
        parts = count(len(each.trial.folds), "part")
        each = dataclasses.replace(each, ended=work.diary.stamp(f"{each.name}, {parts}"))
    return each, other


def _time_fold(work, attempts, fold) -> float:
    """Return how long it takes to train some attempts on one more fold; infinity where one cannot be trained."""
    found = [_expect(work, one.trial.keep((fold,)).list_cells()) for one in attempts]
    return math.inf if any(fault for *_, fault in found) else sum(seconds for seconds, *_ in found)


def _grow(work, each, fold, reserve) -> Attempt | None:
    """Return an attempt with one more fold; None if the time ends before, or it cannot be trained."""
    if fold in each.trial.folds:
        return each
    trial = each.trial.keep((*each.trial.folds, fold))
    cells = trial.keep((fold,)).list_cells()
    if train_cells(work.team, cells, work.log.folder, time.monotonic() + work.left - reserve):
        return None
    score = judge(trial, work.log.folder, work.metric, work.sides)
    seconds = round(count_seconds(trial, work.log.folder), 3)
    return work.log.add(dataclasses.replace(each, trial=trial, score=score, seconds=seconds))


def say_score(work: Work, each: Attempt) -> str:
    """Return an attempt's score in words, or why it has none."""
    if each.score is None or each.score.value is None:
        return f"{each.name}: {each.reason}"
    over = ""
    if each.gain is not None and each.gain.value is not None:
        noise = "" if each.gain.noise is None else f", noise {each.gain.noise:.3f}"
        over = f"; {each.gain.value:+.3f} over {each.gain.over}{noise}"
    return f"{each.name}: {describe_score(each.score)}{over}; {describe_seconds(each.seconds)} of runs"


def say_folds(work: Work) -> str:
    """Say how trainings are judged."""
    if len(work.folds) == 1:
        return (
            f"on one part of {work.division.k} of the development images that takes no part in training, and on "
            f"up to {count(len(work.further), 'further part')} where it left the decision open"
        )
    return f"on {count(len(work.folds), 'fold')} of the development images"


def read_results(work: Work, each: Attempt) -> list[Metrics]:
    """Return `metrics.json` of each fold that an attempt was judged on."""
    return [METRICS_JSON.read(run) for run in each.trial.list_runs(work.log.folder)]


def count_validation(work: Work, each: Attempt) -> int:
    """Return how many validation images chose in a fold of an attempt: the median."""
    runs = [SPLITS_CSV.read(run) for run in each.trial.list_runs(work.log.folder)]
    return round(statistics.median(sum(row["split"] == "val" for row in rows) for rows in runs))


def say_heads(work: Work, each: Attempt) -> str:
    """Say on how many parts the first phase was kept, in which the head alone is trained, as the end of a sentence."""
    head = each.trial.recipe.phases[0].name
    kept = [METRICS_JSON.read(run).get("kept") or {} for run in each.trial.list_runs(work.log.folder)]
    if not (heads := sum(each.get("name") == head for each in kept)):
        return ""
    whole = count(len(each.trial.folds), "part")
    return f"; on {heads:,} of {whole} the validation images kept the head alone, which is the probe's"


def find_auc(work: Work, each: Attempt) -> Score:
    """Return the AUC of an attempt on development images, whatever metric decides."""
    return average_scores(read_results(work, each), AUC, work.division, work.sides)


def describe_score(score: Score) -> str:
    """Return a score with its interval in words."""
    if score.value is None:
        return f"{name_inline(score.metric)} not defined"
    bounds = "" if score.low is None else f" ({span(score.value, score.low, score.high)})"
    return f"{name_inline(score.metric)} {thousandths(score.value)}{bounds}"
