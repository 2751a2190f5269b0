"""Proportions with 95 % intervals: of independent images and of images in groups."""

import math
import re

import numpy as np

from tlmed.errors import InputError

Z_95 = 1.959963984540054  # 97.5 % quantile of the normal distribution
_FREEDOM = re.compile(r"\bt with (\d+) df\b")
# With fewer groups a proportion has no interval: it covered in 98 to 100 % (99 and more below eight) and was half as
# wide as the whole range, because so few groups hardly show how alike the images of a group are.
LEAST_GROUPS = 10


def has_few_groups(owners: np.ndarray) -> bool:
    """Tell whether images depend on each other, and come from too few groups to tell how much.

    Args:
        owners: The number of the group of each image, int [n].

    >>> has_few_groups(np.arange(4)), has_few_groups(np.arange(40) // 10), has_few_groups(np.arange(40) // 4)
    (False, True, False)
    """
    return len(np.unique(owners)) < min(LEAST_GROUPS, len(owners))


def wilson(successes: float, trials: float, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, by default that of 95 %.

    Without continuity correction: method 3 of Newcombe, Statistics in Medicine 1998, 17:857-872.

    Args:
        successes: 0..trials.
        trials: More than 0; a fraction where it is an effective sample size.
        z: The quantile of the normal distribution that bounds the interval.

    Raises:
        InputError: If the numbers are not of this form.

    >>> [round(bound, 4) for bound in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    # Effective sizes are fractions, whose products may be larger by a rounding error.
    if not 0 <= successes <= trials * (1 + 1e-9) or not trials > 0:
        raise InputError(
            "`successes` must be from 0 to `trials`, and `trials` more than 0. "
            f"Received: successes={successes}, trials={trials}."
        )
    share, square = successes / trials, z**2
    middle = share + square / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    low, high = (middle - half) / (1 + square / trials), (middle + half) / (1 + square / trials)
    # At 0 and 1 the bound is exact; rounding would miss it by 1e-17.
    return (0.0 if successes == 0 else low), (1.0 if successes == trials else high)


def t_95(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t distribution.

    >>> round(t_95(19), 3)
    2.093
    """
    from scipy.special import stdtrit  # here, because a training loop should not wait for this slow import

    return float(stdtrit(freedom, 0.975))


def read_freedom(method: str | None) -> int | None:
    """Return the degrees of freedom of the t quantile that an interval was computed by, as its method says them.

    >>> read_freedom("DeLong of 28 groups on the logit scale (Obuchowski 1997), t with 1 df"), read_freedom("Wilson")
    (1, None)
    """
    found = _FREEDOM.search(method or "")
    return int(found[1]) if found else None


def t_tails(statistic: float, freedom: float) -> float:
    """Return the two-sided p-value of Student's t distribution.

    Args:
        statistic: The t statistic, of either sign.
        freedom: Degrees of freedom, above 0; need not be whole.

    >>> round(t_tails(2.093, 19), 3)
    0.05
    """
    from scipy.special import stdtr  # here, because a training loop should not wait for this slow import

    return float(2 * stdtr(freedom, -abs(statistic)))


def effective_size(right: np.ndarray, owners: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return how many independent images would estimate a proportion as exactly as these images of groups.

    The variance of the proportion is that of a ratio of group totals, and its inverse on the scale of the
    binomial variance is the effective size (Rao & Scott, Biometrics 1992, 48:577-585), at most the number of
    images. Few groups give only a rough variance, so the size is multiplied by (z / t)^2 with one degree of
    freedom less than there are groups (Korn & Graubard, Survey Methodology 1998, 24:193-201). Groups of unequal sizes
    count as (sum v)^2 / sum v^2 groups (Satterthwaite, Biometrics Bulletin 1946, 2:110-114), where
    v = s (1 + (s - 1) r) is the variance of a group of s images with the correlation r, estimated from the images.
    For example, ten groups of one image and two groups of ten count not as twelve groups, but as two if the images of a
    group are alike, and as four if they are not.

    The images do not show how alike those of a group are if all are right, or none is, or if the only right (or wrong)
    ones belong to one group. The size is then at most the number of groups, as if each group had one image.

    Saha, Miller & Wang (Int. J. Biostatistics 2016, 12(2)) and Franco et al. (J. Survey Statist. Methodol. 2019,
    7:334-364) recommend it with the Wilson score. docs/metrics.md says how often it covers.

    Args:
        right: Whether each image counts as a success, bool [n].
        owners: The number of the group of each, int [n].
        weights: How much each image counts in the share, float [n]; None: all alike.

    >>> round(effective_size(np.array([True, True, False, False]), np.array([0, 0, 1, 1])), 3)
    0.024
    >>> effective_size(np.array([True, True, True]), np.array([0, 0, 1]))
    2.0
    """
    _, owners, counts = np.unique(owners, return_inverse=True, return_counts=True)
    weights = np.ones(len(right)) if weights is None else weights
    sizes, alone = np.bincount(owners, weights), float((weights**2).sum())  # `alone` is the number of equal images
    groups, images, total = len(counts), len(right), float(weights.sum())
    share = float((weights * right).sum()) / total
    if groups == 1 or share in (0, 1):
        return float(groups)
    hits, spread = np.bincount(owners, weights * right), share * (1 - share)
    squares = groups / (groups - 1) * ((hits - share * sizes) ** 2).sum()
    pairs = float((sizes**2).sum()) - alone
    alike = min(1.0, max(0.0, (squares / spread - alone) / pairs)) if pairs > 1e-9 else 0.0
    freedom = max(_count_unequal(counts, alike) - 1, 1)
    size = min(images, total**2 * spread / squares) if squares > 0 else images
    size *= (Z_95 / t_95(freedom)) ** 2
    # How many groups have a right image, or a wrong one, whichever are fewer.
    rarer = min(np.count_nonzero(hits), np.count_nonzero(hits < sizes - 1e-9))
    return float(min(size, groups) if rarer < 2 else size)


def effective_groups(influences: np.ndarray, owners: np.ndarray) -> float:
    """Return how many groups of one size would tell as much of a variance as these groups of unequal sizes.

    A variance is estimated from what the images of each group add up to. Where one group has a fifth of all images, it
    decides a large part of that sum, and counting it as one of many would make intervals too narrow. The number is
    that of `effective_size`: (sum v)^2 / sum v^2, with the correlation within groups estimated from the influences.

    Args:
        influences: What each image adds to a metric, float [n].
        owners: The number of the group of each, int [n].

    >>> effective_groups(np.array([1.0, -1.0, 1.0, -1.0]), np.array([0, 0, 1, 1]))
    2.0
    >>> round(effective_groups(np.array([1.0, 1.0, 1.0, -3.0]), np.array([0, 0, 0, 1])), 2)
    1.38
    """
    _, owners, sizes = np.unique(owners, return_inverse=True, return_counts=True)
    squares, pairs = float((influences**2).sum()), float((sizes * (sizes - 1.0)).sum())
    if not pairs or not squares:
        return float(len(sizes))
    together = float((np.bincount(owners, influences) ** 2).sum())
    # The sum over pairs of images of a group, as a share of what it would be if they were all alike.
    alike = min(1.0, max(0.0, (together - squares) / (squares / len(influences)) / pairs))
    return _count_unequal(sizes, alike)


def count_freedom(influences: np.ndarray, owners: np.ndarray) -> tuple[float, float]:
    """Return the degrees of freedom that groups give a variance at most, and a factor for that variance.

    Groups count as `effective_groups`. A sum of squares of unequal groups is too small by one of these, as with n - 1
    for n, and not by one of all.

    Args:
        influences: What each image adds to a metric, float [n].
        owners: The number of the group of each, int [n].

    >>> count_freedom(np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]), np.array([0, 0, 1, 1, 2, 2]))
    (2, 1.0)
    """
    groups = len(np.unique(owners))
    # The factor has no bound where one group holds nearly all. At 1.5 groups it is 3, and the t quantile is 12.7 (with
    # one degree of freedom): a larger factor would tell no more. It must not fall again as one group gets larger.
    counted = max(min(groups, effective_groups(influences, owners)), 1.5)
    return max(counted - 1, 1), (groups - 1) / groups * counted / (counted - 1)


def _count_unequal(sizes, alike) -> float:
    """Return (sum v)^2 / sum v^2 for the variances v of groups whose images have this correlation."""
    variances = sizes * (1 + (sizes - 1) * alike)
    return float(variances.sum() ** 2 / (variances**2).sum())


def proportion(right: np.ndarray, owners: np.ndarray | None = None) -> dict:
    """Return a proportion with its interval: Wilson's, with the effective size where groups have several images.

    Args:
        right: Whether each image counts as a success, bool [n], n >= 1.
        owners: The number of the group of each, int [n]; None if images have no groups.

    Returns:
        `value`, `low`, `high` and `method`.

    >>> proportion(np.array([True, True, False]))["method"]
    'Wilson score (Wilson 1927)'
    """
    successes, trials = int(np.count_nonzero(right)), len(right)
    groups = trials if owners is None else len(np.unique(owners))
    if groups == trials:
        method, size = "Wilson score (Wilson 1927)", trials
    else:
        method = (
            f"Wilson score with the effective sample size of {groups} groups (Rao & Scott 1992, Korn & Graubard 1998)"
        )
        size = effective_size(right, owners)
    value = successes / trials
    # If all are right, the product could miss the size by a rounding error.
    low, high = wilson(size if successes == trials else value * size, size)
    return {"value": value, "low": low, "high": high, "method": method}


def harmonic_mean(truth: np.ndarray, guess: np.ndarray, owners: np.ndarray | None = None) -> dict:
    """Return the F1 of a class with its interval.

    F1 is 2 s / (1 + s), where s is the share of right ones among the images that are of the class or predicted as it: a
    proportion, with Wilson's interval (Lam, Gopal & Qian, arXiv:2309.14621, the indirect Wilson interval).

    Args:
        truth: Whether each image is of the class, bool [n]; some must be.
        guess: Whether each is predicted as it, bool [n].
        owners: The number of the group of each image, int [n]; None if images have no groups.

    Returns:
        `value`, `low`, `high` and `method`.

    >>> harmonic_mean(np.array([True, True, False]), np.array([True, False, False]))["value"].__round__(3)
    0.667
    """
    rows = truth | guess
    found = proportion((truth & guess)[rows], None if owners is None else owners[rows])
    turned = {end: 2 * found[end] / (1 + found[end]) for end in ("value", "low", "high")}
    return {**turned, "method": f"{found['method']}, of 2 s / (1 + s) (Lam et al. 2023)"}
