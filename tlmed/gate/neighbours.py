"""The nearest neighbours of every image in feature space, exactly, in blocks of bounded memory."""

import numpy as np

_ROOM = 32 * 2**20  # distances in memory at a time


def find_neighbours(features: np.ndarray, many: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances to the nearest other images, the nearest first, and which these are; [n, many] each.

    Args:
        features: float [n, d].
        many: From 1 to n - 1.
        among: The rows that may be neighbours; None: all. An image is never its own neighbour.

    >>> distances, rows = find_neighbours(np.array([[0.0], [1.0], [3.0]]), 1)
    >>> distances.ravel().tolist(), rows.ravel().tolist()
    ([1.0, 1.0, 2.0], [1, 0, 1])
    """
    features = np.asarray(features - features.mean(0), np.float32)
    among = np.arange(len(features)) if among is None else np.asarray(among)
    known, squares = features[among], np.square(features).sum(1)
    place = np.full(len(features), -1)
    place[among] = np.arange(len(among))
    distances = np.empty((len(features), many), np.float32)
    rows = np.empty((len(features), many), np.int64)
    step = max(1, _ROOM // len(known))
    for start in range(0, len(features), step):
        here = np.arange(start, min(start + step, len(features)))
        # |a - b|² without |a|², which does not change the order
        table = features[here] @ (-2 * known.T)
        table += squares[among]
        own = place[here]
        table[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf
        nearest = np.argpartition(table, many - 1, axis=1)[:, :many]
        # Exact differences for the few that are kept: the expansion loses digits between near-copies.
        exact = np.linalg.norm(features[here][:, None] - known[nearest], axis=2)
        order = np.argsort(exact, axis=1, kind="stable")
        distances[here] = np.take_along_axis(exact, order, 1)
        rows[here] = among[np.take_along_axis(nearest, order, 1)]
    return distances, rows
