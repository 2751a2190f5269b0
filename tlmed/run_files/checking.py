"""Check that JSON has the parts that a typed dictionary declares, each of the declared kind."""

import functools
import math
import reprlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping

_LARGEST = 2**1023  # larger integers may not fit into a float


def find_fault(content: object, kind: type) -> str:
    """Return a description of the first part of JSON that is not as declared; "" where all is well.

    Args:
        content: What was read.
        kind: A `TypedDict` whose parts are texts, numbers (`int`, or `float` for any finite one), truth values, lists,
            dictionaries by text, other `TypedDict`s, `object` for anything, or unions of these. A part that it does
            not declare may be anything.

    >>> class Phase(typing.TypedDict, total=False):
    ...     name: typing.Required[str]
    ...     ratio: float | None
    >>> find_fault({"name": "head", "ratio": None}, Phase), find_fault({"ratio": 1}, Phase)
    ('', 'no `name`')
    >>> find_fault({"name": "head", "ratio": "all"}, Phase)
    "another kind of `ratio`: 'all'"
    """
    for place, words in _find(content, kind, ()):
        return _say(place, words)
    return ""


def find_missing(content: Mapping, places: Iterable[str]) -> str:
    """Return the first of some places, such as `"data.left_out"`, that JSON does not have; nothing where it has all.

    >>> find_missing({"data": {"source": "x"}}, ["data.source", "data.left_out"])
    'no `data.left_out`'
    """
    for place in places:
        part = content
        for name in place.split("."):
            if not isinstance(part, Mapping) or name not in part:
                return f"no `{place}`"
            part = part[name]
    return ""


def _say(place, words) -> str:
    if words is None:
        return f"no `{'.'.join(place)}`"
    inside = f"{'.'.join(place)} is " if len(place) > 1 else ""
    return f"another kind of `{place[0]}`: {inside}{words}" if place else words


def _find(value, kind, place) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Yield the place of each part of another kind, with its value in words, or with None if it is missing."""
    if typing.is_typeddict(kind) or typing.get_origin(kind) in (dict, list):
        yield from _find_inside(value, kind, place)
    elif typing.get_origin(kind) in (types.UnionType, typing.Union):
        found = [list(_find(value, option, place)) for option in typing.get_args(kind)]
        # Where no kind of a union fits, report the faults of the one that fits best: whose first fault lies deepest.
        yield from max(found, key=lambda faults: len(faults[0][0])) if all(found) else ()
    elif not _is_of(value, kind):
        yield place, reprlib.repr(value)


def _find_inside(value, kind, place) -> Iterator[tuple[tuple[str, ...], str | None]]:
    is_list = typing.get_origin(kind) is list
    if not isinstance(value, list if is_list else dict):
        yield place, reprlib.repr(value)
    elif is_list or typing.get_origin(kind) is dict:
        items = enumerate(value) if is_list else value.items()
        for name, item in items:
            yield from _find(item, typing.get_args(kind)[-1], (*place, str(name)))
    else:
        yield from (((*place, name), None) for name in sorted(kind.__required_keys__ - value.keys()))
        for name, inner in _read_parts(kind).items():
            if name in value:
                yield from _find(value[name], inner, (*place, name))


@functools.cache
def _read_parts(kind) -> dict[str, object]:
    return typing.get_type_hints(kind)


def _is_of(value, kind) -> bool:
    if kind is object:
        return True
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) < _LARGEST and math.isfinite(value)
    # In Python a bool is an int; in JSON `true` is no number.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
