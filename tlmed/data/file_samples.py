"""Tables of samples, made from tables of files: several rows for a file that holds several samples."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.data.parts import Content
from tlmed.data.table import Table
from tlmed.part_names import split_part
from tlmed.pseudonyms import name_file_group

PARALLEL = min(os.cpu_count() or 1, 16)  # threads that read files


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

    Samples of a file belong together: they have the group of the file. Where no groups are known and a file has several
    samples, each file is a group.

    Args:
        table: The files.
        samples: Its samples, in order: those of a file one after another.
        notes: More sentences that a user should see.
    """
    grouped = table if table.groups is not None else replace(table, groups=tuple(map(name_file_group, table.paths)))
    has_several = len({sample.row for sample in samples}) < len(samples)
    return replace(
        (grouped if has_several else table).take([sample.row for sample in samples]),
        paths=tuple(sample.path for sample in samples),
        read=lambda row: samples[row].read(),
        notes=(*table.notes, *notes),
    )


def find_owners(paths: Sequence[str]) -> list[range]:
    """Return the rows of each file, in order; samples of a file stand one after another.

    >>> find_owners(["a.png", "b.nii#plane=1", "b.nii#plane=2"])
    [range(0, 1), range(1, 3)]
    """
    files = [split_part(path)[0] for path in paths]
    starts = [row for row in range(len(files)) if row == 0 or files[row] != files[row - 1]]
    ends = [*starts[1:], len(files)] if files else []
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def number_owners(paths: Sequence[str]) -> np.ndarray | None:
    """Return a number for the file of each row, int64 [n]; None if no file has several rows.

    >>> number_owners(["a.png", "b.nii#plane=1", "b.nii#plane=2"]).tolist(), number_owners(["a.png", "b.png"])
    ([0, 1, 1], None)
    """
    owners = find_owners(paths)
    if len(owners) == len(paths):
        return None
    return np.repeat(np.arange(len(owners)), [len(rows) for rows in owners])


def cut_between_files(paths: Sequence[str], most: int) -> list[range]:
    """Cut rows into pieces for one thread each: all samples of one file, or up to so many files with one sample each.

    >>> cut_between_files(["a.png", "b.nii#plane=1", "b.nii#plane=2", "c.png", "d.png", "e.png"], 2)
    [range(0, 1), range(1, 3), range(3, 5), range(5, 6)]
    """
    cuts, single = [], False
    for rows in find_owners(paths):
        if single and len(rows) == 1 and len(cuts[-1]) < most:
            cuts[-1] = range(cuts[-1].start, rows.stop)
        else:
            cuts.append(rows)
        single = len(rows) == 1
    return cuts
