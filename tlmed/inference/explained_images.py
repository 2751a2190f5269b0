"""The pictures of `tlmed predict --explain`: of the predicted class of each image, or of each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlmed.answer_units import FILE, IMAGE
from tlmed.columns import suggest_spelling
from tlmed.data.pipeline import FileImages
from tlmed.errors import InputError, did_you_mean
from tlmed.evaluation.decision_lines import caption_choice
from tlmed.evaluation.explanations import (
    Explainer,
    Place,
    name_in,
    name_pictures,
    open_folder,
    save_explanations,
    save_label_explanations,
)
from tlmed.evaluation.pooling import find_telling
from tlmed.inference.scorer import BATCH_SIZE, computing
from tlmed.targets import writing_out
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count, listed

_NAMED = 10


@dataclass(frozen=True)
class Pictures:
    """Pictures that are asked for: they show where the evidence for a class, or for each of several labels, lies.

    Attributes:
        folder: Where they are written.
        method: How it is found, one of `tlmed.evaluation.explanations.METHODS`; None: Grad-CAM, or occlusion where the
            network allows no other.
        block: The block that Grad-CAM and Grad-CAM++ show; None: the last.
        force: Write over earlier ones.
        labels: Of several labels, those that are shown whether they are predicted or not, in place of those that are
            predicted.
    """

    folder: Path
    method: str | None = None
    block: str | None = None
    force: bool = False
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Answers:
    """What was predicted of some images.

    Attributes:
        chosen: The class of each unit, int [m]; or of several labels 1 and 0 for each, int [m, k].
        pooled: Scores of the units, float [m, k].
        scores: Scores of the samples, float [n, k].
        members: The unit of each sample, int [n].
    """

    chosen: np.ndarray
    pooled: np.ndarray
    scores: np.ndarray
    members: np.ndarray


def open_pictures(place: Place, sources: Sequence[str | Path], explainer: Explainer) -> None:
    """Make the folder for a picture of each image, before anything is scored.

    Raises:
        InputError: As for `open_folder` and `name_in`.
    """
    open_folder(place.folder, sources)
    name_in(place, explainer.method)


def open_label_pictures(
    place: Place, sources: Sequence[str | Path], explainer: Explainer, labels: Sequence[str], wanted: Sequence[str]
) -> np.ndarray:
    """Make the folder for pictures of labels, before anything is scored, and return the file of each, objects [n, k].

    Args:
        place: The folder, and the paths of the n images.
        sources: Where images are looked for.
        explainer: From `make_explainer`.
        labels: Names of the k labels.
        wanted: Those of them that may be shown; others have no files.

    Raises:
        InputError: As for `open_folder` and `name_in`.
    """
    open_folder(place.folder, sources)
    return name_pictures(place, labels, [labels.index(name) for name in wanted], explainer.method)


def check_stated(labels: Sequence[str], result: Mapping) -> None:
    """Refuse labels to be explained that a run does not have.

    Args:
        labels: Their names; none is right for any run.
        result: The run's `metrics.json`.

    Raises:
        InputError: It has other ones, or one class per image.
    """
    if labels and read_task(result) != MULTI_LABEL:
        rule = "`--label` goes with runs of several labels per image; of others the predicted class is explained"
        raise InputError(f"{rule}. Received: --label {labels[0]}.")
    names = result["classes"]
    if strangers := [name for name in labels if name not in names]:
        near = suggest_spelling(strangers[0], names) or did_you_mean(strangers[0], names)
        rule = f"`--label` must be a label of the run: {listed(names, _NAMED)}"
        raise InputError(f"{rule}.{near} Received: {strangers[0]!r}.")


def show_classes(place: Place, files: FileImages, answers: Answers, explainer: Explainer, result: Mapping) -> None:
    """Write a picture for the predicted class of each unit: of the sample that speaks most for it.

    Args:
        place: The folder, and the paths of the n samples.
        files: Their pixels.
        answers: What was predicted.
        explainer: From `make_explainer`.
        result: The run's `metrics.json`.
    """
    shown = find_telling(answers.scores, answers.members, answers.chosen)
    place, files = replace(place, names=[place.names[row] for row in shown]), replace(files, rows=files.rows[shown])
    with writing_out(place.folder, "--explain"), computing():
        rule, classes = caption_choice(result), result["classes"]
        save_explanations(place, files.batches(BATCH_SIZE), answers.chosen, answers.pooled, classes, explainer, rule)


def show_labels(
    pictures: np.ndarray,
    files: FileImages,
    answers: Answers,
    explainer: Explainer,
    thresholds: Sequence[float],
    labels: Sequence[str],
    stated: Sequence[str],
) -> list[str]:
    """Write a picture for each label of each unit that is predicted or stated: of the sample with its highest score.

    Args:
        pictures: Their files, from `open_label_pictures`.
        files: The pixels of the n samples.
        answers: What was predicted.
        explainer: From `make_explainer`.
        thresholds: From which score on each label is predicted, [k].
        labels: Names of the k labels.
        stated: The labels that are shown whether they are predicted or not; none: those that are predicted.

    Returns:
        A sentence on units without a picture.
    """
    units = np.isin(labels, stated)[None].repeat(len(answers.chosen), axis=0) if stated else answers.chosen == 1
    wanted = np.zeros(answers.scores.shape, bool)
    for column in range(len(labels)):
        shown = find_telling(answers.scores, answers.members, np.full(len(units), column))
        wanted[shown, column] = units[:, column]
    rows = np.flatnonzero(wanted.any(axis=1))
    if len(rows):
        files, scores = replace(files, rows=files.rows[rows]), answers.pooled[answers.members[rows]]
        with writing_out(pictures[rows][wanted[rows]][0].parent, "--explain"), computing():
            batches = files.batches(BATCH_SIZE)
            save_label_explanations(pictures[rows], batches, wanted[rows], scores, labels, explainer, thresholds)
    without = int((~units.any(axis=1)).sum())
    if not without:
        return []
    have, unit = "has" if without == 1 else "have", IMAGE if len(units) == len(wanted) else FILE
    said = f"{without:,} of {count(len(units), unit)} {have} no picture, as no label is predicted"
    return [f"{said}: `--label NAME` shows a label whether it is predicted or not."]
