"""The JSON files of a run: what each holds, its reader and its writer."""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Required, TypedDict, TypeVar

from tlmed.answer_units import IMAGE, POOLED_BY, POOLS
from tlmed.errors import InputError
from tlmed.run_files.checking import find_fault, find_missing
from tlmed.rundir import ENSEMBLE, RunDir
from tlmed.whole_files import write_json

Content = TypeVar("Content")


@dataclass(frozen=True)
class JsonFile(Generic[Content]):
    """One JSON file of a run directory.

    Attributes:
        name: Its path in the directory.
        kind: What it holds. Parts may be missing, because an older tlmed did not write them or this run does not need
            them; only those that are `Required` must be there.
        check: Returns what else is wrong, in words; "" where all is well.
        maker: The command that writes it.
        owner: What it is a file of.
    """

    name: str
    kind: type[Content]
    check: Callable[[Content], str] = lambda content: ""
    maker: str = "tlmed train"
    owner: str = "a run"

    def read(self, run: RunDir, *needed: str) -> Content:
        """Return what the file holds.

        Args:
            run: The run.
            needed: Parts that the caller cannot do without, such as `"data.left_out"`.

        Raises:
            InputError: If it is missing, cannot be read, a part of it is of another kind than declared, or one that is
                needed is missing.
        """
        content = run.json(self.name)
        if fault := self.find_fault(content, *needed):
            raise InputError(
                f"`{self.name}` of {self.owner} must be as `{self.maker}` writes it. Received: {run / self.name}: "
                f"{fault}."
            )
        return content

    def find_fault(self, content: object, *needed: str) -> str:
        """Return what is wrong with a content, in words; "" where all is well. `needed` is as for `read`."""
        return find_fault(content, self.kind) or find_missing(content, needed) or self.check(content)

    def find(self, run: RunDir) -> Content | dict:
        """Return what the file holds; nothing where there is none.

        Raises:
            InputError: As `read`, if there is one.
        """
        return self.read(run) if (run / self.name).exists() else {}

    def write(self, run: RunDir | Path, content: Content) -> None:
        """Write the file, whole or not at all."""
        write_json(run / self.name, content)


class ResolvedRecipe(TypedDict, total=False):
    """`recipe.json`: every field of the recipe, as `tlmed.recipe.to_json` gives it."""

    name: str | None
    data: dict[str, object]
    backbone: object  # a name, or a list of names
    weights: object
    head: dict[str, object]


class PhasePlan(TypedDict, total=False):
    """A phase in `plan.json`: the recipe's fields, and what they mean for this network."""

    name: str
    fine_tuning_ratio: float | None  # share of the backbone's layers with weights that it thaws, 0..1
    trainable_parameters: float | None
    optimizer: str
    optimizer_settings: dict[str, float | bool]  # missing in runs of older versions
    cache: dict[str, object]


class Plan(TypedDict, total=False):
    """`plan.json`, as `tlmed.plan.make_plan` makes it."""

    task: str  # of `tlmed.tasks`; older versions had only one
    weights: object  # full names, of one or of several backbones
    parameters: int
    blocks: list[dict[str, object]]
    phases: list[PhasePlan]
    reused: list[str]
    preparation: list[dict[str, object]]  # what folders in Hugging Face's layout state of how images are prepared
    window: dict[str, object]  # what of the values is black and white; missing in runs of older versions
    classifier: dict[str, object]  # of a hybrid


class LeftOut(TypedDict, total=False):
    """An image that could not be read."""

    path: Required[str]
    reason: str


class UsualValues(TypedDict):
    """How many different values a training image usually has."""

    fewest: int
    most: int


class Format(TypedDict):
    """A family of files, such as DICOM, that images were read as."""

    images: int
    shown: str  # by which rule of the format its values become gray; "" for none


class ImagesRecord(TypedDict, total=False):
    """What `environment.json` says of the images."""

    source: str | None
    digested: str  # what SHA-256 are of
    pseudonyms: bool  # whether tlmed named the groups
    images: int
    classes: list[str]
    split: str  # "made" or "given"
    made: list[str]  # the splits that tlmed made; "inner" beside them: of the development images of given splits
    licence: str | None
    values: UsualValues
    formats: dict[str, Format]
    unused: list[str]  # what of the files was not used as it is stored
    left_out: list[LeftOut]
    aside: int  # training images that `data.train_share` leaves aside
    apart: int  # test images that `data.inner` puts aside


class Earlier(TypedDict, total=False):
    """What `environment.json` says of the runs that gave the weights, back to the first."""

    runs: list[object]  # as `tlmed.backbones.ancestry` describes them
    certain: bool  # whether it is known for all weights what they were trained on
    known: list[str]  # the test images that these runs know; missing in runs of older versions
    undecided: list[str]  # those of which it cannot be told; missing there, too
    taught: list[str]  # the validation images on which these runs were trained; missing there, too


class Environment(TypedDict, total=False):
    """`environment.json`, as `tlmed.run.records.describe_run` makes it."""

    versions: dict[str, str]
    weights: object  # where they came from: one source, or a list of them
    data: ImagesRecord
    recipe: dict[str, object]
    warnings: list[str]
    leaks: list[str]
    changed: list[str]  # of the environment, while the run was stopped
    earlier: Earlier  # only where runs gave the weights


class Entry(TypedDict, total=False):
    """A metric with its 95 % interval; None where it is undefined."""

    value: Required[float | None]
    low: Required[float | None]
    high: Required[float | None]
    method: str | None
    reason: str | None  # why it is undefined
    note: str | None
    folds: list[str]  # of a mean over some folds of a cross-validation: which ones
    absent: list[str]  # of a mean over labels: those for which it is undefined; only where there are any


class WithoutLeaks(TypedDict, total=False):
    """Scores of the test images that training and validation do not know."""

    leaked: Required[float]  # images that they know
    n: Required[float]  # images that are left
    absent: list[str]  # classes without an image among these; only where there are any
    metrics: Required[dict[str, Entry]]


class Validation(TypedDict):
    """The AUC of the validation images, by the network that was kept."""

    n: float
    metrics: dict[str, Entry]


class PerSample(TypedDict):
    """Scores of the samples of pooled units, each by itself."""

    n: float
    metrics: dict[str, Entry]


class FoldScores(TypedDict, total=False):
    """What `metrics.json` of a cross-validation says of one fold."""

    fold: Required[str]
    n: float
    metrics: dict[str, float | None]
    validation: Validation  # as the fold's own `metrics.json` has it
    leaked: float  # test images that the fold's training and validation know; only where there are any
    undecided: int  # as there


class Metrics(TypedDict, total=False):
    """`metrics.json`, as `tlmed.evaluation.measures.score` makes it; of a cross-validation, means over its folds."""

    split: str
    task: str  # of `tlmed.tasks`; older versions had only one
    primary: str  # the metric that decides which of two runs is better
    unit: str  # "image", or of POOLED_BY: what all numbers are of; older versions pooled nothing
    pool: str  # of POOLS: how the scores of samples became those of units; only where they did
    per_sample: PerSample  # only where units are pooled
    n: int | None  # units
    groups: int | None
    largest_group: int  # its units; only where a group has several
    copies: int  # scored units that repeat another one of no common group; only where there are any
    classes: Required[list[str]]
    positive: str | None  # of two classes
    positive_asked: bool  # whether the user named it; else it is the second in sorted order
    metrics: Required[dict[str, Entry]]
    per_class: dict[str, dict[str, object]]
    cuts: dict[str, dict[str, object]]  # of ordered classes: for each but the highest, grades above against the others
    threshold: float | None
    costs: dict[str, dict[str, float]]  # true class to predicted class to cost; only where they are stated
    decision: dict[str, object]  # by what else than the score a class is predicted; only where there is such a rule
    kept: dict[str, object] | None  # the phase that is the result
    classifier: dict[str, object]  # of a hybrid
    without_leaks: WithoutLeaks
    units: dict[str, int]  # from `count_read_units`; only where units lack images that cannot be read
    undecided: int  # further images of which it cannot be told whether training and validation know them or patients
    unusual: dict[str, object]  # of an evaluation: how many images are unlike those of training, as `Alarms`
    validation: Validation  # only where its AUC is below 0.5 by more than chance
    folds: list[FoldScores]  # of a cross-validation
    baselines: dict[str, dict[str, object]]
    evaluated: dict[str, object]  # of an evaluation: what was scored
    ensemble: dict[str, object]  # of an ensemble: how many members scored each test image


BUILDING = "build network"  # the stage of `timing.json` by which others tell how fast a network is loaded
BASELINE = "baseline"  # the name of the extraction of a baseline's features, after training


class Extraction(TypedDict, total=False):
    """How the features of some images were obtained."""

    name: str
    images: float | None
    computed: float | None  # the others came from the cache


class EnsembleMember(TypedDict, total=False):
    """A run whose network answers together with others."""

    path: Required[str]  # from the directory of the ensemble
    weight: Required[float]  # its share of the answer, 0..1
    files: Required[dict[str, str]]  # the SHA-256 of each of its files that decides its answer


class Ensemble(TypedDict, total=False):
    """`ensemble.json`: which runs answer together, and how much each counts."""

    weights: Required[str]  # "mean" or "fitted"
    members: Required[list[EnsembleMember]]
    files: Required[dict[str, str]]  # the SHA-256 of the ensemble's own files


class Timing(TypedDict, total=False):
    """`timing.json`."""

    training_seconds: float | None
    total_seconds: float | None
    images_per_second: float | None
    peak_memory_mb: float | None
    stages: list[dict[str, object]]
    extractions: list[Extraction]


class Freeze(TypedDict, total=False):
    """`freeze.json`: for each phase the hash of every weight, as `tlmed.certificate.certify` gives it."""

    algorithm: str
    seconds: float
    phases: list[dict[str, object]]


class FoundInData(TypedDict, total=False):
    """One finding of `check.json`."""

    kind: Required[str]  # of `tlmed.findings`
    level: Required[str]  # "error" or "warning"
    files: list[str]
    text: Required[str]
    cure: str


class Check(TypedDict, total=False):
    """`check.json`: what the gate found in the images before training, as `tlmed.gate.Findings.to_json` gives it."""

    source: str
    images: int
    complete: bool
    findings: Required[list[FoundInData]]
    unchecked: list[str]
    fingerprint: dict[str, object]
    figures: dict[str, object]


class Status(TypedDict):
    """`progress/status.json`: where a run stands while it trains."""

    phase: str
    number: int  # of the phase, counted from 1
    phases: int
    epoch: int
    epochs: int
    step: int
    steps: int
    images_per_second: float
    seconds_left: float
    time: float  # seconds since 1970


def _find_pooling_fault(content: Metrics) -> str:
    """Return what is wrong with the unit, which decides which table the metrics are of."""
    unit, pool = content.get("unit", IMAGE), content.get("pool")
    fits = pool is None if unit == IMAGE else unit in POOLED_BY and pool in POOLS
    if not fits:
        return f"unit={reprlib.repr(unit)} with pool={reprlib.repr(pool)}"
    return ""


RECIPE_JSON = JsonFile("recipe.json", ResolvedRecipe)
PLAN_JSON = JsonFile("plan.json", Plan)
ENVIRONMENT_JSON = JsonFile("environment.json", Environment)
METRICS_JSON = JsonFile("metrics.json", Metrics, _find_pooling_fault)
TIMING_JSON = JsonFile("timing.json", Timing)
FREEZE_JSON = JsonFile("freeze.json", Freeze)
CHECK_JSON = JsonFile("check.json", Check)
ENSEMBLE_JSON = JsonFile(ENSEMBLE, Ensemble, maker="tlmed ensemble")
STATUS_JSON = JsonFile("progress/status.json", Status)
