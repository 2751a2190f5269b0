"""What a search will cost, and how much of its budget is kept for training its winner."""

import math
import statistics
from collections.abc import Iterable, Mapping

from tlmed.errors import InputError
from tlmed.expected_time import ExpectedTime
from tlmed.recipe import Cell, Study
from tlmed.recipe.candidate_cells import make_candidate, make_probe, start_at
from tlmed.recipe.search_space import Space
from tlmed.search.proposals import FAILED, RUNGS, RUNNING, Tried, find_winner
from tlmed.search.search_state import FRESH, OuterSearch, SearchState, list_finals
from tlmed.status import describe_seconds
from tlmed.studies.crew import Crew, Reserve

PROBE = "probe"  # what the cells of probes name in place of a recipe
_MORE = 1.5  # times a budget that was too small
_LEAST_PIXELS = 0.25  # of a recipe's: a candidate has its image size, or half of it
DRAWS_EACH = 2  # trainings of a candidate on average: all have one draw, half of them two, a quarter four


def list_starts(space: Space) -> list[Cell]:
    """Return a cell of each recipe with each backbone, as it is, and the probes: what a forecast is made for."""
    backbones, fold = space.backbones or (None,), space.study.list_folds()[0]
    named = [
        make_candidate(space, start_at(space, title, name), 1, fold) for title in space.recipes for name in backbones
    ]
    return [*named, *(make_probe(space, name, fold) for name in space.backbones if len(space.backbones) > 1)]


def name_kind(cell: Cell) -> tuple[str, str, str]:
    """Return what decides the expected costs of a cell, besides its pixels."""
    return cell.title, cell.backbone, cell.weights


def expect_all(crew: Crew, state: SearchState, cells: Iterable[Cell]) -> list[Cell]:
    """Forecast cells as the recipe and backbone that they are of, in proportion to their pixels; return them."""
    found = list(cells)
    for cell in found if state.costs else ():
        expected = state.costs.get(name_kind(cell), ExpectedTime())
        crew.forecasts.expected.setdefault(cell.configuration, expected.scale(_compare_pixels(state, cell)))
    return found


def _compare_pixels(state, cell) -> float:
    return count_pixels(cell) / state.pixels.get(name_kind(cell), count_pixels(cell))


def count_pixels(cell: Cell) -> int:
    """Return how many pixels an image has that a cell is trained on."""
    return math.prod(cell.recipe.data.image_size)


def reserve_for(crew: Crew, state: SearchState, outer: OuterSearch) -> Reserve:
    """Return what the candidates of a search leave of the budget: for its winner, and for later folds.

    What leads so far may win, and so may what is trained now. Where there is neither, the fastest recipe is reckoned
    with. What begins next reckons with itself (`Reserve.keep`).

    Args:
        crew: What this process knows of the cells.
        state: And of all searches.
        outer: The search.
    """
    if crew.order.budget is None:
        return Reserve()
    may_win = [each for each in outer.tried if each.state == RUNNING and _is_trained(crew, outer, each)]
    if (winner := find_winner(outer.tried)) is not None:
        may_win.append(winner)
    if outer.later is None:
        outer.later = _share(crew, state, outer)
    waves = _count_waves(count_finals(state.space.study), len(crew.pool.cores))
    fastest = waves * crew.forecasts.correction.apply(_find_shortest(state))
    winner = max((_time_finals(crew, state, outer, each) for each in may_win), default=fastest)
    # Neither a probe can win, nor do draws that come when the winner is known.
    return Reserve(outer.later, winner, waves if outer.probed and not outer.is_over else 0)


def _share(crew, state, outer) -> float:
    """Return the seconds that are for later folds: each that is not over has as much of what is left as this one.

    What winners of earlier folds still need for their training is not for either.
    """
    number = state.outers.index(outer)
    winners = [(other, find_winner(other.tried)) for other in state.outers[:number]]
    needed = sum(_time_finals(crew, state, other, winner) for other, winner in winners if winner is not None)
    after = sum(not other.is_over for other in state.outers[number + 1 :])
    return (crew.left - needed) * after / (after + 1)


def _is_trained(crew, outer, each) -> bool:
    return any(_read_state(crew, cell) == "running" for cell in outer.make_cells(each, RUNGS[-1]))


def _read_state(crew, cell) -> str | None:
    """Return the state of a cell, which this process may not have entered yet."""
    entry = crew.entries.get(cell.name)
    return None if entry is None else entry.state


def _time_finals(crew, state, outer, each: Tried) -> float:
    """Return how long training a candidate for its test scores takes, as far as that is not done."""
    finals = expect_all(crew, state, list_finals(state, outer, each))
    left = [crew.forecasts.expect(cell) for cell in finals if _read_state(crew, cell) != "complete"]
    return max(left, default=0.0) * _count_waves(len(left), len(crew.pool.cores))


def count_finals(study: Study) -> int:
    """Return how many trainings of the winner one search needs, besides the fresh draws."""
    return study.seeds * (1 if study.search.nested else study.folds or 1)


def _count_waves(cells: int, jobs: int) -> int:
    """Return how often all processes of this machine train at once until cells are done."""
    return -(-cells // jobs)


def _need(crew, state) -> float:
    """Return the seconds of what every search needs to have a winner that is trained, as forecast."""
    return sum(_need_for(crew, state, outer) for outer in state.outers)


def _need_for(crew, state, outer) -> float:
    """Return those of the probes, of one candidate on all draws and of training it; of a winner's training alone."""
    if (winner := find_winner(outer.book.read())) is not None:
        return _time_finals(crew, state, outer, winner)
    jobs = len(crew.pool.cores)
    probes = [cost.seconds for (title, *_), cost in state.costs.items() if title == PROBE]
    waves = _count_waves(RUNGS[-1], jobs) + _count_waves(count_finals(state.space.study), jobs)
    return sum(probes) / jobs + _find_shortest(state).seconds * waves


def _find_shortest(state) -> ExpectedTime:
    """Return the time of a training of the fastest recipe and backbone, as forecast; what fails is no answer."""
    tried = [(outer.space.find_title(each.params), each) for outer in state.outers for each in outer.tried]
    failed = {title for title, each in tried if each.state == FAILED} - {title for title, each in tried if each.scores}
    known = {kind: cost for kind, cost in state.costs.items() if kind[0] != PROBE and cost.seconds}
    working = [cost for (title, *_), cost in known.items() if title not in failed]
    return min(working or known.values(), key=lambda cost: cost.seconds, default=ExpectedTime())


def is_time_up(crew: Crew, state: SearchState, outer: OuterSearch) -> bool:
    """Tell whether the budget has no time for any candidate: not even for the fastest, on images of half the size."""
    if crew.order.budget is None:
        return False
    least = crew.forecasts.correction.apply(_find_shortest(state).scale(_LEAST_PIXELS))
    return least + crew.reserves[outer.fold].keep(least) > crew.left


def describe_shortage(crew: Crew, state: SearchState) -> dict[str, float]:
    """Return what a search needs whose budget ended it before a candidate was judged, for `search.json`.

    Returns:
        `budget`: the seconds that it had; `training`: those of one training of a candidate, the fastest one, by the
        forecast and by what complete cells have shown of it; `enough`: a budget in which one can be judged.
    """
    shortest = _find_shortest(state)
    training = crew.forecasts.correction.apply(shortest)
    longer = max(1.0, training / shortest.seconds) if shortest.seconds else 1.0
    # No less than has just failed, whatever the forecast says: a machine may be busy with other work.
    # The same command forecasts anew, before it has seen any cell: it refuses less than its forecast.
    return {
        "budget": crew.order.budget,
        "training": training,
        "enough": max(state.gone + _need(crew, state) * longer, _MORE * crew.order.budget),
    }


def check_budget(crew: Crew, state: SearchState) -> None:
    """Refuse a budget that is too small for the probes, one candidate on all draws and the training of its winner.

    Where an earlier command has judged candidates, it must be enough for the training of the best of them.

    Raises:
        InputError: With the figures.
    """
    budget = crew.order.budget
    if (needed := state.gone + _need(crew, state)) > budget:
        raise InputError(
            "`--budget` must be enough to begin, for the probes, one candidate and the training of the winner. "
            f"Received: {describe_seconds(budget)}; these take about {describe_seconds(needed)}."
        )


def estimate(space: Space, costs: Mapping[tuple, ExpectedTime], jobs: int) -> tuple[int, float]:
    """Return about how many trainings a search needs, and how many seconds they take together.

    Args:
        space: What may be chosen.
        costs: The time of each kind of cell, by `name_kind`.
        jobs: How many cells are trained at a time.
    """
    study, nested = space.study, space.study.search.nested
    probes = [cost.seconds for (title, *_), cost in costs.items() if title == PROBE]
    each = statistics.fmean(cost.seconds for (title, *_), cost in costs.items() if title != PROBE)
    trials = int(min(study.search.trials, space.size))
    more = DRAWS_EACH * trials + count_finals(study) + (0 if nested else len(FRESH))
    searches = study.folds if nested else 1
    return searches * (len(probes) + more), searches * (sum(probes) + each * more) / jobs
