"""Volumes while somebody reads samples of them: each file is read once, and decoded once."""

import hashlib
import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tlmed.data.file_facts import FileFacts
from tlmed.data.measured_ranges import summarise
from tlmed.data.parts import Content, Part, digest_content
from tlmed.data.readers import find_remarks, name_format, open_stack, read_facts, read_plane
from tlmed.data.readers.orientation import Arrangement, stack_planes, turn
from tlmed.data.readers.plane import Plane
from tlmed.data.readers.stack import Stack, make_once
from tlmed.slicing import AXES, NEIGHBOURS, REPEAT, VIEWS, Slicing

_MIDDLE = Slicing(1)
Key, Held = TypeVar("Key", bound=Hashable), TypeVar("Held")


@dataclass(frozen=True, eq=False)
class _File:
    """A file that is read, digested and asked for its remarks and facts once, when this is first needed."""

    content: Callable[[], Content]
    digest: Callable[[], str]
    remarks: Callable[[], frozenset[str]]
    facts: Callable[[], FileFacts]


@dataclass(frozen=True, eq=False)
class Opened:
    """A file, or a series of files.

    Args:
        files: All of them.
        stack: Returns their planes.
        summaries: Returns what `summarise` does of each plane.
        axis: The axis along which each file is one plane of a series; None for one file.
        order: The number of the file of each plane along this axis.
    """

    files: tuple[_File, ...]
    stack: Callable[[], Stack]
    summaries: Callable[[], list[np.ndarray]]
    axis: str | None = None
    order: tuple[int, ...] = ()


def share_while_held(make: Callable[[Key], Held]) -> Callable[[Key], Held]:
    """Return a function that gives all who hold an object at the same time, in whatever threads, the same one by key.

    Args:
        make: Makes an object for a key. Once nobody holds it any more, it is made anew.
    """
    held, lock = weakref.WeakValueDictionary(), threading.Lock()

    def get(key: Key) -> Held:
        with lock:
            found = held.get(key)
            if found is None:
                found = held[key] = make(key)
            return found

    return get


def _summarise_once(stack: Callable[[], Stack]) -> Callable[[], list[np.ndarray]]:
    """Return a function that returns what `summarise` does of each plane, along the axis that has the fewest."""

    def summarise_all() -> list[np.ndarray]:
        axis, planes = min(stack().counts.items(), key=lambda found: found[1])
        return [summarise(stack().read(axis, index).counted) for index in range(planes)]

    return make_once(summarise_all)


def open_file(read: Callable[[], Content]) -> Opened:
    """Open a file with several planes; nothing is read yet."""
    file = _open(read)
    stack = make_once(lambda: open_stack(file.content()))
    return Opened((file,), stack, _summarise_once(stack))


def open_series(reads: Sequence[Callable[[], Content]], found: Arrangement, shape: tuple[int, int]) -> Opened:
    """Open files that are planes of one volume; nothing is read yet.

    Args:
        reads: Read one of them each.
        found: How the planes lie.
        shape: Height and width of each.
    """
    files = tuple(map(_open, reads))
    planes = [make_once(lambda file=file: read_plane(file.content())) for file in files]
    stack = make_once(lambda: stack_planes(found, shape, lambda number: planes[number]()))
    return Opened(files, stack, _summarise_once(stack), found.axis, found.order)


def take_slice(read: Callable[[], Content], found: Arrangement) -> Part:
    """Return a sample that is one file of a series, seen along the axis of the series; nothing is read yet.

    It has the digest of this file and no number in its name, so that it is recognised in whatever other series it is.

    Args:
        read: Reads the file.
        found: How the planes of the series lie.
    """
    file = _open(read)
    return Part(
        f"{found.axis} {REPEAT}",
        file.digest,
        lambda: (turn(read_plane(file.content()), found),),
        lambda: name_format(file.content()),
        file.remarks,
        facts=file.facts,
    )


def _open(read: Callable[[], Content]) -> _File:
    content = make_once(read)
    digest = make_once(lambda: digest_content(content()))
    remarks, facts = (make_once(lambda ask=ask: ask(content())) for ask in (find_remarks, read_facts))
    return _File(content, digest, remarks, facts)


def take_part(opened: Opened, slicing: Slicing, index: int) -> Part:
    """Return a sample; nothing is read yet.

    Planes of a series that are files by themselves have the digests of these files and no number in their name.

    Args:
        opened: The file or series.
        slicing: How it is cut.
        index: The plane; without meaning for views.
    """
    if slicing.channels == VIEWS:
        files, name = opened.files, VIEWS
    elif slicing.axis == opened.axis and not slicing.together:
        near = _find_near(slicing, index, len(opened.order))
        files = tuple(opened.files[opened.order[number]] for number in near)
        name = f"{slicing.axis} {slicing.channels}"
    else:
        files, name = opened.files, f"{slicing.axis} plane={index} {slicing.channels}"
    return Part(
        name,
        lambda: _join([file.digest() for file in files]),
        lambda: read_planes(opened.stack(), slicing, index),
        lambda: name_format(files[0].content()),
        lambda: frozenset().union(*(file.remarks() for file in files)),
        opened.summaries if slicing.together else None,
        files[0].facts,
    )


def _join(digests: list[str]) -> str:
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _find_near(slicing: Slicing, index: int, count: int) -> tuple[int, ...]:
    """Return which planes a sample shows."""
    if slicing.channels != NEIGHBOURS:
        return (index,)
    return tuple(min(max(near, 0), count - 1) for near in (index - 1, index, index + 1))


def read_planes(stack: Stack, slicing: Slicing, index: int) -> tuple[Plane, ...]:
    """Return what a sample shows: one plane, or three.

    Args:
        stack: The planes of a file or series.
        slicing: How it is cut.
        index: The plane; without meaning for views.

    Raises:
        ValueError: It cannot be cut so, or not be decoded.
    """
    axes = AXES[::-1] if slicing.channels == VIEWS else (slicing.axis,)
    if absent := [axis for axis in axes if axis not in stack.counts]:
        why = "its orientation is not known" if not stack.oriented else "it is one plane thick"
        raise ValueError(f"it has no {' or '.join(absent)} planes, because {why}")
    if slicing.channels == VIEWS:
        return tuple(stack.read(axis, _MIDDLE.choose(stack.counts[axis])[0]) for axis in axes)
    return tuple(stack.read(slicing.axis, near) for near in _find_near(slicing, index, stack.counts[slicing.axis]))
