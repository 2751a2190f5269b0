"""Which share of the variance of a score is that of the backbone, the approach, the fold, the seed, or of several."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.errors import InputError

SEED, REST = "seed", "rest"
_MOST_CELLS = 2000  # more need gigabytes: the work grows with the square


@dataclass(frozen=True)
class VarianceShares:
    """How the variance of a score divides.

    Attributes:
        shares: For each factor, then `seed` and `rest`, its share, 0..1; they sum to 1. `rest` is what factors do only
            together (interactions), and with one seed also what the seed does, which then has no share of its own.
        deviations: The standard deviations of which the squares are those shares, in the unit of the score.
        levels: How many values each factor has.
        total: The standard deviation of a score of which all vary.
        cut: What was estimated below zero, which chance alone can do, and counts as zero: name to estimated variance.
        joined: Factors that always vary together, and so count as one under the name of the first: name to the others.
        balanced: Whether every combination of factors has equally many cells.
        method: How it was estimated.
    """

    shares: Mapping[str, float]
    deviations: Mapping[str, float]
    levels: Mapping[str, int]
    total: float
    cut: Mapping[str, float]
    joined: Mapping[str, tuple[str, ...]]
    balanced: bool
    method: str


def divide_variance(scores: np.ndarray, factors: Mapping[str, Sequence]) -> VarianceShares:
    """Return which share of the variance of scores each factor has, what they do together, and the seed.

    Each factor moves the score by a random amount for each of its values, each pair of factors for each pair of values,
    and so all together; what is left varies with the seed alone. The variances are those for which the expected
    sums of squares equal the observed ones, with the weights of Rao's MINQUE(0) (J. Multivariate Analysis 1971,
    1:257-275; Searle, Casella & McCulloch, Variance Components, 1992, chapter 11). They are unbiased whether or not all
    combinations are there, and no order of factors matters, as it does for sequential sums of squares. If all are
    there equally often, they are those of the analysis of variance. An estimate below zero is set to zero and named.

    A factor of two values, such as two backbones, shows little of how backbones vary: look at `levels`.

    Args:
        scores: float [cells], finite.
        factors: The value of each cell, [cells]: recipe, backbone, varied fields, fold. Not the seed: cells with
            the same values are its repeats.

    Raises:
        InputError: If there are too few or too many cells, no factor varies, or the arrays do not fit.

    >>> backbone, fold = np.repeat(["a", "b", "c"], 4), np.tile([1, 1, 2, 2], 3)
    >>> scores = np.array([5.0, 5.2, 5.0, 5.2, 7.0, 7.2, 7.0, 7.2, 9.0, 9.2, 9.0, 9.2])
    >>> found = divide_variance(scores, {"backbone": backbone, "fold": fold})
    >>> {name: round(share, 3) for name, share in found.shares.items()}
    {'backbone': 0.995, 'fold': 0.0, 'seed': 0.005, 'rest': 0.0}
    """
    scores = np.asarray(scores, float)
    _check_cells(scores, factors)
    codes = {
        name: np.unique([str(each) for each in values], return_inverse=True)[1] for name, values in factors.items()
    }
    levels = {name: int(code.max()) + 1 for name, code in codes.items()}
    varied, joined = _join_factors({name: code for name, code in codes.items() if levels[name] > 1})
    if not varied:
        raise InputError("One factor or more must have two values. Received: cells that differ in none.")
    cells = np.unique(np.stack(list(varied.values())), axis=1, return_inverse=True)[1].ravel()
    repeats = np.bincount(cells)
    if len(varied) == 1 and repeats.max() == 1:
        raise InputError("With one factor, a value must have two cells or more. Received: one cell of each.")
    estimated = _estimate(scores, _list_parts(varied, cells, bool(repeats.max() > 1)))
    rest = sum(value for name, value in estimated.items() if name not in varied and name != SEED)
    found = {name: estimated.get(name, 0.0) for name in factors if name not in itertools.chain(*joined.values())}
    found |= ({SEED: estimated[SEED]} if SEED in estimated else {}) | {REST: rest}
    cut = {name: value for name, value in found.items() if value < 0}
    kept = {name: max(0.0, value) for name, value in found.items()}
    total = sum(kept.values())
    if not total > 0:
        raise InputError("`scores` must vary. Received: cells that all have the same score.")
    balanced = len(set(repeats.tolist())) == 1 and len(repeats) == math.prod(levels[name] for name in varied)
    method = f"{'analysis of variance' if balanced else 'MINQUE(0)'} of random effects (Searle et al. 1992)"
    shares = {name: value / total for name, value in kept.items()}
    deviations = {name: math.sqrt(value) for name, value in kept.items()}
    return VarianceShares(shares, deviations, levels, math.sqrt(total), cut, joined, balanced, method)


def _check_cells(scores, factors) -> None:
    faults = []
    if scores.ndim != 1 or not 3 <= len(scores) <= _MOST_CELLS or not np.isfinite(scores).all():
        faults.append(f"`scores` must be finite, [cells], 3 to {_MOST_CELLS:,}. Received: shape={scores.shape}.")
    if not factors or {SEED, REST} & set(factors):
        faults.append(f"`factors` must be named, but not {SEED!r} or {REST!r}. Received: {list(factors)}.")
    faults += [
        f"`factors` must have a value for each of {scores.size} cells. Received: {len(values)} of {name!r}."
        for name, values in factors.items()
        if len(values) != scores.size
    ]
    if faults:
        raise InputError(faults)


def _join_factors(codes) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, ...]]]:
    """Return the factors without those that divide the cells as an earlier one does, and their names by that one."""
    kept, joined = {}, {}
    for name, code in codes.items():
        same = [other for other, seen in kept.items() if len(np.unique([code, seen], axis=1).T) == code.max() + 1]
        twin = next((other for other in same if kept[other].max() == code.max()), None)
        if twin is None:
            kept[name] = code
        else:
            joined[twin] = (*joined.get(twin, ()), name)
    return kept, joined


def _list_parts(varied, cells, has_repeats) -> dict[str, np.ndarray]:
    """Return how each part of the variance divides the cells: factors, pairs, all together, and each cell alone."""
    parts = dict(varied)
    if len(varied) > 2:
        for one, other in itertools.combinations(varied, 2):
            pair = np.unique([varied[one], varied[other]], axis=1, return_inverse=True)[1].ravel()
            parts[f"{one} x {other}"] = pair
    if len(varied) > 1:
        parts["together"] = cells
    return parts | {SEED if has_repeats else "alone": np.arange(len(cells))}


def _estimate(scores, parts) -> dict[str, float]:
    """Return the variances for which the expected sums of squares of all parts are those of the scores."""
    centred, squares, kept, table = scores - scores.mean(), [], {}, np.empty((0, 0))
    for name, code in parts.items():
        shared = (code[:, None] == code).astype(float)
        shared -= shared.mean(0)
        shared -= shared.mean(1, keepdims=True)
        products = np.array([float(np.vdot(shared, other)) for other in (*squares, shared)])
        if _adds(table, products):
            squares.append(shared)
            kept[name] = float(centred @ shared @ centred)
            table = np.block([[table, products[:-1, None]], [products[None, :]]])
        elif name == SEED:
            raise InputError("Cells must tell factors apart from seeds. Received: too few combinations of factors.")
    return dict(zip(kept, np.linalg.solve(table, np.array(list(kept.values()))).tolist(), strict=True))


def _adds(table, products) -> bool:
    """Tell whether a part is no mixture of those before it, which then stand for it."""
    weights = np.linalg.lstsq(table, products[:-1], rcond=None)[0] if len(table) else np.empty(0)
    return bool(products[-1] - float(weights @ products[:-1]) > 1e-8 * products[-1])
