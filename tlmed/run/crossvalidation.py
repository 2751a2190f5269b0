"""Cross-validation: a run for each fold, one after another, and the mean of their results."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tlmed.cluster import find_cluster
from tlmed.data import ImageSet
from tlmed.data.recorded import compare_rows, digest_columns, to_rows
from tlmed.errors import InputError, TlmedError
from tlmed.evaluation.lines import describe_metrics
from tlmed.recipe import Recipe
from tlmed.report.folds import write_folds_report
from tlmed.run.averages import write_averages
from tlmed.run.job import Job
from tlmed.run.records import holds_complete, say_complete, write_recipe
from tlmed.run_files import ENVIRONMENT_JSON, SPLITS_CSV
from tlmed.run_files.check_summary import read_summary, say_errors
from tlmed.rundir import FOLDS, RunDir
from tlmed.sections import KFold
from tlmed.words import NAMED, listed

_DIGITS = 2  # at least so many in a fold's directory name, so that names sort as numbers do


def is_cross_validation(recipe: Recipe) -> bool:
    """Tell whether a recipe stands for a run for each fold; one that names its fold is a run like any other."""
    return isinstance(recipe.data.split, KFold) and recipe.data.split.fold is None


def cross_validate(job: Job, train_fold: Callable[[Job, Callable[[ImageSet], None]], None]) -> None:
    """Train a run for each fold, in `OUT/folds/01`, `02` and so on, and write down their mean.

    A fold that is complete is not trained again, so that the same command goes on where an earlier one was stopped.
    Nothing is written before the inputs of the first fold that is trained have been checked.

    Args:
        job: The run, its recipe with a `KFold` that names no fold. A complete one that recorded leaks is refused where
            it is `strict`; `train_fold` refuses those of a new one.
        train_fold: Trains a fold's run unless it is complete, given its job and `begin`, to be called with its images
            when its inputs are prepared and before anything is written.

    Raises:
        InputError: If the directory holds another run, the folds are not of the same images, or several workers were
            started; or as `train`.
        RunFailed: As `train`.
    """
    _check_alone(job.recipe)
    recipe, run, voice, split = job.recipe, job.run, job.voice, job.recipe.data.split
    if not job.fresh and holds_complete(job):
        run.finish()  # an earlier command may have been killed in its last step
        voice.say(say_complete(job))
        return
    with contextlib.ExitStack() as stack:
        # Once, and not before the first fold that is trained is prepared, because --fresh deletes what was here before.
        enter = functools.cache(lambda: stack.enter_context(_opened(job)))
        folds = [RunDir(run / FOLDS / name) for name in name_folds(split)]
        for number, fold in enumerate(folds, 1):
            voice.say(f"Fold {number} of {len(folds)}: {fold.path}")
            begin = functools.partial(_begin, enter, run, number, folds)
            with _explained(run, fold, number, len(folds)):
                train_fold(dataclasses.replace(job, recipe=_name_fold(recipe, number), run=fold), begin)
            _check_same_images(folds[0], fold, SPLITS_CSV.read(fold))
        enter()
        run.mark(f"Averaging {len(folds)} folds.")
        with voice.busy(f"Averaging {len(folds)} folds"):
            result = write_averages(run, split, folds, recipe.data.train_share)
            write_folds_report(run.path)
        run.finish()
    voice.say(f"Means of {len(folds)} folds:")
    for line in describe_metrics(result):
        voice.say(line)
    for sentence in say_errors(read_summary(run)):  # while training, only the first fold's findings were told
        voice.warn(sentence)
    voice.say(f"Run: {run.path}\nReport: {run / 'report.html'}")


def name_folds(split: KFold) -> list[str]:
    """Return the name of each fold's directory.

    >>> name_folds(KFold(k=3))
    ['01', '02', '03']
    """
    digits = max(_DIGITS, len(str(split.folds)))
    return [f"{number:0{digits}}" for number in range(1, split.folds + 1)]


def _name_fold(recipe, number) -> Recipe:
    """Return the recipe of one fold's run."""
    split = dataclasses.replace(recipe.data.split, fold=number)
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, split=split))


def _check_alone(recipe) -> None:
    """Refuse several workers: TensorFlow brings them together once in a process, and each fold would need it anew."""
    if find_cluster(os.environ) is not None:
        raise InputError(
            "A cross-validation must be started as one process. Several workers can train one fold: "
            "`--set data.split.fold=1 --out DIR/folds/01`, and so on; then `--out DIR` in one process averages them. "
            f"Received: several workers with data.split={recipe.data.split!r}."
        )


@contextlib.contextmanager
def _opened(job) -> Iterator[None]:
    """Make the directory above the folds, or go on in it, as its only writer."""
    with job.run.open(job.fresh):
        job.run.mark("Started.")
        write_recipe(job.run, job.recipe, job.recipe_file)
        yield


def _begin(enter, run, number, folds: Sequence[RunDir], images: ImageSet) -> None:
    """Begin a fold, unless it is of other images than complete ones: checked now, because later its work is lost."""
    enter()
    for fold in folds:
        if fold.complete:
            _check_same_images(fold, folds[number - 1], to_rows(images))
            _check_same_columns(fold, images)
    run.mark(f"Training fold {number} of {len(folds)}.")


@contextlib.contextmanager
def _explained(run, fold, number, folds) -> Iterator[None]:
    """Add to an error of a fold which fold it was, and name the command for all folds as the one that goes on."""
    try:
        yield
    except (TlmedError, KeyboardInterrupt) as error:
        if not run.marker.exists():
            raise  # nothing has begun: what is wrong is the recipe, not the fold
        faults = error.faults if isinstance(error, TlmedError) else [str(error)]
        first, *others = (fault.replace(f"`--out {fold.path}`", f"`--out {run.path}`") for fault in faults)
        clear = type(error)([f"Fold {number} of {folds}: {first}", *others])
        with contextlib.suppress(OSError):  # no room even for a note: the marker names the fold without it
            run.mark(str(clear))
        raise clear from error


def _check_same_images(first: RunDir, fold: RunDir, rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse a fold with other images than the first one's: an image might be tested twice, or never."""
    if found := compare_rows(SPLITS_CSV.read(first), rows).name():
        raise InputError(
            "All folds must be of the same images; --fresh trains all of them again. "
            f"Received: {fold.path} with other images than {first.path}: {'; '.join(found)}."
        )


def _check_same_columns(fold: RunDir, images: ImageSet) -> None:
    """Refuse columns that changed since a fold was trained: means of subgroups would be of two divisions.

    A column that is new or gone makes no means, which say in which folds it was not there.
    """
    recorded = ENVIRONMENT_JSON.read(fold)["data"].get("columns", {})  # an older version of tlmed recorded none
    splits = {row["path"]: row["split"] for row in SPLITS_CSV.read(fold)}
    now = digest_columns(images.table, np.array([splits[path] for path in images.table.paths]))
    if changed := [name for name, digest in recorded.items() if now.get(name, digest) != digest]:
        raise InputError(
            "Columns that make subgroups must be the same in all folds: restore them, or --fresh trains all folds "
            f"again. Received: other values than {fold.path} had in {listed(map(repr, changed), NAMED)}."
        )
