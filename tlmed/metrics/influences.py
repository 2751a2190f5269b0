"""How much each image moves a metric, to first order; the variance of the metric follows in one pass.

The influence of an image is the derivative of the metric by the image's weight (Hampel, J. Amer. Statist. Assoc. 1974,
69:383-393; Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6). Summed over all images it
is zero. The sum of its squares is the variance that a bootstrap of many draws would find, at the cost of one draw.
"""

from collections.abc import Callable

import numpy as np

from tlmed.metrics.areas import place
from tlmed.metrics.definitions import Case

OF_CLASS = {"balanced_accuracy": "sensitivity"}  # metrics that are the mean over classes of another one


def influence_of_class(case: Case, own: int, name: str) -> np.ndarray:
    """Return the influences on a metric of one class against the rest, float [n].

    Args:
        case: The predictions; the metric must be defined for the class.
        own: The class.
        name: One of `CLASS_METRICS`.

    >>> from tlmed.metrics.definitions import make_case
    >>> case = make_case(np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]], np.array([0, 1, 0]), main=1)
    >>> influence_of_class(case, 1, "sensitivity").tolist()
    [-0.0, 0.25, -0.25]
    """
    truth, guess = case.labels == own, case.predictions == own
    if name in _RANKINGS:
        return _RANKINGS[name](truth, case.scores[:, own])
    # Each metric is a ratio of two sums over images, hits and trials. For F1, an image that is of the class and is
    # predicted as it counts twice in both.
    among, right = {
        "sensitivity": (truth, guess),
        "specificity": (~truth, ~guess),
        "ppv": (guess, truth),
        "npv": (~guess, ~truth),
        "f1": (truth.astype(float) + guess, 2.0 * (truth & guess)),
    }[name]
    hits, trials = (right.sum() if name == "f1" else (among & right).sum()), among.sum()
    surplus = right - hits / trials * among if name == "f1" else among * (right - hits / trials)
    return surplus / trials


def influence_of_all(case: Case, name: str) -> np.ndarray:
    """Return the influences on a metric of all classes together, or on the mean of one over classes, float [n].

    Args:
        case: The predictions; the metric must be defined.
        name: One of `METRICS` but `ece`, which is no smooth function of the images.

    >>> from tlmed.metrics.definitions import make_case
    >>> case = make_case(np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]], np.array([0, 1, 0]), main=1)
    >>> influence_of_all(case, "accuracy").round(3).tolist()
    [0.111, 0.111, -0.222]
    """
    if name in _TOGETHER:
        return _TOGETHER[name](case)
    part = OF_CLASS.get(name, name)
    both = name in OF_CLASS or case.main is None
    rows = np.unique(case.labels).tolist() if both else [case.main]
    return sum(influence_of_class(case, own, part) for own in rows) / len(rows)


def _move_area(truth, scores) -> np.ndarray:
    placements = place(truth, scores)
    return (placements - placements[truth].mean()) / np.where(truth, truth.sum(), (~truth).sum())


def _move_precision(truth, scores) -> np.ndarray:
    """Return the influences on average precision: each image moves the precision at all of the class below it."""
    _, ranks = np.unique(-scores, return_inverse=True)
    mine, all_of = (np.bincount(ranks, weights=weights, minlength=ranks.max() + 1) for weights in (truth, None))
    true, reached = np.cumsum(mine), np.cumsum(all_of)
    precision = true / reached
    gain, loss = (
        np.cumsum((mine * part / reached)[::-1])[::-1][ranks] for part in (1 - precision, precision)
    )  # sums over the images of the class that rank as high or lower
    average = (mine * precision).sum() / true[-1]
    return np.where(truth, precision[ranks] - average + gain, -loss) / true[-1]


def leave_out(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return by how much each image raises average precision: its value less that without the image, float [n].

    All at once, from cumulative sums. The values are centred, as influences are.

    Args:
        truth: Whether each image is of the class, bool [n]; two or more must be.
        scores: Higher means more likely of the class, float [n].

    >>> leave_out(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])).round(3).tolist()
    [0.333, -0.167, -0.167, 0.0]
    """
    _, ranks = np.unique(-scores, return_inverse=True)
    mine, all_of = (np.bincount(ranks, weights=weights, minlength=ranks.max() + 1) for weights in (truth, None))
    true, reached, total = np.cumsum(mine), np.cumsum(all_of), truth.sum()
    fewer = np.maximum(reached - 1, 1)  # 1 avoids 0 / 0 where no other image ranks as high
    # Without an image, those ranked above it keep their precision. Those as high or lower count one image fewer: one of
    # the class (`below_hit`), or another (`below_miss`). `own` is the term of the image itself, which goes, too.
    above = np.r_[0, np.cumsum(mine * true / reached)]
    below_hit, below_miss = (np.cumsum((mine * part / fewer)[::-1])[::-1] for part in (true - 1, true))
    own = ((true - 1) / fewer)[ranks]
    without = np.where(
        truth, (above[ranks] + below_hit[ranks] - own) / (total - 1), (above[ranks] + below_miss[ranks]) / total
    )
    raised = above[-1] / total - without
    return raised - raised.mean()


def _move_mean(values) -> np.ndarray:
    return (values - values.mean()) / len(values)


def _shares(case):
    """Return the share of each class among labels and among predictions, and that of right predictions."""
    mine, guessed = (
        np.bincount(of, minlength=case.classes) / len(case.labels) for of in (case.labels, case.predictions)
    )
    return mine, guessed, (case.labels == case.predictions).mean()


def _move_agreement(case, mine, guessed) -> np.ndarray:
    """Return the influences on the agreement expected by chance, times n."""
    return guessed[case.labels] + mine[case.predictions] - 2 * (mine * guessed).sum()


def _move_kappa(case) -> np.ndarray:
    mine, guessed, right = _shares(case)
    # kappa = (right - expected) / (1 - expected); the influence is its derivative by `right` and `expected`.
    rest = 1 - (mine * guessed).sum()
    moved = _move_agreement(case, mine, guessed)
    return (((case.labels == case.predictions) - right) / rest - (1 - right) / rest**2 * moved) / len(case.labels)


def _move_correlation(case) -> np.ndarray:
    mine, guessed, right = _shares(case)
    # mcc = (right - expected) / sqrt(spread of labels * spread of predictions); the influence is its derivative.
    spreads = [1 - (shares**2).sum() for shares in (mine, guessed)]
    scale = np.sqrt(spreads[0] * spreads[1])
    value = (right - (mine * guessed).sum()) / scale
    moved = (case.labels == case.predictions) - right - _move_agreement(case, mine, guessed)
    turns = [
        -2 * (shares[of] - (shares**2).sum()) / spread
        for shares, of, spread in zip((mine, guessed), (case.labels, case.predictions), spreads, strict=True)
    ]
    return (moved / scale - value * (turns[0] + turns[1]) / 2) / len(case.labels)


def _move_quadratic_kappa(case) -> np.ndarray:
    truth, guess = case.labels.astype(float), case.predictions.astype(float)
    # kappa = 1 - mean squared distance / that expected by chance.
    apart = (truth - guess) ** 2
    expected = (truth**2).mean() + (guess**2).mean() - 2 * truth.mean() * guess.mean()
    moved = (
        truth**2 + guess**2 - (truth**2).mean() - (guess**2).mean()
        - 2 * ((truth - truth.mean()) * guess.mean() + (guess - guess.mean()) * truth.mean())
    )  # fmt: skip
    return -((apart - apart.mean()) / expected - apart.mean() / expected**2 * moved) / len(truth)


_RANKINGS: dict[str, Callable] = {"auc": _move_area, "average_precision": _move_precision}
_TOGETHER: dict[str, Callable] = {
    "accuracy": lambda case: _move_mean(case.labels == case.predictions),
    "log_loss": lambda case: _move_mean(case.losses[0]),
    "brier": lambda case: _move_mean(case.losses[1]),
    "kappa": _move_kappa,
    "quadratic_kappa": _move_quadratic_kappa,
    "mcc": _move_correlation,
}
