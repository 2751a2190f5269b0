"""What the gate looks at: a table of images, their splits, facts of their files, small pictures, measures, features."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.data import ImageSet
from tlmed.data.file_facts import FileFacts
from tlmed.data.table import Table
from tlmed.gate.copy_sets import DescribedPair
from tlmed.gate.frame_measures import FLAT, FRAME, measure_frames
from tlmed.gate.kept_evidence import NOWHERE, Memory
from tlmed.gate.sketches import SKETCH, draw_sketches
from tlmed.sections import Images

_CHUNK = 256  # images whose pixels are held at a time


@dataclass(frozen=True, eq=False)
class Evidence:
    """What checks look at; everything has a row, or an entry, for each of n images.

    Attributes:
        table: The usable images: paths, labels, classes, groups, traits (further columns).
        splits: "train", "val" or "test" for every image.
        split_made: Which splits tlmed decided; the others were given.
        sha256: The digest of every image's content.
        digests: The digest of every image's pixels at network size; None if unknown.
        files: What the file of each image says besides its pixels.
        sketches: uint8 [n, 64, 64], gray, the whole image squeezed into a square (`sketches.draw_sketches`).
        frames: Measures of the pixels that are not the finding (`frame_measures.measure_frames`).
        features: float32 [n, d], of a pretrained network; None if there are none.
        lacking: Why there are no features; "" if there are.
        copies: Pairs that are known to be near-copies, before more are looked for by features.
        seed: Of everything that is drawn.
        positive: The positive one of two classes, if it was asked for; None: the default.
        merged: The labels of the data that classes are made of, where a recipe makes classes of them.
        memory: What checks computed before from the same pixels.
        closed: Whether labels of test images stay closed: what follows from labels is measured on the other images.
    """

    table: Table
    splits: np.ndarray
    split_made: tuple[str, ...]
    sha256: tuple[str, ...]
    digests: tuple[bytes, ...] | None
    files: tuple[FileFacts, ...]
    sketches: np.ndarray
    frames: np.ndarray
    features: np.ndarray | None = None
    lacking: str = ""
    copies: tuple[DescribedPair, ...] = ()
    seed: int = 0
    positive: str | None = None
    merged: tuple[str, ...] = ()
    memory: Memory = NOWHERE
    closed: bool = False

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.table)

    @property
    def flat(self) -> np.ndarray:
        """Which images are nearly of one gray level, bool [n]: that their pixels are equal, or alike, proves no copy.

        So are planes of a volume outside of the body, and whatever a window makes black or white.
        """
        return self.frames["deviation"] < FLAT

    @property
    def why_lacking(self) -> str:
        """Why there are no features, as the end of a sentence, without its point."""
        return self.lacking.strip().rstrip(".") or "there are no features"


def gather(
    images: ImageSet,
    seed: int = 0,
    tell: Callable[[int], None] = lambda count: None,
    memory: Memory = NOWHERE,
) -> Evidence:
    """Return the evidence of images, without features: pixels are read once, in chunks, if they are not known.

    Args:
        images: In their splits.
        seed: Of everything that checks draw.
        tell: Is told of how many more images were read.
        memory: Where it is looked for, and kept.

    Raises:
        RunFailed: An image changed while it was read.
    """
    table, n = images.table, len(images.table)
    sketches, frames = np.empty((n, SKETCH, SKETCH), np.uint8), np.zeros(n, FRAME)
    digests = list(images.pixels.digests or ())
    known = bool(digests)
    missing = memory.recall_pictures(images.pixels, sketches, frames) if known else np.arange(n)
    tell(n - len(missing))
    for start in range(0, len(missing), _CHUNK):
        rows = missing[start : start + _CHUNK]
        pixels = images.pixels.take(rows)
        sketches[rows], frames[rows] = draw_sketches(pixels), measure_frames(pixels)
        digests += [] if known else [hashlib.sha256(image).digest() for image in pixels]  # about 0.15 ms each
        tell(len(rows))
    if known:
        memory.keep_pictures(images.pixels, missing, sketches, frames)
    files = images.pixels.files or (FileFacts(),) * n
    return Evidence(
        table,
        images.splits,
        images.split_made,
        images.sha256,
        tuple(digests),
        files,
        sketches,
        frames,
        seed=seed,
        memory=memory,
    )


def take_rows(evidence: Evidence, rows: Sequence[int]) -> Evidence:
    """Return the evidence of some images; pairs of copies stay where both images do.

    Args:
        evidence: The images.
        rows: Which, in this order.
    """
    rows = [int(row) for row in rows]
    place = {row: number for number, row in enumerate(rows)}
    copies = (
        replace(pair, rows=tuple(place[row] for row in pair.rows))
        for pair in evidence.copies
        if place.keys() >= set(pair.rows)
    )
    return replace(
        evidence,
        table=evidence.table.take(rows),
        splits=evidence.splits[rows],
        sha256=tuple(evidence.sha256[row] for row in rows),
        digests=None if evidence.digests is None else tuple(evidence.digests[row] for row in rows),
        files=tuple(evidence.files[row] for row in rows),
        sketches=evidence.sketches[rows],
        frames=evidence.frames[rows],
        features=None if evidence.features is None else evidence.features[rows],
        copies=tuple(copies),
    )


def leave_out_closed(evidence: Evidence) -> Evidence:
    """Return the evidence of the images whose labels may be read: all, unless those of test images stay closed."""
    return take_rows(evidence, np.flatnonzero(evidence.splits != "test")) if evidence.closed else evidence


def take_asked(evidence: Evidence, asked: Images) -> Evidence:
    """Return evidence with what a recipe says of its classes.

    Args:
        evidence: The images.
        asked: The recipe's section on data.
    """
    merged = tuple(label for labels in (asked.classes or {}).values() for label in labels)
    return replace(evidence, positive=asked.positive, merged=merged)


def list_labels(evidence: Evidence) -> Sequence[tuple[str, np.ndarray, np.ndarray]]:
    """Return the questions that labels answer: a name, the rows with a known answer, and the answer, int, of each.

    That is one question for classes, which number them, and for several labels one for each label, of 0 and 1.
    """
    table = evidence.table
    if not table.is_multi:
        return [("", np.arange(len(table)), table.labels)]
    columns = zip(table.classes, table.labels.T, strict=True)
    known = [(name, np.flatnonzero(column >= 0), column) for name, column in columns]
    return [(name, rows, column[rows]) for name, rows, column in known]
