"""Pairs of images that a network finds alike, as candidates for near-copies: it sees past a crop or a border."""

from collections.abc import Iterator

import numpy as np

from tlmed.gate.bare_pictures import Pictures
from tlmed.gate.candidates import Candidates, describe_whole, measure_scale, open_search
from tlmed.gate.turned_views import describe_parts, turn_parts
from tlmed.logistic import project

_COMPONENTS, _ROWS = 128, 8  # of features, and rows for each at least: with as many as rows, none is like another
_QUERIES = 1024  # images that are looked up at a time
_EXACT = 20_000  # images up to which all are compared
_FEW = 64  # pictures whose views are held at a time, 120 KB each


def find_alike(features: np.ndarray, each: int) -> np.ndarray:
    """Return pairs of rows whose features are alike, int [p, 2], each once, the smaller row first.

    All principal components count alike (whitening; Jégou & Chum, ECCV 2012): those in which features vary most
    say what kind of image it is, and not which one.

    Args:
        features: float [n, d], of two rows or more.
        each: Others for each row; fewer if there are not as many.

    >>> find_alike(np.array([[0.0, 1], [0.1, 1], [5, 7], [5.1, 7]]), 1).tolist()
    [[0, 1], [2, 3]]
    """
    white = project(features, max(1, min(_COMPONENTS, len(features) // _ROWS)))
    white /= np.maximum(white.std(axis=0), 1e-6)
    white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-6)
    search, parts = open_search(white, _EXACT), []
    for start in range(0, len(white), _QUERIES):
        likeness, others = search(white[start : start + _QUERIES], each + 1)
        own = np.broadcast_to(np.arange(start, start + len(others))[:, None], others.shape)
        # A row is the most like itself, or equal to one that is: of each + 1, those are left out, or else the last.
        likeness = np.where((others == own) | (others < 0), -np.inf, likeness)
        best = np.argsort(-likeness, axis=1, kind="stable")[:, :each]
        near = np.take_along_axis(others, best, axis=1)
        told = np.isfinite(np.take_along_axis(likeness, best, axis=1))
        pairs = np.stack([np.minimum(own[:, :each], near), np.maximum(own[:, :each], near)], axis=-1)
        parts.append(pairs[told])
    return np.unique(np.concatenate(parts), axis=0)


def find_views(pictures: Pictures, pairs: np.ndarray) -> Candidates:
    """Return pairs of images as candidates: each in both directions, in the view that looks most like the other.

    Args:
        pictures: Of images, of which one may be two pictures.
        pairs: The numbers of two images each, int [p, 2].
    """
    whole = describe_whole(pictures)
    scale = measure_scale(whole)
    whole = scale.describe(whole)
    first, second = np.array(sorted(_list_ways(pictures, pairs)), int).reshape(-1, 2).T
    view, likeness = np.zeros(len(first), int), np.zeros(len(first), np.float32)
    starts = np.searchsorted(first, np.arange(len(pictures) + 1))
    for start in range(0, len(pictures), _FEW):
        seen = scale.describe(turn_parts(describe_parts(pictures.draw_shapes(slice(start, start + _FEW)))))
        for row, views in enumerate(seen, start):
            own = slice(starts[row], starts[row + 1])
            cosines = whole[second[own]] @ views.T
            view[own], likeness[own] = cosines.argmax(axis=1), cosines.max(axis=1)
    return Candidates(first, second, view, likeness)


def _list_ways(pictures: Pictures, pairs: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the rows of both pictures of each pair, in both directions."""
    own: dict[int, list[int]] = {}
    for row, number in enumerate(pictures.numbers.tolist()):
        own.setdefault(number, []).append(row)
    for one, other in pairs.tolist():
        for first in own[one]:
            for second in own[other]:
                yield first, second
                yield second, first
