"""Volumes become samples: a table of files to one of their planes, as a recipe asks for them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tlmed.data.file_samples import Sample, expand
from tlmed.data.opened_volumes import Opened, open_file, open_series, share_while_held, take_part, take_slice
from tlmed.data.parts import Content, Part, digest_content
from tlmed.data.readers import find_slice, open_stack
from tlmed.data.readers.orientation import Slice
from tlmed.data.readers.stack import Stack
from tlmed.data.series import Series, check_no_folders, find_series, keep_folders_apart, name_by_folder
from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.part_names import join_part
from tlmed.slicing import NEIGHBOURS, REPEAT, VIEWS, Slicing
from tlmed.words import count

_THREADS = 4  # each holds a file in memory


@dataclass(frozen=True)
class _Survey:
    """What the header of a file says.

    Attributes:
        planes: Which of its planes are samples; None for a file that is one sample, or that reading will refuse.
        slice: Its place in a series; None if it is in none.
        digest: Of its content, if it is in a series; "" elsewhere.
        sound: Whether the header could be read.
    """

    planes: range | None = None
    slice: Slice | None = None
    digest: str = ""
    sound: bool = False


@dataclass(frozen=True, eq=False)
class _Unit:
    """A file, or a series of files, and its samples.

    Attributes:
        path: What it is called.
        row: The row of the file, or of the first one of the series.
        planes: Which planes are samples; None: the file is one, as it is.
        open: Opens it.
        take: Takes a sample by the number of its plane where each is a file that is read by itself; None elsewhere.
        fault: Why no sample of it can be read; "" if some can.
    """

    path: str
    row: int
    planes: range | None
    open: Callable[[], Opened] | None = None
    take: Callable[[int], Part] | None = None
    fault: str = ""


def cut_volumes(table: Table, slicing: Slicing) -> Table:
    """Return the samples of a table of files: planes of those that hold several, and the others as they are.

    Files that are planes of one series, by their headers, count as one. Only headers are read here; all samples of a
    volume are read from one decoded volume, as long as somebody holds one of them. Files and series of which no sample
    can be made stay in the table: reading them names the fault.

    Args:
        table: A row per file.
        slicing: Which planes are samples. If none are wanted, the table stays as it is.

    Raises:
        InputError: An extra is missing; files of a series have different labels, patients or splits; or the source
            names folders as volumes, and no planes are wanted.
    """
    if not slicing.wanted or table.encoded_here:
        check_no_folders(table)
        return table
    found, series, notes = _survey_all(table, slicing)
    units = [_make_series_unit(table, each, slicing) for each in series]
    inside = {row for each in series for row in (*each.rows, *each.copies)}
    units += [_make_file_unit(table, row, found[row].planes) for row in range(len(table)) if row not in inside]
    units.sort(key=lambda unit: unit.row)
    opened = share_while_held(lambda number: units[number].open())
    samples = [
        sample for number in range(len(units)) for sample in _list_samples(table, units, number, slicing, opened)
    ]
    return expand(table, samples, [_describe(units, slicing), *notes])


def list_series(table: Table, slicing: Slicing) -> list[Series]:
    """Return the series of a table of files, whose planes are samples; none where no planes are wanted.

    Args:
        table: A row per file.
        slicing: Which planes are samples.

    Raises:
        InputError: As for `cut_volumes`.
    """
    return _survey_all(table, slicing)[1] if slicing.wanted else []


def _survey_all(table: Table, slicing: Slicing) -> tuple[list[_Survey], list[Series], list[str]]:
    """Return what each header says, the series of the files, and sentences that a user should see."""
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda row: _survey(table, row, slicing), range(len(table))))
    slices = {row: survey.slice for row, survey in enumerate(found) if survey.slice is not None}
    sound = [row for row, survey in enumerate(found) if survey.sound]
    slices, refused = keep_folders_apart(table, slices, sound)
    series, notes = find_series(table, slices, {row: found[row].digest for row in slices})
    series = [name_by_folder(table, each) for each in (*series, *refused)]
    return found, series, notes


def _survey(table: Table, row: int, slicing: Slicing) -> _Survey:
    try:
        content = table.read(row)
        found = find_slice(content)
    except InputError:
        raise
    except (OSError, ValueError):
        return _Survey()
    try:
        planes = choose_planes(open_stack(content), slicing)
    except ValueError:
        planes = None
    return _Survey(planes, found, digest_content(content) if found else "", sound=True)


def choose_planes(stack: Stack, slicing: Slicing) -> range | None:
    """Return which planes are samples; None for a file that is one sample.

    Args:
        stack: The planes of a file.
        slicing: How it is cut.
    """
    fits = not stack.oriented or (slicing.channels != VIEWS and slicing.axis in stack.counts)
    if min(stack.counts.values()) == 1 and fits:
        return None
    if slicing.channels == VIEWS:
        return range(1)
    return slicing.choose(stack.counts.get(slicing.axis, 1))  # reading says that an axis is missing


def _make_file_unit(table: Table, row: int, planes: range | None) -> _Unit:
    return _Unit(table.paths[row], row, planes, lambda: open_file(lambda: table.read(row)))


def _make_series_unit(table: Table, series: Series, slicing: Slicing) -> _Unit:
    first = series.rows[0]
    if series.fault:
        return _Unit(series.path, first, None, fault=series.fault)
    if len(series.rows) == 1:
        return _Unit(series.path, first, None)
    reads = [lambda row=row: table.read(row) for row in series.rows]
    found = series.found
    planes = choose_planes(open_series(reads, found, series.shape).stack(), slicing)
    if slicing.axis == found.axis and slicing.channels == REPEAT and not slicing.together:
        return _Unit(series.path, first, planes, take=lambda index: take_slice(reads[found.order[index]], found))
    return _Unit(series.path, first, planes, lambda: open_series(reads, found, series.shape))


def _list_samples(
    table: Table, units: Sequence[_Unit], number: int, slicing: Slicing, opened: Callable[[int], Opened]
) -> list[Sample]:
    unit = units[number]
    if unit.fault:
        return [Sample(unit.path, unit.row, lambda: _refuse(unit.fault))]
    if unit.planes is None:
        return [Sample(unit.path, unit.row, lambda: table.read(unit.row))]
    names = [VIEWS if slicing.channels == VIEWS else f"plane={index}" for index in unit.planes]
    take = unit.take or (lambda index: take_part(opened(number), slicing, index))
    return [
        Sample(join_part(unit.path, name), unit.row, lambda index=index: take(index))
        for index, name in zip(unit.planes, names, strict=True)
    ]


def _refuse(fault: str) -> Content:
    raise ValueError(fault)


def _describe(units: Sequence[_Unit], slicing: Slicing) -> str:
    cut = [len(unit.planes) for unit in units if unit.planes is not None]
    if not cut:
        return "No file holds several planes: `data.planes` and `data.channels` change nothing."
    volumes = count(len(cut), "volume")
    if slicing.channels == VIEWS:
        return f"{volumes}: the middle axial, coronal and sagittal plane are red, green and blue."
    near = ", each with those before and after it" if slicing.channels == NEIGHBOURS else ""
    return f"{volumes} {'gives' if len(cut) == 1 else 'give'} {count(sum(cut), 'sample')}: {slicing.axis} planes{near}."
