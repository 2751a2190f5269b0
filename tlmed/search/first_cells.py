"""Cells with everything that a search may choose, each at least once: can their scores be compared?"""

import contextlib
from collections.abc import Sequence

from tlmed.errors import InputError
from tlmed.recipe import Cell
from tlmed.recipe.candidate_cells import make_candidate, start_at
from tlmed.recipe.search_space import Space
from tlmed.search.time_left import list_starts


def list_beginnings(space: Space) -> list[Cell]:
    """Return a cell of each recipe with each backbone, as it is, and one for each value of each varied field."""
    fold = space.study.list_folds()[0]
    cells = [cell for cell in list_starts(space) if cell.title in space.recipes]  # probes have no varied fields
    for title in space.recipes:
        start = start_at(space, title)
        for name in space.named.keys() & start.keys():
            for text in space.named[name]:
                with contextlib.suppress(InputError):  # a candidate whose values do not go together fails by itself
                    cells.append(make_candidate(space, {**start, name: text}, 1, fold))
    return cells


def refuse_measures(cells: Sequence[Cell]) -> None:
    """Refuse a search that would compare scores of different measures.

    Args:
        cells: From `list_beginnings`.

    Raises:
        InputError: If tasks differ, or the quadratic kappa is that of several orders of grades.
    """
    tasks = {cell.recipe.resolved_task for cell in cells}
    if len(tasks) > 1:
        raise InputError(f"All candidates of a search must ask one question. Received: {', '.join(sorted(tasks))}.")
    orders = [tuple(cell.recipe.data.order) for cell in cells if cell.recipe.data.order]
    told = {min(order, order[::-1]): order for order in orders}
    if len(told) > 1:
        raise InputError(
            "A search compares quadratic kappas of one order of grades: those of others are other measures. "
            f"Received: {'; '.join(', '.join(order) for order in told.values())}."
        )
