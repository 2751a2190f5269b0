"""One sample of a file that somebody names: the file as it is, a plane of a volume, or three."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tlmed.data.opened_volumes import open_file, share_while_held, take_part
from tlmed.data.parts import Content
from tlmed.data.volumes import choose_planes
from tlmed.part_names import split_part
from tlmed.regular_files import read_regular
from tlmed.slicing import ALL, VIEWS, Slicing


def find_file(path: Path) -> Path:
    """Return the file that a path names, with or without a part of it.

    Args:
        path: Of a file, or of a plane as predictions name it: `scan.nii.gz#plane=12`.
    """
    return path if path.is_file() else Path(split_part(str(path))[0])


def make_reader(slicing: Slicing) -> Callable[[Path], Content]:
    """Return a function that reads the sample that a path names, for use by one thread.

    As long as somebody holds a sample of a file, others of it are read from the same decoded volume.

    Args:
        slicing: Which plane of a volume a path without a part stands for: `planes` is 1, or `channels` is "views"; and
            along which axis planes are counted.
    """
    opened = share_while_held(lambda file: open_file(lambda: read_regular(file)))

    def read(path: Path) -> Content:
        file = find_file(path)
        if file != path:
            part = split_part(str(path))[1]
            if part == VIEWS:
                return take_part(opened(file), Slicing(channels=VIEWS), 0)
            return take_part(opened(file), replace(slicing, planes=ALL), int(part.partition("=")[2]))
        if not slicing.wanted:
            return read_regular(file)
        found = opened(file)
        planes = choose_planes(found.stack(), slicing)
        return found.files[0].content() if planes is None else take_part(found, slicing, planes[0])

    return read
