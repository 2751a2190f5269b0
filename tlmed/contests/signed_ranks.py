"""The Bayesian signed-rank test: how probable it is that one configuration is better, or as good for practical ends."""

import math
from dataclasses import dataclass

import numpy as np

from tlmed import seeds
from tlmed.errors import InputError

STRENGTH = 0.5  # of the prior, in places: that of Benavoli et al. 2017
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Preference:
    """What the differences of two configurations over places say.

    Attributes:
        left: The probability that the first is better, by more than the region of practical equivalence.
        equal: That they are equal for practical ends.
        right: That the second is better. The three sum to 1.
        places: How many differences there are.
        region: Half the width of the region of practical equivalence.
    """

    left: float
    equal: float
    right: float
    places: int
    region: float


def compare_places(
    first: np.ndarray, second: np.ndarray, region: float, seed: int, draws: int = 50_000, strength: float = STRENGTH
) -> Preference:
    """Return how probable it is that either of two configurations is better at a further place, or neither.

    The Bayesian signed-rank test of Benavoli, Corani, Demšar & Zaffalon (JMLR 2017, 18(77):1-36, section 4.2). The
    differences get random weights from a Dirichlet distribution, together with one difference of 0 as the prior. Each
    draw adds up the weights of all pairs of differences whose mean is below, within or above the region; the answer of
    the draw is where the sum is largest.

    Unlike a p-value it can say that two are equal. It takes the places as a sample of independent places: with folds
    of one set instead, which share training images, the answer is surer than it should be. A prior of one half
    of a place decides if there are few places; with fewer than five, differences all of one sign leave much to it.

    Args:
        first: Its scores, float [places], means over seeds; higher is better.
        second: Those of the other, float [places].
        region: Differences up to it, of either sign, count as equal; 0 or more, in the unit of the scores.
        seed: Decides the draws.
        draws: How many.
        strength: Of the prior, in places; more than 0.

    Raises:
        InputError: With all faults of the arguments.

    >>> better = compare_places(np.full(10, 0.9), np.full(10, 0.8), region=0.01, seed=0)
    >>> better.left > 0.99, better.right
    (True, 0.0)
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    _check_places(first, second, region, draws, strength)
    values = np.append(second - first, 0.0)
    sums = values[:, None] + values
    # A sum on the border, or of 0 without a region, counts half on each side.
    right = np.heaviside(_round(sums - 2 * region), 0.5)
    left = np.heaviside(_round(-2 * region - sums), 0.5)
    rng = np.random.default_rng(seeds.derive(seed, "signed ranks"))
    wins, some = np.zeros(3), max(1, _CELLS_AT_ONCE // len(values))
    for start in range(0, draws, some):
        alphas = np.append(np.ones(len(values) - 1), strength)
        wins += _count_wins(rng.dirichlet(alphas, size=min(some, draws - start)), left, right)
    return Preference(*(wins / draws).tolist(), len(first), region)


def _round(sums) -> np.ndarray:
    """Return numbers with those set to 0 that are only the error of a subtraction of scores."""
    return np.where(np.abs(sums) < 1e-12, 0.0, sums)


def _count_wins(weights, left, right) -> np.ndarray:
    """Return how many draws say left, equal and right; a tie is shared."""
    lefts, rights = (((weights @ side) * weights).sum(1) for side in (left, right))
    shares = np.stack([lefts, 1 - lefts - rights, rights], axis=1)
    top = shares > shares.max(1, keepdims=True) - 1e-12
    return (top / top.sum(1, keepdims=True)).sum(0)


def _check_places(first, second, region, draws, strength) -> None:
    faults = []
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        shapes = f"{first.shape} and {second.shape}"
        faults.append(f"`first` and `second` must be a score for each place, [places]. Received: shapes {shapes}.")
    elif not np.isfinite(first).all() or not np.isfinite(second).all():
        faults.append("`first` and `second` must be finite. Received: NaN or infinite scores.")
    if not 0 <= region < math.inf:
        faults.append(f"`region` must be 0 or more. Received: region={region}.")
    if draws < 1:
        faults.append(f"`draws` must be 1 or more. Received: draws={draws}.")
    if not 0 < strength < math.inf:
        faults.append(f"`strength` must be more than 0. Received: strength={strength}.")
    if faults:
        raise InputError(faults)
