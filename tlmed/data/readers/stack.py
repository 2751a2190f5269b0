"""The planes of a volume, or the frames or pages of a file: how many there are, and one at a time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tlmed.data.readers.plane import Plane, check_size
from tlmed.slicing import AXES

MOST_VOXELS = 400_000_000  # some 1,500 planes of 512 x 512; each takes up to 4 bytes
CHOOSE = (
    "a recipe says which planes are samples: data.planes=5 (in the middle), 'every 3' or all; or data.channels=views"
)
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Stack:
    """What a file, or a series of files, holds more than one of.

    Args:
        counts: How many planes there are by axis, of `AXES`; an axis that cannot be cut across is missing. Where the
            orientation is not known, the frames of a file count as axial.
        read: Axis and number to a plane. Planes are numbered from the patient's left, back and feet, and shown as
            radiologists see them: the patient's right or front at the left, front or head at the top. Frames without
            orientation are numbered and shown as they are stored. Raises ValueError with a short reason. It decodes
            what it needs once, and keeps it.
        oriented: Whether the orientation is known.
    """

    counts: dict[str, int]
    read: Callable[[str, int], Plane]
    oriented: bool = True


def make_once(make: Callable[[], Made]) -> Callable[[], Made]:
    """Return a function that makes something the first time it is called, by whatever thread; a fault is kept, too."""
    lock, found, faults = threading.Lock(), [], []

    def get() -> Made:
        with lock:
            if not found and not faults:
                try:
                    found.append(make())
                except (OSError, ValueError) as error:
                    faults.append(error)
        if faults:
            raise faults[0]
        return found[0]

    return get


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse a volume that is too large, by what its header says.

    Raises:
        ValueError: It has too many voxels, or planes that are too large.

    >>> check_shape((100_000, 100_000, 1))
    Traceback (most recent call last):
    ValueError: it has more than 400,000,000 voxels: 100,000 x 100,000 x 1
    """
    voxels = 1
    for side in shape:
        voxels *= side  # of Python's numbers, which do not overflow
    if voxels > MOST_VOXELS:
        raise ValueError(f"it has more than {MOST_VOXELS:,} voxels: {' x '.join(f'{side:,}' for side in shape)}")
    for axis in range(len(shape)):
        check_size(*(side for number, side in enumerate(shape) if number != axis))


def cut(values: np.ndarray, axis: str, index: int) -> np.ndarray:
    """Return a plane of a volume as it is shown.

    Args:
        values: [x, y, z]: to the patient's right, front and head.
        axis: One of `AXES`.
        index: Which plane, from 0.

    Returns:
        [height, width], contiguous.

    >>> cut(np.arange(24).reshape(2, 3, 4), "axial", 3).tolist()
    [[23, 11], [19, 7], [15, 3]]
    """
    # Not by `take`, which copies all of a volume whose values do not lie in this order.
    return np.ascontiguousarray(np.moveaxis(values, AXES.index(axis), 0)[index].T[::-1, ::-1])


def cut_spacing(sizes: tuple[float, float, float], axis: str) -> tuple[float, float]:
    """Return the millimetres between rows, and between columns, of a plane of a volume.

    Args:
        sizes: Those of a voxel: to the patient's right, front and head.
        axis: As for `cut`.

    >>> cut_spacing((1.0, 2.0, 3.0), "axial")
    (2.0, 1.0)
    """
    across, up = (size for number, size in enumerate(sizes) if number != AXES.index(axis))
    return up, across


def check_index(index: int, count: int) -> None:
    """Refuse the number of a plane that is not there.

    Raises:
        ValueError: It is not.
    """
    if not 0 <= index < count:
        raise ValueError(f"it has {count:,} planes, and not a plane {index + 1:,}")
