"""Whether groups of images favour one of two classifiers, and by how much: signs of whole groups, flipped."""

import math

import numpy as np

from tlmed.metrics.proportions import proportion, wilson

_MOST_EXACT = 1000  # discordant images or groups up to which the exact distribution is computed
_TAIL = 0.025  # on each side of a 95 % interval
_ANGLES = np.linspace(0, np.pi, 1025)  # the middle one is a right angle


def is_exact(totals: np.ndarray) -> bool:
    """Tell whether there are few enough discordant images or groups for the exact distribution."""
    return np.count_nonzero(totals) <= _MOST_EXACT


def flip_signs(totals: np.ndarray) -> float:
    """Return the two-sided mid-p of the surpluses of images or groups, each of either sign with the same chance.

    Args:
        totals: By how many images of each group the first is right more often than the second, int [groups].

    >>> flip_signs(np.array([1, 1, 1, 0, -1]))
    0.375
    """
    steps, total = np.abs(totals[totals != 0]), int(totals.sum())
    if not is_exact(totals):
        return math.erfc(abs(total) / math.sqrt(2 * float((steps**2).sum())))
    chances, least = _weigh_steps(steps, 0.5), (int(steps.sum()) - abs(total)) // 2
    return float(min(1.0, 2 * chances[:least].sum() + chances[least]))  # mid-p: what was observed counts half


def _weigh_steps(steps, share) -> np.ndarray:
    """Return the chance of each number of single steps up, of steps that are up with the chance `share`."""
    chances = np.ones(1)
    for step in steps.tolist():
        # One more step, up or not: the distribution is shifted by it or not.
        up = np.zeros(len(chances) + step)
        up[step:] = chances * share
        up[: len(chances)] += chances * (1 - share)
        chances = up
    return chances


def _weigh_tail(steps, ups, share) -> float:
    """Return the chance of more than `ups` single steps up, and half that of as many."""
    chances = _weigh_steps(steps, share)
    return float(chances[ups + 1 :].sum() + chances[ups] / 2)


def bound_share(totals: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the chance that a discordant group favours the first: `flip_signs`, turned round.

    It holds the chances that the test of `flip_signs` does not reject, so that it holds 0.5 where p is 0.05 or more.

    Args:
        totals: As for `flip_signs`; one or more is not 0.

    >>> [round(bound, 4) for bound in bound_share(np.array([1, 1, 1, 0, -1]))]
    [0.2423, 0.9875]
    """
    steps, ups = np.abs(totals[totals != 0]), int(totals[totals > 0].sum())
    if not is_exact(totals):
        whole = float(steps.sum())
        size = whole**2 / float((steps.astype(float) ** 2).sum())
        return wilson(ups / whole * size, size)
    from scipy.optimize import brentq  # here, because a training loop should not wait for this slow import

    def solve(level, end):
        ends = [_weigh_tail(steps, ups, share) - level for share in (0.0, 1.0)]
        # The tail rises with the share; where all groups are on one side, half of what was observed may never leave it.
        if not ends[0] < 0 < ends[1]:
            return end
        return brentq(lambda share: _weigh_tail(steps, ups, share) - level, 0.0, 1.0, xtol=1e-12)

    return float(solve(_TAIL, 0.0)), float(solve(1 - _TAIL, 1.0))


def bound_difference(totals: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two accuracies by groups; it leaves out 0 where p is below 0.05.

    The difference is a product: how much of the images the groups' surpluses are, whichever way they point, times by
    how much more of that points to the first. The second has the interval of the very test (`bound_share`), the first
    that of a proportion by groups (`tlmed.metrics.proportions.proportion`); whatever the surpluses are, their signs
    tell nothing of them, so that both estimates are uncorrelated. Their distances to the bounds are the half-axes of an
    ellipse (the idea of MOVER: Zou & Donner, Statistics in Medicine 2008, 27:1693-1702), on which the product is
    smallest and largest at the bounds. Where the second factor can be 0, so can the product, and nowhere else.

    Args:
        totals: By how many images of each group the first is right more often than the second, int [groups].
        sizes: The images of each group, int [groups].

    >>> [round(bound, 3) for bound in bound_difference(np.array([2, 1, 0] * 4), np.array([3] * 12))]
    [0.117, 0.525]
    """
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    surplus = np.arange(int(sizes.sum())) - starts < np.repeat(np.abs(totals), sizes)
    extent = proportion(surplus, np.repeat(np.arange(len(sizes)), sizes))
    if not totals.any():  # it may all point to either side
        return -extent["high"], extent["high"]
    lean, (low, high) = float(totals.sum() / np.abs(totals).sum()), bound_share(totals)
    return _find_least(extent, lean, 2 * low - 1), -_find_least(extent, -lean, 1 - 2 * high)


def _find_least(extent, lean, low) -> float:
    """Return the least product on the ellipse around the extent and the lean, towards the lower bound of the lean."""
    along = np.cos(_ANGLES)
    ways = np.where(along > 0, extent["high"] - extent["value"], extent["value"] - extent["low"])
    return float(((extent["value"] + ways * along) * (lean - (lean - low) * np.sin(_ANGLES))).min())
