"""The images that an exported model is tried on: those that the run was tested on, as the reader beside it reads them.

A converter may leave out weights or change an operation without a word, so a file that was written is run before it is
given to anybody.
"""

from dataclasses import dataclass

import numpy as np

from tlmed.conversion.reference_reader import read
from tlmed.data.pipeline import ImageSet
from tlmed.errors import CheckFailed, InputError
from tlmed.evaluation.pooled_csv import read_samples
from tlmed.inference.panel import Panel
from tlmed.inference.trained_runs import recall_images
from tlmed.words import count, listed

MOST = 2000  # images: more tell nothing new of a conversion
_NAMED = 3


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Tested:
    """Images, and the scores that the run gave them.

    Attributes:
        paths: Their names.
        labels: Their classes, int [n], or vectors of labels.
        groups: Who each belongs to, n texts, or None.
        pixels: What the model takes, uint8 [n, height, width, 3].
        scores: What the run's `predictions.csv` says of each, float [n, k]; None where several networks answer: these
            are scored by the members that have not seen an image, which are not all.
        alone: How many of them `read_images.py` reads; the others are read by tlmed only.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    groups: tuple[str, ...] | None
    pixels: np.ndarray
    scores: np.ndarray | None
    alone: int


def recall_split(panel: Panel, split: str, source: str | None, most: int | None = MOST) -> tuple[ImageSet, np.ndarray]:
    """Return a run's images, and the rows of those of a split that are as they were, or of some of them.

    Args:
        panel: What answers; its first member says which image is in which split.
        split: "train", "val" or "test".
        source: Where the images lie now; None: where they were.
        most: How many rows, evenly spaced; None: all.

    Raises:
        InputError: If the images cannot be read there, or none is as it was.
    """
    found = recall_images(panel.first, source or panel.recipe.data.source)
    rows = np.flatnonzero(found.same & (found.images.splits == split))
    if not len(rows):
        raise InputError(
            f"At least one {split} image of RUN must be as it was, to try the exported model on. "
            f"Received: {panel.run.path}: {'; '.join(found.changes.name()) or f'no {split} image'}."
        )
    if most is not None and len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]
    return found.images, rows


def read_tested(panel: Panel, facts: dict, source: str | None = None) -> Tested:
    """Return the test images of a run, each read by the reader that is given with the model, if it can.

    Args:
        panel: What answers.
        facts: What `model.json` says.
        source: As for `recall_split`.

    Raises:
        InputError: As `recall_split`.
        CheckFailed: The reader gives other pixels than tlmed.
    """
    images, rows = recall_split(panel, "test", source)
    pixels, table = images.pixels.take(rows), images.table
    alone, differ = 0, []
    for number, row in enumerate(rows.tolist()):
        found = _read_alone(table.read(row), facts)
        alone += found is not None
        if found is not None and not np.array_equal(found, pixels[number]):
            differ.append(table.paths[row])
    if differ:
        raise CheckFailed(
            "`read_images.py` must give the pixels that tlmed gives. "
            f"Received: {count(len(differ), 'image')} with others: {listed(differ, _NAMED)}."
        )
    paths = tuple(table.paths[row] for row in rows)
    groups = None if table.groups is None else tuple(table.groups[row] for row in rows)
    return Tested(paths, table.labels[rows], groups, pixels, _find_scores(panel, paths), alone)


def _read_alone(content, facts) -> np.ndarray | None:
    """Return what the reader gives for a file; None of what is no whole file, or is not read by it."""
    if not isinstance(content, bytes):
        return None
    try:
        return read(content, facts)
    except (ValueError, OSError, ImportError):
        return None


def _find_scores(panel, paths) -> np.ndarray | None:
    if not panel.is_single:
        return None
    found = read_samples(panel.first.run.path, panel.metrics)
    places = {path: place for place, (path, split) in enumerate(zip(found.paths, found.splits, strict=True))}
    return found.scores[[places[path] for path in paths]]
