"""Cross-validation: a run for each fold, one after another, and the mean of what they give."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tlmed.cluster import find_cluster
from tlmed.data import ImageSet
from tlmed.data.recorded import compare_rows, to_rows
from tlmed.errors import InputError, TlmedError
from tlmed.evaluation.lines import describe_metrics
from tlmed.recipe import Recipe, RecipeFile
from tlmed.report.folds import write_folds_report
from tlmed.run.averages import write_averages
from tlmed.run.records import holds_same_recipe, say_complete, write_recipe
from tlmed.rundir import FOLDS, RunDir
from tlmed.sections import KFold
from tlmed.voice import Voice

_DIGITS = 2  # of a fold's number in paths, at least


def is_cross_validation(recipe: Recipe) -> bool:
    """Tell whether a recipe stands for a run for each fold; one that names its fold is a run like any other."""
    return isinstance(recipe.data.split, KFold) and recipe.data.split.fold is None


def cross_validate(
    recipe: Recipe,
    out: Path,
    train_fold: Callable[..., object],
    recipe_file: RecipeFile | None,
    fresh: bool,
    strict: bool,
    voice: Voice,
) -> None:
    """Train a run for each fold, in `OUT/folds/01`, `02` and so on, and write down their mean.

    A fold that is complete is not trained again, so that the same command goes on where an earlier one was stopped.
    Nothing is written before the inputs of the first fold to be trained are found to be without fault.

    Args:
        recipe: With a `KFold` that names no fold.
        out: The run directory.
        train_fold: Trains a run unless it is complete, given its recipe, its directory, `fresh`, and `begin`, to be
            called with its images when its inputs are prepared and before anything is written.
        recipe_file: As for `train`.
        fresh: Start over.
        strict: Refuse a complete run that recorded leaks; `train_fold` refuses those of a new one.
        voice: Where to tell what happens.

    Raises:
        InputError: If the directory holds another run, the folds are not of the same images, or several workers were
            started; or as `train`.
        RunFailed: As `train`.
    """
    _check_alone(recipe)
    run, split = RunDir(out), recipe.data.split
    if not fresh and run.exists and holds_same_recipe(run, recipe) and run.complete:
        run.finish()  # an earlier command may have been killed in its last step
        voice.say(say_complete(run, recipe, strict))
        return
    with contextlib.ExitStack() as stack:
        # Once, and when the first fold to be trained is prepared: --fresh clears what was here before.
        enter = functools.cache(lambda: stack.enter_context(_opened(run, recipe, recipe_file, fresh)))
        folds = [RunDir(run / FOLDS / name) for name in name_folds(split)]
        for number, fold in enumerate(folds, 1):
            voice.say(f"Fold {number} of {len(folds)}: {fold.path}")
            begin = functools.partial(_begin, enter, run, number, split, folds[0])
            with _explained(run, fold, number, len(folds)):
                train_fold(_name_fold(recipe, number), fold.path, fresh=fresh, begin=begin)
            _check_same_images(folds[0], fold, fold.splits())
        enter()
        run.mark(f"Averaging {len(folds)} folds.")
        with voice.busy(f"Averaging {len(folds)} folds"):
            result = write_averages(run, split, folds)
            write_folds_report(run.path)
        run.finish()
    voice.say(f"Means of {len(folds)} folds:")
    for line in describe_metrics(result):
        voice.say(line)
    voice.say(f"Run: {out}\nReport: {out / 'report.html'}")


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
def _opened(run, recipe, recipe_file, fresh) -> Iterator[None]:
    """Make the directory above the folds, or go on in it, as its only writer."""
    with run.open(fresh):
        run.mark("Started.")
        write_recipe(run, recipe, recipe_file)
        yield


def _begin(enter, run, number, split, first: RunDir, images: ImageSet) -> None:
    enter()
    if number > 1:  # before the fold is trained: afterwards its work would be lost
        _check_same_images(first, RunDir(run / FOLDS / name_folds(split)[number - 1]), to_rows(images))
    run.mark(f"Training fold {number} of {split.folds}.")


@contextlib.contextmanager
def _explained(run, fold, number, folds) -> Iterator[None]:
    """Say of what ends a fold which one it was, and what goes on: the command that trains all of them."""
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
    """Refuse a fold of other images than the first one's: their splits would not fit together."""
    if found := compare_rows(first.splits(), rows).name():
        raise InputError(
            "All folds must be of the same images; --fresh trains all of them again. "
            f"Received: {fold.path} with other images than {first.path}: {'; '.join(found)}."
        )
