"""The images that an exported model is tried on: those that the run was tested on, as the reader beside it reads them.

A converter may leave out weights or change an operation without a word, so a file that was written is run before it is
given to anybody.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from tlmed.conversion.reference_reader import Unread, read
from tlmed.data.recorded import Recalled, describe_changes
from tlmed.errors import CheckFailed, InputError
from tlmed.evaluation.pooled_csv import read_samples
from tlmed.inference.panel import Panel
from tlmed.inference.trained_runs import recall_images
from tlmed.run_files import SPLITS_CSV
from tlmed.words import count, listed

MOST = 2000  # images: more tell nothing new of a conversion
LEAST = 0.5  # of the run's test images: with fewer, `--data` leads elsewhere, or an AUC is not that of the run
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
        left_out: How many test images of the run are not among them, because they have gone or changed.
        notes: Sentences about these.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    groups: tuple[str, ...] | None
    pixels: np.ndarray
    scores: np.ndarray | None
    alone: int
    left_out: int
    notes: tuple[str, ...]


def recall_split(panel: Panel, split: str, source: str | None, least: float = 0) -> tuple[Recalled, np.ndarray, int]:
    """Return a run's images, with the changes of those of a split, and which of these are as they were.

    Args:
        panel: What answers; its first member says which image is in which split.
        split: "train", "val" or "test".
        source: Where the images lie now; None: where they were.
        least: The share of the split that must be as it was; one image at least.

    Returns:
        The images; the rows of those of the split that are as they were; how many images of it the run recorded.

    Raises:
        InputError: If the images cannot be read there, or too few are as they were.
    """
    run, source = panel.first.run, source or panel.recipe.data.source
    own = {row["path"] for row in SPLITS_CSV.read(run) if row["split"] == split}
    found = recall_images(panel.first, source)
    found = replace(found, changes=found.changes.of(own), moved=(), ungiven=False)
    rows, needed = np.flatnonzero(found.same & (found.images.splits == split)), max(1, math.ceil(least * len(own)))
    if len(rows) < needed:
        raise InputError(
            f"To export RUN, at least {needed:,} of its {count(len(own), f'{split} image')} must be as they were. "
            f"Received: {run.path} with data={source}, where {len(rows):,} are"
            f"{''.join(f'; {said}' for said in found.changes.name())}."
        )
    return found, rows, len(own)


def read_tested(panel: Panel, facts: dict, source: str | None = None) -> Tested:
    """Return the test images of a run, each read by the reader that is given with the model, if it can.

    Of more than `MOST`, that many are taken, evenly spaced.

    Args:
        panel: What answers.
        facts: What `model.json` says.
        source: As for `recall_split`.

    Raises:
        InputError: As `recall_split`.
        CheckFailed: The reader gives other pixels than tlmed.
    """
    recalled, rows, recorded = recall_split(panel, "test", source, LEAST)
    left_out, notes = recorded - len(rows), tuple(describe_changes(recalled, recorded))
    if len(rows) > MOST:
        rows = rows[np.linspace(0, len(rows) - 1, MOST).round().astype(int)]
    pixels, table = recalled.images.pixels.take(rows), recalled.images.table
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
    return Tested(paths, table.labels[rows], groups, pixels, _find_scores(panel, paths), alone, left_out, notes)


def _read_alone(content, facts) -> np.ndarray | None:
    """Return what the reader gives for a file; None of what is no whole file, or is not read by it."""
    if not isinstance(content, bytes):
        return None
    try:
        return read(content, facts)
    except (Unread, ImportError):
        return None


def _find_scores(panel, paths) -> np.ndarray | None:
    if not panel.is_single:
        return None
    found = read_samples(panel.first.run.path, panel.metrics)
    places = {path: place for place, (path, split) in enumerate(zip(found.paths, found.splits, strict=True))}
    return found.scores[[places[path] for path in paths]]
