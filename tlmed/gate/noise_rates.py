"""How many labels are wrong: rates of wrong labels beside a logistic curve, fitted to scores from folds.

A classifier that is right about an image and a label that is wrong look like a classifier that is unsure: only images
with extreme scores tell them apart. Where a score says that an image surely has a label, the share of those that lack
it is the rate at which the label was lost. So a logistic curve with a floor and a ceiling is fitted (logistic
regression with mislabelled responses: Copas, Journal of the Royal Statistical Society B 1988, 50:225-265):

    P(labelled | score) = gained + (1 - gained - lost) * sigmoid(level + slope * score)

The curve also gives the probability that the label of an image is wrong. Where features tell little, the curve of the
classifier itself may be flat at both ends, as if labels were wrong: so a plain logistic curve, without wrong labels,
must explain the labels clearly worse before it is said that any is.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

DRAWS = 200  # resamples of owners, for the interval
_BINS = 256  # of scores; with as many, the fit takes no longer for more images
_LARGEST = 0.45  # rate: from 0.5 on, a label would mean its opposite
_ALIKE = 0.05  # standard deviation, before data, of the difference of both rates: few images cannot tell them apart
_STARTS = (0.02, 0.15)  # rates; the likelihood may have a maximum with steep curves and one with shallow ones
# Of the log-likelihood, in all and for each owner. Clean labels of weak features gained up to 2.5 with 120 images, 5.3
# with 780; 5 % wrong ones of good features 6.9 with 780.
_GAIN = (3.5, 0.0025)
_MOST = 0.5  # the sum of both rates: with more wrong labels, a classifier that knows little looks the same
_LEAST = 1e-12  # probability whose logarithm is taken
_BOUNDS = ((-30, 30), (-3, 4), (0, _LARGEST), (0, _LARGEST))  # of level, logarithm of slope, lost, gained
_PLAIN = (*_BOUNDS[:2], (0, 0), (0, 0))  # no label is wrong


@dataclass(frozen=True, eq=False)
class Noise:
    """How many labels are wrong.

    Attributes:
        wrong: float [n], the probability that the label of each image is wrong, mean over resamples.
        told: Whether a curve without wrong labels explains the labels clearly worse.
        lost: The share, among images that have a label, of those that are not labelled so.
        gained: The share, among images that lack it, of those that are labelled so.
        expected: float [1 + draws, 2], how many images are labelled wrongly: those that should have the label, and
            those that should not; for the images, then for each resample of owners.
    """

    wrong: np.ndarray
    told: bool
    lost: float
    gained: float
    expected: np.ndarray


def fit_noise(scores: np.ndarray, has: np.ndarray, owners: np.ndarray, seed: int, draws: int = DRAWS) -> Noise:
    """Return how many labels are wrong.

    Args:
        scores: float [n], logits from folds in which an image's owner was not trained on.
        has: bool [n], whether an image is labelled so; both kinds must occur.
        owners: int [n], from 0: images of one owner are resampled together.
        seed: Decides the resamples; the same ones for the same owners.
        draws: How many resamples.
    """
    scores = (scores - scores.mean()) / max(scores.std(), _LEAST)
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    bins = ranks * min(_BINS, len(scores)) // len(scores)
    centres = np.bincount(bins, scores) / np.bincount(bins)
    counts = _count(bins, has, owners, np.random.RandomState(seed), draws)
    starts = [_fit(centres, counts[:, :1], np.array([[0.0, 0.5, rate, rate]])) for rate in _STARTS]
    best, loss = min(starts, key=lambda found: found[1])
    plain = _fit(centres, counts[:, :1], np.array([[0.0, 0.5, 0.0, 0.0]]), _PLAIN)[1]
    people = owners.max() + 1
    told = bool((plain - loss) * people > _GAIN[0] + _GAIN[1] * people and best[0, 2:].sum() <= _MOST)
    # The resamples start inside of the bounds, on which a slope may be hard to see.
    inside = np.clip(best, (-30, -3, 0.005, 0.005), (30, 4, 0.4, 0.4))
    points = np.vstack([best, _fit(centres, counts[:, 1:], np.repeat(inside, draws, 0))[0]]) if draws else best
    level, slope, lost, gained = points.T[:, :, None]
    curves = expit(level + np.exp(slope) * centres)
    sizes = counts.sum(0)
    share = len(scores) / sizes.sum(1)
    expected = np.stack([(sizes * curves * lost).sum(1) * share, (sizes * (1 - curves) * gained).sum(1) * share], 1)
    wrong = sum(_judge(scores, has, point) for point in points) / len(points)
    return Noise(wrong, told, float(best[0, 2]), float(best[0, 3]), expected)


def _count(bins, has, owners, random, draws) -> np.ndarray:
    """Return how many images lack and have the label, [2, 1 + draws, bins], in all and in each resample."""
    people, size = owners.max() + 1, bins.max() + 1
    found = np.empty((2, 1 + draws, size))
    for draw in range(1 + draws):
        times = (
            np.bincount(random.randint(people, size=people), minlength=people)[owners] if draw else np.ones(len(bins))
        )
        labelled = np.bincount(bins, times * has, size)
        found[:, draw] = np.bincount(bins, times, size) - labelled, labelled
    return found


def _fit(centres, counts, starts, bounds=_BOUNDS) -> tuple[np.ndarray, float]:
    """Return the parameters of each draw, [draws, 4], and the sum of their losses: all draws are fitted at once."""
    absent, present = counts / counts.sum((0, 2))[:, None]
    images = counts.sum((0, 2))

    def measure(point):
        level, slope, lost, gained = point.reshape(-1, 4).T[:, :, None]
        slope = np.exp(slope)
        curve = expit(level + slope * centres)
        chance = np.clip(gained + (1 - gained - lost) * curve, _LEAST, 1 - _LEAST)
        apart = ((lost - gained) / _ALIKE**2)[:, 0] / images
        loss = -(present * np.log(chance) + absent * np.log1p(-chance)).sum()
        loss += (apart * (lost - gained)[:, 0]).sum() / 2
        pull = absent / (1 - chance) - present / chance
        bend = pull * (1 - gained - lost) * curve * (1 - curve)
        slopes = [bend.sum(1), (bend * centres).sum(1) * slope[:, 0]]
        slopes += [apart - (pull * curve).sum(1), (pull * (1 - curve)).sum(1) - apart]
        return loss, np.stack(slopes, 1).ravel()

    options = {"maxiter": 400, "gtol": 1e-6, "ftol": 0, "maxcor": 20, "maxfun": 800}
    found = minimize(measure, starts.ravel(), jac=True, method="L-BFGS-B", bounds=bounds * len(starts), options=options)
    return found.x.reshape(-1, 4), float(found.fun)


def _judge(scores, has, point) -> np.ndarray:
    """Return the probability that each label is wrong, by Bayes' rule."""
    level, slope, lost, gained = point
    curve = expit(level + np.exp(slope) * scores)
    false, true = np.where(has, gained * (1 - curve), lost * curve), np.where(has, (1 - lost) * curve, 0)
    true = np.where(has, true, (1 - gained) * (1 - curve))
    return false / np.maximum(false + true, 1e-300)
