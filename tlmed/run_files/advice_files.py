"""The files of an advice: what was found and advised, what was decided before the test images, and how far it got."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Required, TypedDict

from tlmed.errors import InputError
from tlmed.regular_files import sha256
from tlmed.run_files.advice_scores import Curve, DevelopmentScore, Difference, Gain, PartScore
from tlmed.run_files.json_files import Entry, JsonFile, WithoutLeaks
from tlmed.rundir import RunDir
from tlmed.whole_files import atomic

COMPLETE, STOPPED = "complete", "stopped"  # states of an advice
# Decisions on what was tried; or `STOPPED`. What was kept until something better was found is replaced.
KEPT, REPLACED, DROPPED, UNTRIED, UNDECIDED = "kept", "replaced", "dropped", "not tried", ""
DECISIONS = (KEPT, REPLACED, DROPPED, UNTRIED, STOPPED, UNDECIDED)
LEARNABLE, NOT_LEARNABLE, UNSURE = "yes", "no", "unsure"  # verdicts
RUN, ENSEMBLE = "run", "ensemble"  # what was advised, which is also its folder
TRIED = "tried"  # the folder of what was tried on development images
RECIPE_PY = "recipe.py"
ADVICE_HTML = "advice.html"
# What `state.json` notes: the SHA-256 of the decision, and when it was made, its training began, and scores were there;
# and the SHA-256 of `advice.json`.
SEALED, DECIDED, BEGAN, SCORED, WRITTEN = "sealed", "decided", "opening", "opened", "written"


class Goal(TypedDict, total=False):
    """What was asked for."""

    text: Required[str]  # as the user wrote it
    metric: Required[str]  # by which options were compared
    target: str | None  # the metric that must reach `least`; by default that one
    least: float | None  # None where it is to be as good as possible


class ValidationImages(TypedDict):
    """The images that choose within each training."""

    images: int
    units: int  # patients, or images of none; copies of a file count once
    rarest: str  # the class or label of which there are fewest
    fewest: int  # units of it
    grouped: bool  # whether the data name patients


class AdvisedData(TypedDict, total=False):
    """The images."""

    images: Required[int]
    development: Required[int]  # all but the test images: everything was decided by them
    test: Required[int]
    classes: Required[dict[str, int]]  # images of each class; of a label, those that have it
    positive: str | None
    positive_doubts: list[str]  # whether that is the one which is looked for
    groups: int | None
    task: Required[str]  # of `tlmed.tasks`
    validation: ValidationImages
    test_drawn: bool  # whether tlmed drew the test images from all
    sides: dict[str, list[int]]  # part to the patients, or images of none, with it and without it, for development
    sketch: str  # by which the same images are known again in a table of experience


class GateSummary(TypedDict, total=False):
    """What the gate found, in short."""

    errors: Required[int]
    warnings: Required[int]
    accepted: Required[bool]  # whether the user went on in spite of errors
    closed: bool  # whether shortcuts and wrong labels were looked for in development images alone
    kinds: dict[str, int]
    texts: list[str]
    shortcuts: list[str]
    page: str | None  # the file with all findings, beside `advice.json`


class AdvisedFingerprint(TypedDict, total=False):
    """What the development images are, in numbers."""

    images: int
    classes: int
    ratio: float | None  # images of the most frequent class for each of the rarest
    height: float | None
    width: float | None
    groups: int | None
    gray: bool | None
    intrinsic_dimension: float | None
    nearest_neighbour_auc: float | None
    features: str  # the network whose features the two numbers above are of
    detail: dict[str, float]  # image size to the share of the detail that it keeps, 0..1
    modality: str | None


class Rule(TypedDict, total=False):
    """A setting that follows from the fingerprint."""

    name: Required[str]
    says: Required[str]
    source: Required[str]
    settings: dict[str, object]


class UsedExperience(TypedDict, total=False):
    """What results on other data decided."""

    used: Required[bool]
    rows: int
    nearest: list[str]  # the data sets that are most alike
    order: list[str]  # what was tried first
    own: int  # results that were left out, because they are of the same images
    untaught: str  # that no network knows photographs, and what can be done; only where none does
    compared: list[str]  # the networks among these that the results compare; the others follow as they were given


class Tried(TypedDict, total=False):
    """One thing that was tried, or was not worth it."""

    name: Required[str]
    backbone: object
    weights: object
    settings: dict[str, object]
    score: DevelopmentScore | None
    gain: Gain | None
    seconds: float | None
    ended: float | None  # seconds since the beginning of the advice
    decision: Required[str]  # of `DECISIONS`
    reason: Required[str]


class AdviceStep(TypedDict, total=False):
    """A step of the course."""

    step: Required[str]
    seconds: float | None
    says: Required[str]
    tried: Required[list[Tried]]


class Seal(TypedDict, total=False):
    """When it was decided what to advise, and when the test images were opened; times are ISO 8601."""

    file: Required[str]
    sha256: Required[str]  # of the bytes of that file
    at: Required[str | None]  # None: an earlier version did not note it, and the file is gone
    opening_began_at: str | None  # before the answer was trained, which scores the test images at its end
    test_scored_at: str | None  # by then all were scored


class Answer(TypedDict, total=False):
    """What to use, and what it is worth on test images."""

    path: Required[str]  # `RUN` or `ENSEMBLE`
    recipe: str
    backbone: Required[object]
    metric: Required[str]
    value: Required[float | None]
    low: Required[float | None]
    high: Required[float | None]
    method: str | None
    n: Required[int]
    groups: int | None  # of the test images; None where the data name none
    members: int  # of an ensemble: one that all development images trained, and networks of folds of these
    alone: Entry  # the score of its first network on the same test images, with its interval
    left_out: int  # test images that its scores leave out, because training or validation knows them or their patients
    not_joined: str  # why one network answers where several were decided on
    trained: bool  # whether more than a head on frozen features was trained
    kept_phases: list[str]  # of each network whose result is not that of its last phase
    metrics: dict[str, Entry]
    copies: list[str]  # which test images repeat a development image, or share its patient
    without_copies: WithoutLeaks  # the scores of the others
    undecided: int  # test images of which it is not known whether the weights have learned from them or their patients


class AdviceVerdict(TypedDict, total=False):
    """Whether there is anything to learn."""

    learnable: Required[str]  # `LEARNABLE`, `NOT_LEARNABLE` or `UNSURE`
    says: Required[list[str]]
    apart: list[str]  # how development and test images contradict each other, and what that may mean
    warnings: list[str]  # what the verdict does not cover


class NextStep(TypedDict):
    """What would help most, or would not."""

    what: str
    says: str


class Ended(TypedDict, total=False):
    """When the parts of the work ended, in seconds since its beginning."""

    look: float  # the check of the data, and what follows from it
    decision: float
    answer: float


class AdviceContent(TypedDict, total=False):
    """`advice.json`."""

    version: str
    state: Required[str]  # `COMPLETE` or `STOPPED`
    source: Required[str]
    command: str  # as the user gave it: the same one goes on
    stopped: str | None  # why, in a sentence
    seconds: Required[float]
    ended: Ended
    budget: float | None
    goal: Required[Goal]
    data: Required[AdvisedData]
    gate: GateSummary | None
    fingerprint: AdvisedFingerprint | None
    rules: list[Rule]
    experience: UsedExperience | None
    steps: Required[list[AdviceStep]]
    curve: Curve | None
    sealed: Seal | None
    answer: Answer | None
    difference: Difference | None
    parts: list[PartScore]
    verdict: AdviceVerdict | None
    next: list[NextStep]
    sure: list[str]


class Decision(TypedDict, total=False):
    """`decision.json`: all that was decided, written before the test images are scored."""

    version: str
    at: Required[str]  # ISO 8601
    recipe_sha256: str  # of the bytes of `recipe.py`
    folds: list[str]  # runs of `TRIED` whose networks answer, too
    folds_of_head: list[str]  # those that do in their place if the validation images keep the head alone
    networks: dict[str, str]  # the SHA-256 of the network of each of these runs


class AdviceState(TypedDict, total=False):
    """`state.json`: what is done, so that the same command goes on."""

    version: str
    asked: Required[dict[str, object]]  # what must be the same in the command that goes on
    seconds: float
    done: Required[dict[str, object]]  # steps to what came of them


def name_fold(trial: str, fold: int) -> str:
    """Return what the run of a fold of a trial is called, in `TRIED`.

    >>> name_fold("probe-VGG16", 3)
    'probe-VGG16-fold03'
    """
    return f"{trial}-fold{fold:02d}"


def is_advice(folder: Path) -> bool:
    """Tell whether a folder holds an advice."""
    return (folder / ADVICE_JSON.name).is_file()


def is_complete_advice(folder: Path) -> bool:
    """Tell whether a folder holds an advice that was finished."""
    return is_advice(folder) and read_advice_json(folder)["state"] == COMPLETE


def read_advice_json(folder: Path) -> AdviceContent:
    """Return `advice.json`.

    Raises:
        InputError: If it is missing, cannot be read, or is not as `tlmed advise` writes it.
    """
    return _read(folder, ADVICE_JSON)


def write_advice(folder: Path, content: AdviceContent, note: Callable[[str], None] = lambda digest: None) -> None:
    """Write `advice.json`.

    Args:
        folder: The directory of the advice.
        content: What it says.
        note: Writes down the SHA-256 of the file, before the file is there.
    """
    _write_noted(folder, ADVICE_JSON, content, note)


def read_decision(folder: Path) -> Decision:
    """Return `decision.json`.

    Raises:
        InputError: As `read_advice_json`.
    """
    return _read(folder, DECISION_JSON)


def seal_decision(folder: Path, content: Decision, note: Callable[[str], None]) -> None:
    """Write `decision.json`, whose SHA-256 is written down before the file is there: no other can take its place.

    Args:
        folder: The directory of the advice.
        content: What was decided.
        note: Writes down the SHA-256 of the file, which `sha256sum` gives too.
    """
    _write_noted(folder, DECISION_JSON, content, note)


def _write_noted(folder, file, content, note) -> None:
    with atomic(folder / file.name) as part:
        file.write(part.parent, content)
        note(sha256(part))


def digest_decision(folder: Path) -> str:
    """Return the SHA-256 of `decision.json` as it is now; "" where there is none."""
    file = folder / DECISION_JSON.name
    return sha256(file) if file.is_file() else ""


def read_state(folder: Path) -> AdviceState | dict:
    """Return `state.json`; nothing where there is none.

    Raises:
        InputError: If it cannot be read, or is not as `tlmed advise` writes it.
    """
    return _read(folder, STATE_JSON) if (folder / STATE_JSON.name).exists() else {}


def write_state(folder: Path, content: AdviceState) -> None:
    """Write `state.json`."""
    STATE_JSON.write(folder, content)


def _read(folder, file):
    # `RunDir` would speak of a run that lacks a file.
    if not (folder / file.name).is_file():
        raise InputError(
            f"An advice must be a directory that `tlmed advise` wrote. Received: {folder}, without `{file.name}`."
        )
    return file.read(RunDir(folder))


def _find_advice_fault(content: AdviceContent) -> str:
    """Return what is wrong with an advice whose parts are of the right kinds."""
    answer, verdict, sealed = (content.get(name) or {} for name in ("answer", "verdict", "sealed"))
    chosen = {"state": (content["state"], (COMPLETE, STOPPED))}
    if answer:
        chosen["answer.path"] = answer["path"], (RUN, ENSEMBLE)
    if verdict:
        chosen["verdict.learnable"] = verdict["learnable"], (LEARNABLE, NOT_LEARNABLE, UNSURE)
    for step in content["steps"]:
        chosen |= {f"decision of {one['name']!r}": (one["decision"], DECISIONS) for one in step["tried"]}
    for place, (value, choices) in chosen.items():
        if value not in choices:
            return f"{place} is none of {', '.join(filter(None, choices))}: {value!r}"
    if content["state"] == COMPLETE:
        parts = {"answer": answer, "verdict": verdict, "sealed.test_scored_at": sealed.get("test_scored_at")}
        if missing := [name for name, part in parts.items() if not part]:
            return f"it is complete without `{missing[0]}`"
    return _find_time_fault(sealed)


def _find_state_fault(content: AdviceState) -> str:
    return _find_time_fault(content["done"], (DECIDED, BEGAN, SCORED))


def _find_time_fault(content: Mapping, names=("at", "opening_began_at", "test_scored_at")) -> str:
    for name in names:
        if content.get(name) is not None and not _is_time(content[name]):
            return f"`{name}` is no time with its offset from UTC: {content[name]!r}"
    return ""


def _is_time(text) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        return False


_WRITER = {"maker": "tlmed advise", "owner": "an advice"}
ADVICE_JSON = JsonFile("advice.json", AdviceContent, _find_advice_fault, **_WRITER)
DECISION_JSON = JsonFile("decision.json", Decision, _find_time_fault, **_WRITER)
STATE_JSON = JsonFile("state.json", AdviceState, _find_state_fault, **_WRITER)
