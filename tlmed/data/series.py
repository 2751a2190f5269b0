"""Series: files that are planes of one volume, as DICOM stores most of them; found among the files of a table."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from tlmed.data.readers.orientation import Arrangement, Slice, arrange
from tlmed.data.readers.stack import CHOOSE
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


def check_no_folders(table: Table) -> None:
    """Refuse a table whose source names folders as volumes, where nobody said which of their planes are samples.

    Raises:
        InputError: It names the folders.
    """
    if folders := list(dict.fromkeys(filter(None, table.folders or ()))):
        raise InputError(
            f"A folder that a table names is one volume, a series of DICOM files; {CHOOSE}. "
            f"Received: data={table.source} with {listed(map(repr, folders), _NAMED)}."
        )


def keep_folders_apart(
    table: Table, slices: Mapping[int, Slice], sound: Sequence[int]
) -> tuple[dict[int, Slice], list[Series]]:
    """Make each folder that a source names one volume: its series ends with it.

    Args:
        table: A row per file.
        slices: As for `find_series`.
        sound: The rows of files whose header can be read; reading names the others.

    Returns:
        The slices of series that are left, each with the name of its folder; and a series with a fault for each folder
        that does not hold one series and nothing else.
    """
    if table.folders is None:
        return dict(slices), []
    own = {row: replace(found, series=f"{table.folders[row]}\0{found.series}") for row, found in slices.items()}
    inside, refused = defaultdict(list), []
    for row in sound:
        if table.folders[row]:
            inside[table.folders[row]].append(row)
    for folder, rows in inside.items():
        if len(rows) > 1 and (fault := _find_folder_fault(table, rows, own)):
            refused.append(
                Series(folder, tuple(row for row in range(len(table)) if table.folders[row] == folder), fault=fault)
            )
    gone = {row for series in refused for row in series.rows}
    return {row: found for row, found in own.items() if row not in gone}, refused


def _find_folder_fault(table: Table, rows: Sequence[int], slices: Mapping[int, Slice]) -> str:
    first = {}
    for row in rows:
        first.setdefault(slices[row].series if row in slices else None, f"'{table.paths[row]}'")
    if None in first:
        return f"{first[None]} in it is no plane of a series"
    if len(first) > 1:
        named = listed(first.values(), _NAMED)
        return f"it holds {len(first):,} series ({named}); give each a folder and a row of its own"
    if not any(slices[row].place for row in rows):
        return "its files do not say where they lie in the patient, so that they are no volume; list each file"
    return ""


def name_by_folder(table: Table, series: Series) -> Series:
    """Return a series with the name of the folder that the source names for it, if there is one."""
    folder = table.folders[series.rows[0]] if table.folders is not None else ""
    return replace(series, path=folder) if folder else series


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
