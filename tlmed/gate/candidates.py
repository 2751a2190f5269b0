"""Pairs of pictures that may be copies: for each picture the few others that look most like one of its views."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlmed.gate.bare_pictures import Pictures
from tlmed.gate.turned_views import TURNS, describe_parts, exchange_axes, flatten, list_views, turn_parts

_EXACT = 3000  # pictures up to which all pairs are compared; an index finds nearly all of what that finds
_QUERIES = 2**15  # views that are looked up at a time
_FLOOR = 0.02  # of the largest spread of a coefficient: what varies less is noise
_PROBED = 10  # lists of an index that are searched for each view; more of an index of many lists

Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs that may be copies, each once.

    Attributes:
        first: The row of the picture that is seen in views, int [p].
        second: The row of the picture that is seen as it is, int [p].
        view: The number of the view of the first that looks most like the second, int [p].
        likeness: The cosine between the two, float32 [p].
    """

    first: np.ndarray
    second: np.ndarray
    view: np.ndarray
    likeness: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.first)

    def take(self, rows: np.ndarray) -> "Candidates":
        """Return some of the pairs, in the order of `rows`."""
        return Candidates(self.first[rows], self.second[rows], self.view[rows], self.likeness[rows])


@dataclass(frozen=True, eq=False)
class Scale:
    """What makes coefficients comparable: their mean over pictures, and their spread, that of axes exchanged alike."""

    mean: np.ndarray
    spread: np.ndarray

    def describe(self, flat: np.ndarray) -> np.ndarray:
        """Return descriptors of length 1, float32 [..., d], of coefficients [..., d]."""
        scaled = (flat - self.mean) / self.spread
        scaled /= np.maximum(np.sqrt(np.einsum("...d,...d->...", scaled, scaled)), 1e-12)[..., None]
        return scaled


def measure_scale(whole: np.ndarray) -> Scale:
    """Return the scale of coefficients [n, d]: what all images share, such as a chest, then counts for nothing."""
    mean, spread = whole.mean(axis=0), whole.std(axis=0)
    spread = np.sqrt((spread**2 + exchange_axes(spread) ** 2) / 2)
    return Scale(mean, spread + np.float32(_FLOOR * spread.max() + 1e-12))


def describe_whole(pictures: Pictures) -> np.ndarray:
    """Return the coefficients of whole pictures, float32 [n, d]."""
    return np.concatenate([flatten(describe_parts(pictures.draw_shapes(rows))[:, 0]) for rows in pictures.chunks()])


def find_candidates(pictures: Pictures, each: int, scale: Scale | None = None) -> Candidates:
    """Return for each picture the `each` others most like one of its upright views, and as many for its turned views.

    Of more than 3,000 pictures, an index is searched instead of all pairs, and turned views are whole ones.

    Args:
        pictures: Two or more.
        each: Others per picture; fewer if there are not as many.
        scale: Of the coefficients, where the pictures are a few of many; None: that of these pictures.
    """
    is_small = len(pictures) <= _EXACT
    whole = describe_whole(pictures)
    scale = scale or measure_scale(whole)
    search = open_search(scale.describe(whole))
    views = list_searched(not is_small)
    step = max(1, _QUERIES // len(views))
    each, found = min(each, len(pictures) - 1), []
    for start in range(0, len(pictures), step):
        parts = describe_parts(pictures.draw_shapes(slice(start, start + step)))
        if is_small:
            queries = scale.describe(turn_parts(parts))
        else:
            turned = turn_parts(parts[:, :1])[:, 1:]
            queries = scale.describe(np.concatenate([flatten(parts), turned], axis=1))
        likeness, second = search(queries.reshape(-1, queries.shape[-1]), each + 1)
        shape = (*queries.shape[:2], -1)
        found += _choose(start, likeness.reshape(shape), second.reshape(shape), views, each)
    pairs = Candidates(*(np.concatenate(column) for column in zip(*found, strict=True)))
    return keep_best(pairs.take(np.flatnonzero(pictures.numbers[pairs.first] != pictures.numbers[pairs.second])))


def list_searched(few: bool) -> np.ndarray:
    """Return the numbers of the views that are looked up: all, or the upright ones and the whole turned ones."""
    parts = len(list_views()) // TURNS
    return np.concatenate([np.arange(parts), np.arange(parts, TURNS * parts, parts if few else 1)])


def open_search(index: np.ndarray, exact: int = _EXACT) -> Search:
    """Return the search of the rows of `index` most like some queries.

    Args:
        index: float32 [n, d], of length 1.
        exact: Rows up to which all are compared; of more an index finds nearly all. It takes ten seconds to make,
            which pays sooner the more queries there are.
    """
    return (_compare_all if len(index) <= exact else _make_index)(index)


def _compare_all(index: np.ndarray) -> Search:
    def search(queries: np.ndarray, each: int) -> tuple[np.ndarray, np.ndarray]:
        likeness = queries @ index.T
        each = min(each, len(index))
        nearest = np.argpartition(-likeness, each - 1, axis=1)[:, :each]
        return np.take_along_axis(likeness, nearest, axis=1), nearest

    return search


def _make_index(index: np.ndarray) -> Search:
    """Return the search of an inverted file of lists, whose entries are coded in 4 bits for two coefficients.

    Jégou, Douze & Schmid (IEEE TPAMI 33, 2011, 117); André, Kermarrec & Le Scouarnec (IEEE TPAMI 43, 2021, 1666).
    """
    import faiss  # takes half a second, which small data need not pay

    lists = int(0.8 * np.sqrt(len(index)))
    width = -len(index[0]) % 4  # zeros, until registers are full
    factory = f"IVF{lists},PQ{(len(index[0]) + width) // 2}x4fs"
    coded = faiss.index_factory(len(index[0]) + width, factory, faiss.METRIC_INNER_PRODUCT)
    padded = np.pad(index, ((0, 0), (0, width)))
    coded.train(padded)
    coded.add(padded)
    coded.nprobe = max(_PROBED, lists * _PROBED // 160)

    def search(queries: np.ndarray, each: int) -> tuple[np.ndarray, np.ndarray]:
        return coded.search(np.pad(queries, ((0, 0), (0, width))), each)

    return search


def _choose(start, likeness, second, views, each) -> list[tuple[np.ndarray, ...]]:
    """Return first, second, view and likeness of the best of each picture, upright views and turned ones apart.

    Most copies are upright, and turned views are so many that they would crowd them out.
    """
    upright = int(np.searchsorted(views, len(list_views()) // TURNS))
    found = []
    for part in (slice(0, upright), slice(upright, None)):
        shape = likeness[:, part].shape
        first = start + np.broadcast_to(np.arange(shape[0])[:, None, None], shape).ravel()
        view = np.broadcast_to(views[part][:, None], shape).ravel()
        other, score = second[:, part].ravel(), likeness[:, part].ravel()
        order = np.lexsort((-score, first))
        order = order[(other[order] != first[order]) & (other[order] >= 0)]
        pair = first[order] * (2**32) + other[order]
        _, once = np.unique(pair, return_index=True)  # the best view of each pair
        order = order[np.sort(once)]
        # Rows of one picture stand together, the best first: their rank is the distance to the first of them.
        starts = np.searchsorted(first[order], first[order])
        order = order[np.arange(len(order)) - starts < each]
        found.append((first[order], other[order], view[order], score[order]))
    return found


def keep_best(found: Candidates) -> Candidates:
    """Return each pair once, in the direction and view that are most alike, the most alike first."""
    order = np.argsort(-found.likeness, kind="stable")
    low, high = np.minimum(found.first, found.second)[order], np.maximum(found.first, found.second)[order]
    _, once = np.unique(low * 2**32 + high, return_index=True)
    return found.take(order[np.sort(once)])
