"""What a search writes down: its candidates, its winner as a recipe, and how far its scores flatter it."""

import dataclasses
import statistics
from collections import Counter

from tlmed.recipe import to_source
from tlmed.recipe.candidate_cells import make_final
from tlmed.recipe.search_space import BACKBONE, RECIPE, show_value
from tlmed.run_files.search_files import WINNER_PY, write_candidates, write_search
from tlmed.search.proposals import Tried, find_winner, measure_importance
from tlmed.search.search_state import OuterSearch, SearchState, average, list_finals, list_fresh
from tlmed.search.time_left import describe_shortage
from tlmed.studies.crew import Crew
from tlmed.tasks import PRIMARY, SINGLE_LABEL
from tlmed.whole_files import write_text
from tlmed.words import count

_SEEN = (
    "Many test images of that command took part in the search, so that its test score is too good; that in "
    "`search.json` is not."
)


def write_record(crew: Crew, state: SearchState) -> None:
    """Write `search.csv`, `search.json` and the winner's recipe into the directory of the study."""
    folder, space = crew.order.folder, state.space
    searches = [_describe_search(crew, state, outer) for outer in state.outers]
    every = [each for outer in state.outers for each in outer.tried]
    write_candidates(folder, space.names, (_to_row(outer, each) for outer in state.outers for each in outer.tried))
    known = [found["optimism"] for found in searches if found["optimism"] is not None]
    write_search(
        folder,
        {
            "metric": _find_metric(crew),
            "trials": state.search.trials,
            "nested": state.search.nested,
            "folds": space.study.folds,
            "seeds": space.study.seeds,
            "space": space.to_json()["dimensions"],
            "searches": searches,
            "optimism": statistics.fmean(known) if known and len(known) == len(searches) else None,
            "importance": measure_importance(every, [each.name for each in space.dimensions]),
            "seconds": sum(entry.result.get("total_seconds", 0.0) for entry in crew.entries.values()),
        },
    )
    for outer in state.outers:
        if (winner := find_winner(outer.tried)) is not None:
            name = WINNER_PY if not state.search.nested else f"winner_fold{outer.fold:02d}.py"
            write_text(folder / name, _write_recipe(state, outer, winner, name))


def _to_row(outer: OuterSearch, each: Tried) -> dict[str, object]:
    title = outer.space.find_title(each.params)
    own = outer.space.recipes[title].backbone
    return {
        "candidate": each.number + 1,
        "fold": "" if outer.fold is None else outer.fold,
        "state": each.state,
        "reason": each.reason,
        "draws": each.draws,
        "validation": "" if each.score is None else each.score,
        "recipe": title,
        "backbone": each.params.get(BACKBONE) or (own if isinstance(own, str) else "+".join(own)),
        **{name: show_value(each.params[name]) if name in each.params else "" for name in outer.space.names},
    }


def _describe_search(crew, state, outer) -> dict:
    """Return what `search.json` says of one search."""
    winner = find_winner(outer.tried)
    found = {
        "fold": outer.fold,
        "probes": outer.probes,
        "backbones": list(outer.space.backbones),
        "candidates": dict(Counter(each.state for each in outer.tried)),
        "is_finished": outer.is_over,
        "untried": outer.explain_untried(state.search.trials) if outer.is_over else {},
        "winner": None,
        "finals": [],
        **dict.fromkeys(("validation", "fresh", "test", "optimism")),
    }
    if winner is None:
        return found | ({"shortage": describe_shortage(crew, state)} if outer.is_late else {})
    finals = list_finals(state, outer, winner) if outer.is_over else []
    unseen = [cell for cell in finals if cell.fold == outer.fold]  # its test images took no part in this search
    test, row = average(crew, unseen), _to_row(outer, winner)
    return found | {
        "winner": {name: row[name] for name in ("candidate", "draws", RECIPE, BACKBONE, *outer.space.names)},
        "finals": [cell.name for cell in finals],
        "validation": winner.score,
        "fresh": average(crew, list_fresh(state, outer, winner)),
        "test": test,
        "optimism": None if test is None else winner.score - test,
    }


def _find_metric(crew) -> str:
    """Return the metric that decides, as the cells name it."""
    named = (entry.result["primary"] for entry in crew.entries.values() if "primary" in entry.result)
    return next(named, PRIMARY[SINGLE_LABEL])


def _write_recipe(state, outer, winner: Tried, name: str) -> str:
    """Return the winner as a recipe for the whole of the images, with what it is worth in its docstring."""
    cell = make_final(outer.space, winner.params, state.space.study.first_seed, None)
    whole = dataclasses.replace(cell.recipe.data, split_seed=None)
    recipe = dataclasses.replace(cell.recipe, data=whole, examples=state.space.recipes[cell.title].examples)
    values = "\n".join(f"    {each}: {show_value(value)}" for each, value in winner.params.items())
    doubt = "" if outer.is_over else " The search is not finished: it is the best candidate so far."
    seen = "" if outer.fold is None else f"\n\n{_SEEN}"
    chosen = len(outer.probes)
    probed = f", and the backbone they begin with out of {chosen} by the first draw" if chosen > 1 else ""
    said = f"""Candidate {winner.number + 1} of a search: no other that was judged on as many draws has a higher mean \
validation score; it has {winner.score:.3f} over draws 1 to {winner.draws}.{doubt}

    tlmed train {name} --data my_images/

It was chosen out of {count(len(outer.tried), "candidate")}{probed}:

{values}

Its validation score is too good, because it was chosen by it; `search.json` holds the score on test images as soon as \
the cells of the winner are complete.{seen}"""
    return to_source(recipe, said)
