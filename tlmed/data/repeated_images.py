"""Sentences on images that repeat another one."""

from collections.abc import Sequence

import numpy as np

from tlmed.data.table import Table
from tlmed.pseudonyms import names_owner
from tlmed.words import count


def describe_copies(
    table: Table, repeated: Sequence[Sequence[int]], splits: np.ndarray, given: bool, fold: bool
) -> list[str]:
    """Say how many images repeat another one, and what this does to intervals, which are of tested images.

    Intervals are by groups where there are any: copies within a group make none narrower.

    Args:
        table: The images.
        repeated: The rows of each set of identical images.
        splits: The split of every image.
        given: Whether the splits came with the images.
        fold: Whether they are one fold of a cross-validation, which tests every image.
    """
    if not repeated:
        return []
    copies, unit = sum(len(rows) - 1 for rows in repeated), table.unit
    parted = given or any(len(set(splits[rows].tolist())) > 1 for rows in repeated)  # as given splits may put them
    said = (
        f"{count(copies, 'image')} of the data {'repeats' if copies == 1 else 'repeat'} another one {unit} for {unit}"
        f"{'.' if parted else '; such images share a split.'}"
    )
    firsts = [_take_owners(table, rows) for rows in repeated]
    if not (apart := sum(len(rows) - 1 for rows in firsts)):
        return [f"{said} Copies belong to the same group each time, and intervals count groups."]
    among = f" {apart:,} of them {'repeats' if apart == 1 else 'repeat'} one of no common group." * (apart < copies)
    narrow = fold or any(splits[rows].tolist().count("test") > 1 for rows in firsts)
    return [f"{said}{among} None is left out{': many copies make intervals too narrow.' if narrow else '.'}"]


def _take_owners(table, rows: Sequence[int]) -> list[int]:
    """Return one of some rows for each of their groups; rows that belong to nobody are groups of their own."""
    if table.groups is None:
        return list(rows)
    owners = {table.groups[row] if names_owner(table.groups[row]) else row: row for row in rows}
    return list(owners.values())
