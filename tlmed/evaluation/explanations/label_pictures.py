"""Pictures of several labels per image: a PNG for each label that is explained, named by it."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from tlmed.evaluation.explanations.gradients import BATCH_SIZE
from tlmed.evaluation.explanations.methods import Explainer
from tlmed.evaluation.explanations.pictures import Place, claim_files, name_files, write_panel
from tlmed.words import thousandths


def name_pictures(place: Place, labels: Sequence[str], columns: Sequence[int], method: str) -> np.ndarray:
    """Return the file of each image and label, objects [n, k]; None for labels that are not asked for.

    Args:
        place: The folder, and the paths of the n images.
        labels: Names of k labels.
        columns: The numbers of those that are asked for.
        method: Stands in the names of the files, before `.png`.

    Raises:
        InputError: As for `name_in`.
    """
    # Of all labels, so that a name stands for the same label whatever is asked for.
    names = name_files(place.names, method, labels)
    files = np.array([Path(place.folder) / name for name in names], dtype=object)
    files = files.reshape(len(place.names), len(labels))
    files[:, [column for column in range(len(labels)) if column not in columns]] = None
    claim_files(place, [file for file in files.ravel() if file is not None])
    return files


def save_label_explanations(
    files: np.ndarray,
    batches: Iterable[np.ndarray],
    wanted: np.ndarray,
    scores: np.ndarray,
    classes: Sequence[str],
    explainer: Explainer,
    thresholds: Sequence[float],
) -> list[Path]:
    """Explain some labels of each image, batch by batch, and write a PNG for each of them.

    Args:
        files: From `name_pictures`, [n, k].
        batches: The pixels of the n images, uint8 [b, height, width, 3] each.
        wanted: Which labels of which images, bool [n, k].
        scores: The probability of each label [n, k], shown in the captions.
        classes: Names of the k labels.
        explainer: From `make_explainer`.
        thresholds: From which score on each label is predicted, [k].

    Returns:
        The files that were written.
    """
    written, done = [], 0
    for images in batches:
        images = np.asarray(images)
        pairs = iter(np.argwhere(wanted[done : done + len(images)]).tolist())
        while some := list(islice(pairs, BATCH_SIZE)):
            rows, columns = map(list, zip(*some, strict=True))
            maps = explainer(images[rows], np.array(columns))
            for row, column, heat in zip(rows, columns, maps, strict=True):
                score, threshold = map(thousandths, (scores[done + row, column], thresholds[column]))
                said = f"{classes[column]} {score}; predicted from {threshold} on"
                write_panel(files[done + row, column], images[row], heat, said, explainer.name)
                written.append(files[done + row, column])
        done += len(images)
    return written
