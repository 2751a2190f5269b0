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
from tlmed.errors import CheckFailed, InputError, TlmedError
from tlmed.lock import (
    Comparison,
    Difference,
    Lock,
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
from tlmed.lock.content import read_history
from tlmed.lock.inputs import repeat_recipe
from tlmed.lock.levels import BITS, METRICS, TOLERANCES
from tlmed.recipe import Hybrid, Recipe
from tlmed.run import rehearse, train
from tlmed.rundir import RunDir, write_text
from tlmed.voice import SILENT, Voice

QUICK_EPOCHS = 2
MODES = ("train", "quick", "check")


@dataclass(frozen=True)
class Request:
    """What to reproduce, and how.

    Attributes:
        target: A lock, or the directory of a run that holds one.
        mode: "train" repeats all of it; "quick" the first epochs, which are compared with the locked history; "check"
            compares inputs and environment without training.
        level: "bits", "predictions", "metrics", or None for the strongest that can hold here.
        tolerance: For scores or metrics, 0..1; None: 0.001 for scores, 0.005 for metrics.
        source: Where the images lie here; None: where they lay.
        weights: Where the files of the weights lie here, for each backbone; none: where they lay.
        recipe_file: A recipe to compare with the locked one.
        out: The fresh directory; None: `runs/reproduced-<name>-<time>`.
        trust: Trust size and time of a file where its digest is known from an earlier look.
    """

    target: Path
    mode: str = "train"
    level: str | None = None
    tolerance: float | None = None
    source: str | None = None
    weights: tuple[str, ...] = ()
    recipe_file: Path | None = None
    out: Path | None = None
    trust: bool = False


def reproduce(request: Request, voice: Voice = SILENT) -> Comparison:
    """Do what is requested; nothing is ever written into the run that the lock belongs to.

    Where the inputs differ nothing is trained, for that would be another job.

    Raises:
        InputError: If the lock cannot be used or be met here: damaged, newer, without its images or weights, of another
            environment where bits are wanted.
        RunFailed: If the training could not finish.
    """
    begin = time.perf_counter()
    lock = read_lock(request.target)
    recipe = repeat_recipe(lock, request.source, request.weights)
    if request.mode == "quick" and isinstance(recipe.head, Hybrid):
        raise InputError(
            "`--quick` must be given a lock with epochs, of which it repeats the first; a hybrid has none. "
            f"Received: {lock.path}."
        )
    _check_tolerance(request)
    out = _choose_out(request, lock) if request.mode != "check" else None
    now = describe_inputs(lock, recipe, request.recipe_file, request.trust)
    differences = compare_inputs(lock.content, now)
    level, why = choose_level(request.level, differences, recipe)
    comparison = Comparison(lock.name, f"{_name_mode(request.mode)} at level {level}: {why}.", differences)
    if request.mode == "check":
        rows = compare_results(lock.content["results"], describe_results(lock.run), BITS, 0.0) if lock.run else ()
        comparison = dataclasses.replace(
            comparison, asked=f"inputs and environment, for level {level}: {why}.", rows=rows
        )
    elif not comparison.faults:
        tolerance = TOLERANCES[level] if request.tolerance is None else request.tolerance
        rows = _repeat(request, lock, recipe, out, level, tolerance, voice)
        comparison = dataclasses.replace(comparison, rows=rows)
    return dataclasses.replace(comparison, seconds=time.perf_counter() - begin)


def reproduce_and_report(request: Request, junit: Path | None, summary: Path | None, voice: Voice = SILENT) -> None:
    """Do what is requested, say how it ended, and write it down; also where it could not be done.

    Args:
        request: What to do.
        junit: Where to write JUnit XML; None: nowhere.
        summary: Where to write Markdown; None: nowhere.
        voice: Where to say it.

    Raises:
        CheckFailed: If something is not as it was locked; all of it is named.
        TlmedError: As `reproduce`.
    """
    _check_outside(request, {"--junit": junit, "--summary": summary})
    begin = time.perf_counter()
    try:
        comparison = reproduce(request, voice)
    except TlmedError as error:
        name = request.target.stem
        seconds = time.perf_counter() - begin
        _write(Comparison(name, _name_mode(request.mode), seconds=seconds, fault=str(error)), junit, summary)
        raise
    for line in to_lines(comparison):
        voice.say(line)
    _write(comparison, junit, summary)
    if comparison.faults:
        causes = [str(cause) for cause in _find_likely(comparison.differences)] if comparison.rows else []
        likely = [f"What may have moved it: {'; '.join(causes)}."] if causes else []
        headline = f"What was locked must come again. Received: {comparison.name}: {comparison.verdict}."
        raise CheckFailed([headline, *comparison.faults, *likely])


def _find_likely(differences) -> list[Difference]:
    return find_causes(list(differences))


def _write(comparison, junit, summary) -> None:
    for path, text in ((junit, to_junit), (summary, to_markdown)):
        if path is not None:
            write_text(path, text(comparison))


def _name_mode(mode) -> str:
    return {"train": "trained again", "quick": f"the first {QUICK_EPOCHS} epochs", "check": "checked"}[mode]


def _check_tolerance(request) -> None:
    if request.tolerance is not None and not 0 <= request.tolerance <= 1:
        raise InputError(f"`--tolerance` must be a number from 0 to 1. Received: tolerance={request.tolerance}.")
    if request.tolerance is not None and request.level == BITS:
        raise InputError(
            "`--tolerance` must go with --level predictions or metrics: bits are equal or not. "
            f"Received: tolerance={request.tolerance}."
        )


def _check_outside(request, paths) -> None:
    """Refuse to write into the run that is checked, and where there is no folder."""
    run = request.target if request.target.is_dir() else request.target.parent
    faults = []
    for option, path in paths.items():
        if path is None:
            continue
        if RunDir(run).exists and run.resolve() in [path.resolve(), *path.resolve().parents]:
            faults.append(f"`{option}` must lie outside of the run that is checked. Received: {path}.")
        elif option != "--out" and not path.resolve().parent.is_dir():
            faults.append(f"`{option}` must lie in a folder that exists. Received: {path}.")
    if faults:
        raise InputError(faults)


def _choose_out(request, lock) -> Path:
    out = request.out or Path("runs") / f"reproduced-{lock.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    _check_outside(request, {"--out": out})
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"`--out` must be a new or empty directory. Received: {out}.")
    return out


def _repeat(request, lock: Lock, recipe: Recipe, out: Path, level: str, tolerance: float, voice: Voice) -> Sequence:
    """Train, and return the lines that compare the result with the locked one."""
    skip_bad, choices = bool(lock.content["data"].get("left_out")), lock.content["plan"]
    locked = lock.content["results"]
    with _fresh(out):
        if request.mode == "train":
            train(recipe, out, skip_bad=skip_bad, choices=choices, voice=voice)
            return compare_results(locked, describe_results(RunDir(out)), level, tolerance)
        rehearse(recipe, out, QUICK_EPOCHS, skip_bad=skip_bad, choices=choices, voice=voice)
        came = read_history(RunDir(out))
    allowed = 0.0 if level == BITS else TOLERANCES[METRICS] if request.tolerance is None else request.tolerance
    return compare_history(locked["history"][: len(came)], came, allowed)


@contextlib.contextmanager
def _fresh(out: Path) -> Iterator[None]:
    """Give the block a feature store of its own, and remove what it wrote if it does not end well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    before = os.environ.get(cache.FOLDER)
    with tempfile.TemporaryDirectory(prefix=".store-", dir=out.parent) as folder:
        os.environ[cache.FOLDER] = folder
        try:
            yield
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise
        finally:
            if before is None:
                del os.environ[cache.FOLDER]
            else:
                os.environ[cache.FOLDER] = before
