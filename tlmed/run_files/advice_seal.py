"""How far the test images of an advice are opened: one fact, which its page, its JSON and `tlmed status` read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tlmed.run_files.advice_files import DECISION_JSON, Seal, digest_decision, read_decision, read_state

# What `state.json` notes: the SHA-256 of the decision, and when it was made, its training began, and scores were there.
SEALED, DECIDED, BEGAN, SCORED = "sealed", "decided", "opening", "opened"


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
