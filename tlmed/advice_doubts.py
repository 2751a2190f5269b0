"""What makes the test scores of an advice doubtful: a seal that does not fit, or scores that were edited."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from tlmed.errors import InputError
from tlmed.intact import check_intact
from tlmed.members import list_members
from tlmed.run_files import METRICS_JSON
from tlmed.run_files.advice_files import ADVICE_JSON, COMPLETE, STATE_JSON, AdviceContent, digest_decision
from tlmed.run_files.advice_seal import find_contradictions, read_seal
from tlmed.rundir import RunDir

_PROVEN = ("predictions.csv", "metrics.json")
_PARTS = ("value", "low", "high", "method")


def find_doubts(folder: Path, content: AdviceContent) -> list[str]:
    """Return in sentences what makes the test scores of an advice doubtful; nothing where nothing does.

    Args:
        folder: The directory of the advice.
        content: Its `advice.json`.
    """
    return [
        *_doubt_seal(folder, content.get("sealed")),
        *find_contradictions(folder),
        *_doubt_notes(folder, content),
        *_doubt_scores(folder, content.get("answer")),
    ]


def check_measured(run: RunDir) -> None:
    """Refuse a run or an ensemble whose predictions or metrics are not as they were written.

    Raises:
        InputError: If they were edited, or are of another run.
    """
    if run.is_ensemble:
        list_members(run, _PROVEN)
    else:
        check_intact(run, _PROVEN, "A run of an advice")


def _doubt_seal(folder, sealed: Mapping | None) -> list[str]:
    """Return what shows that test images may have been opened before all was decided."""
    if not sealed:
        return []
    doubts, file, digest = [], sealed["file"], digest_decision(folder)
    if not digest:
        doubts.append(f"`{file}` is missing, so nothing proves what was decided before the test images were scored.")
    elif digest != sealed["sha256"]:
        doubts.append(
            f"`{file}` is not what was sealed before the test images were scored: its SHA-256 is {digest} now, and was "
            f"{sealed['sha256']}."
        )
    noted = [sealed[name] for name in ("at", "opening_began_at", "test_scored_at") if sealed.get(name)]
    times = [datetime.fromisoformat(each) for each in noted]
    if times and times[0] > min(times):
        doubts.append("The test images were opened before it was decided what to advise.")
    elif times != sorted(times):
        doubts.append("The test images were scored before their opening began, if the notes are right.")
    return doubts


def _doubt_notes(folder, content) -> list[str]:
    """Return that a complete advice says of its seal what its notes do not; those of another one go on changing."""
    noted, state = read_seal(folder), STATE_JSON.name
    if content.get("state") != COMPLETE or noted in (None, content["sealed"]):
        return []
    return [
        f"`{ADVICE_JSON.name}` and `{state}` contradict each other in what was decided, or when the test images were "
        "opened."
    ]


def _doubt_scores(folder, answer: Mapping | None) -> list[str]:
    """Return what shows that scores were edited; a run that is not there any more proves nothing."""
    run = RunDir(folder / answer["path"]) if answer else None
    if run is None or not run.complete:
        return []
    try:
        check_measured(run)
        found = METRICS_JSON.read(run)
    except InputError as error:
        return [f"The test scores may not be those that were measured. {' '.join(error.faults)}"]
    entry = found["metrics"].get(answer["metric"]) or {}
    said = (answer.get("metrics"), answer["n"], *(answer.get(part) for part in _PARTS))
    if said == (found["metrics"], found["n"], *(entry.get(part) for part in _PARTS)):
        return []
    return [f"The test scores in `advice.json` are not those of `{answer['path']}/{METRICS_JSON.name}`."]
