"""Conformal p-values: how often an image like those of training is as unusual as this one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tlmed.seeds import derive

_DIGITS = 9  # of summed weights: three thirds must be 1, else a p-value is above 1, or 0.05 is below 0.05
# Two scores of one image differ by less: relative where they are large, as its features by another engine, or computed
# among other images, differ by 2e-5 of their length.
_SAME = 1e-4


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Calibration:
    """The scores of images that were held out, with which the score of another one is compared.

    Attributes:
        scores: Of the held-out images, float [n]; higher is more unusual.
        owners: Whom each belongs to, int [n], from 0; each image is its own owner where nothing is known of groups.
    """

    scores: np.ndarray
    owners: np.ndarray

    @property
    def units(self) -> int:
        """How many owners there are."""
        return len(np.unique(self.owners))

    @property
    def least(self) -> float:
        """The smallest p-value that an image can get."""
        return 1 / (self.units + 1)

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores in order, and the weight of all from each place on; the last weight is 0."""
        _, owners, sizes = np.unique(self.owners, return_inverse=True, return_counts=True)
        order = np.argsort(self.scores, kind="stable")
        weights = (1 / sizes[owners])[order]
        sums = np.round(np.cumsum(weights[::-1])[::-1], _DIGITS)
        return np.asarray(self.scores)[order], np.append(sums, 0.0)

    def judge(self, scores: np.ndarray) -> np.ndarray:
        """Return conformal p-values, float64 [m]: (1 + weight of the held-out scores as large) / (owners + 1).

        Where each owner has one image, this is Vovk's p-value (Vovk, Gammerman & Shafer, Algorithmic Learning in a
        Random World, 2005; Bates et al., Testing for outliers with conformal p-values, Annals of Statistics 2023): an
        image like the held-out ones gets 0.05 or less at most once in 20 times. Images of one owner are alike, so that
        they are not exchangeable with one of a new owner. Each owner's images then weigh 1 together. That is the mean
        of the p-values over all ways to take one image of each owner, each of which is valid (Dunn, Wasserman & Ramdas,
        Distribution-free prediction sets for two-layer hierarchical models, JASA 2023, repeated subsampling).

        A held-out score that is smaller by no more than rounding counts as equal: images like a held-out one, such as
        black planes, get the same whatever computes their features.

        Args:
            scores: float [m]; NaN, of an image that cannot be measured, counts as the most unusual.

        >>> Calibration(np.array([1.0, 2.0, 3.0]), np.arange(3)).judge(np.array([0.0, 2.0, 9.0])).tolist()
        [1.0, 0.75, 0.25]
        >>> Calibration(np.array([1.0, 2.0, 9.0]), np.array([0, 0, 1])).judge(np.array([2.0])).tolist()
        [0.8333333333333334]
        """
        known, weights = self._sorted
        scores = np.where(np.isnan(scores), np.inf, np.asarray(scores, np.float64))
        least = scores - _SAME * np.where(np.isfinite(scores), np.maximum(np.abs(scores), 1), 0)
        return (1 + weights[np.searchsorted(known, least, side="left")]) / (self.units + 1)


def calibrate(scores: np.ndarray, owners: Sequence[int] | None = None) -> Calibration:
    """Return what the scores of held-out images are good for.

    Args:
        scores: float [n], finite.
        owners: Whom each image belongs to, n numbers; None: each to nobody else.
    """
    numbers = np.arange(len(scores)) if owners is None else np.unique(np.asarray(owners), return_inverse=True)[1]
    return Calibration(np.asarray(scores, np.float64), numbers)


def judge_halves(calibration: Calibration, seed: int) -> np.ndarray:
    """Return the p-value of each held-out image by those of the other half, float64 [n]; owners stay whole.

    Args:
        calibration: Of two owners or more.
        seed: Decides the halves.
    """
    _, owners = np.unique(calibration.owners, return_inverse=True)
    order = np.random.RandomState(derive(seed, "novelty", "halves")).permutation(calibration.units)
    half = order[owners] % 2 == 0
    found = np.empty(len(owners))
    for part in (half, ~half):
        found[part] = Calibration(calibration.scores[~part], owners[~part]).judge(calibration.scores[part])
    return found


def join_judgements(p_values: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return one p-value of each image from those by several networks: their weighted mean, float64 [n].

    Of the folds of a cross-validation the mean is Vovk's cross-conformal p-value (Cross-conformal predictors, Annals of
    Mathematics and Artificial Intelligence 2015, 74:9-28). Twice a mean of p-values is valid however they depend on
    each other (Vovk & Wang, Combining p-values via averaging, Biometrika 2020, 107:791-808). The mean itself is so
    where they agree, as p-values of one image by networks of the same training images nearly do: docs/unusual.md says
    how often it gave false alarms.

    Args:
        p_values: Of each network, float [n].
        weights: Of each network, 0 or more, with a positive sum.

    >>> join_judgements([np.array([0.02]), np.array([0.10])], [0.5, 0.5]).round(3).tolist()
    [0.06]
    """
    mean = np.average(np.stack(list(p_values)), axis=0, weights=np.asarray(weights, float))
    return np.minimum(mean, 1.0)  # which rounding may exceed


def pool_judgements(p_values: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return the mean p-value of the samples of each file, float [m].

    Args:
        p_values: Of the samples, float [n].
        members: The file of each, int [n], 0..m-1, each with a sample.

    >>> pool_judgements(np.array([0.1, 0.3, 1.0]), np.array([0, 0, 1])).round(3).tolist()
    [0.2, 1.0]
    """
    return np.bincount(members, weights=p_values) / np.bincount(members)
