"""Metrics as cells of a table."""

from collections.abc import Mapping

from tlmed.pages.amounts import EMPTY, number, says_nothing
from tlmed.tabulation import EMPHASIS, Cell, say


def show_cell(entry: Mapping | None) -> str | Cell:
    """Return a value with its interval below it; nothing where there is none."""
    if entry is None:
        return ""
    return say(number(entry["value"]), below=() if entry["low"] is None else (show_interval(entry),))


def show_interval(entry: Mapping, **shown: object) -> Cell:
    """Return an interval for a narrow cell, marked below where it says nothing; what is named goes to `Cell`."""
    below = (say(EMPTY, mark=EMPHASIS),) if says_nothing(entry) else ()
    return say(f"{number(entry['low'])} to {number(entry['high'])}", below=below, **shown)
