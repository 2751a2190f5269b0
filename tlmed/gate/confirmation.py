"""Tell copies from pictures that look alike: candidates are screened, registered and compared block by block."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from tlmed.gate.bare_pictures import Pictures
from tlmed.gate.candidates import Candidates
from tlmed.gate.copy_sets import Pair, Sets
from tlmed.gate.local_correlation import correlate_blocks
from tlmed.gate.registration import align_quarters, halve, refine, warp
from tlmed.gate.turned_views import list_views

# Mean correlation of quarters, at first and after they were aligned; below them no copy of thousands was found.
_DOUBTED, _SCREENED = 0.42, 0.61
_LEAST_BLOCKS = 8  # with detail: fewer prove nothing
# The median over blocks: half of them may lie under text, or at edges that were cut or turned.
COPY, OF_ONE_GROUP = 0.91, 0.96
# Where one lies on the other with neither shift nor turn, which chance seldom does, what differs may be compression.
IN_PLACE, _SHIFT = 0.86, 0.012  # the second of half a side: 0.4 pixels of 64
_BATCH = 64  # pairs at a time: what they need stays in the processor's cache
_ROUND = 1024  # pairs between looks at what is joined already; their pictures are drawn once, 67 MB at most


@dataclass(frozen=True, eq=False)
class Drawn:
    """Pictures as they are registered and compared.

    Attributes:
        rows: Which pictures, in rising order, int [r].
        shapes: Their coarse and fine structure, float32 [r, 64, 64].
        details: Their fine structure alone, likewise.
    """

    rows: np.ndarray
    shapes: np.ndarray
    details: np.ndarray


def screen(pictures: Pictures, found: Candidates) -> tuple[Candidates, np.ndarray]:
    """Return the candidates whose quarters agree, the most alike first, and where each starts, float [p, 2, 3]."""
    views, small = list_views(), pictures.draw_small()
    maps, scores = np.empty((len(found), 2, 3)), np.empty(len(found), np.float32)
    with threadpool_limits(1, "blas"):
        for part in _batches(len(found), _BATCH):
            ends = (small[rows[part]].astype(np.float32) for rows in (found.first, found.second))
            maps[part], scores[part] = _align(*ends, views[found.view[part]])
    order = np.argsort(-scores, kind="stable")
    kept = order[scores[order] > _SCREENED]
    return found.take(kept), maps[kept]


def _align(first, second, maps) -> tuple[np.ndarray, np.ndarray]:
    maps, scores = align_quarters(first, second, maps)
    again = np.flatnonzero(scores > _DOUBTED)
    if len(again):
        maps[again], scores[again] = align_quarters(first[again], second[again], maps[again])
    return maps, scores


def confirm(pictures: Pictures, found: Candidates, maps: np.ndarray, sets: Sets) -> list[Pair]:
    """Return the candidates that are copies, and join them in `sets`; what is joined already is not looked at.

    Two images of one group, such as X-rays of one patient on two days, look alike without being copies: they need to
    agree more closely.

    Args:
        pictures: In which pairs are compared.
        found: Candidates, the most alike first, as rows of `pictures`.
        maps: Where each starts, float [p, 2, 3].
        sets: Of all images.
    """
    with threadpool_limits(1, "blas"):  # the products of a pair are too small to be shared out
        return _confirm(pictures, found, maps, sets)


def _confirm(pictures, found, maps, sets) -> list[Pair]:
    pairs, first, second = [], pictures.numbers[found.first], pictures.numbers[found.second]
    for chunk in _batches(len(found), _ROUND):
        ends = [(row, int(first[row]), int(second[row])) for row in range(*chunk.indices(len(found)))]
        apart = [row for row, *pair in ends if sets.find(pair[0]) != sets.find(pair[1])]
        if not apart:
            continue
        drawn = _draw(pictures, found, np.array(apart))
        for part in _batches(len(apart), _BATCH):
            rows = np.array(apart[part])
            better, correlations = _compare(drawn, found, rows, maps[rows])
            boxes = np.stack([pictures.boxes[found.first[rows]], pictures.boxes[found.second[rows]]], axis=1)
            compared = map(Pair, first[rows].tolist(), second[rows].tolist(), correlations.tolist(), better, boxes)
            pairs += _join(compared, sets)
    return pairs


def _draw(pictures, found, rows) -> Drawn:
    """Draw each picture of some candidates once, however many of them it is in."""
    shown = np.unique([found.first[rows], found.second[rows]])
    parts = [shown[part] for part in _batches(len(shown), _BATCH)]
    shapes, details = (
        np.concatenate([draw(part) for part in parts]) for draw in (pictures.draw_shapes, pictures.draw_details)
    )
    return Drawn(shown, shapes, details)


def _compare(drawn, found, rows, maps) -> tuple[np.ndarray, np.ndarray]:
    """Return maps after registration, and the median correlation of blocks, -1 where too few have detail."""
    ends = [np.searchsorted(drawn.rows, side[rows]) for side in (found.first, found.second)]
    first, second = (drawn.shapes[end] for end in ends)
    maps = refine(halve(first), halve(second), maps, 4)
    maps = refine(first, second, maps, 3)
    first, second = (drawn.details[end] for end in ends)
    maps = refine(first, second, maps, 3)
    warped, inside = warp(first, maps)
    blocks = correlate_blocks(warped, second, inside)
    enough = np.isfinite(blocks).sum(axis=1) >= _LEAST_BLOCKS
    return maps, np.nanmedian(np.where(enough[:, None], blocks, -1), axis=1)


def _join(compared: Iterable[Pair], sets: Sets) -> Iterator[Pair]:
    for pair in sorted(compared, key=lambda pair: -pair.correlation):
        if sets.find(pair.first) == sets.find(pair.second):
            continue
        if pair.correlation >= _find_least(pair, sets):
            sets.join(pair.first, pair.second)
            yield pair


def _find_least(pair: Pair, sets: Sets) -> float:
    """Return the correlation from which a pair is a copy."""
    if sets.share_group(pair.first, pair.second):
        return OF_ONE_GROUP
    return IN_PLACE if np.abs(pair.matrix - np.eye(2, 3)).max() < _SHIFT else COPY


def _batches(amount: int, each: int) -> list[slice]:
    return [slice(start, start + each) for start in range(0, amount, each)]
