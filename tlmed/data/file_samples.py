"""Tables of samples, made from tables of files: several rows for a file that holds several samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tlmed.data.parts import Content
from tlmed.data.table import Table
from tlmed.part_names import split_part
from tlmed.pseudonyms import name_file_group

_BY_FILE = (
    "No patients are known: all samples of a file stay in one split, and intervals are by files. If a patient has "
    "several files, list them in a CSV with a column `patient`."
)


@dataclass(frozen=True)
class Sample:
    """A row of a table that is made from a table of files.

    Args:
        path: What it is called, as `join_part` names it, or the path of a whole file.
        row: The row of its file, or of the first file of its series, which gives label, group, split and traits.
        read: Returns its content: a `Part`; or a whole file as the table of files gives it.
    """

    path: str
    row: int
    read: Callable[[], Content]


def expand(table: Table, samples: Sequence[Sample], notes: Sequence[str] = ()) -> Table:
    """Return a table of samples, made from a table of files.

    Samples of a file belong together: they have the group of the file, and where no groups are known, each file is one.

    Args:
        table: The files.
        samples: Its samples, in order: those of a file one after another.
        notes: More sentences that a user should see.
    """
    grouped = table if table.groups is not None else replace(table, groups=tuple(map(name_file_group, table.paths)))
    has_parts = any(split_part(sample.path)[1] for sample in samples)
    told = (_BY_FILE,) if table.groups is None and has_parts else ()
    return replace(
        (grouped if has_parts else table).take([sample.row for sample in samples]),
        paths=tuple(sample.path for sample in samples),
        read=lambda row: samples[row].read(),
        notes=(*table.notes, *notes, *told),
    )


def find_owners(paths: Sequence[str]) -> list[range]:
    """Return the rows of each file, in order; samples of a file stand one after another.

    >>> find_owners(["a.png", "b.nii#plane=1", "b.nii#plane=2"])
    [range(0, 1), range(1, 3)]
    """
    files = [split_part(path)[0] for path in paths]
    starts = [row for row in range(len(files)) if row == 0 or files[row] != files[row - 1]]
    return [range(start, end) for start, end in zip(starts, [*starts[1:], len(files)], strict=True)]
