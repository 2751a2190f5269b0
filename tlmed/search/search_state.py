"""What a process knows of a search while it works on it."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from tlmed.errors import InputError
from tlmed.expected_time import ExpectedTime
from tlmed.recipe import Cell, Recipe
from tlmed.recipe.candidate_cells import make_candidate, make_final, make_probe, start_at
from tlmed.recipe.search_space import Space
from tlmed.run_files.search_files import BUDGET, TRIALS
from tlmed.screen import Screen
from tlmed.search.proposals import COMPLETE, RUNGS, RUNNING, Tried
from tlmed.search.trial_book import TrialBook
from tlmed.studies.cell_results import find_score
from tlmed.studies.crew import Crew

FRESH = (5, 6, 7, 8)  # draws on which the winner is trained once more: none of them has chosen it


@dataclass
class OuterSearch:
    """One search, in which the test images of one fold take no part.

    Attributes:
        fold: The fold; None where the images are divided once.
        book: Its candidates.
        space: What it may choose; after the probes with the backbones that stay.
        probed: Whether it is known which backbones stay.
        tried: The candidates when they were last read.
        is_issued: Whether no further candidate is to come.
        is_late: Whether the budget ended it: it had no time for cells that wait, or for any further candidate.
        later: Seconds of the budget that later folds have; None before it begins.
        passed: The recipes that were passed over as they are, because the budget has no time for them.
        barren: How much was known when the budget had no time for any further candidate.
        is_over: Whether its winner is known.
        probes: The validation score of each backbone's probe; None where it failed.
        made: The cells of each candidate on all draws, by its place.
        is_recalled: Whether the trainings of earlier winners were looked for.
        is_renewed: Whether candidates that failed in earlier commands were entered once more.
    """

    fold: int | None
    book: TrialBook
    space: Space
    probed: bool = False
    tried: list[Tried] = field(default_factory=list)
    is_issued: bool = False
    is_late: bool = False
    later: float | None = None
    passed: set[str] = field(default_factory=set)
    barren: tuple[int, int] | None = None
    is_over: bool = False
    probes: dict[str, float | None] = field(default_factory=dict)
    made: dict[int, list[Cell]] = field(default_factory=dict)
    is_recalled: bool = False
    is_renewed: bool = False

    @property
    def where(self) -> str:
        """Return the beginning of a sentence about it."""
        return "" if self.fold is None else f"fold {self.fold}: "

    def make_probes(self, space: Space) -> dict[str, Cell]:
        """Return the probe of each backbone."""
        return {name: make_probe(space, name, self.fold) for name in space.backbones}

    def make_cells(self, each: Tried, draws: int) -> list[Cell]:
        """Return the cells of a candidate on its first draws.

        Raises:
            InputError: If its values do not go together.
        """
        if each.number not in self.made:
            everywhere = range(1, RUNGS[-1] + 1)
            self.made[each.number] = [make_candidate(self.space, each.params, draw, self.fold) for draw in everywhere]
        return self.made[each.number][:draws]

    def is_tried(self, params: Mapping[str, str | float]) -> bool:
        """Tell whether a candidate makes a recipe that was tried, by the same values or by others.

        Raises:
            InputError: If its values do not go together.
        """
        recipe = make_candidate(self.space, params, 1, self.fold).recipe
        return any(self._make_first(each) == recipe for each in self.tried)

    def list_new_starts(self) -> dict[str, dict[str, str | float]]:
        """Return the recipes that are no candidates as they are, each with the values that it has so."""
        known = [dict(each.params) for each in self.tried]
        starts = {title: start_at(self.space, title) for title in self.space.recipes}
        return {title: start for title, start in starts.items() if start not in known and not self._is_twin(start)}

    def explain_untried(self, trials: int) -> dict[str, str]:
        """Return the recipes that were not judged as they are, each with what ended the search before.

        Args:
            trials: How many candidates were asked for, at most.
        """
        entered = [dict(each.params) for each in self.tried]
        judged = [dict(each.params) for each in self.tried if each.scores or each.state != RUNNING]
        new, found, is_late = self.list_new_starts(), {}, self.is_late and len(self.tried) < trials
        for title in self.space.recipes:
            has_waited = (start := start_at(self.space, title)) in entered and start not in judged
            if has_waited or title in new:
                found[title] = BUDGET if is_late or has_waited or title in self.passed else TRIALS
        return found

    def _is_twin(self, params) -> bool:
        """Tell whether a candidate makes a recipe that was tried; one whose values do not go together does not."""
        try:
            return self.is_tried(params)
        except InputError:
            return False

    def _make_first(self, each) -> Recipe | None:
        try:
            return self.make_cells(each, 1)[0].recipe
        except InputError:
            return None  # it failed for that


@dataclass
class SearchState:
    """All that a process knows of a search.

    Attributes:
        space: What may be chosen.
        screen: Shows what happens.
        outers: One search, or for a nested one a search for each fold.
        again: Whether cells that failed are tried again, because nobody else works on the search.
        seen: When the ledger was asked whose answer was worked through last.
        more: Whether more may come.
        costs: How long a training of each recipe and backbone is expected to take, on images of its own size.
        pixels: How many pixels these images have.
        gone: Seconds of the budget that were gone when the forecast was made.
    """

    space: Space
    screen: Screen
    outers: list[OuterSearch]
    again: bool
    seen: float = float("-inf")
    more: bool = True
    costs: dict[tuple[str, str, str], ExpectedTime] = field(default_factory=dict)
    pixels: dict[tuple[str, str, str], int] = field(default_factory=dict)
    gone: float = 0.0

    @property
    def search(self):
        """Return what was asked for."""
        return self.space.study.search

    @property
    def seeds(self) -> range:
        """Return the seeds with which a winner is trained."""
        study = self.space.study
        return range(study.first_seed, study.first_seed + study.seeds)


def list_finals(state: SearchState, outer: OuterSearch, winner: Tried) -> list[Cell]:
    """Return the cells that train a winner as a study does, scored on test images."""
    folds = state.space.study.list_folds() if not state.search.nested else [outer.fold]
    return [make_final(outer.space, winner.params, seed, fold) for fold in folds for seed in state.seeds]


def list_fresh(state: SearchState, outer: OuterSearch, winner: Tried) -> list[Cell]:
    """Return the cells that train a winner on draws that chose nothing; a nested search measures more without them."""
    if state.search.nested:
        return []
    return [make_candidate(outer.space, winner.params, draw, outer.fold) for draw in FRESH]


def recall_earlier(crew: Crew, state: SearchState, outer: OuterSearch) -> None:
    """Note the complete trainings of candidates that won before more were tried: tables and seconds count them."""
    for each in outer.tried:
        if each.state == COMPLETE and not outer.is_recalled:
            cells = [*list_finals(state, outer, each), *list_fresh(state, outer, each)]
            done = [cell for cell in cells if crew.entries.get(cell.name) and crew.entries[cell.name].state == COMPLETE]
            crew.earlier |= {cell.name: cell for cell in done}
    outer.is_recalled = True


def average(crew: Crew, cells: list[Cell]) -> float | None:
    """Return the mean score of cells; None unless all are complete."""
    entries = [crew.entries.get(cell.name) for cell in cells]
    if not cells or any(entry is None or entry.state != "complete" for entry in entries):
        return None
    return statistics.fmean(find_score(entry.result) for entry in entries)


def is_settled(crew: Crew, cell: Cell) -> bool:
    """Tell whether a cell is complete or has failed."""
    entry = crew.entries.get(cell.name)
    return entry is not None and entry.state in ("complete", "failed")


def find_reason(crew: Crew, cells: list[Cell]) -> str | None:
    """Return why a cell failed, with its draw; None if none did."""
    for cell in cells:
        entry = crew.entries.get(cell.name)
        if entry is not None and entry.state == "failed":
            return f"draw {cell.draw}: {entry.reason}"
    return None


def next_rung(draws: int) -> int:
    """Return the number of draws after which a candidate is judged next.

    >>> next_rung(0), next_rung(2)
    (1, 4)
    """
    return next(rung for rung in RUNGS if rung > draws)
