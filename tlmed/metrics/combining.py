"""Intervals of means over classes, differences, ratios and agreement, combined from the intervals of their parts."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tlmed.metrics.proportions import Z_95, effective_size


def combine(
    entries: Sequence[Mapping],
    influences: Iterable[np.ndarray],
    signs: Sequence[float],
    owners: np.ndarray | None = None,
    counted: Iterable[np.ndarray] | None = None,
) -> tuple[float, float]:
    """Return the interval of a weighted sum from the intervals of its parts.

    The squared distances to the bounds add up, as variances do, with the correlations of the parts (MOVER: Zou &
    Donner, Statistics in Medicine 2008, 27:1693-1702; for two independent proportions it is method 10 of Newcombe,
    Statistics in Medicine 1998, 17:873-890). A part that does not vary in the sample, such as a class whose five
    images are all right, therefore counts with the width of its own interval, and not with zero. The correlations come
    from what each image, or group, adds to the parts. Parts that do not vary are taken as independent of those that do,
    and of each other, unless they rest on the same images: then an error in one image may be one in all of them, and
    their correlation is the overlap of these images. The work grows with the number of parts, not with its square.

    Args:
        entries: `value`, `low` and `high` of each part.
        influences: What each image adds to each part, float [n] each.
        signs: The weight of each part in the sum.
        owners: The number of the group of each image, int [n]; None if images have no groups.
        counted: The images on which each part rests, bool [n] each; None where no two parts share any.

    >>> parts = [{"value": 1.0, "low": 0.566, "high": 1.0}, {"value": 0.8, "low": 0.711, "high": 0.867}]
    >>> [round(bound, 2) for bound in combine(parts, [np.zeros(105)] * 2, [0.5, 0.5])]
    [0.68, 0.93]
    >>> twice, same = [parts[0]] * 2, [np.arange(105) < 5] * 2
    >>> [round(bound, 3) for bound in combine(twice, [np.zeros(105)] * 2, [0.5, 0.5], counted=same)]
    [0.566, 1.0]
    """
    value = sum(sign * entry["value"] for sign, entry in zip(signs, entries, strict=True))
    sums, rest, alone = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]  # towards the lower and the upper bound
    images = itertools.repeat(None, len(entries)) if counted is None else counted
    for entry, influence, sign, rows in zip(entries, influences, signs, images, strict=True):
        ways = entry["value"] - entry["low"], entry["high"] - entry["value"]
        totals = influence if owners is None else np.bincount(owners, influence)
        size = math.sqrt(float(totals @ totals))
        # With a negative weight the lower bound of a part moves the upper bound of the sum.
        for end, way in enumerate(ways if sign > 0 else ways[::-1]):
            if size < 1e-12 and rows is None:
                alone[end] += (sign * way) ** 2
            elif size < 1e-12:
                weights = rows.astype(float) if owners is None else np.bincount(owners, rows)
                rest[end] = rest[end] + abs(sign) * way * weights / max(math.sqrt(float(weights @ weights)), 1e-12)
            else:
                sums[end] = sums[end] + sign * way / size * totals
    low, high = (
        math.sqrt(float(np.sum(np.square(part))) + float(np.sum(np.square(same))) + more)
        for part, same, more in zip(sums, rest, alone, strict=True)
    )
    return value - low, value + high


def compare_independent(first: Mapping, second: Mapping) -> dict:
    """Return the difference of a metric on two sets of other images, with its interval and p-value.

    The interval is that of `combine`, from the intervals of both: where these are by groups, it is too, and it is as
    uneven as they are. The p-value takes the side of it that faces zero for 1.96 standard errors.

    Args:
        first: `value`, `low` and `high` on some images.
        second: Those on others.

    Returns:
        `value` (the first minus the second), `low`, `high` and `p`. `p` is below 0.05 if the interval leaves out zero.

    >>> halves, higher = {"value": 0.5, "low": 0.4, "high": 0.6}, {"value": 0.8, "low": 0.7, "high": 0.85}
    >>> {name: round(part, 3) for name, part in compare_independent(higher, halves).items()}
    {'value': 0.3, 'low': 0.159, 'high': 0.412, 'p': 0.0}
    """
    low, high = combine([first, second], [np.zeros(1)] * 2, [1, -1])
    value = first["value"] - second["value"]
    half = value - low if value > 0 else high - value
    p = math.erfc(Z_95 * abs(value) / half / math.sqrt(2)) if half else float(value == 0)
    return {"value": value, "low": low, "high": high, "p": p}


def combine_ratio(top: Mapping, bottom: Mapping, correlation: float = 0.0) -> tuple[float, float]:
    """Return the interval of a ratio of two shares from the intervals of both.

    It holds the ratios R for which the interval of top - R bottom holds zero, with the squared distances to the bounds
    added up as in `combine` (MOVER-R: Donner & Zou, Statist. Methods Med. Res. 2012, 21:347-359; Newcombe, Statist.
    Methods Med. Res. 2016, 25:1774-1778). It needs no logarithm, and so no adjusted estimate where a share is 0 or 1.

    Args:
        top: `value`, `low` and `high` of the numerator.
        bottom: Those of the denominator; both values must not be 0.
        correlation: Of the two estimates.

    Returns:
        Both bounds; the upper one is infinite if the lower bound of the denominator is 0.

    >>> halves = {"value": 0.5, "low": 0.4, "high": 0.6}
    >>> [round(bound, 3) for bound in combine_ratio(halves, halves)]
    [0.75, 1.333]
    """

    def solve(end, other):
        # The bound R solves below * R^2 - 2 * middle * R + above = 0.
        ways = abs(top["value"] - top[end]), abs(bottom["value"] - bottom[other])
        above = top[end] * (2 * top["value"] - top[end])
        below = bottom[other] * (2 * bottom["value"] - bottom[other])
        middle = top["value"] * bottom["value"] - correlation * ways[0] * ways[1]
        return above, below, middle, math.sqrt(max(0.0, middle**2 - above * below))

    above, _, middle, root = solve("low", "high")
    low = above / (middle + root) if above else 0.0  # this form holds where `below` is 0 or less, too
    _, below, middle, root = solve("high", "low")
    return low, (middle + root) / below if below else math.inf


def draw_rates(
    positive: np.ndarray, predicted: np.ndarray, owners: np.ndarray | None, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the prevalence, sensitivity and specificity that two classes' predictions leave possible.

    Each is drawn from its beta distribution with Jeffreys's prior, whose intervals of a proportion keep their coverage
    for few images too, and if all are right (Brown, Cai & DasGupta, Statistical Science 2001, 16:101-133). If groups
    have several images, effective sizes replace the numbers of images.

    Args:
        positive: Whether each image is positive, bool [n]; both kinds must occur.
        predicted: Whether each is predicted to be, bool [n].
        owners: The number of the group of each image, int [n]; None if images have no groups.
        draws: How many.
        rng: Decides them.

    Returns:
        Three times float [draws].

    >>> positive = np.arange(100) < 30
    >>> rates = draw_rates(positive, positive, None, 1000, np.random.default_rng(0))
    >>> [round(float(np.median(rate)), 2) for rate in rates]
    [0.31, 0.99, 1.0]
    """
    found = []
    # All images decide the prevalence, those of each class its rate.
    for among, right in ((positive | True, positive), (positive, predicted), (~positive, ~predicted)):
        size = float(among.sum()) if owners is None else effective_size(right[among], owners[among])
        hits = right[among].mean() * size
        found.append(rng.beta(hits + 0.5, size - hits + 0.5, draws))  # Jeffreys's prior is Beta(0.5, 0.5)
    return tuple(found)


def agree(prevalence: np.ndarray, sensitivity: np.ndarray, specificity: np.ndarray) -> dict[str, np.ndarray]:
    """Return Cohen's kappa (of two classes the quadratic one too) and Matthews's correlation for given rates.

    Args:
        prevalence: 0..1, float [draws] or one number, as are the others.
        sensitivity: 0..1.
        specificity: 0..1.

    Returns:
        `kappa`, `quadratic_kappa` and `mcc`, each of the same shape.

    >>> {name: float(value) for name, value in agree(0.5, 0.75, 0.75).items()}
    {'kappa': 0.5, 'quadratic_kappa': 0.5, 'mcc': 0.5}
    """
    right = prevalence * sensitivity + (1 - prevalence) * specificity
    guessed = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    expected = prevalence * guessed + (1 - prevalence) * (1 - guessed)
    kappa = (right - expected) / (1 - expected)
    spread = prevalence * (1 - prevalence) * guessed * (1 - guessed)
    return {
        "kappa": kappa,
        "quadratic_kappa": kappa,
        "mcc": prevalence * (1 - prevalence) * (sensitivity + specificity - 1) / np.sqrt(spread),
    }
