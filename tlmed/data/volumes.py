"""Volumes become samples: a table of files to one of their planes, as a recipe asks for them."""

import threading
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from tlmed.data.file_samples import Sample, expand
from tlmed.data.parts import Part, digest_content
from tlmed.data.readers import find_remarks, open_stack
from tlmed.data.readers.plane import Plane
from tlmed.data.readers.stack import Stack, make_once
from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.part_names import join_part
from tlmed.slicing import AXES, NEIGHBOURS, VIEWS, Slicing
from tlmed.words import count

_THREADS = 4  # each holds a file in memory
_MIDDLE = Slicing(1)
Key, Held = TypeVar("Key", bound=Hashable), TypeVar("Held")


@dataclass(frozen=True, eq=False)
class _Opened:
    """A file, or a series of files, while somebody reads samples of it: it is read and decoded once."""

    digest: Callable[[], str]
    stack: Callable[[], Stack]
    remarks: Callable[[], frozenset[str]]


def take_samples(table: Table, slicing: Slicing) -> Table:
    """Return the samples of a table of files: planes of those that hold several, and the others as they are.

    Only headers are read here, and of each file all samples are read from one decoded volume, as long as somebody
    holds one of them. Files of which no sample can be made stay in the table: reading them names the fault.

    Args:
        table: A row per file.
        slicing: Which planes are samples. If none are wanted, the table stays as it is.

    Raises:
        InputError: An extra is missing.
    """
    if not slicing.wanted or table.encoded_here:
        return table
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda row: _list_planes(table, row, slicing), range(len(table))))
    opened = share_while_held(lambda row: _open(table, row))
    samples = [
        sample
        for row, planes in enumerate(found)
        for sample in (_list_samples(table, row, planes, slicing, opened) if planes else [_take_whole(table, row)])
    ]
    return expand(table, samples, [_describe(found, slicing)])


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


def _list_planes(table: Table, row: int, slicing: Slicing) -> range | None:
    """Return which planes of a file are samples; None for a file that is one sample, or that reading will refuse."""
    try:
        stack = open_stack(table.read(row))
    except InputError:
        raise
    except (OSError, ValueError):
        return None
    fits = not stack.oriented or (slicing.channels != VIEWS and slicing.axis in stack.counts)
    if min(stack.counts.values()) == 1 and fits:
        return None
    if slicing.channels == VIEWS:
        return range(1)
    return slicing.choose(stack.counts.get(slicing.axis, 1))  # reading says that an axis is missing


def _open(table: Table, row: int) -> _Opened:
    content = make_once(lambda: table.read(row))
    return _Opened(
        make_once(lambda: digest_content(content())),
        make_once(lambda: open_stack(content())),
        make_once(lambda: find_remarks(content())),
    )


def _take_whole(table: Table, row: int) -> Sample:
    return Sample(table.paths[row], row, lambda: table.read(row))


def _list_samples(
    table: Table, row: int, planes: range, slicing: Slicing, opened: Callable[[int], _Opened]
) -> list[Sample]:
    def name(index: int) -> str:
        return "views" if slicing.channels == VIEWS else f"plane={index}"

    return [
        Sample(
            join_part(table.paths[row], name(index)), row, lambda index=index: _take_part(opened(row), slicing, index)
        )
        for index in planes
    ]


def _take_part(opened: _Opened, slicing: Slicing, index: int) -> Part:
    what = VIEWS if slicing.channels == VIEWS else f"{slicing.axis} plane={index} {slicing.channels}"
    return Part(what, opened.digest, lambda: read_planes(opened.stack(), slicing, index), opened.remarks)


def read_planes(stack: Stack, slicing: Slicing, index: int) -> tuple[Plane, ...]:
    """Return what a sample shows: one plane, or three.

    Args:
        stack: The planes of a file.
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
    if slicing.channels == NEIGHBOURS:
        last = stack.counts[slicing.axis] - 1
        return tuple(stack.read(slicing.axis, min(max(near, 0), last)) for near in (index - 1, index, index + 1))
    return (stack.read(slicing.axis, index),)


def _describe(found: list[range | None], slicing: Slicing) -> str:
    files, samples = sum(planes is not None for planes in found), sum(len(planes or ()) for planes in found)
    if not files:
        return "No file holds several planes: `data.planes` and `data.channels` change nothing."
    if slicing.channels == VIEWS:
        return f"{count(files, 'volume')}: the middle axial, coronal and sagittal plane are red, green and blue."
    what = f"{slicing.axis} planes" + (
        ", each with those before and after it" if slicing.channels == NEIGHBOURS else ""
    )
    return f"{count(files, 'volume')} {'gives' if files == 1 else 'give'} {count(samples, 'sample')}: {what}."
