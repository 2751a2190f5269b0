"""The Pareto front: configurations that no other one beats in score and in all costs."""

import numpy as np

from tlmed.errors import InputError


def find_front(scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Return which configurations are on the front: no other is as good in all and better in one.

    Args:
        scores: float [m], higher is better.
        costs: float [m] or [m, kinds], such as seconds and parameters, lower is better.

    Returns:
        bool [m]. Configurations that are equal in all are on the front together.

    Raises:
        InputError: If the arrays are not of one length, or a number is NaN.

    >>> find_front(np.array([0.9, 0.8, 0.7, 0.8]), np.array([100, 10, 50, 20])).tolist()
    [True, True, False, False]
    """
    scores, costs = np.asarray(scores, float), np.asarray(costs, float)
    if scores.ndim != 1 or costs.ndim not in (1, 2) or len(costs) != len(scores):
        shapes = f"{scores.shape} and {costs.shape}"
        raise InputError(f"`scores` must be [m], and `costs` [m] or [m, kinds]. Received: shapes {shapes}.")
    if np.isnan(scores).any() or np.isnan(costs).any():
        raise InputError("`scores` and `costs` must be numbers. Received: NaN.")
    ways = np.column_stack([-scores, costs])
    no_worse = (ways[:, None] <= ways).all(2)
    return ~(no_worse & (ways[:, None] < ways).any(2)).any(0)
