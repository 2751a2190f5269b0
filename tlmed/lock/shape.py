"""The shape of a lock. It is checked because a forged lock can have a right checksum; faults name their place."""

import csv
import math
from collections.abc import Iterator

from tlmed.errors import InputError
from tlmed.lock.lock_json import PREDICTIONS, describe_results, make_lock, read_rows
from tlmed.lock.printable import show
from tlmed.rundir import RunDir
from tlmed.words import listed

MOST_FAULTS = 5  # so many faults are named
LARGEST = 2**63  # larger numbers are no counts, seeds or scores
TEXT, NUMBER, COUNT, FLAG = str, (int, float), int, bool
OPTIONAL = type(None)


class Table(tuple):
    """A list of CSV lines whose header has at least these columns."""


class OptionalTable(Table):
    """The same, or an empty list."""


class Every(dict):
    """A dictionary of any keys, all values of which have the shape at `each`."""


class Later(Every):
    """The same for a part that older locks do not hold: it may be missing."""


class Each(list):
    """A list; all items have the shape of its only element here."""


class LaterEach(Each):
    """The same for a part that not every lock holds: it may be missing."""


class Optional(dict):
    """A table of fields for a part that not every lock holds: it may be missing."""


class LaterValue(tuple):
    """The types of a value that older locks do not hold: it may be missing."""


_METRIC = {"value": (int, float, OPTIONAL)}
_VALUES = Every(each=_METRIC)
_PREDICTIONS = {"sha256": TEXT, "rows": Table(PREDICTIONS)}
SHAPE = {
    "task": LaterValue((TEXT,)),
    "primary": LaterValue((TEXT,)),
    "recipe": {
        "name": (str, OPTIONAL),
        "shipped": FLAG,
        "set": Each([TEXT]),
        "modules": Every(each=TEXT),
        "resolved": dict,
    },
    "code": {"version": TEXT, "git_commit": (str, OPTIONAL), "sha256": TEXT},
    "data": {
        "rows": Table(("path", "label", "group", "split", "sha256")),
        "left_out": Each([{"path": TEXT}]),
        "columns": Later(each=TEXT),
        "made": LaterEach([TEXT]),
        "digested": LaterValue((TEXT,)),
        "pseudonyms": LaterValue((FLAG,)),
        "window": Later(each=(str, int, float, list, OPTIONAL)),
    },
    "weights": Each([{"name": TEXT, "graph": TEXT, "sha256": (str, OPTIONAL)}]),
    "seeds": {"seed": COUNT, "streams": Every(each=COUNT)},
    "environment": {
        "python": TEXT,
        "system": TEXT,
        "versions": Every(each=TEXT),
        "processor": {"name": TEXT, "architecture": TEXT, "features": Each([TEXT])},
        "devices": Each([TEXT]),
        "gpus": Each([dict]),
        "cpus": COUNT,
        "threads": {"intra_op": COUNT, "inter_op": COUNT},
        "libraries": Every(each=TEXT),
        "variables": Every(each=TEXT),
        "onednn": TEXT,
        "strategy": {"replicas": COUNT},
        "packages": Every(each=TEXT),
        "changed": LaterEach([TEXT]),
    },
    "plan": Every(each={"on": FLAG}),
    "files": Later(each=(str, OPTIONAL)),
    "results": {
        "weights": TEXT,
        "classifier": (str, OPTIONAL),
        "predictions": _PREDICTIONS,
        "pooled": Optional(_PREDICTIONS),
        "metrics": {"sha256": TEXT, "whole": LaterValue((TEXT,)), "metrics": _VALUES},
        "history": OptionalTable(("phase", "epoch", "loss")),  # none of a hybrid
    },
}
_BOUNDS = ("low", "high")


def check_results(run: RunDir) -> dict:
    """Return a run's results, as `describe_results` does.

    Raises:
        InputError: If its files cannot be read, or hold something that `tlmed train` does not write.
    """
    results = describe_results(run)
    _raise(run, [*_find_odd_values(results, "results"), *_compare(results, SHAPE["results"], "results")])
    return results


def check_run(run: RunDir) -> dict:
    """Return the content that a lock of a run would have, as `make_lock` does.

    Raises:
        InputError: As `check_results`.
    """
    content = make_lock(run)
    _raise(run, list(find_shape_faults(content)))
    return content


def _raise(run, faults) -> None:
    if faults:
        raise InputError(
            "A run must have its files as `tlmed train` wrote them. "
            f"Received: {str(run.path)!r}, where {listed(map(show, faults), MOST_FAULTS)}."
        )


def find_shape_faults(content: dict) -> Iterator[str]:
    """Yield a description of each place of a lock with a wrong shape."""
    yield from _find_odd_values(content, "")
    yield from _compare(content, SHAPE, "")


def _find_odd_values(content, at) -> Iterator[str]:
    for place, value in _walk(content, at):
        if isinstance(value, str) and not _is_text(value):
            yield f"{place} holds characters that no text has"
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{place} is {value}"
        elif isinstance(value, int) and abs(value) >= LARGEST:
            yield f"{place} is a number of {len(str(abs(value) // LARGEST)) + 19} digits or so"


def _walk(value, place) -> Iterator[tuple[str, object]]:
    """Yield every text and number, keys included, with its place."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"a key of {place or 'the lock'}", key
            yield from _walk(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _walk(item, f"{place}.{i}")
    else:
        yield place, value


def _is_text(value) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _compare(value, shape, place) -> Iterator[str]:
    if isinstance(shape, Table):
        yield from _compare_table(value, shape, place)
    elif isinstance(shape, Each):
        yield from _compare_all(value, list, enumerate(value) if isinstance(value, list) else (), shape[0], place)
    elif isinstance(shape, Every):
        yield from _compare_all(value, dict, value.items() if isinstance(value, dict) else (), shape["each"], place)
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{place or 'the lock'} is no table of fields"
            return
        for name, inner in shape.items():
            where = f"{place}.{name}" if place else name
            if name in value:
                yield from _compare(value[name], inner, where)
            elif not isinstance(inner, (Later, LaterEach, LaterValue, Optional)):
                yield f"{where} is missing"
        if shape is _METRIC:
            yield from _compare_bounds(value, place)
    # A bool is an int in Python.
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape not in (FLAG, (FLAG,))):
        yield f"{place} is {value!r:.40}"


def _compare_all(value, kind, items, shape, place) -> Iterator[str]:
    if not isinstance(value, kind):
        yield f"{place} is {value!r:.40}"
    for name, item in items:
        yield from _compare(item, shape, f"{place}.{name}")


def _compare_bounds(value, place) -> Iterator[str]:
    for name in _BOUNDS:
        if not isinstance(value.get(name), (int, float, OPTIONAL)):
            yield f"{place}.{name} is {value[name]!r:.40}"


def _compare_table(value, columns, place) -> Iterator[str]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        yield f"{place} is no list of lines"
        return
    try:
        rows = read_rows(value)
    except csv.Error as error:
        yield f"{place} is no table ({error})"
        return
    needed = set(columns) if value else set()
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values() or not needed <= row.keys():
            yield f"{place} has other columns in line {number}"
            return
    if not rows and not (isinstance(columns, OptionalTable) and not value):
        yield f"{place} has no rows"
