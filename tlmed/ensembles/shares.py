"""The shares of networks that answer together, fitted to validation images."""

import numpy as np
from scipy.optimize import nnls

from tlmed.label_texts import UNKNOWN
from tlmed.label_vectors import are_vectors


def fit_shares(scores: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Return the shares whose weighted mean comes nearest to the true classes, in squares.

    Non-negative least squares of the scores of all classes, then divided by their sum (Breiman, Stacked regressions,
    Machine Learning 1996, 24:49-64; van der Laan, Polley & Hubbard, Super learner, 2007). Without negative shares the
    mean of probabilities stays one, and of networks that are alike some get nothing.

    Args:
        scores: Of m networks, float [m, n, k].
        labels: True classes, int [n]; or vectors of labels [n, k], of which those that are not known count nothing.

    Returns:
        float [m], 0 or more, with the sum 1; None where no network gives a true class any probability.

    >>> right, wrong = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> fit_shares(np.stack([wrong, right]), np.array([0, 1])).tolist()
    [0.0, 1.0]
    """
    several = are_vectors(labels)
    truth = labels if several else np.eye(scores.shape[2])[labels]
    known = labels != UNKNOWN if several else np.ones(truth.shape, bool)
    shares = nnls(scores[:, known].T, truth[known].astype(float))[0]
    return shares / shares.sum() if shares.sum() > 0 else None
