"""What a search tries next, and what it gives up: Optuna's sampler and pruner, asked with all that is known.

Each question is put to an Optuna study in memory that is made from the record of the search. So an answer depends on
that record and a seed alone: a search that was killed goes on as if it had not been, whichever process asks.
"""

import contextlib
import math
import statistics
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from tlmed.recipe.candidate_cells import round_factor
from tlmed.recipe.search_space import RECIPE, Dimension, Space
from tlmed.seeds import derive

RUNGS = (1, 2, 4)  # draws after which a candidate is judged: half of those that come so far go on
RUNNING, COMPLETE, PRUNED, FAILED = "running", "complete", "pruned", "failed"
_ATTEMPTS = 40  # to find a candidate that was not tried, after which all count as tried
_FIRST = 10  # candidates before the sampler learns from them, as usual in Optuna
_FACTOR = 2
_STATES = {
    RUNNING: TrialState.RUNNING,
    COMPLETE: TrialState.COMPLETE,
    PRUNED: TrialState.PRUNED,
    FAILED: TrialState.FAIL,
}


@dataclass(frozen=True)
class Tried:
    """A candidate that is or was tried.

    Attributes:
        number: Its place in the search, from 0.
        params: The value of each dimension that it has.
        scores: The mean validation score after each number of draws at which it was judged.
        state: "running", "complete", "pruned" or "failed".
        reason: Why it failed.
    """

    number: int
    params: Mapping[str, str | float]
    scores: Mapping[int, float] = field(default_factory=dict)
    state: str = RUNNING
    reason: str = ""

    @property
    def draws(self) -> int:
        """Return how many draws its score is the mean of."""
        return max(self.scores, default=0)

    @property
    def score(self) -> float | None:
        """Return its mean validation score."""
        return self.scores[self.draws] if self.scores else None


def to_distribution(dimension: Dimension) -> BaseDistribution:
    """Return a dimension as Optuna has it."""
    if dimension.bounds is None:
        return CategoricalDistribution(dimension.values)
    return FloatDistribution(*dimension.bounds, log=True)


def list_distributions(space: Space, params: Mapping) -> dict[str, BaseDistribution]:
    """Return the distribution of each dimension that a candidate has."""
    of_space = {each.name: to_distribution(each) for each in space.dimensions}
    return {name: of_space[name] for name in params}


def propose(
    space: Space, tried: Sequence[Tried], seed: int, allows: Callable[[Mapping], bool] = lambda params: True
) -> dict[str, str | float] | None:
    """Return a candidate that was not tried yet, where those like it did well; None if there seems to be none.

    The sampler is a multivariate tree-structured Parzen estimator (Bergstra et al. 2011; Falkner et al. 2018), which
    takes candidates that are still tried for bad ones, so that several processes try different ones.

    Args:
        space: What may be chosen.
        tried: What was tried, and what came of it.
        seed: Decides the draw, together with the number of candidates.
        allows: Tells whether a candidate can be trained, as far as this is known before it is.
    """
    known = [dict(each.params) for each in tried]
    own = derive(seed, "search", "candidate", len(tried))
    with _quietly():
        sampler = TPESampler(seed=own, multivariate=True, group=True, constant_liar=True, n_startup_trials=_FIRST)
        study = _open(space, tried, sampler)
        for _ in range(_ATTEMPTS):
            trial = study.ask()
            if (params := _suggest(space, trial)) not in known and allows(params):
                return params
    return None


def _suggest(space, trial) -> dict[str, str | float]:
    """Choose the recipe, and then what it has."""
    first = [each for each in space.dimensions if each.name == RECIPE]
    chosen = {each.name: _choose(trial, each) for each in first}
    return chosen | {each.name: _choose(trial, each) for each in space.list_for(space.find_title(chosen))}


def _choose(trial, dimension) -> str | float:
    if dimension.bounds is None:
        return trial.suggest_categorical(dimension.name, dimension.values)
    return round_factor(trial.suggest_float(dimension.name, *dimension.bounds, log=True))


def may_go_on(space: Space, tried: Sequence[Tried], number: int) -> bool:
    """Tell whether a candidate is in the better half of those that were judged after as many draws.

    This is asynchronous successive halving (Li et al. 2020): nobody waits for others to be judged.

    Args:
        space: What may be chosen.
        tried: What was tried, this candidate among it.
        number: The candidate's place.
    """
    with _quietly():
        study = _open(space, tried, None, number)
        pruner = SuccessiveHalvingPruner(min_resource=RUNGS[0], reduction_factor=_FACTOR, min_early_stopping_rate=0)
        place = [each.number for each in tried].index(number)
        return not pruner.prune(study, study.get_trials(deepcopy=False)[place])


def find_winner(tried: Sequence[Tried]) -> Tried | None:
    """Return the candidate with the highest mean over most draws; of several the first one.

    Args:
        tried: What was tried.

    >>> find_winner([Tried(0, {}, {1: 0.9}, PRUNED), Tried(1, {}, {1: 0.8, 2: 0.8, 4: 0.8}, COMPLETE)]).number
    1
    """
    return next(iter(rank(tried)), None)


def rank(tried: Sequence[Tried]) -> list[Tried]:
    """Return the candidates that have a score, from the best to the worst: more draws first, then the higher score."""
    judged = [each for each in tried if each.scores and each.state != FAILED]
    return sorted(judged, key=lambda each: (-each.draws, -each.score, each.number))


def measure_importance(tried: Sequence[Tried], names: Sequence[str]) -> dict[str, float]:
    """Return which share of the variance of the first scores goes with each dimension by itself.

    The first scores, because all candidates have one on the same draw. Numbers are divided at their median. Shares are
    eta squared, without what values differ by chance (epsilon squared, Kelley 1935), not below 0.

    Args:
        tried: What was tried.
        names: The names of the dimensions.

    >>> found = measure_importance([Tried(n, {"a": "xy"[n % 2]}, {1: n % 2}) for n in range(8)], ["a"])
    >>> found["a"]
    1.0
    """
    return {name: share for name in names if (share := _explain(tried, name)) is not None}


def _explain(tried, name) -> float | None:
    having = [each for each in tried if RUNGS[0] in each.scores and name in each.params]
    scores = [each.scores[RUNGS[0]] for each in having]
    values = [each.params[name] for each in having]
    if values and isinstance(values[0], float):
        middle = statistics.median(values)
        values = [value > middle for value in values]
    kinds = {value: [score for score, own in zip(scores, values, strict=True) if own == value] for value in {*values}}
    if len(kinds) < 2 or len(scores) <= len(kinds):
        return None
    mean = statistics.fmean(scores)
    total = math.fsum((score - mean) ** 2 for score in scores)
    within = math.fsum((score - statistics.fmean(own)) ** 2 for own in kinds.values() for score in own)
    if total == 0:
        return 0.0
    chance = (len(kinds) - 1) * within / (len(scores) - len(kinds))
    return min(1.0, max(0.0, (total - within - chance) / total))


def _open(space, tried, sampler, asked: int | None = None) -> optuna.Study:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials([_to_trial(space, each, each.number == asked) for each in tried])
    return study


def _to_trial(space, each: Tried, is_asked: bool) -> FrozenTrial:
    """Return a candidate as Optuna has it; of the one that is asked about, the last rung is not decided yet."""
    rungs = {number: each.scores[draws] for number, draws in enumerate(RUNGS) if draws in each.scores}
    decided = list(rungs.items())[: -1 if is_asked else None]
    return create_trial(
        state=_STATES[each.state],
        value=each.score if each.state == COMPLETE else None,
        params=dict(each.params),
        distributions=list_distributions(space, each.params),
        intermediate_values=dict(each.scores),
        system_attrs={f"completed_rung_{number}": value for number, value in decided},
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep Optuna's words about each trial, and about what may change, from the user."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
