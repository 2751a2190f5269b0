"""What changed in the environment of a run while it was stopped, in the words that `environment.json` holds."""

from collections.abc import Iterable, Mapping

_LIBRARIES, _CODE = "versions.", "tlmed's code"
_DIGITS = 12  # of a SHA-256, as many as are needed to tell two apart
# What `threads` and `onednn` say already.
_COUNTED = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_ENABLE_ONEDNN_OPTS")
_DECIDED_ELSEWHERE = {"strategy.workers", *(f"variables.{name}" for name in _COUNTED)}


def name_changes(began: Mapping, now: Mapping, place: str) -> list[str]:
    """Return a few words for each value that is another one now; the addresses of workers decide nothing.

    Args:
        began: The environment that a run began in, or last went on in, by dotted name.
        now: That in which it goes on.
        place: From where on in its training; "" where nothing is known of that.

    >>> name_changes({"versions.keras": "3.0.0", "cpus": 2}, {"versions.keras": "3.1.0", "cpus": 2}, "phase 'top'")
    ["versions.keras: 3.0.0 before, 3.1.0 now, from phase 'top' on"]
    """
    since = f", from {place} on" if place else ""
    return [
        f"{name}: {began.get(name)} before, {now.get(name)} now{since}"
        for name in sorted({*began, *now} - _DECIDED_ELSEWHERE)
        if began.get(name) != now.get(name)
    ]


def name_code_change(began: str | None, now: str, place: str) -> list[str]:
    """Return the same for tlmed's own code.

    Args:
        began: Its SHA-256 then; None where another version, which did not record it, began the run.
        now: Its SHA-256 now.
        place: As for `name_changes`.

    >>> name_code_change("a" * 64, "b" * 64, "phase 'top'")
    ["tlmed's code: aaaaaaaaaaaa before, bbbbbbbbbbbb now, from phase 'top' on"]
    """
    was = "of another version" if began is None else began[:_DIGITS]
    return name_changes({_CODE: was}, {_CODE: now[:_DIGITS]}, place)


def find_software(changes: Iterable[str]) -> list[str]:
    """Return those of some changes that are of software: versions of libraries, and tlmed's own code."""
    return [change for change in changes if change.startswith((_LIBRARIES, _CODE))]


def find_code(changes: Iterable[str]) -> list[str]:
    """Return those of some changes that are of tlmed's own code."""
    return [change for change in changes if change.startswith((_CODE, f"{_LIBRARIES}tlmed:"))]
