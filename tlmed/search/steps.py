"""The steps of a search: probe the backbones, propose candidates, judge them, and train the winner.

Every step follows from what the ledger and the book of candidates say. So each process may take any step, two may take
the same one, and a process that is killed leaves nothing undone.
"""

import dataclasses
from collections.abc import Iterable
from typing import NoReturn

from tlmed.errors import InputError, RunFailed
from tlmed.recipe.candidate_cells import make_candidate
from tlmed.search.proposals import COMPLETE, FAILED, PRUNED, RUNGS, RUNNING, Tried, find_winner, may_go_on, propose
from tlmed.search.search_state import (
    OuterSearch,
    SearchState,
    average,
    find_reason,
    is_settled,
    list_finals,
    list_fresh,
    next_rung,
    recall_earlier,
)
from tlmed.search.time_left import expect_all, is_time_up, reserve_for
from tlmed.seeds import derive
from tlmed.studies.crew import Crew
from tlmed.studies.directory import one_at_a_time
from tlmed.studies.impossible_cells import find_impossible, refuse_impossible
from tlmed.words import count, listed

_KEPT = 3  # backbones that stay in a search at least
_NAMED = 3


def step(crew: Crew, state: SearchState) -> bool:
    """Do what can be done now, and tell whether more may come; this does nothing until the ledger has answered anew.

    Args:
        crew: What this process knows of the cells.
        state: And of the search.
    """
    if crew.asked == state.seen:
        return state.more
    with one_at_a_time(crew.order.folder):
        for outer in state.outers:
            crew.reserves[outer.fold] = reserve_for(crew, state, outer)
            if outer.is_over:
                continue
            _go_on(crew, state, outer)
            if not outer.is_issued:
                break
    state.more = not all(outer.is_over for outer in state.outers)
    state.seen = crew.asked
    return state.more


def _go_on(crew, state, outer) -> None:
    if not outer.probed and not _probe(crew, state, outer):
        if not _is_going_on(crew, outer):
            _refuse_waiting(crew, outer)
            outer.is_late = outer.is_over = outer.is_issued = True
        return
    outer.tried = outer.book.read()
    if not outer.is_renewed:
        _renew_failed(state, outer)
    recall_earlier(crew, state, outer)
    for each in outer.tried:
        _judge(crew, state, outer, each)
    _refuse_if_nothing_works(state, outer)
    crew.reserves[outer.fold] = reserve_for(crew, state, outer)
    if not outer.is_issued:
        outer.is_issued = len(outer.tried) >= state.search.trials or not _propose(crew, state, outer)
    if outer.is_issued and not _is_going_on(crew, outer):
        _finish(crew, state, outer)


def _probe(crew, state, outer) -> bool:
    """Judge all backbones by a solved head, keep the better half, and tell whether this is done."""
    cells = outer.make_probes(state.space)
    if len(cells) < 2:
        outer.probed = True
        return True
    key = "search backbones" if outer.fold is None else f"search backbones of fold {outer.fold}"
    kept = crew.ledger.facts.get(key)
    crew.add(expect_all(crew, state, cells.values()), state.again and kept is None)
    if kept is None:
        refuse_impossible(crew.ledger, list(cells.values()), state.screen)
        crew.ask(at_once=True)
    outer.probes = {name: average(crew, [cell]) for name, cell in cells.items()}
    if kept is None:
        if not all(is_settled(crew, cell) for cell in cells.values()):
            return False
        kept = _choose_backbones(crew, outer, cells)
        crew.ledger.note(key, kept)
    _say_probes(state, outer, kept)
    outer.space, outer.probed = state.space.keep(kept), True
    return True


def _choose_backbones(crew, outer, cells) -> list[str]:
    """Return the backbones that stay, the best first."""
    scores = {name: score for name, score in outer.probes.items() if score is not None}
    if not scores:
        reasons = dict.fromkeys(crew.entries[cell.name].reason for cell in cells.values())
        raise RunFailed(f"A backbone must work. Received: none does: {listed(reasons, _NAMED)}.")
    order = sorted(scores, key=scores.get, reverse=True)
    return order[: max(_KEPT, (len(cells) + 1) // 2)]


def _say_probes(state, outer, kept) -> None:
    """Say what the probes showed: the best backbone first."""
    known = sorted(outer.probes.items(), key=lambda item: -1.0 if item[1] is None else item[1], reverse=True)
    said = ", ".join(f"{name} {'failed' if score is None else f'{score:.3f}'}" for name, score in known)
    left = f"; searched: {', '.join(kept)}" if len(kept) < len(known) else ""
    state.screen.say(f"{outer.where}backbones by a solved head on frozen features, validation: {said}{left}")


def _judge(crew, state, outer, each: Tried) -> None:
    """Bring a candidate as far as its complete cells allow: to its end, or to the cells of the next draws."""
    try:
        cells = outer.make_cells(each, max(each.draws, 1))
        is_new = each.state == RUNNING and not each.draws
        fault = find_impossible(cells).get(cells[0].name) if is_new else None
    except InputError as error:
        fault = " ".join(error.faults)
    if fault is not None:
        if each.state == RUNNING:
            _end(state, outer, dataclasses.replace(each, reason=fault), FAILED)
        return
    if each.state != RUNNING:
        _register(crew, state, cells)
        return
    while True:
        if each.draws == RUNGS[-1]:
            _end(state, outer, each, COMPLETE)
            return
        target = next_rung(each.draws)
        cells = outer.make_cells(each, target)
        has_begun = any(cell.name in crew.entries for cell in cells[each.draws :])
        if each.draws and not has_begun and not may_go_on(outer.space, outer.tried, each.number):
            _end(state, outer, each, PRUNED)
            return
        _register(crew, state, cells)
        if reason := find_reason(crew, cells):
            _end(state, outer, dataclasses.replace(each, reason=reason), FAILED)
            return
        if (score := average(crew, cells)) is None:
            return
        outer.book.report(each.number, target, score)
        each = _update(outer, dataclasses.replace(each, scores={**each.scores, target: score}))


def _renew_failed(state, outer) -> None:
    """Enter candidates once more that failed in earlier commands: a process was killed, perhaps, or a file missing."""
    failed = [each for each in outer.tried if each.state == FAILED]
    if state.again and failed:
        for each in failed:
            outer.book.add(outer.space, each.params)
        outer.tried = outer.book.read()
    outer.is_renewed = True


def _register(crew, state, cells) -> None:
    crew.add(expect_all(crew, state, cells), state.again)


def _update(outer, each: Tried) -> Tried:
    outer.tried[each.number] = each
    return each


def _end(state, outer, each, end) -> None:
    """Note what came of a candidate, and say it."""
    outer.book.end(each.number, end, each.score, each.reason)
    _update(outer, dataclasses.replace(each, state=end))
    values = ", ".join(f"{name} {value}" for name, value in each.params.items())
    if end == FAILED:
        state.screen.warn(f"{outer.where}candidate {each.number + 1} failed: {each.reason}")
        return
    what = {COMPLETE: "judged on all draws", PRUNED: "given up"}[end]
    said = f"{each.score:.3f} over {count(each.draws, 'draw')}, {what}"
    state.screen.say(f"{outer.where}candidate {each.number + 1}: {said} ({values})")


def list_reasons(outers: Iterable[OuterSearch]) -> str:
    """Return why candidates of some searches failed, each reason once, in words; "" if none did."""
    failed = [each.reason for outer in outers for each in outer.tried if each.state == FAILED]
    return listed(dict.fromkeys(failed), _NAMED)


def _refuse_if_nothing_works(state, outer) -> None:
    """End a search in which as many candidates as there are recipes were tried, and none could be trained."""
    named = outer.tried[: len(state.space.recipes)]
    is_enough = len(named) == len(state.space.recipes) and all(each.state == FAILED for each in named)
    if is_enough and not any(each.scores for each in outer.tried):
        _say_nothing_works(outer)


def _say_nothing_works(outer) -> NoReturn:
    failed = sum(each.state == FAILED for each in outer.tried)
    raise RunFailed(
        f"A search needs a candidate that can be trained. Received: all {failed} failed: {list_reasons([outer])}."
    )


def _list_judged(crew, outer) -> dict[str, str]:
    """Return the state of each cell that judges candidates, or backbones, of a search, and that is not refused."""
    states = crew.list_states()
    own = (name for name, cell in crew.cells.items() if cell.draw is not None and cell.fold == outer.fold)
    return {name: states[name] for name in own if name not in crew.refused}


def _is_going_on(crew, outer) -> bool:
    """Tell whether something of a search is or will be trained: here, or elsewhere while there is time to wait."""
    judged = _list_judged(crew, outer)
    if any(name in crew.running or (state == "waiting" and crew.accepts(name)) for name, state in judged.items()):
        return True
    has_time = crew.order.budget is None or crew.left > crew.reserves[outer.fold].keep()
    return has_time and "running" in judged.values()


def _refuse_waiting(crew, outer) -> None:
    """Refuse what waits in a search, as the budget has no time for it: time that is kept for later folds is not."""
    crew.refused.update(name for name, state in _list_judged(crew, outer).items() if state == "waiting")


def _propose(crew, state, outer) -> bool:
    """Enter candidates for processes that have nothing to do; tell whether there may be more to try."""
    while len(outer.tried) < state.search.trials:
        if crew.count_waiting() + len(crew.running) >= len(crew.pool.cores):
            return True
        params = _choose_next(crew, state, outer)
        if params is None:
            # What runs now leaves more time for others if it turns out not to win, or to be faster than forecast.
            return crew.order.budget is not None and _is_going_on(crew, outer)
        outer.book.add(outer.space, params)
        known = len(outer.tried)
        outer.tried = outer.book.read()
        for each in outer.tried[known:]:
            _judge(crew, state, outer, each)
    return True


def _choose_next(crew, state, outer) -> dict | None:
    """Return the recipes as they are, with the best backbone, and then what the sampler proposes.

    What the budget has no time for is passed over: something faster may still be tried.
    """
    known = len(outer.tried), sum(name in ("complete", "failed") for name in crew.list_states().values())
    if outer.barren == known:
        return None  # there is less time than when this was asked last
    starts = outer.list_new_starts()
    for title, start in starts.items():
        if _has_time(crew, state, outer, start):
            return start
        outer.passed.add(title)
    seed, found = state.space.study.first_seed, None
    own = seed if outer.fold is None else derive(seed, "search fold", outer.fold)
    if not is_time_up(crew, state, outer):
        found = propose(outer.space, outer.tried, own, lambda params: _can_be_tried(crew, state, outer, params))
    outer.barren = known if found is None else None
    return found


def _has_time(crew, state, outer, params) -> bool:
    """Tell whether the budget has time for a candidate's first draw; one whose values do not go together has it."""
    try:
        cells = [make_candidate(outer.space, params, 1, outer.fold)]
    except InputError:
        return True  # it is entered, and fails for that
    return all(map(crew.has_time_for, expect_all(crew, state, cells)))


def _can_be_tried(crew, state, outer, params) -> bool:
    """Tell whether backbones, rules and time allow a candidate, and no other makes the same recipe."""
    try:
        possible = not find_impossible([make_candidate(outer.space, params, 1, outer.fold)])
        return possible and not outer.is_tried(params) and _has_time(crew, state, outer, params)
    except InputError:
        return False


def _finish(crew, state, outer) -> None:
    """Train the winner as a study does; the search is over when these cells are entered."""
    _refuse_waiting(crew, outer)
    outer.is_late = bool(outer.passed) or any(each.state == RUNNING for each in outer.tried)
    if (winner := find_winner(outer.tried)) is None and not outer.is_late:
        _say_nothing_works(outer)
    if winner is not None:
        crew.add(expect_all(crew, state, list_finals(state, outer, winner)), state.again)
        crew.add(expect_all(crew, state, list_fresh(state, outer, winner)), state.again)
    outer.is_over = True
