"""Planes that lie one after another in a patient, as DICOM places them: their order, their axis, and how to turn them.

DICOM counts millimetres to the patient's left, back and head (PS3.3, C.7.6.2.1.1); `AXES` and `stack.cut` count to the
right, front and head. Planes are turned by right angles only; no pixel is computed anew.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.data.readers.plane import Plane
from tlmed.data.readers.stack import Stack, check_index, check_shape, cut, make_once
from tlmed.slicing import AXES

_PARALLEL = 1e-2  # how far the cosines of two planes of one stack may differ: half a degree
_SAME = 1e-2  # millimetres between planes at the same place
_GAP, _UNEVEN = 1.5, 0.1  # as parts of the usual distance: from here on a plane is missing; they are not evenly spaced
_PIXEL = (1.0, 1.0)  # millimetres, where a file does not say it
_TO_RIGHT_AND_FRONT = np.array([-1, -1, 1])


@dataclass(frozen=True)
class Place:
    """Where a plane lies in the patient.

    Attributes:
        across: The directions in which columns, and rows, follow one another: 6 cosines (ImageOrientationPatient).
        position: Millimetres of its first pixel (ImagePositionPatient).
        shape: Height and width in pixels.
        spacing: Millimetres between rows and between columns; None if they are not known.
    """

    across: tuple[float, ...]
    position: tuple[float, float, float]
    shape: tuple[int, int]
    spacing: tuple[float, float] | None = None


@dataclass(frozen=True)
class Slice:
    """A file that may be one plane of a series of files.

    Attributes:
        series: What the series is called in the header. No text of it may reach a file or a message.
        place: Where the plane lies; None if the file does not say it.
    """

    series: str
    place: Place | None


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How planes follow one another.

    Attributes:
        order: Their numbers, from the patient's left, back or feet.
        distances: Millimetres from the first one, in this order.
        axes: The number in `AXES` of the axis that planes, rows and columns follow.
        signs: 1 where they follow it to the right, front or head, else -1; planes do so in `order`.
        slanted: Whether planes lie beside each other by more than a pixel, as with a tilted gantry; a plane across them
            would show the body slanted.
    """

    order: tuple[int, ...]
    distances: np.ndarray
    axes: tuple[int, int, int]
    signs: tuple[int, int, int]
    slanted: bool = False

    @property
    def axis(self) -> str:
        """The axis that planes follow one another along."""
        return AXES[self.axes[0]]

    def find_repeated(self) -> list[tuple[int, int]]:
        """Return pairs of planes, by their numbers, that lie at the same place."""
        near = np.flatnonzero(np.diff(self.distances) < _SAME)
        return [(self.order[place], self.order[place + 1]) for place in near]

    def find_gaps(self) -> list[tuple[int, int]]:
        """Return pairs of planes, by their numbers, between which one or more are missing."""
        steps = np.diff(self.distances)
        if not len(steps):
            return []
        return [(self.order[place], self.order[place + 1]) for place in np.flatnonzero(steps > _GAP * np.median(steps))]

    def is_even(self) -> bool:
        """Tell whether all planes are equally far from the next."""
        steps = np.diff(self.distances)
        return bool(len(steps) and np.abs(steps - np.median(steps)).max() <= _UNEVEN * np.median(steps))


def arrange(places: Sequence[Place]) -> Arrangement:
    """Find how planes follow one another.

    Args:
        places: Where each of them lies; one at least.

    Raises:
        ValueError: They are not parallel or not of one size, or their directions are damaged.

    >>> axial = [Place((1, 0, 0, 0, 1, 0), (0, 0, height), (4, 5)) for height in (3, 1, 2)]
    >>> arrange(axial).axis, arrange(axial).order, arrange(axial).signs
    ('axial', (1, 2, 0), (1, -1, -1))
    """
    across = np.array([place.across for place in places])
    if np.abs(across - across[0]).max() > _PARALLEL:
        raise ValueError("its planes have several orientations")
    if len({place.shape for place in places}) > 1:
        raise ValueError("its planes have several sizes")
    if len({place.spacing for place in places}) > 1:
        raise ValueError("the pixels of its planes have several sizes")
    columns, rows = (across[0] * [*_TO_RIGHT_AND_FRONT, *_TO_RIGHT_AND_FRONT]).reshape(2, 3)
    normal = np.cross(columns, rows)
    if not 0.9 < np.linalg.norm(normal) < 1.1:
        raise ValueError("its orientation is damaged")
    directions = np.array([normal, rows, columns])
    axes = max(itertools.permutations(range(3)), key=lambda order: np.abs(directions[range(3), order]).sum())
    signs = tuple(1 if directions[row, axis] > 0 else -1 for row, axis in enumerate(axes))
    positions = np.array([place.position for place in places]) * _TO_RIGHT_AND_FRONT
    heights = positions @ normal * signs[0]
    order = np.argsort(heights, kind="stable")
    slanted = _find_shift(positions - positions[order[0]], normal) > max(places[0].spacing or _PIXEL)
    return Arrangement(tuple(order.tolist()), heights[order] - heights[order[0]], axes, (1, *signs[1:]), slanted)


def _find_shift(positions: np.ndarray, normal: np.ndarray) -> float:
    """Return how far planes lie beside the line that stands upright on one of them, in millimetres.

    Args:
        positions: Of each plane, from this one, float [n, 3].
        normal: The direction of the line, float [3].
    """
    upright = normal / np.linalg.norm(normal)
    return float(np.linalg.norm(positions - np.outer(positions @ upright, upright), axis=1).max())


def stack_planes(found: Arrangement, shape: tuple[int, int], read: Callable[[int], Plane]) -> Stack:
    """Return the stack of planes that lie one after another.

    Args:
        found: How they do.
        shape: Height and width of each as it is stored.
        read: The number of a plane to the plane as it is stored.
    """
    counts = {found.axis: len(found.order)}
    if len(found.order) > 1:
        counts |= {AXES[axis]: side for axis, side in zip(found.axes[1:], shape, strict=True)}
    grid = make_once(lambda: _make_grid(found, shape, read))

    def read_one(axis: str, index: int) -> Plane:
        check_index(index, counts.get(axis, 0))
        if axis == found.axis:
            return turn(read(found.order[index]), found)
        values, padding, first = grid()
        step = float(np.median(np.diff(found.distances)))
        rows, columns = first.spacing or (None, None)
        sizes = dict(zip(found.axes, (step, rows, columns), strict=True))
        across, up = (sizes[number] for number in range(3) if number != AXES.index(axis))
        spacing = None if first.spacing is None else (up, across)
        hidden = None if padding is None else cut(padding, axis, index)
        return replace(first, values=cut(values, axis, index), padding=hidden, spacing=spacing)

    return Stack({axis: counts[axis] for axis in AXES if axis in counts}, read_one)


def turn(plane: Plane, found: Arrangement) -> Plane:
    """Return a plane as `stack.cut` shows it.

    Args:
        plane: As it is stored.
        found: How it lies in the patient.
    """
    stays = found.axes[1] > found.axes[2]  # rows follow the axis that goes up

    def how(values: np.ndarray) -> np.ndarray:
        turned = values[:: -found.signs[1], :: -found.signs[2]]
        return turned if stays else turned.swapaxes(0, 1)

    return plane.move(how, spacing=plane.spacing if stays or plane.spacing is None else plane.spacing[::-1])


def _make_grid(
    found: Arrangement, shape: tuple[int, int], read: Callable[[int], Plane]
) -> tuple[np.ndarray, np.ndarray | None, Plane]:
    """Return all values [x, y, z]; which are padding, None if none is; and the plane that tells how they are shown.

    Raises:
        ValueError: There are too many voxels; planes are missing, not evenly spaced or slanted, coloured, or not all
            alike.
    """
    check_shape((len(found.order), *shape))
    if not found.is_even():
        raise ValueError(f"its planes are not evenly spaced, so that only {found.axis} planes can be read")
    if found.slanted:
        raise ValueError(
            "its planes lie beside each other, as with a tilted gantry, so that others would show the body slanted "
            f"and only {found.axis} planes can be read"
        )
    planes = [read(number) for number in found.order]
    first = planes[0]
    alike = {(plane.bits, plane.inverted, plane.unit, plane.whole is None, np.shape(plane.values)) for plane in planes}
    if len(alike) > 1 or not first.is_gray:
        raise ValueError(f"its planes have colours, or several depths, so that only {found.axis} planes can be read")
    if len({plane.window for plane in planes}) > 1 or any(plane.voi is not None for plane in planes):
        first = replace(first, window=None, voi=None)  # planes across them cannot be shown by the window of one
    if first.whole is not None:
        lows, highs = zip(*(plane.whole for plane in planes), strict=True)
        first = replace(first, whole=(min(lows), max(highs)))
    values = _join([np.asarray(plane.values) for plane in planes], found)
    if all(plane.padding is None for plane in planes):
        return values, None, first
    none = np.zeros(shape, bool)
    return values, _join([none if plane.padding is None else plane.padding for plane in planes], found), first


def _join(planes: Sequence[np.ndarray], found: Arrangement) -> np.ndarray:
    """Return arrays of planes, in their order, as one [x, y, z]."""
    stored = np.stack(planes)[:, :: found.signs[1], :: found.signs[2]]
    return stored.transpose(np.argsort(found.axes))
