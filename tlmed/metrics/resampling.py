"""Resamples of images or of whole groups, and intervals from them."""

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from tlmed import seeds
from tlmed.metrics.arguments import name_groups
from tlmed.metrics.proportions import t_95

_CELLS_AT_ONCE = 1_000_000  # weights held at a time: enough to be fast, few enough for the processor's cache


def number_groups(groups: Sequence[str] | None) -> np.ndarray | None:
    """Number groups from 0; an empty name is a group of its own, and empty names only are no groups.

    >>> number_groups(["b", "", "b", ""]).tolist()
    [0, 1, 0, 2]

    Raises:
        InputError: If a name is missing (None, NaN).
    """
    named = None if groups is None else name_groups(groups, len(groups))
    if named is None:
        return None
    names = [(name, -1) if name else ("", i) for i, name in enumerate(named)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])


def find_clusters(groups: Sequence[str] | None) -> np.ndarray | None:
    """Number groups from 0, or return None if no group has several images.

    >>> find_clusters(["a", "b"]) is None, find_clusters(["a", "b", "a"]).tolist()
    (True, [0, 1, 0])
    """
    owners = number_groups(groups)
    return owners if has_clusters(owners) else None


def has_clusters(owners: np.ndarray | None) -> bool:
    """Say whether some group has several images."""
    return owners is not None and int(owners.max()) + 1 < len(owners)


def draw_weights(members: np.ndarray, draws: int, seed: int, split: str) -> Iterator[np.ndarray]:
    """Yield how often each image was drawn, float [n, some draws] at a time, `draws` in all.

    Drawing m of m with replacement and counting is the multinomial distribution, at a tenth of its cost. Images are
    drawn from all classes alike, so that the mix of classes varies as it does from one set of patients to the next
    (within classes, Brier's interval covered 52 to 75 % at a prevalence of 0.1); where groups have several images,
    whole groups are drawn (Field & Welsh, J. R. Statist. Soc. B 2007, 69:369-390).

    Args:
        members: The number of the unit of each image, from 0, int [n]: of its group, or its own.
        draws: Resamples.
        seed: Decides them.
        split: The name of the split, for the stream of random numbers.
    """
    rng = np.random.default_rng(seeds.derive(seed, "bootstrap", split))
    units = int(members.max()) + 1
    at_once = max(1, min(draws, _CELLS_AT_ONCE // len(members)))
    for start in range(0, draws, at_once):
        some = min(at_once, draws - start)
        # Column j of the draws goes to cell unit * some + j, so that one `bincount` counts all draws.
        cells = rng.integers(units, size=(units, some)) * some + np.arange(some)
        yield np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape).astype(float)[members]


@functools.cache
def widen(units: int) -> tuple[float, float]:
    """Return the percentiles that bound a 95 % interval of a statistic of independent units.

    Resamples of a few units vary too little: the levels are those of Student's t in place of the normal
    distribution, and of a variance divided by n - 1 (Hesterberg, The American Statistician 2015, 69:371-386,
    section 5.3). In 1,000 draws of 10 + 10 cases the balanced accuracy's interval covered in 96.3 %, with 2.5 and
    97.5 in 92.6 %; of 20 + 20 groups of 5 in 94.8 and 92.8 %.

    >>> [round(level, 2) for level in widen(20)]
    [1.59, 98.41]
    """
    if units < 2:
        return 0.0, 100.0
    # `erfc(x / sqrt(2)) / 2` is the tail of the normal distribution beyond x.
    tail = 50 * math.erfc(math.sqrt(units / (units - 1)) * t_95(units - 1) / math.sqrt(2))
    return tail, 100 - tail


def bound(draws: np.ndarray, units: int, value: float) -> tuple[float | None, float | None, str | None]:
    """Return the interval of resampled values, and a note on what it leaves out.

    Args:
        draws: A metric in each resample, nan where undefined.
        units: How many independent units are drawn from.
        value: The metric of the images themselves.

    >>> bound(np.array([0.5, np.nan, 0.7]), 1, 0.6)
    (0.5, 0.7, '1 of 3 resamples, in which it is undefined, was left out.')
    """
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return None, None, "It is undefined in every resample."
    # Sums in another order differ in the last digit; the interval must still contain the value.
    defined = np.where(np.abs(defined - value) < 1e-12, value, defined)
    low, high = np.percentile(defined, widen(units)).tolist()
    missed = len(draws) - len(defined)
    note = None
    if low == high:
        note = "Every resample gave the same value: the interval has no width, the uncertainty is not zero."
    elif missed:
        verb = "was" if missed == 1 else "were"
        note = f"{missed} of {len(draws)} resamples, in which it is undefined, {verb} left out."
    return low, high, note
