"""The probability that the best of many configurations is not truly the best, and how large its true lead is."""

import math
from dataclasses import dataclass

import numpy as np

from tlmed.contests.score_errors import ScoreErrors
from tlmed.contests.stable_scales import stabilise
from tlmed.contests.true_scores import draw_true_scores
from tlmed.errors import InputError

# Who is further behind the best, in standard errors of the difference, has no chance, and says nothing of how far
# those apart are who have one.
REACH = 5.0
_LEAST = 1e-12  # of the largest error, or score: less is taken for rounding


@dataclass(frozen=True)
class Lead:
    """What can be claimed of the configuration with the highest score.

    Attributes:
        best: Its place; the first of several with the same score.
        false: The probability that it is not truly the best.
        close: The probability that its true lead over the best other is less than the margin.
        lead: By how much it is truly ahead of the best other: the mean; negative if another is probably better.
        low: The lower end of the lead's 95 % interval.
        high: The upper end.
        chances: For each configuration, how probable it is that it is truly the best; they sum to 1.
        spread: The standard deviation of the true scores of those within reach: the posterior median.
        within_reach: How many have a chance to be the best, itself counted.
        tried: How many were compared.
        margin: The margin of `close`.
    """

    best: int
    false: float
    close: float
    lead: float
    low: float
    high: float
    chances: tuple[float, ...]
    spread: float
    within_reach: int
    tried: int
    margin: float


def judge_best(
    scores: np.ndarray,
    errors: ScoreErrors,
    margin: float = 0.0,
    seed: int = 0,
    draws: int = 20_000,
    top: float = math.inf,
) -> Lead:
    """Return how probable it is that the best of several configurations is not the best for other images and trainings.

    The highest of many scores is high by luck too, the more so the more were tried. Therefore the true scores are
    taken as draws from one normal distribution, of which neither mean nor spread is known (a hierarchical model: Gelman
    et al., Bayesian Data Analysis, 2013, chapter 5). If the scores vary hardly more than their errors, the posterior
    draws all towards each other, and whoever is first is so by luck. This is the selection-aware form of the question
    of Christodoulou et al. (False promises in medical imaging AI?, arXiv 2505.04720, 2025), who compute the
    probability for two methods, each with the same prior whatever the number of others was.

    The prior of the spread is a half-Cauchy distribution with one and a half times the scale of the errors (Gelman,
    Bayesian Analysis 2006, 1:515-534), integrated over on a grid, as is the scale of the errors, which is estimated
    too. Only those within five standard errors of the best count, and any of the lowest of these may be no part of the
    group that leads (`tlmed.contests.true_scores`). Otherwise one approach that fails makes the others look further
    apart than they are.

    Near the highest possible score, true scores crowd, and errors shrink. Therefore the roots of what is missed take
    the place of the scores if `top` is known (`tlmed.contests.stable_scales`).

    A probability is right in the long run over studies whose true spreads differ from study to study. If all studies
    had the same spread, or the best were many and equal, it would be off.

    Args:
        scores: The mean of each configuration over folds and seeds, float [m], 2 or more; higher is better.
        errors: Their covariance and its degrees of freedom (`tlmed.contests.measure_folds`, or
            `tlmed.contests.measure_split` where there are no folds).
        margin: How large a lead must be to matter, in the unit of the scores, 0 or more.
        seed: Decides the draws.
        draws: How many.
        top: The highest possible score, such as 1 for AUC and accuracy; infinite if there is none.

    Raises:
        InputError: With all faults of the arguments; also if scores differ but the errors know of no difference.

    >>> errors = ScoreErrors(np.eye(10) * 0.01**2, 60)
    >>> surely = judge_best(np.append(0.9, np.linspace(0.70, 0.72, 9)), errors)
    >>> chance = judge_best(np.append(0.715, np.linspace(0.70, 0.71, 9)), errors)
    >>> surely.false < 0.001, 0.7 < chance.false < 0.9
    (True, True)
    """
    scores, covariance = np.asarray(scores, float), np.asarray(errors.covariance, float)
    _check_arguments(scores, covariance, errors.freedom, margin, draws)
    if scores.max() > top:
        raise InputError(f"`scores` must be {top:g} or less. Received: {scores.max():g}.")
    if np.sqrt(np.diag(covariance).max()) <= _LEAST * np.abs(scores).max():
        covariance = np.zeros_like(covariance)  # all did the same in every cell, up to rounding
    best = int(np.argmax(scores))
    _check_differences(scores, covariance, best)
    bounded = math.isfinite(top) and covariance.any()
    scale = stabilise(scores, covariance, top) if bounded else None
    values, spreads = (scale.values, scale.covariance) if scale else (scores, covariance)
    near = _find_reachable(values, spreads, best)
    far = len(scores) - len(near)
    drawn = draw_true_scores(values[near], spreads[np.ix_(near, near)], errors.freedom, draws, seed, far)
    chances = np.zeros(len(scores))
    first = drawn == drawn.max(1, keepdims=True)
    chances[near] = (first / first.sum(1, keepdims=True)).mean(0)  # of several that do the same, each as often
    drawn = scale.restore(drawn) if scale else drawn
    place = int(np.flatnonzero(near == best)[0])
    leads = drawn[:, place] - np.delete(drawn, place, axis=1).max(1)
    low, high = np.percentile(leads, [2.5, 97.5]).tolist()
    return Lead(
        best,
        1 - float(chances[best]),
        float((leads < margin).mean()) if margin else 1 - float(chances[best]),
        float(leads.mean()),
        low,
        high,
        tuple(chances.tolist()),
        float(np.median(drawn.std(axis=1, ddof=1))),
        len(near),
        len(scores),
        margin,
    )


def _find_reachable(scores, covariance, best) -> np.ndarray:
    """Return the places of those that may be better than the best, itself among them, and of one other at least."""
    keep = scores[best] - scores <= REACH * np.sqrt(_measure_differences(covariance, best))
    keep[np.argsort(-scores, kind="stable")[:2]] = True
    return np.flatnonzero(keep)


def _measure_differences(covariance, best) -> np.ndarray:
    """Return the variance of the error of each score less that of the best, [m]."""
    own = np.diag(covariance)
    return np.maximum(own + own[best] - 2 * covariance[best], 0.0)


def _check_differences(scores, covariance, best) -> None:
    behind, least = scores[best] - scores, _LEAST * np.diag(covariance).max()
    if blind := np.flatnonzero(
        (behind > _LEAST * np.abs(scores).max()) & (_measure_differences(covariance, best) <= least)
    ).tolist():
        rule = "`errors` must know an error of each difference of two scores"
        raise InputError(f"{rule}. Received: none for {best} and {blind[0]}, which differ by {behind[blind[0]]:g}.")


def _check_arguments(scores, covariance, freedom, margin, draws) -> None:
    faults, m = [], len(scores) if scores.ndim else 0
    if scores.ndim != 1 or m < 2 or not np.isfinite(scores).all():
        faults.append(f"`scores` must be [m], two or more, finite. Received: {scores.tolist()}.")
    elif covariance.shape != (m, m) or not np.isfinite(covariance).all():
        faults.append(f"`errors.covariance` must be finite, [{m}, {m}]. Received: shape={covariance.shape}.")
    if not freedom > 0:
        faults.append(f"`errors.freedom` must be more than 0. Received: {freedom}.")
    if not 0 <= margin < math.inf:
        faults.append(f"`margin` must be 0 or more. Received: margin={margin}.")
    if draws < 1:
        faults.append(f"`draws` must be 1 or more. Received: draws={draws}.")
    if faults:
        raise InputError(faults)
