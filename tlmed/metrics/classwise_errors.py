"""The calibration error of each class's probability, not only of the predicted one."""

import numpy as np

from tlmed import seeds
from tlmed.metrics.calibration import BINS, chance_error, correct_error, find_bins
from tlmed.metrics.measured import Measured, bounded, unbounded
from tlmed.metrics.resampling import bound, draw_weights
from tlmed.metrics.sample_sizes import MANY_CLASSES, NO_INTERVAL, name_units

DRAWS = 2000
_MANY = f"There are {MANY_CLASSES} classes or more, for which no interval is computed."
_METHOD = "basic bootstrap of {} {}, {} draws, with 0 where chance explains it (Field & Welsh 2007, Kull et al. 2019)"


def measure_errors(labels: np.ndarray, scores: np.ndarray) -> tuple[Measured, list[Measured]]:
    """Return the same as `bound_errors` without intervals, whose work grows with the square of the number of classes.

    Args:
        labels: True classes, int [n], 0..k-1.
        scores: Probabilities [n, k].
    """
    surplus, cells, n = *_place(labels, scores)[1:], len(labels)
    errors = _sum_errors(np.bincount(cells.ravel(), surplus.ravel(), scores.shape[1] * BINS), n)
    said = [unbounded(error, np.zeros(0), _MANY) for error in (errors.mean(), *errors)]
    return said[0], said[1:]


def bound_errors(
    labels: np.ndarray, scores: np.ndarray, owners: np.ndarray | None, seed: int, split: str
) -> tuple[Measured, list[Measured]]:
    """Return the mean over classes of the calibration errors of their probabilities, and the error of each class.

    Each is that of `ece`, over ten bins of equal width, for the probability of the class against whether the image is
    of it (class-wise ECE: Kull et al., NeurIPS 2019). Its interval is that of `ece`, too.

    Args:
        labels: True classes, int [n], 0..k-1.
        scores: Probabilities [n, k].
        owners: The number of the group of each image from 0, int [n]; None if no group has several images.
        seed: Decides the resamples.
        split: The name of the split, for the stream of random numbers.

    >>> labels, scores = np.arange(60) % 3, np.eye(3)[np.arange(60) % 3] * 0.7 + 0.1
    >>> round(bound_errors(labels, scores, None, 0, "test")[0].entry["value"], 3)
    0.133
    """
    n, k = scores.shape
    confidence, surplus, cells = _place(labels, scores)
    members = np.arange(n) if owners is None else owners
    totals = _add_up(surplus, cells, members)  # [units, k * bins]
    sizes = np.bincount(members).astype(float)
    drawn = np.concatenate([_weigh(totals, sizes, w) for w in draw_weights(np.arange(len(sizes)), DRAWS, seed, split)])
    errors = _sum_errors(totals.sum(axis=0), n)
    rng = np.random.default_rng(seeds.derive(seed, "calibration", split))
    chance = _draw_together(confidence, cells, totals if owners is not None else None, rng)
    units = len(sizes), name_units(owners)
    mean = _bound(errors.mean(), drawn.mean(axis=1), chance, units)
    each = [
        _bound(errors[c], drawn[:, c], chance_error(confidence[:, c], members, DRAWS, rng, labels == c), units)
        for c in range(k)
    ]
    return mean, each


def _place(labels, scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities, outcomes less probabilities, and the cell of class and bin of each, all [n, k]."""
    confidence = np.clip(scores, 0, 1)  # rounded scores may leave 0..1
    surplus = -confidence
    surplus[np.arange(len(labels)), labels] += 1
    return confidence, surplus, np.arange(scores.shape[1]) * BINS + find_bins(confidence)


def _sum_errors(cells, n) -> np.ndarray:
    return np.abs(cells).reshape(-1, BINS).sum(axis=1) / n


def _add_up(values, cells, members) -> np.ndarray:
    """Return the sum of each unit's values in each cell, float [units, k * bins]."""
    width = cells.shape[1] * BINS
    places = members[:, None] * width + cells
    return np.bincount(places.ravel(), values.ravel(), (int(members.max()) + 1) * width).reshape(-1, width)


def _weigh(totals, sizes, weights) -> np.ndarray:
    """Return the error of each class in each resample, float [d, k]."""
    # Not as a matrix product, whose sums depend on the number of threads.
    sums = np.abs(np.einsum("uc,ud->dc", totals, weights)) / (sizes @ weights)[:, None]
    return sums.reshape(len(sums), -1, BINS).sum(axis=2)


def _draw_together(confidence, cells, totals, rng) -> np.ndarray:
    """Draw the mean error that perfectly calibrated scores would show by chance: bins of all classes vary together."""
    n, k = confidence.shape
    if totals is None:
        # An image is of one class, so that its outcomes are those of a multinomial distribution.
        spread = _add_up(confidence, cells, np.arange(n))
        covariance = np.diag(spread.sum(axis=0)) - np.einsum("ni,nj->ij", spread, spread)
    else:
        covariance = np.einsum("gi,gj->ij", totals, totals)
    variances, axes = np.linalg.eigh(covariance)
    root = np.einsum("ik,k,jk->ij", axes, np.sqrt(np.maximum(variances, 0)), axes)
    drawn = np.abs(np.einsum("di,ij->dj", rng.standard_normal((DRAWS, k * BINS)), root))
    return drawn.sum(axis=1) / (n * k)


def _bound(value, drawn, chance, units) -> Measured:
    low, high, note = bound(drawn, units[0], float(value))
    if high - low < 1e-12:
        return unbounded(value, np.zeros(0), f"Every resample gave the same value, {NO_INTERVAL}")
    found = correct_error(float(value), drawn, high, chance)
    said = " ".join(filter(None, (note, found.get("note"))))
    return bounded(value, (found["low"], found["high"]), _METHOD.format(*units, DRAWS), np.zeros(0), said)
