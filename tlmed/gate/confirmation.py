"""Tell copies from pictures that look alike: candidates are screened, registered and compared block by block."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from tlmed.gate.candidates import Candidates
from tlmed.gate.content import level, smooth
from tlmed.gate.copy_sets import Pair, Sets
from tlmed.gate.local_correlation import correlate_blocks
from tlmed.gate.registration import align_quarters, halve, refine, warp
from tlmed.gate.views import list_views

_FINE = 2.0  # pixels of 64: the window in which detail is compared
_BLUR = 0.8  # pixels: detail that JPEG or another size of the image would change is taken out first
_SCREENED = 0.62  # mean correlation of quarters; below it no copy of thousands was found
_LEAST_BLOCKS = 8  # with detail: fewer prove nothing
# The median over blocks: half of them may lie under text, or at edges that were cut or turned.
COPY, OF_ONE_GROUP = 0.91, 0.96
_BATCH = 64  # pairs at a time: what they need stays in the processor's cache
_ROUND = 1024  # pairs between looks at what is joined already


@dataclass(frozen=True, eq=False)
class Pictures:
    """What pairs are compared in.

    Attributes:
        shapes: float32 [n, 64, 64], for registration: coarse and fine structure, local mean 0.
        details: The same with fine structure alone.
    """

    shapes: np.ndarray
    details: np.ndarray


def draw_pictures(contents: np.ndarray, shapes: np.ndarray) -> Pictures:
    """Return pictures in which pairs are compared.

    Args:
        contents: float32 [n, 64, 64], gray.
        shapes: Of them, float32 [n, 64, 64].
    """
    return Pictures(shapes, level(smooth(contents, _BLUR), _FINE, noise=1))


def screen(pictures: Pictures, found: Candidates) -> tuple[Candidates, np.ndarray]:
    """Return the candidates whose quarters agree, the most alike first, and where each starts, float [p, 2, 3]."""
    views, halves = list_views(), halve(pictures.details)
    maps, scores = np.empty((len(found), 2, 3)), np.empty(len(found), np.float32)
    for part in _batches(len(found), _BATCH):
        first, second = halves[found.first[part]], halves[found.second[part]]
        maps[part], scores[part] = align_quarters(first, second, views[found.view[part]])
    order = np.argsort(-scores, kind="stable")
    kept = order[scores[order] > _SCREENED]
    passed = Candidates(found.first[kept], found.second[kept], found.view[kept], found.likeness[kept])
    return passed, maps[kept]


def confirm(pictures: Pictures, found: Candidates, maps: np.ndarray, numbers: np.ndarray, sets: Sets) -> list[Pair]:
    """Return the candidates that are copies, and join them in `sets`; what is joined already is not looked at.

    Two images of one group, such as X-rays of one patient on two days, look alike without being copies: they need to
    agree more closely.

    Args:
        pictures: In which pairs are compared.
        found: Candidates, the most alike first, as rows of `pictures`.
        maps: Where each starts, float [p, 2, 3].
        numbers: The number of the image of each row of `pictures`, ascending int.
        sets: Of all images.
    """
    with threadpool_limits(1, "blas"):  # the products of a pair are too small to be shared out
        return _confirm(pictures, found, maps, numbers, sets)


def _confirm(pictures, found, maps, numbers, sets) -> list[Pair]:
    pairs, first, second = [], numbers[found.first], numbers[found.second]
    for chunk in _batches(len(found), _ROUND):
        ends = [(row, int(first[row]), int(second[row])) for row in range(*chunk.indices(len(found)))]
        apart = [row for row, *pair in ends if sets.find(pair[0]) != sets.find(pair[1])]
        for part in _batches(len(apart), _BATCH):
            rows = np.array(apart[part])
            better, correlations = _compare(pictures, found, rows, maps[rows])
            compared = map(Pair, first[rows].tolist(), second[rows].tolist(), correlations.tolist(), better)
            pairs += _join(compared, sets)
    return pairs


def _compare(pictures, found, rows, maps) -> tuple[np.ndarray, np.ndarray]:
    """Return maps after registration, and the median correlation of blocks, -1 where too few have detail."""
    first, second = pictures.shapes[found.first[rows]], pictures.shapes[found.second[rows]]
    maps = refine(halve(first), halve(second), maps, 4)
    maps = refine(first, second, maps, 3)
    first, second = pictures.details[found.first[rows]], pictures.details[found.second[rows]]
    maps = refine(first, second, maps, 3)
    warped, inside = warp(first, maps)
    blocks = correlate_blocks(warped, second, inside)
    enough = np.isfinite(blocks).sum(axis=1) >= _LEAST_BLOCKS
    return maps, np.nanmedian(np.where(enough[:, None], blocks, -1), axis=1)


def _join(compared: Iterable[Pair], sets: Sets) -> Iterator[Pair]:
    for pair in sorted(compared, key=lambda pair: -pair.correlation):
        if sets.find(pair.first) == sets.find(pair.second):
            continue
        if pair.correlation >= (OF_ONE_GROUP if sets.share_group(pair.first, pair.second) else COPY):
            sets.join(pair.first, pair.second)
            yield pair


def _batches(amount: int, each: int) -> list[slice]:
    return [slice(start, start + each) for start in range(0, amount, each)]
