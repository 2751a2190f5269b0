"""The samples of what somebody names in Python: a file, a part of it, a folder that holds one series, or an array."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlmed.data.file_samples import Sample
from tlmed.data.folders import visible_files
from tlmed.data.kinds import read_head
from tlmed.data.opened_volumes import open_file, share_while_held, take_part
from tlmed.data.parts import Content
from tlmed.data.readers import is_image
from tlmed.data.readers.slides import is_slide
from tlmed.data.readers.stack import check_index
from tlmed.data.table import Table
from tlmed.data.volumes import cut_volumes
from tlmed.part_names import split_part
from tlmed.regular_files import read_regular
from tlmed.slicing import ALL, VIEWS, Slicing
from tlmed.words import listed

_NAMED = 3
Named = Path | np.ndarray


def find_named(path: Path) -> Path:
    """Return the file or folder that a path names, with or without a part of it.

    Args:
        path: Of a file or a folder, or of a plane as predictions name it: `scan.nii.gz#plane=12`.
    """
    return path if path.exists() else Path(split_part(str(path))[0])


@dataclass(frozen=True)
class Listed:
    """The samples of something that is named, in order, and sentences about files that are missing or left out."""

    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()


Lister = Callable[[Named, str], Listed]


def make_lister(slicing: Slicing) -> Lister:
    """Return a function that lists the samples of something that is named, for use by one thread.

    It takes a path or an array, and what an array is called. It raises ValueError with a short reason, OSError, and
    InputError where an extra is missing. As long as somebody holds a sample of a volume, others of it are read from the
    same decoded one.

    Args:
        slicing: Which planes of a volume, or of a folder that holds a series, are samples.
    """
    opened = share_while_held(lambda file: open_file(lambda: read_regular(file)))

    def list_samples(item: Named, name: str) -> Listed:
        if isinstance(item, np.ndarray):
            return _cut([name], lambda row: item, slicing)
        place = find_named(item)
        part = "" if place == item else split_part(str(item))[1]
        if part.startswith("plane=") and slicing.channels == VIEWS:
            raise ValueError("it names a plane, and channels='views' shows three others")
        if place.is_dir():
            return _list_folder(place, part, slicing)
        if part:
            asked = Slicing(channels=VIEWS) if part == VIEWS else replace(slicing, planes=ALL)
            return Listed((Sample(str(item), 0, lambda: take_part(opened(place), asked, _number(part))),))
        if is_slide(place, read_head(place)):
            raise ValueError("it is a slide, and no tile of it: write its tiles as PNG, or train a run with data.tile")
        return _cut([str(item)], lambda row: read_regular(item), slicing)

    return list_samples


def _number(part: str) -> int:
    return 0 if part == VIEWS else int(part.partition("=")[2])


def _cut(names: Sequence[str], read: Callable[[int], Content], slicing: Slicing) -> Listed:
    """Return the samples of files."""
    files = Table("paths", tuple(names), np.zeros(len(names), np.int64), (), None, None, read)
    table = cut_volumes(files, slicing)
    samples = (Sample(path, 0, lambda row=row: table.read(row)) for row, path in enumerate(table.paths))
    return Listed(tuple(samples), table.notes[1:])  # the first one says how many there are


def _list_folder(folder: Path, part: str, slicing: Slicing) -> Listed:
    """Return the samples of a folder, or one of them, if it holds one volume and nothing else to see."""
    if not (part or slicing.wanted):
        raise ValueError("it is a folder: `planes`, or channels='views', says what of its series is taken")
    files = [file for file in visible_files(folder) if is_image(file)]
    asked = slicing if not part else Slicing(channels=VIEWS) if part == VIEWS else replace(slicing, planes=ALL)
    found = _cut([str(file) for file in files], lambda row: read_regular(files[row]), asked)
    volumes = list(dict.fromkeys(split_part(sample.path)[0] for sample in found.samples))
    if len(volumes) != 1:
        raise ValueError(f"it must hold one series or volume, and holds {listed(volumes, _NAMED) or 'no image'}")
    if not part:
        return found
    check_index(_number(part), len(found.samples))
    return replace(found, samples=(found.samples[_number(part)],))
