"""Networks of inner folds that answer, for the test images, together with one that all development images trained.

An inner fold (`data.inner`) puts the test images aside; its network is trained on a part of the development images and
judged on another one. The networks of a cross-validation are there already, each of other images, and their mean is
better than they are on average (Krogh & Vedelsby, Neural network ensembles, cross validation, and active learning, NIPS
7, 1995, 231-238).
"""

import tlmed.tensorflow_start

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.data import ImageSet
from tlmed.errors import InputError
from tlmed.inference.member_scores import MemberScores
from tlmed.inference.scorer import load_alike, load_scorer
from tlmed.inference.trained_runs import Trained, read_trained, recall_images
from tlmed.recipe import Recipe
from tlmed.run_files import ENVIRONMENT_JSON
from tlmed.rundir import RunDir
from tlmed.split_names import UNUSED
from tlmed.words import join_names


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class FoldScores:
    """What the network of an inner fold says of the test images that were put aside.

    Attributes:
        run: Its run.
        scores: By the path of a test image, its class probabilities [k].
    """

    run: RunDir
    scores: Mapping[str, np.ndarray]


def score_put_aside(runs: Sequence[RunDir], tell: Callable[[int], None] = lambda done: None) -> list[FoldScores]:
    """Let the networks of inner folds score the test images that these put aside, one network after another.

    Args:
        runs: Complete runs with `data.inner`.
        tell: Called with the number of networks that are done.

    Raises:
        InputError: If the images are not as they were, or cannot be read.
    """
    found, known, scorer, before = [], {}, None, None
    for number, trained in enumerate(map(read_trained, runs), 1):
        if trained.rule not in known:  # the range of gray levels may be that of the images that trained
            known[trained.rule] = _recall(trained)
        images, recipe = known[trained.rule], _drop_fold(trained.recipe)
        scorer = load_alike(trained.run, scorer) if recipe == before else load_scorer(trained.run)
        before = recipe
        rows = np.flatnonzero(images.splits == UNUSED)
        scores = scorer(images.batches(rows, recipe.data.batch_size))
        paths = [images.table.paths[row] for row in rows]
        found.append(FoldScores(trained.run, dict(zip(paths, scores, strict=True))))
        tell(number)
    return found


def _drop_fold(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, inner=None))


def _recall(trained: Trained) -> ImageSet:
    found = recall_images(trained, trained.recipe.data.source)
    if named := found.changes.name():
        raise InputError(
            "The images must be as they were when they were tried. "
            f"Received: {trained.recipe.data.source}: {'; '.join(named)}."
        )
    return found.images


def check_beginnings(run: RunDir, folds: Sequence[FoldScores]) -> None:
    """Refuse folds that did not begin with the weights of a run: of others it is not known which images they know.

    Raises:
        InputError: With the folds.
    """
    weights = _read_weights(run)
    if other := [str(fold.run.path) for fold in folds if _read_weights(fold.run) != weights]:
        raise InputError(
            "A fold that answers together with a run must have begun with the same weights. "
            f"Received: {run.path}, and {join_names(other)} with others."
        )


def _read_weights(run) -> object:
    return ENVIRONMENT_JSON.read(run, "weights")["weights"]


def add_folds(table: MemberScores, folds: Sequence[FoldScores]) -> MemberScores:
    """Return the images and scores of several runs of which the last are inner folds, as all of them see the images.

    What a fold put aside are its test images here; what judged it, and trained no layer of it, are validation images.

    Args:
        table: From `read_member_scores`.
        folds: The last members of it, in order.

    Raises:
        InputError: If a fold did not put aside what the first member tests, and nothing else.
    """
    splits, scores = table.splits.copy(), table.scores.copy()
    tested = splits[0] == "test"
    for number, fold in enumerate(folds, len(splits) - len(folds)):
        aside = splits[number] == UNUSED
        if not np.array_equal(aside, tested):
            raise InputError(
                "The fold of a run that answers together with others must have put aside the images that they test, "
                f"and no others. Received: {fold.run.path}, which put aside {aside.sum():,}; {tested.sum():,} are "
                f"tested, {(aside & tested).sum():,} of them among these."
            )
        splits[number, splits[number] == "test"] = "val"
        splits[number, aside] = "test"
        scores[number, aside] = [fold.scores[table.paths[row]] for row in np.flatnonzero(aside)]
    return dataclasses.replace(table, splits=splits, scores=scores)
