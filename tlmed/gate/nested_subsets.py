"""Points of a learning curve: the AUC of a linear head that was fitted on nested subsets of images, cross-validated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.gate.grouped_folds import deal_folds
from tlmed.logistic import fit_nested
from tlmed.metrics.areas import place
from tlmed.metrics.proportions import count_freedom

FOLDS = 5
POINTS, FIRST = 8, 0.1  # subsets, and the share of owners in the smallest
LEAST_OWNERS = 5  # of a class: then half of those of four folds are two
_LEAST_OF_CLASS = 2  # owners of each class in the smallest subset
_PENALTY = 0.25  # of the mean squared length of a row: good from 100 to 2,000 images, and the same for every subset
_WORK, _MOST_REPEATS, _LEAST_REPEATS = 20_000, 10, 2  # images times questions times repeats


@dataclass(frozen=True, eq=False)
class Question:
    """What a head is asked.

    Attributes:
        rows: int [m], the images with a known answer.
        answers: int [m], 0..classes - 1.
        classes: How many answers there are.
        rated: The classes whose AUC against the rest counts.
    """

    rows: np.ndarray
    answers: np.ndarray
    classes: int
    rated: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Points:
    """A learning curve as it was measured, at s sizes.

    Attributes:
        sizes: float [s], images that a head was fitted on, on average over folds and repeats.
        areas: float [repeats, s], the mean AUC over classes and labels.
        influences: float [s, owners], what each owner's images, as they are tested, add to that AUC.
        parts: Of the largest size, one row for each class and label that is rated: influences, float [k, owners].
        part_areas: float [k], their AUCs.
        scores: float [k, n], their scores, the mean of repeats; nan where the answer is not known.
        freedom: Degrees of freedom of a variance of these influences.
        factor: By which that variance is to be multiplied where owners have unequal numbers of images.
    """

    sizes: np.ndarray
    areas: np.ndarray
    influences: np.ndarray
    parts: np.ndarray
    part_areas: np.ndarray
    scores: np.ndarray
    freedom: float
    factor: float

    @property
    def tested(self) -> np.ndarray:
        """The covariance of the points because other images might have been tested, float [s, s]."""
        owners = self.influences.shape[1]
        return self.factor * owners / (owners - 1) * self.influences @ self.influences.T

    @property
    def drawn(self) -> np.ndarray:
        """The covariance of the points because other subsets and folds might have been drawn, float [s, s]."""
        return np.cov(self.areas.T) / len(self.areas)

    @property
    def trained(self) -> float:
        """The variance of the last point because other images might have been at hand to fit on.

        Subsets that hold a share f of all images, drawn from them again and again, have 1 - f of the variance of
        subsets of new images, as a mean has that is drawn without replacement; and that falls with 1 / n.
        """
        shares = self.sizes / self.sizes[-1]
        few = shares < 0.6
        if not few.any():
            few = shares == shares[0]
        between = self.areas.var(axis=0, ddof=1)[few] * shares[few] / np.maximum(1 - shares[few], 0.1)
        return float(between.mean())


def list_shares(owners: Sequence[int]) -> np.ndarray:
    """Return which shares of owners the subsets hold, from one that has two of each class up to 1.

    Args:
        owners: How many owners each class has.

    >>> list_shares([100, 100]).round(2).tolist()
    [0.1, 0.14, 0.19, 0.27, 0.37, 0.52, 0.72, 1.0]
    """
    first = max(FIRST, _LEAST_OF_CLASS / (min(owners) * (FOLDS - 1) / FOLDS))
    return np.geomspace(min(first, 0.5), 1, POINTS)


def count_repeats(images: int, questions: int) -> int:
    """Return how often folds and subsets are drawn: seldom where there are many images, whose AUC varies little."""
    return int(np.clip(_WORK / (images * questions), _LEAST_REPEATS, _MOST_REPEATS))


def measure_points(
    features: np.ndarray,
    questions: Sequence[Question],
    owners: np.ndarray,
    shares: np.ndarray,
    repeats: int,
    random: np.random.RandomState,
    pool: np.ndarray | None = None,
) -> Points:
    """Return the points of a learning curve.

    In each repeat owners are dealt into folds. Heads are fitted on nested subsets of the other folds, with about as
    large a share of each class, and tested on the fold. The AUC compares images of one fold only, as the scores of
    different heads have different scales.

    Args:
        features: float [n, d], projected.
        questions: What is asked, one or more.
        owners: int [n], from 0, whom each image belongs to.
        shares: The shares of owners, rising, the last one 1.
        repeats: 2 or more.
        random: Decides folds and subsets.
        pool: Which images heads may be fitted on, bool [n]; the others are only tested. None: all of them.
    """
    pool = np.ones(len(features), bool) if pool is None else pool
    count, parts = owners.max() + 1, sum(len(question.rated) for question in questions)
    areas, sizes = np.zeros((repeats, len(shares), parts)), np.zeros(len(shares))
    moves, scores = np.zeros((parts, len(shares), count)), np.full((parts, len(features)), np.nan)
    penalty = _PENALTY * float(np.square(features, dtype=np.float64).sum(1).mean())
    first = 0
    for question in questions:
        own, whose = slice(first, first + len(question.rated)), owners[question.rows]
        scores[own, question.rows] = 0
        for repeat in range(repeats):
            folds = deal_folds(question.answers, np.unique(whose, return_inverse=True)[1], FOLDS, random)
            order = order_owners(question.answers, whose, random)
            order[~pool[question.rows]] = -1
            found, sizes_here = _score(features[question.rows], question, folds, (order, shares), penalty)
            sizes += sizes_here / (repeats * len(questions))
            for step in range(len(shares)):
                for part, label in enumerate(question.rated, first):
                    area, move = rate_within(question.answers == label, found[step, :, part - first], folds)
                    areas[repeat, step, part] = area
                    moves[part, step] += np.bincount(whose, move, minlength=count) / repeats
            scores[own, question.rows] += found[-1].T / repeats
        first = own.stop
    together = moves.mean(axis=0)
    freedom, factor = _count_freedom(together, owners)
    return Points(sizes, areas.mean(axis=2), together, moves[:, -1], areas[:, -1].mean(axis=0), scores, freedom, factor)


def _count_freedom(influences, owners) -> tuple[float, float]:
    """Return degrees of freedom and the factor, with the influence of an owner divided among the owner's images."""
    sizes = np.bincount(owners)
    return count_freedom((influences[-1] / sizes)[owners], owners)


def _score(features, question, folds, subsets, penalty) -> tuple[np.ndarray, np.ndarray]:
    """Return log-odds, float [s, m, rated], of images in the fold that a head did not see, and the subsets' sizes."""
    order, shares = subsets
    found, sizes = np.zeros((len(shares), len(features), len(question.rated))), np.zeros(len(shares))
    for fold in range(FOLDS):
        tested, trained = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & (order >= 0))
        ranks = np.unique(order[trained], return_inverse=True)[1]
        rows = [trained[ranks < max(2, round(share * (ranks.max() + 1)))] for share in shares]
        sizes += [len(own) / FOLDS for own in rows]
        for column, label in enumerate(question.rated):
            weights, levels = fit_nested(features, question.answers == label, rows, penalty)
            found[:, tested, column] = weights @ features[tested].T + levels[:, None]
    return found, sizes


def order_owners(answers: np.ndarray, owners: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Return the place of each image's owner in a random order whose every beginning has about the same mix of classes.

    Args:
        answers: int [m], from 0.
        owners: int [m].
        random: Decides the order.

    >>> places = order_owners(np.arange(8) % 2, np.arange(8), np.random.RandomState(0))
    >>> np.bincount(np.arange(8)[places < 4] % 2).tolist()
    [2, 2]
    """
    names, whose = np.unique(owners, return_inverse=True)
    counts = np.zeros((len(names), answers.max() + 1), np.int64)
    np.add.at(counts, (whose, answers), 1)
    kinds, places = counts.argmax(1), np.empty(len(names))
    for kind in np.unique(kinds):
        mine = np.flatnonzero(kinds == kind)
        places[mine] = (random.permutation(len(mine)) + random.rand()) / len(mine)
    return np.argsort(np.argsort(places, kind="stable"), kind="stable")[whose]


def rate_within(positive: np.ndarray, scores: np.ndarray, folds: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the AUC over pairs of images of the same fold, and the influence of each image on it, float [m].

    Folds count by their pairs. The influences are those of LeDell, Petersen & van der Laan (Electronic Journal of
    Statistics 2015, 9:1583-1607), whose sum of squares is the variance of a cross-validated AUC.

    Args:
        positive: Whether each image is positive, bool [m].
        scores: float [m].
        folds: int [m]; one or more has images of both kinds.

    >>> area, influences = rate_within(np.array([False, True] * 2), np.array([0.0, 1, 5, 6]), np.array([0, 0, 1, 1]))
    >>> area, influences.tolist()
    (1.0, [0.0, 0.0, 0.0, 0.0])
    """
    sides = np.array([[np.sum(folds == fold), positive[folds == fold].sum()] for fold in np.unique(folds)])
    pairs = sides[:, 1] * (sides[:, 0] - sides[:, 1])
    weights, placements, divided = pairs / pairs.sum(), np.zeros(len(scores)), np.zeros(len(scores))
    area = 0.0
    for fold, weight in zip(np.unique(folds), weights, strict=True):
        if weight:
            mine = np.flatnonzero(folds == fold)
            placements[mine] = place(positive[mine], scores[mine])
            share = positive[mine].mean()
            divided[mine] = weight / (len(mine) * np.where(positive[mine], share, 1 - share))
            area += weight * placements[mine][positive[mine]].mean()
    return float(area), (placements - area) * divided
