"""Series: files that are planes of one volume, as DICOM stores most of them; found among the files of a table."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from tlmed.data.readers.orientation import Arrangement, Slice, arrange
from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.pseudonyms import NOBODY
from tlmed.words import count, listed

_NAMED = 3


@dataclass(frozen=True, eq=False)
class Series:
    """Files that are planes of one volume.

    Attributes:
        path: What it is called: the folder that holds it and no other image, or else the first of its files.
        rows: The rows of its files, in the order of their paths, without copies.
        shape: Height and width of each plane.
        found: How the planes lie; None where a fault hides it.
        fault: Why it is refused; "" if it is not.
        gaps: Pairs of rows between which planes are missing.
        copies: The rows of files that are copies of others of the series.
    """

    path: str
    rows: tuple[int, ...]
    shape: tuple[int, int] = (0, 0)
    found: Arrangement | None = None
    fault: str = ""
    gaps: tuple[tuple[int, int], ...] = ()
    copies: tuple[int, ...] = ()


def find_series(
    table: Table, slices: Mapping[int, Slice], digests: Mapping[int, str]
) -> tuple[list[Series], list[str]]:
    """Find the series of a table.

    Files without a place in the patient, and series of one file, are images by themselves.

    Args:
        table: A row per file.
        slices: What the files say that may be planes of a series, by row.
        digests: The digest of the content of these files.

    Returns:
        The series, in the order of their first files; and sentences that a user should see.

    Raises:
        InputError: Files of a series have different labels, patients or splits.
    """
    together = defaultdict(list)
    for row, found in slices.items():
        together[found.series].append(row)
    groups = [rows for rows in together.values() if len(rows) > 1 and any(slices[row].place for row in rows)]
    if faults := [fault for rows in groups for fault in _find_contradictions(table, rows)]:
        raise InputError(faults)
    in_folder = defaultdict(set)
    for row, path in enumerate(table.paths):
        in_folder[_name_folder(path)].add(row)
    series = [_describe(table, rows, slices, digests, in_folder) for rows in groups]
    return series, _describe_series(table, series)


def _name_folder(path: str) -> str:
    return PurePosixPath(path).parent.as_posix()


def _find_contradictions(table: Table, rows: Sequence[int]) -> list[str]:
    columns = {
        "label": {table.classes[table.labels[row]] for row in rows} if table.classes else set(),
        # A file that names neither patient nor study has a pseudonym of its own.
        "patient": {table.groups[row] for row in rows if not table.groups[row].startswith(f"{NOBODY}-")}
        if table.groups
        else set(),
        "split": {table.splits[row] for row in rows} if table.splits else set(),
    }
    names = listed((f"'{table.paths[row]}'" for row in rows), _NAMED)
    return [
        f"All files of a series must have the same {what}, because they are planes of one volume (without "
        f"`data.planes` and `data.channels` each file is an image). Received: {listed(sorted(values))} for {names}."
        for what, values in columns.items()
        if len(values) > 1
    ]


def _describe(table, rows, slices, digests, in_folder) -> Series:
    rows = sorted(rows, key=table.paths.__getitem__)
    first = {digests[row]: row for row in reversed(rows)}
    folder = _name_folder(table.paths[rows[0]])
    path = folder if in_folder[folder] == set(rows) else table.paths[rows[0]]
    copies = tuple(row for row in rows if first[digests[row]] != row)
    rows = tuple(row for row in rows if first[digests[row]] == row)
    made, places = Series(path, rows, copies=copies), tuple(slices[row].place for row in rows)
    if None in places:
        return replace(made, fault="some files of the series do not say where they lie in the patient")
    try:
        found = arrange(places)
    except ValueError as error:
        return replace(made, fault=f"it is a series of {len(rows):,} files, and {error}")
    fault, gaps = _find_fault(table, rows, found), _pair(rows, found.find_gaps())
    return replace(made, shape=places[0].shape, found=found, fault=fault, gaps=gaps)


def _pair(rows: tuple[int, ...], pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple((rows[one], rows[other]) for one, other in pairs)


def _find_fault(table: Table, rows: tuple[int, ...], found: Arrangement) -> str:
    same = _pair(rows, found.find_repeated())
    if not same:
        return ""
    one, other = (table.paths[row] for row in same[0])
    return (
        f"'{one}' and '{other}' lie at the same place in the patient ({count(len(same), 'such pair')}): the series "
        "holds several volumes, such as phases or echoes; give the files of one of them only"
    )


def _describe_series(table: Table, series: Sequence[Series]) -> list[str]:
    said = []
    if copies := [row for found in series for row in found.copies]:
        names = listed((f"'{table.paths[row]}'" for row in copies), _NAMED)
        said.append(f"Left out, as copies of other files of their series: {count(len(copies), 'file')} ({names}).")
    torn = [found for found in series if found.gaps and not found.fault]
    if torn:
        gaps = (f"'{table.paths[one]}' and '{table.paths[other]}'" for found in torn for one, other in found.gaps)
        said.append(f"Planes are missing in {len(torn):,} of {len(series):,} series: between {listed(gaps, _NAMED)}.")
    return said
