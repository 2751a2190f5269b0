"""Images of poor or odd quality: nearly uniform, clipped, tiny, inverted, or coloured among gray ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.findings import OUTLIER, WARNING, Finding
from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence
from tlmed.words import count, listed, percent

LEAST = 20  # images: with fewer, nothing tells what is usual
NAMED = 4  # files that a sentence names; it counts the others
_CLIPPED = 0.5  # share of pixels that are black or white, from which an image may be clipped
_UNUSUAL = 6.0  # robust standard deviations above the median
_SMALL, _PART = 32, 4  # pixels of a side; and the part of the usual side below which an image is tiny
_LIKE = 0.5  # median correlation with the mean picture: with less, images do not have one
_OPPOSITE = -0.4  # correlation of an image that may be a negative
_COLOURED = 3.0  # mean difference of red, green and blue, 0 to 255; noise of a JPEG stays below it
_FEW = 0.1  # the share of images up to which one kind of colour is the odd one


@dataclass(frozen=True)
class Fault:
    """A fault of quality: its name in the figures, what is so of images, and what to do."""

    name: str
    one: str
    many: str
    cure: str


UNIFORM = Fault(
    "uniform",
    "is nearly of one gray level: there is nothing to see in it",
    "are nearly of one gray level: there is nothing to see in them",
    "Look at them, and at the window that they are shown by (`data.window`); leave out what is empty.",
)
BLACK = Fault(
    "black",
    "is black to a much larger part than the others",
    "are black to a much larger part than the others",
    "Look at them: the window may cut off dark values (`data.window`), or much of the picture is border.",
)
WHITE = Fault(
    "white",
    "is white to a much larger part than the others",
    "are white to a much larger part than the others",
    "Look at them: the window may cut off bright values (`data.window`), or the exposure was too high.",
)
TINY = Fault(
    "tiny",
    "has a side of less than 32 pixels",
    "have a side of less than 32 pixels",
    "Look for the originals: a thumbnail lacks what a network should see.",
)
THUMBNAIL = Fault(
    "thumbnail",
    "has a side of less than a quarter of the usual one",
    "have a side of less than a quarter of the usual one",
    TINY.cure,
)
INVERTED = Fault(
    "inverted",
    "looks like a negative: bright where the others are dark, and dark where they are bright",
    "look like negatives: bright where the others are dark, and dark where they are bright",
    "Look at them: invert them, or correct PhotometricInterpretation in DICOM headers (MONOCHROME1).",
)
COLOURED = Fault(
    "coloured",
    "has colours, which nearly all others have not",
    "have colours, which nearly all others have not",
    "Look at them: they may be of another kind (Doppler, a stain), or have coloured marks.",
)
GRAY = Fault(
    "gray",
    "has no colours, which nearly all others have",
    "have no colours, which nearly all others have",
    "Look at them: they may be of another kind, or were converted.",
)


def check_quality(evidence: Evidence) -> Checked:
    """Look for images that are nearly uniform, clipped, tiny, inverted, or coloured among gray ones.

    What is usual is measured on the images themselves. An image is clipped if half of it or more is black, or white,
    and that is `_UNUSUAL` robust standard deviations above the median of all; tiny if a side has less than 32 pixels,
    and a thumbnail if it has less than a quarter of the usual one; inverted if its correlation with the mean picture is
    -0.4 or less, and its negative agrees with that picture as the others do.

    Args:
        evidence: Of the images.

    Returns:
        One warning for each fault, with all of its images. Figures: how many images have each.
    """
    found = {fault: rows for fault, rows in _find(evidence) if len(rows)}
    findings = tuple(_tell(evidence, fault, rows) for fault, rows in found.items())
    figures = {fault.name: len(rows) for fault, rows in found.items()}
    few = len(evidence) < LEAST
    unchecked = (
        f"Clipped, inverted and coloured images were not looked for: that takes {LEAST} images, and there "
        f"{'is' if len(evidence) == 1 else 'are'} {len(evidence)}.",
    )
    return Checked("quality", findings, figures, unchecked if few else ())


def _find(evidence: Evidence) -> Iterator[tuple[Fault, np.ndarray]]:
    frames = evidence.frames
    yield UNIFORM, np.flatnonzero(evidence.flat)
    sides = np.array([min(facts.height, facts.width) for facts in evidence.files], np.int64)
    known = sides > 0
    tiny = known & (sides < _SMALL)
    yield TINY, np.flatnonzero(tiny)
    if known.any():
        yield THUMBNAIL, np.flatnonzero(known & ~tiny & (sides * _PART < np.median(sides[known])))
    if len(evidence) < LEAST:
        return
    for fault, name in ((BLACK, "dark"), (WHITE, "white")):
        yield fault, np.flatnonzero(_is_clipped(frames[name]) & ~evidence.flat)
    yield INVERTED, _find_inverted(evidence.sketches, evidence.flat)
    coloured = frames["colour"] > _COLOURED
    if 0 < coloured.mean() <= _FEW:
        yield COLOURED, np.flatnonzero(coloured)
    elif 0 < 1 - coloured.mean() <= _FEW:
        yield GRAY, np.flatnonzero(~coloured)


def _is_clipped(shares: np.ndarray) -> np.ndarray:
    """Tell which shares of black, or of white, are large and far above the others, bool [n]."""
    middle, upper = np.percentile(shares, [50, 75])
    return (shares >= _CLIPPED) & (shares > middle + _UNUSUAL * max((upper - middle) / 0.6745, 0.01))


def _find_inverted(sketches: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Return the rows of images whose negatives agree with the mean picture as the other images do."""
    rows = np.flatnonzero(~flat)
    if len(rows) < LEAST:
        return rows[:0]
    # Two passes in chunks: all pictures as floats would take four times the memory.
    total = np.zeros(sketches[0].size)
    for part in _cut(rows):
        total += _standardise(sketches[part]).sum(0)
    alike = np.concatenate([_agree(_standardise(sketches[part]), total) for part in _cut(rows)])
    usual = np.median(alike)
    if usual < _LIKE:
        return rows[:0]
    return rows[(alike <= _OPPOSITE) & (-alike >= np.percentile(alike, 5))]


def _cut(rows: np.ndarray, size: int = 1024) -> Iterator[np.ndarray]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _standardise(sketches: np.ndarray) -> np.ndarray:
    flat = sketches.reshape(len(sketches), -1).astype(np.float64)
    flat -= flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def _agree(pictures: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the correlation of each picture with the mean of all others, float [n]."""
    others = total - pictures
    return (pictures * others).sum(1) / np.maximum(np.linalg.norm(others, axis=1), 1e-9)


def _tell(evidence: Evidence, fault: Fault, rows: Sequence[int]) -> Finding:
    paths = tuple(evidence.table.paths[row] for row in rows)
    amount, share = count(len(paths), "image"), percent(len(paths) / len(evidence))
    text = f"{amount} ({share}) {fault.one if len(paths) == 1 else fault.many}: {listed(map(repr, paths), NAMED)}."
    return Finding(OUTLIER, text, paths, WARNING, fault.cure)
