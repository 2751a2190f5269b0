"""The errors of the scores of all configurations, and how much they have in common: what a claim of a best rests on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.contests.stable_scales import MORE_ERROR
from tlmed.errors import InputError
from tlmed.metrics.arguments import name_groups
from tlmed.metrics.resampling import draw_weights, find_clusters
from tlmed.metrics.spreads import Spread

_POINTS = 200  # of the grid of the variance of seeds


@dataclass(frozen=True)
class ScoreErrors:
    """How the scores of configurations would vary from study to study.

    Attributes:
        covariance: float [m, m].
        freedom: The degrees of freedom of its estimate.
    """

    covariance: np.ndarray
    freedom: float


def measure_split(scores: np.ndarray, draws: np.ndarray, units: int, step: float = 0.0) -> ScoreErrors:
    """Return the errors of means over seeds on one split: of the sample of test images, and of the seeds.

    What a seed does to single images is in both, in how resamples vary and in how seeds vary, but must count once. So
    the variance of seeds is that beyond what resamples give to the differences of seeds. It is one for all
    configurations, because a few seeds say little of each. Even so it is hardly known where configurations are few,
    and where seeds differ by less than images explain, it is small but not zero. So its posterior decides, with a
    half-Cauchy prior (Gelman, Bayesian Analysis 2006, 1:515-534) whose scale is what images explain.

    Args:
        scores: float [m, seeds], NaN where a cell is missing.
        draws: The same in resamples of the test images or groups, the same resamples for all, float [m, seeds, draws]
            (`tlmed.contests.draw_means`).
        units: How many images, or groups, are drawn from, 2 or more.
        step: By how much one image, or group, can move a score, such as 1 / units for the accuracy. Each score then
            has at least an error of a fifth of such a step, so that two that no image tells apart are not taken for
            exactly equal, nor few errors for none.

    Raises:
        InputError: If the arrays are of another form, or there are fewer than two units.

    >>> draws = np.array([[[0.7, 0.8, 0.9]], [[0.7, 0.8, 0.9]]])
    >>> errors = measure_split(np.array([[0.8], [0.8]]), draws, 101)
    >>> errors.covariance.round(4).tolist(), round(errors.freedom)
    ([[0.0101, 0.0101], [0.0101, 0.0101]], 100)
    """
    scores, draws = read_split(scores, draws, units)
    images, shares, seeds = _divide_errors(scores, draws, units, step)
    return _add_seeds(images, shares, seeds) if seeds else images


def _add_seeds(images, shares, seeds) -> ScoreErrors:
    """Return the errors of images and seeds together: their mean precision, and how well this is known."""
    by_images, seen = seeds.by_images, max(0.0, seeds.variance + seeds.by_images)
    scale = by_images or seen
    if not scale:
        return images
    points = (np.arange(_POINTS) + 0.5) / _POINTS
    variances = scale * np.tan(math.pi / 2 * points) ** 2
    logs = -0.5 * seeds.freedom * (np.log(by_images + variances) + seen / (by_images + variances))
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    size, share = _size(images.covariance), _size(np.diag(shares))
    precisions = 1 / (size + variances * share)
    mean = float(weights @ precisions)
    # The precision is taken as chi-squared, which has the relative variance 2 / freedom.
    unsure = float(weights @ (precisions / mean - 1) ** 2) + 2 * (size * mean) ** 2 / images.freedom
    variance = max(0.0, 1 / mean - size) / share
    return ScoreErrors(images.covariance + np.diag(variance * shares), 2 / unsure)


@dataclass(frozen=True)
class _Seeds:
    """The variance over seeds beyond what images give, before it is cut at zero; what they give; degrees of freedom."""

    variance: float
    by_images: float
    freedom: int


def measure_parts(
    scores: np.ndarray, draws: np.ndarray, units: int, step: float = 0.0
) -> tuple[ScoreErrors, ScoreErrors | None]:
    """Return the errors of the sample of test images, and those of seeds; arguments as of `measure_split`, as arrays.

    The second is None if no configuration has two seeds.
    """
    images, shares, seeds = _divide_errors(scores, draws, units, step)
    return images, ScoreErrors(np.diag(max(0.0, seeds.variance) * shares), seeds.freedom) if seeds else None


def _divide_errors(scores, draws, units, step) -> tuple[ScoreErrors, np.ndarray, _Seeds | None]:
    """Return the errors by images, by what the variance of seeds is multiplied in each mean, [m], and that variance."""
    split = [split_draws(own, there, units) for own, there in zip(draws, scores, strict=True)]
    covariance = np.atleast_2d(np.cov(np.stack([means for means, _ in split]))) * _correct(units)
    images = ScoreErrors(covariance + np.eye(len(scores)) * step**2 / 25, units - 1)
    own, counts = np.diag(images.covariance), (~np.isnan(scores)).sum(1)
    shares = (own / own.mean() if own.any() else np.ones(len(own))) / counts
    parts = [measure_seeds(row, by_images) for row, (_, by_images) in zip(scores, split, strict=True)]
    freedom = sum(part.freedom for part in parts if part)
    if not freedom:
        return images, shares, None
    # Before any is cut at zero: the mean of numbers that were cut would be too large.
    variance = sum(part.variance * part.freedom for part in parts if part) / freedom
    by_images = sum(by * part.freedom for part, (_, by) in zip(parts, split, strict=True) if part) / freedom
    return images, shares, _Seeds(variance, by_images, freedom)


def measure_seeds(scores: np.ndarray, by_images: float) -> Spread | None:
    """Return the variance of one score over seeds beyond what images give it; below zero by chance, None of one seed.

    Args:
        scores: float [seeds], NaN where a cell is missing.
        by_images: The variance that images give to the differences of seeds (`split_draws`).

    >>> round(measure_seeds(np.array([0.7, 0.9]), 0.005).variance, 4)
    0.015
    """
    values = scores[~np.isnan(scores)]
    n = len(values)
    return Spread(float(values.var(ddof=1)) - by_images, n - 1, 0.0, n) if n > 1 else None


def split_draws(draws: np.ndarray, scores: np.ndarray, units: int) -> tuple[np.ndarray, float]:
    """Return the mean over seeds in each resample, and the variance of the differences of seeds over resamples.

    Args:
        draws: float [seeds, draws].
        scores: float [seeds], NaN where a cell is missing.
        units: How many images, or groups, are drawn from.
    """
    there = draws[~np.isnan(scores)]
    means = there.mean(0)
    if len(there) < 2:
        return means, 0.0
    return means, float((there - means).var(axis=1, ddof=1).sum()) / (len(there) - 1) * _correct(units)


def _correct(units) -> float:
    """Return by what variances of resamples are too small, because they are drawn around their own mean."""
    return units / (units - 1)


def read_split(scores: np.ndarray, draws: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores [m, seeds] and their resamples [m, seeds, draws] as arrays.

    Raises:
        InputError: With all faults.
    """
    scores, draws, faults = np.asarray(scores, float), np.asarray(draws, float), []
    if scores.ndim != 2 or not scores.size or np.isnan(scores).all(1).any() or np.isinf(scores).any():
        faults.append(f"`scores` must be [m, seeds], each with a finite one. Received: {scores.tolist()}.")
    if draws.ndim != 3 or draws.shape[:2] != scores.shape or draws.shape[2] < 2:
        rule = "`draws` must be [m, seeds, draws], two draws or more, for scores [m, seeds]."
        faults.append(f"{rule} Received: shapes {draws.shape} and {scores.shape}.")
    elif not np.isfinite(draws[~np.isnan(scores)]).all():
        faults.append("`draws` must be finite where there is a score. Received: NaN or infinite draws.")
    if units < 2:
        faults.append(f"`units` must be 2 or more. Received: units={units}.")
    if faults:
        raise InputError(faults)
    return scores, draws


def draw_means(
    values: np.ndarray, groups: Sequence[str] | None = None, draws: int = 1000, seed: int = 0
) -> tuple[np.ndarray, int]:
    """Return means over images, such as the accuracy, in resamples of images or groups, and how many these are.

    Args:
        values: A number for each image, float [m, seeds, n].
        groups: Who each image belongs to, text or numbers [n]; an empty name stands for an image on its own.
        draws: How many.
        seed: Decides them.

    Returns:
        float [m, seeds, draws], with the same resamples for all, and the number of images or groups.

    Raises:
        InputError: If the arrays do not fit.

    >>> found, units = draw_means(np.ones((2, 3, 50)), draws=10)
    >>> found.shape, units, float(found.min())
    ((2, 3, 10), 50, 1.0)
    """
    values = np.asarray(values, float)
    if values.ndim != 3 or not values.size:
        raise InputError(f"`values` must be [m, seeds, n]. Received: shape={values.shape}.")
    owners = find_clusters(name_groups(groups, values.shape[2]))
    members = np.arange(values.shape[2]) if owners is None else owners
    found = [values @ weights / weights.sum(0) for weights in draw_weights(members, draws, seed, "test")]
    return np.concatenate(found, axis=2), int(members.max()) + 1


def measure_folds(scores: np.ndarray, test_share: float, top: float = math.inf) -> ScoreErrors:
    """Return the errors of means over folds and seeds, from what folds and configurations leave.

    What makes a fold easy or hard for all cancels in differences. The rest, pooled over configurations because a few
    folds say little of each, is the variance of a fold's mean over seeds; that of the mean over n folds is larger by
    1 / n + test / training images, as in the corrected resampled t test (Nadeau & Bengio, Machine Learning 2003,
    52:239-281). What seeds vary within folds has nothing in common from fold to fold, and so counts 1 / n only.

    Near the highest possible score, errors shrink. If `top` is given, variances are proportional to what a
    configuration misses, as those of counts are, and it is their ratio that is pooled.

    Args:
        scores: float [m, folds, seeds], m and folds of 2 or more; NaN where a cell is missing, but each configuration
            must have a seed in each fold.
        test_share: Test images divided by training images.
        top: The highest possible score, such as 1 for AUC and accuracy; infinite if there is none.

    Raises:
        InputError: If a fold has no score, there are too few, or one is above the highest.

    >>> scores = np.array([[[0.7], [0.9]], [[0.8], [0.8]]])
    >>> measure_folds(scores, test_share=1.0).covariance.round(3).tolist()
    [[0.015, 0.0], [0.0, 0.015]]
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 3 or min(scores.shape[:2]) < 2 or np.isnan(scores).all(2).any() or not test_share > 0:
        rule = "`scores` must be [m, folds, seeds], two or more of the first two, a score in each fold, and the share "
        raise InputError(f"{rule}above 0. Received: shape={scores.shape}, test_share={test_share}.")
    if np.nanmax(scores) > top:
        raise InputError(f"`scores` must be {top:g} or less. Received: {np.nanmax(scores):g}.")
    missed = top - np.nanmean(scores, axis=2).mean(1) if math.isfinite(top) else np.ones(len(scores))
    # A perfect one has nothing to be divided.
    scores = scores / np.sqrt(np.where(missed > 0, missed, 1.0))[:, None, None]
    means = np.nanmean(scores, axis=2)
    m, folds = means.shape
    rest = means - means.mean(1, keepdims=True) - means.mean(0) + means.mean()
    freedom, counts = (m - 1) * (folds - 1), (~np.isnan(scores)).sum(2)
    size = float((rest**2).sum()) / freedom
    within = float(np.nansum((scores - means[..., None]) ** 2)) / max(1, int((counts - 1).sum()))
    alone = min(size, within * float((1 / counts).mean()))
    ratio = size / folds + (size - alone) * test_share
    if math.isfinite(top):
        # Folds do not tell that errors shrink even more among the last mistakes, as `stabilise` takes them to do.
        missed = missed + (1 - MORE_ERROR) * ratio
    return ScoreErrors(np.diag(missed) * ratio, freedom)


def add_errors(parts: Sequence[ScoreErrors]) -> ScoreErrors:
    """Return the sum of errors that are independent of each other, with the degrees of freedom of the sum.

    >>> both = add_errors([ScoreErrors(np.eye(2), 4), ScoreErrors(np.eye(2), 4)])
    >>> both.covariance.tolist(), both.freedom
    ([[2.0, 0.0], [0.0, 2.0]], 8.0)
    """
    # What all have in common cancels in differences, which are all that counts where there are several.
    sizes = [Spread(_size(part.covariance), part.freedom, 0.0, 0) for part in parts]
    freedom = add_spreads(sizes).freedom
    freedom = min(part.freedom for part in parts) if math.isnan(freedom) else freedom  # no difference has an error
    return ScoreErrors(sum(part.covariance for part in parts), freedom)


def _size(covariance) -> float:
    m = len(covariance)
    return float(np.trace(covariance)) - (float(covariance.sum()) / m if m > 1 else 0.0)


def add_spreads(parts: Sequence[Spread]) -> Spread:
    """Return the sum of variances, with its degrees of freedom (Satterthwaite, Biometrics Bulletin 1946, 2:110-114)."""
    total = sum(part.variance for part in parts)
    below = sum(part.variance**2 / part.freedom for part in parts if part.variance > 0)
    freedom = total**2 / below if below else math.nan
    return Spread(total, freedom, 0.0, sum(part.units for part in parts), any(part.grouped for part in parts))
