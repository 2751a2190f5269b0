"""How many images a test needs so that the interval of its AUC is narrow enough, also where images have groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from tlmed.metrics.areas import covariance, place
from tlmed.metrics.proportions import Z_95

_DRAWN = 20_000  # images of a simulated test, about
_MOST = 10**9


@dataclass(frozen=True, eq=False)
class Expected:
    """What is known of the AUC of one class against the rest, or of one label.

    Attributes:
        area: The AUC that is expected, 0..1.
        share: Of images that are positive, 0..1.
        design: By how much the variance is larger than that of as many independent images.
    """

    area: float
    share: float
    design: float = 1.0


def hanley_mcneil(area: float, positives: float, negatives: float) -> float:
    """Return the standard error of an AUC of independent images, for scores with exponential distributions.

    Hanley & McNeil, Radiology 1982, 143:29-36, equations 1 and 2.

    Args:
        area: The AUC, 0..1.
        positives: How many images are positive, above 0.
        negatives: How many are not, above 0.

    >>> round(hanley_mcneil(0.893, 51, 58), 3)
    0.033
    """
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (one - area**2) + (negatives - 1) * (two - area**2)
    return math.sqrt(max(variance, 0.0) / (positives * negatives))


def find_width(tested: list[Expected], correlations: np.ndarray, images: float) -> float:
    """Return the width of the 95 % interval of an AUC, or of the mean of several, that a number of images gives.

    Args:
        tested: What is known of each of k AUCs.
        correlations: Between their estimates, float [k, k].
        images: Above 0.
    """
    return find_width_of(tested, correlations, [(images * one.share, images * (1 - one.share)) for one in tested])


def find_width_of(tested: list[Expected], correlations: np.ndarray, counts: Sequence[tuple[float, float]]) -> float:
    """Return the width of the 95 % interval of an AUC, or of the mean of several, of so many images.

    Args:
        tested: What is known of each of k AUCs; their shares do not count.
        correlations: Between their estimates, float [k, k].
        counts: How many images are positive, and how many are not, for each; above 0.
    """
    errors = [
        hanley_mcneil(one.area, *amounts) * math.sqrt(one.design) for one, amounts in zip(tested, counts, strict=True)
    ]
    together = np.array(errors) / len(errors)
    return 2 * Z_95 * math.sqrt(max(float(together @ correlations @ together), 0.0))


def count_needed(tested: list[Expected], correlations: np.ndarray, width: float) -> int:
    """Return how many images give a 95 % interval that is at most as wide as `width`.

    Args:
        tested: What is known of each of k AUCs.
        correlations: Between their estimates, float [k, k].
        width: Above 0, the distance between the two ends.

    >>> count_needed([Expected(0.8, 0.5)], np.eye(1), 0.1)
    302
    """
    low, high = 1, 2
    while find_width(tested, correlations, high) > width and high < _MOST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if find_width(tested, correlations, middle) <= width else (middle, high)
    return high


def correlate_owners(scores: np.ndarray, positive: np.ndarray, owners: np.ndarray) -> float:
    """Return how alike the scores of an owner's images of one class are: their intraclass correlation, 0..1.

    The moment estimator from pairs, of scores as normal quantiles within each class, so that it depends on their order
    only. 0 where no owner has two images of a class.

    Args:
        scores: float [n].
        positive: Whether each image is positive, bool [n].
        owners: int [n], whom each image belongs to.

    >>> scores = np.array([0.1, 0.2, 0.8, 0.9, 0.4, 0.5])
    >>> correlate_owners(scores, np.zeros(6, bool), np.array([0, 0, 1, 1, 2, 2])) > 0.5
    True
    """
    products = pairs = squares = 0.0
    for side in (positive, ~positive):
        n = int(side.sum())
        if n > 1:
            ranks = np.argsort(np.argsort(scores[side], kind="stable"), kind="stable")
            values = ndtri((ranks + 0.5) / n)
            _, whose, sizes = np.unique(owners[side], return_inverse=True, return_counts=True)
            products += float((np.bincount(whose, values) ** 2).sum() - (values**2).sum())
            pairs += float((sizes * (sizes - 1.0)).sum())
            squares += float((values**2).sum())
    return min(max(products / pairs / (squares / len(scores)), 0.0), 1.0) if pairs else 0.0


def simulate_design(
    area: float, positive: np.ndarray, owners: np.ndarray, alike: float, random: np.random.RandomState
) -> float:
    """Return by how much groups enlarge the variance of an AUC, from one large simulated test.

    Owners are drawn from those at hand, with all their images. Scores are normal: those of positive images are higher,
    by as much as the AUC says, and those of one owner have a part in common, with images of both classes. The variance
    by groups (Obuchowski, Biometrics 1997, 53:567-578) is compared with that of as many independent images (DeLong).

    Args:
        area: The AUC, 0.5..1.
        positive: Whether each image at hand is positive, bool [n].
        owners: int [n], from 0, whom each belongs to.
        alike: The correlation of the scores of one owner's images, 0..1.
        random: Decides what is drawn.
    """
    order, sizes = np.argsort(owners, kind="stable"), np.bincount(owners)
    sizes, starts = sizes[sizes > 0], np.cumsum([0, *sizes[sizes > 0]])[:-1]
    drawn = random.randint(len(sizes), size=max(int(_DRAWN / sizes.mean()), 2))
    whose = np.repeat(np.arange(len(drawn)), sizes[drawn])
    within = np.arange(len(whose)) - np.repeat(np.cumsum(sizes[drawn]) - sizes[drawn], sizes[drawn])
    flags = positive[order[np.repeat(starts[drawn], sizes[drawn]) + within]]
    common, own = random.standard_normal(len(drawn))[whose], random.standard_normal(len(whose))
    shift = math.sqrt(2) * ndtri(min(max(area, 0.5), 1 - 1e-6))
    placements = place(flags, shift * flags + math.sqrt(alike) * common + math.sqrt(1 - alike) * own)
    together, alone = (float(covariance(flags, placements[None], by)[0, 0]) for by in (whose, None))
    return together / alone
