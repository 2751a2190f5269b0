"""Train again from a lock, in a fresh directory with an empty feature store, and compare with what was locked."""

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed import cache
from tlmed.digests import BESIDE, list_history
from tlmed.errors import CheckFailed, InputError, TlmedError
from tlmed.intact import find_changed
from tlmed.intensity import from_json
from tlmed.lock import (
    Lock,
    Reproduction,
    Row,
    choose_level,
    compare_history,
    compare_inputs,
    compare_results,
    describe_inputs,
    describe_results,
    find_causes,
    read_lock,
    to_junit,
    to_lines,
    to_markdown,
)
from tlmed.lock.file import find_lock, name_lock
from tlmed.lock.inputs import repeat_recipe
from tlmed.lock.levels import BITS, METRICS, TOLERANCES
from tlmed.lock.shape import check_results
from tlmed.recipe import Recipe
from tlmed.run import rehearse, train
from tlmed.rundir import RunDir
from tlmed.sections import Hybrid
from tlmed.targets import check_targets, is_marked, make_mark
from tlmed.voice import SILENT, Voice
from tlmed.whole_files import write_text
from tlmed.words import count

QUICK_EPOCHS = 2
_INPUTS = (
    "recipe.json",
    "environment.json",
    "splits.csv",
    "plan.json",
    *BESIDE,
)  # of a run; its results are compared in full
TRAIN, QUICK, CHECK = "train", "quick", "check"


@dataclass(frozen=True)
class Request:
    """What to reproduce, and how.

    Attributes:
        target: A lock, or the directory of a run that holds one.
        mode: "train" repeats all of it; "quick" the first epochs, which are compared with the locked history; "check"
            compares inputs and environment without training. All compare the files of a run with its own lock.
        level: "bits", "predictions", "metrics"; None: "metrics" where a tolerance is given, else the strongest that can
            hold here.
        tolerance: For scores or metrics, 0..1; None: 0.001 for scores, 0.005 for metrics.
        source: Where the images are now; None: where they were.
        weights: Where the files of the weights are now, for each backbone; empty: where they were.
        recipe_file: A recipe to compare with the locked one.
        out: The fresh directory; None: `runs/reproduced-<name>-<time>`, and for "quick" one that is removed.
        trust: Trust size and time of a file where its digest is known from an earlier look.
        force: Write over earlier reports of this command.
    """

    target: Path
    mode: str = TRAIN
    level: str | None = None
    tolerance: float | None = None
    source: str | None = None
    weights: tuple[str, ...] = ()
    recipe_file: Path | None = None
    out: Path | None = None
    trust: bool = False
    force: bool = False


def reproduce(request: Request, voice: Voice = SILENT) -> Reproduction:
    """Do what is requested; nothing is ever written into the run that the lock belongs to.

    If the inputs differ, nothing is trained, because that would be another job.

    Raises:
        InputError: If the lock cannot be used or be met here: damaged, newer, without its images or weights, of another
            environment where bits are wanted.
        RunFailed: If the training could not finish.
    """
    begin = time.perf_counter()
    _check(request)
    lock = read_lock(request.target)
    recipe = repeat_recipe(lock, request.source, request.weights)
    if request.mode == QUICK and isinstance(recipe.head, Hybrid):
        raise InputError(
            "`--quick` must be given a lock with epochs, of which it repeats the first; a hybrid has none. "
            f"Received: {lock.path}."
        )
    if request.trust and (writers := cache.find_writers(cache.cache_folder())):
        voice.warn(writers)
    with voice.busy("Comparing images, weights and versions"):
        now = describe_inputs(lock, recipe, request.recipe_file, request.trust)
    differences = compare_inputs(lock.content, now)
    wanted = METRICS if request.level is None and request.tolerance is not None else request.level
    level, why = choose_level(wanted, differences, recipe)
    compared = Reproduction(lock.name, "", differences, checked=_count(now))
    rows = _check_files(lock)
    if request.mode == CHECK:
        asked = f"inputs and environment; `{level}` can be asked for: {why}."
    elif compared.faults:
        asked = "not trained, because the inputs differ."
    else:
        if rows:
            voice.warn(
                f"Files of {lock.name} are not as its lock records them; what is trained is compared with the lock."
            )
        rows = [*rows, *_repeat(request, lock, recipe, level, voice)]
        asked = f"{_name(request.mode)}, compared by {level}: {why}."
    return dataclasses.replace(compared, asked=asked, rows=rows, seconds=time.perf_counter() - begin)


def reproduce_and_report(request: Request, junit: Path | None, summary: Path | None, voice: Voice = SILENT) -> None:
    """Do what is requested, say how it ended, and write reports, even if it could not be done.

    Args:
        request: What to do.
        junit: Where to write JUnit XML; None: nowhere.
        summary: Where to write Markdown; None: nowhere.
        voice: Where to say it.

    Raises:
        CheckFailed: If something is not as it was locked; all of it is named.
        TlmedError: As `reproduce`.
    """
    _check_reports(request, {"--junit": junit, "--summary": summary})
    begin = time.perf_counter()
    try:
        reproduction = reproduce(request, voice)
    except TlmedError as error:
        seconds = time.perf_counter() - begin
        fault = Reproduction(name_lock(request.target), _name(request.mode), seconds=seconds, fault=str(error))
        _write(fault, junit, summary)
        raise
    for part in to_lines(reproduction):
        voice.say(part)
    _write(reproduction, junit, summary)
    if not reproduction.faults:
        return
    headline = f"The locked result must come out again. Received: {reproduction.name}: {reproduction.verdict}."
    trained = request.mode != CHECK and reproduction.rows
    causes = [str(cause) for cause in find_causes(reproduction.differences)] if trained else []
    likely = [f"What may have changed it: {'; '.join(causes)}."] if causes else []
    raise CheckFailed([headline, *reproduction.faults, *likely])


def _write(reproduction, junit, summary) -> None:
    for path, text in ((junit, to_junit), (summary, to_markdown)):
        if path is not None:
            write_text(path, f"{text(reproduction)}<!-- {make_mark('reproduce')} -->\n")


def _name(mode) -> str:
    return {TRAIN: "trained again", QUICK: f"the first {QUICK_EPOCHS} epochs trained again", CHECK: "checked"}[mode]


def _count(now) -> dict[str, str]:
    """Return how much of each part of the inputs there is to compare."""
    images, weights = len(now["data"]["rows"]) - 1, len(now["weights"])
    return {
        "recipe": "recipe",
        "data": count(images, "image"),
        "weights": "weights" if weights == 1 else f"weights of {weights} backbones",
        "seeds": "seeds",
    }


def _check_files(lock: Lock) -> list[Row]:
    """Return the rows for files of the lock's own run that differ from the lock."""
    if lock.run is None:
        return []
    rows = compare_results(lock.content["results"], check_results(lock.run), BITS, 0.0)
    rows += [
        Row("files", name, "as recorded", "not as recorded", False, "different")
        for name in find_changed(lock.run, lock.content, _INPUTS)
    ]
    return [
        dataclasses.replace(row, name=f"{row.name}, in the files of {lock.name}") for row in rows if row.same is False
    ]


# Faults that can be found before anything is read


def _check(request) -> None:
    faults = []
    if request.tolerance is not None and not 0 <= request.tolerance <= 1:
        faults.append(f"`--tolerance` must be a number from 0 to 1. Received: tolerance={request.tolerance}.")
    if request.tolerance is not None and request.level == BITS:
        faults.append(
            "`--tolerance` must go with --level predictions or metrics: bits are equal or not. "
            f"Received: tolerance={request.tolerance}."
        )
    if request.mode == CHECK:
        given = {"--tolerance": request.tolerance, "--out": request.out}
        faults += [
            f"`{option}` must go with training, which --check does not do. Received: {value}."
            for option, value in given.items()
            if value is not None
        ]
    elif request.out is not None and _is_inside(request.out, request.target):
        faults.append(f"`--out` must lie outside of the run that is checked. Received: {request.out}.")
    elif request.out is None and request.mode == TRAIN and _is_inside(Path("runs"), request.target):
        faults.append(
            "This must be called from outside of the run that is checked, or with `--out`. Received: no --out."
        )
    if faults:
        raise InputError(faults)


def _check_reports(request, paths) -> None:
    given = {option: path for option, path in paths.items() if path is not None}
    rules = {
        "lie outside of the run that is checked": lambda path: not _is_inside(path, request.target),
        "lie in a folder that exists": lambda path: path.absolute().parent.is_dir(),
        "be a file": lambda path: not path.is_dir(),
    }
    faults = [
        f"`{option}` must {rule}. Received: {path}."
        for option, path in given.items()
        for rule, kept in rules.items()
        if not kept(path)
    ]
    if len(given) > 1 and len({path.absolute() for path in given.values()}) == 1:
        faults.append(f"`--junit` and `--summary` must be two files. Received: {given['--junit']} for both.")
    if faults:
        raise InputError(faults)
    for option, path in given.items():
        read = [request.target, *filter(None, [request.recipe_file, request.source]), *request.weights]
        check_targets(option, {path: lambda file: is_marked(file, "reproduce")}, request.force, read)


def _is_inside(path: Path, target: Path) -> bool:
    """Tell whether a path lies in the run that a lock belongs to."""
    run = find_lock(target).parent
    return RunDir(run).exists and run.resolve() in [path.resolve(), *path.resolve().parents]


# Training


def _repeat(request, lock: Lock, recipe: Recipe, level: str, voice: Voice) -> Sequence[Row]:
    """Train, and return the lines that compare the result with the locked one."""
    locked, options = lock.content["results"], {"skip_bad": bool(lock.content["data"]["left_out"])}
    options |= {"choices": lock.content["plan"], "voice": voice}
    options["window"] = from_json(lock.content["data"].get("window"))
    with _claimed(request, lock) as out, _empty_store(out.parent):
        if request.mode == TRAIN:
            train(recipe, out, **options)
            tolerance = TOLERANCES[level] if request.tolerance is None else request.tolerance
            return compare_results(locked, describe_results(RunDir(out)), level, tolerance)
        rehearse(recipe, out, QUICK_EPOCHS, **options)
        came = list_history(RunDir(out))
    allowed = 0.0 if level == BITS else TOLERANCES[METRICS] if request.tolerance is None else request.tolerance
    return compare_history(locked["history"][: len(came)], came, allowed)


@contextlib.contextmanager
def _claimed(request, lock) -> Iterator[Path]:
    """Give the block a new directory of its own; it is removed if the block fails or nobody asked for it."""
    out = request.out or Path("runs") / f"reproduced-{lock.name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_dir() and not out.is_symlink():
            out.rmdir()  # only an empty one; if two processes want it, `mkdir` below fails in one of them
        out.mkdir()
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"`--out` must be a new or empty directory. Received: {out}: {why}.") from error
    try:
        yield out
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    if request.mode == QUICK and request.out is None:
        shutil.rmtree(out)


@contextlib.contextmanager
def _empty_store(parent: Path) -> Iterator[None]:
    """Give the block an empty feature store, which is removed after it."""
    with tempfile.TemporaryDirectory(prefix=".store-", dir=parent) as folder, cache.caching_in(Path(folder)):
        yield
