"""Cells that cannot be trained, found in the list of backbones before any process begins."""

from collections.abc import Iterator, Sequence

from tlmed.catalogue import read_catalogue
from tlmed.errors import InputError, did_you_mean
from tlmed.recipe import Cell, Phase
from tlmed.screen import Screen
from tlmed.studies.ledger import Ledger
from tlmed.words import count, listed

_OTHERS = "hub:"  # networks of keras-hub, which no list names
_IMAGENET = ("imagenet", "imagenet/keras")
_NAMED = 3  # cells that a sentence names; it counts the others


def check_backbones(cells: Sequence[Cell]) -> None:
    """Refuse names that no backbone has.

    Raises:
        InputError: With every such name, and the nearest that there is.
    """
    known = [entry.name for entry in read_catalogue()]
    names = dict.fromkeys(name for cell in cells for name, _ in _list_networks(cell))
    faults = [
        f"`backbone` must be one of those that `tlmed backbones` lists.{did_you_mean(name, known)} "
        f"Received: backbone={name!r}."
        for name in names
        if not name.startswith(_OTHERS) and name.partition(":")[0] not in known
    ]
    if faults:
        raise InputError(faults)


def find_impossible(cells: Sequence[Cell]) -> dict[str, str]:
    """Return the names of cells that cannot be trained, each with a sentence about why.

    Only what is so on every machine: a cell that fails here for a file that is missing could be trained elsewhere.
    """
    entries = {entry.name: entry for entry in read_catalogue()}
    found = {cell.name: " ".join(_find_faults(cell, entries)) for cell in cells}
    return {name: fault for name, fault in found.items() if fault}


def refuse_impossible(ledger: Ledger, cells: Sequence[Cell], screen: Screen) -> None:
    """Note waiting cells that cannot be trained as failed, and say so.

    Args:
        ledger: Of the study.
        cells: Its cells.
        screen: Where to say it.
    """
    impossible = find_impossible(cells)
    refused: dict[str, list[str]] = {}
    while impossible and (claimed := ledger.claim(impossible.__contains__)) is not None:
        trial, name = claimed
        ledger.fail(trial, impossible[name])
        refused.setdefault(impossible[name], []).append(name)
    for reason, names in refused.items():
        screen.warn(f"{count(len(names), 'cell')} cannot be trained ({listed(names, _NAMED)}): {reason}")


def _list_networks(cell) -> list[tuple[str, str]]:
    """Return the names of a cell's backbones, each with its weights."""
    names, weights = cell.recipe.backbone, cell.recipe.weights
    names = (names,) if isinstance(names, str) else names
    return list(zip(names, (weights,) * len(names) if isinstance(weights, str) else weights, strict=True))


def _find_faults(cell, entries) -> Iterator[str]:
    size = cell.recipe.data.image_size
    for name, weights in _list_networks(cell):
        if (entry := entries.get(name)) is None:  # a width, or keras-hub's
            continue
        if min(size) < entry.least:
            yield (
                f"`data.image_size` must be at least {entry.least},{entry.least} for {name}. "
                f"Received: data.image_size={size[0]},{size[1]}."
            )
        most = max((phase.thaw for phase in _list_block_phases(cell.recipe)), default=0)
        if most > entry.blocks:
            yield f"`thaw` must be from 0 to {entry.blocks} (blocks of {name}) or 'all'. Received: thaw={most}."
        if weights in _IMAGENET and not entry.file and not entry.package:
            yield (
                f"`weights` must be a path or 'none' for {name}, which has no ImageNet weights. "
                f"Received: weights={weights!r}."
            )


def _list_block_phases(recipe) -> list[Phase]:
    """Return the phases of a recipe that count the blocks that they thaw."""
    phases = recipe.phases if isinstance(recipe.phases, tuple) else ()
    return [phase for phase in phases if phase.unit == "block" and phase.thaw != "all"]
