"""How far the test images of an advice are opened: one fact, which its page, its JSON and `tlmed status` read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tlmed.run_files.advice_files import (
    BEGAN,
    DECIDED,
    DECISION_JSON,
    ENSEMBLE,
    RUN,
    SCORED,
    SEALED,
    STATE_JSON,
    Seal,
    digest_decision,
    read_decision,
    read_state,
)
from tlmed.rundir import RunDir


def now() -> str:
    """Return the time as ISO 8601, with seconds and the offset of UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_seal(folder: Path) -> Seal | None:
    """Return when it was decided what to advise, and how far the test images were opened; None before the decision.

    Args:
        folder: The directory of the advice.

    Raises:
        InputError: If a file cannot be read, or is not as `tlmed advise` writes it.
    """
    done, there = read_state(folder).get("done", {}), digest_decision(folder)
    sealed, is_open = done.get(SEALED), done.get(BEGAN) or done.get(SCORED)
    if not sealed or not (there or is_open):  # whose process ended before the file was there decides anew
        return None
    decided = done.get(DECIDED) or (read_decision(folder)["at"] if there == sealed else None)
    return {
        "file": DECISION_JSON.name,
        "sha256": sealed,
        "at": decided,
        "opening_began_at": done.get(BEGAN),
        "test_scored_at": done.get(SCORED),
    }


def find_contradictions(folder: Path) -> list[str]:
    """Return in sentences what the notes of `state.json` contradict: each other, or what lies there.

    Args:
        folder: The directory of the advice.

    Raises:
        InputError: As `read_seal`.
    """
    state, noted = STATE_JSON.name, read_state(folder).get("done")
    if noted is None:  # without notes there is nothing to contradict
        return []
    found = []
    if digest_decision(folder) and not noted.get(SEALED):
        found.append(f"`{DECISION_JSON.name}` is there, and `{state}` notes nothing of it.")
    is_open = [name for name in (BEGAN, SCORED) if noted.get(name)]
    if is_open and not noted.get(SEALED):
        found.append(f"`{state}` notes that test images were opened, and no decision before.")
    if SCORED in is_open and noted.get(DECIDED) and BEGAN not in is_open:  # an earlier version noted neither
        found.append(f"`{state}` notes when the test images were scored, and not when that began.")
    if not is_open and any(RunDir(folder / name).exists for name in (RUN, ENSEMBLE)):
        found.append(f"`{RUN}` is there, which scores the test images, and `{state}` notes no opening of them.")
    return found


def has_begun(seal: Mapping | None) -> bool:
    """Tell whether test images may be scored already: the training of the answer began, which ends with that."""
    return bool(seal and (seal.get("opening_began_at") or is_scored(seal)))


def is_scored(seal: Mapping | None) -> bool:
    """Tell whether all test images are scored."""
    return bool(seal and seal.get("test_scored_at"))


def say_opening(seal: Mapping | None) -> str:
    """Return how far the test images are opened.

    >>> say_opening(None)
    'Nothing is decided yet, and no test image is scored.'
    """
    if not seal:
        return "Nothing is decided yet, and no test image is scored."
    if is_scored(seal):
        return f"It is decided, and the test images were scored by {say_time(seal['test_scored_at'])}."
    if has_begun(seal):
        return (
            f"It is decided, and the opening of the test images began at {say_time(seal['opening_began_at'])}: the "
            "answer is trained, and scores them at its end. Some may be scored already."
        )
    return "It is decided and sealed, and no test image is scored yet."


def say_time(text: str) -> str:
    """Return a time in ISO 8601 as people read it, in UTC.

    >>> say_time("2026-11-27T22:40:00+00:00")
    '2026-11-27 22:40:00 UTC'
    """
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
