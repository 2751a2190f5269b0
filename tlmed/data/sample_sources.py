"""From samples back to files: which files, and which frames of them, a sample shows, for reports that refer to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlmed.data.pipeline import find_files
from tlmed.data.readers.dicom_sources import NoImage, SourceImage, find_frames, read_source
from tlmed.data.readers.reader import naming_extra
from tlmed.data.series import Series
from tlmed.data.table import Table
from tlmed.data.volumes import list_series
from tlmed.errors import InputError
from tlmed.part_names import split_part
from tlmed.regular_files import read_regular
from tlmed.slicing import NEIGHBOURS, VIEWS, Slicing, Tiling
from tlmed.words import listed

_NAMED = 5


@dataclass(frozen=True)
class Shown:
    """An image that a sample shows.

    Attributes:
        image: What its file says of it.
        frames: Which of its frames, from 1; none: all of it.
    """

    image: SourceImage
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Sources:
    """The DICOM files that samples come from.

    Attributes:
        images: What each file says of itself, by its path.
        series: The files of each series that counts as one volume, by the name of the volume.
        files: The paths that the rows of a series mean.
        slicing: How files became samples.
        others: Files that are no images for a report, and why: most studies hold some, such as earlier reports.
    """

    images: Mapping[str, SourceImage]
    series: Mapping[str, Series]
    files: tuple[str, ...]
    slicing: Slicing | Tiling
    others: Mapping[str, str] = field(default_factory=dict)

    def check(self, names: Sequence[str]) -> None:
        """Refuse samples of files that are no images for a report, although they have pixels.

        Raises:
            InputError: With the files.
        """
        found = dict.fromkeys(split_part(name)[0] for name in names)
        if faults := {name: self.others[name] for name in found if name in self.others}:
            raise _refuse(faults)

    def find(self, name: str) -> list[Shown]:
        """Return the images that a sample, a file or a volume shows.

        Args:
            name: As predictions call it, such as `scan.dcm` or `scan.dcm#plane=12`.

        Raises:
            ValueError: The file is damaged.
        """
        file, part = split_part(name)
        planes = _list_planes(part, self.slicing)
        if file in self.series:
            return [Shown(self.images[path]) for path in self._find_files(self.series[file], planes)]
        image = self.images[file]
        if image.frames == 1 or not planes:
            return [Shown(image)]
        last = image.frames - 1
        return [Shown(image, find_frames(read_regular(file), self.slicing.axis, _bound(planes, last)))]

    def _find_files(self, series: Series, planes: tuple[int, ...]) -> list[str]:
        rows = series.rows
        if planes and series.found is not None and series.found.axis == self.slicing.axis:
            order = series.found.order
            rows = dict.fromkeys(rows[order[plane]] for plane in _bound(planes, len(order) - 1))
        return [self.files[row] for row in rows]


def find_sources(paths: Sequence[str | Path], slicing: Slicing | Tiling, skip_bad: bool = False) -> Sources:
    """Read which images files are, before anything is computed; only headers are parsed.

    Args:
        paths: Files and folders, as for `read_files`.
        slicing: How files become samples.
        skip_bad: Pass over DICOM files of other kinds than images; of most of them nothing will be predicted.

    Raises:
        InputError: Some are no DICOM, or do not say which image they are and of which study; or two are the same image.
    """
    names, _ = find_files(paths)
    images, faults, others = {}, {}, {}
    with naming_extra("DICOM files", "dicom"):
        for name in names:
            try:
                images[name] = read_source(read_regular(name))
            except (OSError, ValueError) as error:
                (others if skip_bad and isinstance(error, NoImage) else faults)[name] = str(error)
    if faults:
        raise _refuse(faults)
    _check_apart(images)
    table = Table("paths", names, np.zeros(len(names), np.int64), (), None, None, lambda row: read_regular(names[row]))
    series = list_series(table, slicing) if isinstance(slicing, Slicing) else []
    return Sources(images, {each.path: each for each in series}, names, slicing, others)


def _refuse(faults: Mapping[str, str]) -> InputError:
    named = listed((f"'{name}' ({why})" for name, why in faults.items()), _NAMED)
    return InputError(
        f"Only DICOM images that name their study, series, class and instance can be reported to it. Received: {named}."
    )


def _check_apart(images: Mapping[str, SourceImage]) -> None:
    first = {}
    for name, image in images.items():
        first.setdefault(image.instance, []).append(f"'{name}'")
    if same := [listed(names, _NAMED) for names in first.values() if len(names) > 1]:
        raise InputError(
            "Each file must be an image of its own, by its SOPInstanceUID: leave copies out. "
            f"Received: {'; '.join(same[:_NAMED])}."
        )


def _list_planes(part: str, slicing: Slicing | Tiling) -> tuple[int, ...]:
    """Return which planes a sample shows; none: it shows the whole file, a tile, or planes across several axes."""
    if not part.startswith("plane=") or not isinstance(slicing, Slicing) or slicing.channels == VIEWS:
        return ()
    plane = int(part.partition("=")[2])
    return (plane - 1, plane, plane + 1) if slicing.channels == NEIGHBOURS else (plane,)


def _bound(planes: tuple[int, ...], last: int) -> tuple[int, ...]:
    """Return planes beside those at the ends as the ends, as `opened_volumes` shows them."""
    return tuple(min(max(plane, 0), last) for plane in planes)
