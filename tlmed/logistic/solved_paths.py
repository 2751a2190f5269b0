"""Paths of logistic regressions: one head for each strength of an L2 penalty, each started from the one before.

L-BFGS converges in about 10 to 100 steps because it meets a loss that is nearly round: it moves along the principal
axes of the features, each scaled by the bound that Böhning (Annals of the Institute of Statistical Mathematics 1992,
44:197-200) gives for the curvature of the loss along it. Features are read in chunks, which several threads share;
sums are formed in the chunks' order, so that the result is the same to the bit on any number of threads.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.optimize import minimize

from tlmed.logistic.feature_rows import Source, hold, measure_features, standardise_source
from tlmed.logistic.single_thread import single_thread
from tlmed.logistic.targets_of_heads import Targets

_FEW = 2**18  # values up to which sums are formed in float64: it costs little there
# A solver ends where the largest slope of the mean loss, in scaled coordinates, or the share that a step takes off the
# loss, is below these. Sums in float32 are as exact as that: a search along a line for less would find noise.
_ENDS = {np.float64: (1e-7, 1e-12), np.float32: (1e-6, 1e-8)}
_MOST_STEPS, _MOST_TRIALS = 500, 5  # trials of a step's length
_FLAT = 1e-10  # of the largest variance: axes with less hold rounding only
_ONE_BY_ONE = 4  # columns up to which a product of matrices spends more on copies than on products
_SHARED = 2**21  # values from which on threads share the chunks


@dataclass(frozen=True, eq=False)
class Solution:
    """The head of one strength; it takes features as they were given, with the scaling folded in.

    Attributes:
        l2: The strength.
        kernel: float64 [d, c].
        bias: float64 [c].
        loss: The mean loss of the rows, without the penalty.
        steps: Of the solver.
    """

    l2: float
    kernel: np.ndarray
    bias: np.ndarray
    loss: float
    steps: int


@dataclass(frozen=True, eq=False)
class _Axes:
    """Principal axes of standardised features.

    Attributes:
        source: What the loss is computed from: the features, or where they outnumber the rows, their places on the
            axes.
        turn: float [d, r], from axes to what `source` holds; None: that are places on the axes.
        back: Coordinates along the axes [c, r] to weights of standardised features [c, d].
        spread: float64 [r], the variance along each axis.
    """

    source: Source
    turn: np.ndarray | None
    back: Callable[[np.ndarray], np.ndarray]
    spread: np.ndarray


def solve_path(source: Source, targets: Targets, l2s: Sequence[float], scaled: bool = True) -> Iterator[Solution]:
    """Yield the heads that minimise the mean loss plus `l2` / 2 times the sum of squared weights.

    The penalty is on the weights of standardised features, and not on the intercept: this is scikit-learn's
    `LogisticRegression(C=1 / (n * l2))` after its `StandardScaler`.

    Args:
        source: n rows of features; they are read once for each step, so that memory need not hold them.
        targets: What the rows are.
        l2s: Strengths above 0, the largest first for speed.
        scaled: Whether features are standardised; False: they are only centred.

    >>> rows, targets = hold(np.array([[-1.0], [1.0]])), Targets(np.array([[0, 1.0]], np.float32), None, 2.0, False)
    >>> [solution.kernel.round(2).tolist() for solution in solve_path(rows, targets, (1.0, 0.1))]
    [[[0.4]], [[1.63]]]
    """
    with single_thread():
        mean, scale = measure_features(source)
        if not scaled:
            scale = np.ones_like(scale)
        axes = _find_axes(standardise_source(source, mean, scale))
    columns = len(targets.values)
    weights, level = np.zeros((columns, len(axes.spread))), np.zeros(columns)
    with _spreading(_threads(source)) as spread_out:
        for l2 in l2s:
            with single_thread():
                weights, level, steps, loss = _descend(spread_out, axes, targets, l2, (weights, level))
                kernel = axes.back(weights) / scale
            yield Solution(float(l2), kernel.T, level - kernel @ mean, loss, steps)


@contextlib.contextmanager
def _spreading(threads: int) -> Iterator[Callable[..., Iterator]]:
    """Yield what maps a function over chunks, in order: `map` itself where one thread does it all.

    Handing a small chunk to another thread and waiting for it takes as long as the products.
    """
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def _threads(source) -> int:
    few = len(source.rows) * source.width < _SHARED
    return 1 if few else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _find_axes(source: Source) -> _Axes:
    """Find the axes by the products of features, or of rows where these are fewer."""
    n, d = len(source.rows), source.width
    if n < d:
        rows = np.concatenate([*source.chunks()]).astype(np.float64)
        values, vectors = scipy.linalg.eigh(rows @ rows.T, driver="evd")
        kept = values > max(values[-1], 0.0) * _FLAT
        values, vectors = values[kept], vectors[:, kept]
        places = hold((vectors * np.sqrt(values)).astype(_choose_type(n * len(values))))
        return _Axes(places, None, lambda weights: weights / np.sqrt(values) @ vectors.T @ rows, values / n)
    gram = np.zeros((d, d))
    for chunk in source.chunks():
        gram += chunk.T @ chunk
    # In float32: axes that are a little off are as good, for they only choose the coordinates.
    values, vectors = scipy.linalg.eigh(gram.astype(_choose_type(n * d)), driver="evd", overwrite_a=True)
    spread = np.maximum(values.astype(np.float64), 0.0) / n
    turn = vectors.astype(_choose_type(n * d))
    return _Axes(source, turn, lambda weights: weights @ turn.T.astype(np.float64), spread)


def _choose_type(values) -> type:
    return np.float64 if values <= _FEW else np.float32


def _descend(spread_out, axes, targets, l2, start) -> tuple[np.ndarray, np.ndarray, int, float]:
    """Return coordinates along the axes, the intercepts, the number of steps and the mean loss."""
    weights, level = start
    columns = len(level)
    # One unit of a scaled coordinate bends the loss by at most 1, along whichever axis.
    units = 1 / np.sqrt(targets.curvature * axes.spread + l2)
    unit = 1 / np.sqrt(targets.curvature)
    spans, found = axes.source.spans, [0.0]
    dtype = _choose_type(len(axes.source.rows) * axes.source.width)

    def measure(point):
        scaled = point.reshape(columns, -1)
        own, shift = scaled[:, :-1] * units, (scaled[:, -1] * unit).astype(dtype)
        inner = own.astype(dtype)
        inner = inner if axes.turn is None else inner @ axes.turn.T

        def compare(span):
            rows = axes.source.read(span).astype(dtype, copy=False)
            loss, slope = targets.compare(_multiply(inner, rows.T) + shift[:, None], span)
            return loss, _multiply(slope, rows), slope.sum(1, dtype=np.float64)

        losses, slopes, shifts = zip(*spread_out(compare, spans), strict=True)
        slope = sum(part.astype(np.float64) for part in slopes) / targets.total
        slope = slope if axes.turn is None else slope @ axes.turn
        found[0] = sum(losses) / targets.total
        whole = np.hstack([(slope + l2 * own) * units, sum(shifts)[:, None] / targets.total * unit])
        return found[0] + l2 / 2 * (own**2).sum(), whole.ravel()

    begin = np.hstack([weights / units, level[:, None] / unit])
    slope, share = _ENDS[dtype]
    options = {"maxiter": _MOST_STEPS, "gtol": slope, "ftol": share, "maxcor": 20, "maxls": _MOST_TRIALS}
    end = minimize(measure, begin.ravel(), jac=True, method="L-BFGS-B", options=options)
    measure(end.x)
    scaled = end.x.reshape(columns, -1)
    return scaled[:, :-1] * units, scaled[:, -1] * unit, int(end.nit), found[0]


def _multiply(few: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the product [c, m] of [c, d] and [d, m]; for some rows of `few`, one by one is twice as quick."""
    if len(few) > _ONE_BY_ONE:
        return few @ rows
    return np.stack([row @ rows for row in few])
