"""In which order an epoch visits training images: all of them once, or as many of each class."""

from collections.abc import Sequence

import numpy as np

from tlmed.seeds import derive


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch visits its images.

    Args:
        n: The number of images.
        seed: The run's seed.
        epoch: The epoch, 0 or more.

    Returns:
        int64 [n], a permutation that depends on nothing else.

    >>> epoch_order(4, seed=0, epoch=0).tolist() == epoch_order(4, seed=0, epoch=0).tolist()
    True
    """
    return np.random.RandomState(derive(seed, "order", epoch)).permutation(n)


def balanced_order(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Return what an epoch visits, and in which order, if all classes shall come equally often.

    An epoch has as many draws as there are images. They are divided evenly among the classes: where that leaves a rest,
    classes differ by one, and take turns. Of a class, no image is drawn again before all others were, across epochs
    too; so images of a frequent class take turns, and those of a rare one come several times in an epoch.

    Args:
        labels: The class of every image, int [n].
        seed: The run's seed.
        epoch: The epoch, 0 or more.

    Returns:
        int64 [n], positions in `labels`; it depends on nothing else.

    >>> labels = np.array([0, 0, 0, 0, 0, 1])
    >>> np.bincount(labels[balanced_order(labels, seed=0, epoch=0)]).tolist()
    [3, 3]
    >>> drawn = np.concatenate([balanced_order(labels, 0, epoch) for epoch in range(5)])
    >>> np.bincount(drawn).tolist()
    [3, 3, 3, 3, 3, 15]
    """
    classes, n = np.unique(labels), len(labels)
    drawn = []
    for place, label in enumerate(classes):
        # Summed over the classes, these differences are n (Hermite's identity).
        start, stop = (((epoch + i) * n + place) // len(classes) for i in (0, 1))
        members = np.flatnonzero(labels == label)
        drawn.append(members[_take_turns(len(members), (start, stop), derive(seed, "balanced", int(label)))])
    return np.concatenate(drawn)[epoch_order(n, seed, epoch)]


def _take_turns(n: int, piece: tuple[int, int], seed: int) -> np.ndarray:
    """Return a piece of an endless row of rounds; each round holds 0 to n - 1 once, in an order of its own.

    The order of rounds that lie in the piece as a whole does not matter, because the piece is shuffled.
    """
    start, stop = piece
    first, last = start // n, (stop - 1) // n
    rounds = [
        np.random.RandomState(derive(seed, i)).permutation(n) if i in (first, last) else np.arange(n)
        for i in range(first, last + 1)
    ]
    return np.concatenate(rounds)[start - first * n : stop - first * n]


def describe_sampling(sampling: str, labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Say how often balanced sampling draws an image of each class in an epoch; nothing without it.

    Args:
        sampling: As in a recipe.
        labels: The class of every training image, int [n].
        classes: The names of the classes.

    >>> describe_sampling("balanced", np.array([0, 0, 0, 0, 0, 1]), ("healthy", "ill"))
    ['Balanced sampling: 6 draws in each epoch, so that an image comes 0.6 times (healthy), 3 times (ill) on average']
    """
    if sampling != "balanced":
        return []
    counts = np.bincount(labels)
    found = np.flatnonzero(counts)
    times = ", ".join(f"{len(labels) / len(found) / counts[i]:.2g} times ({classes[i]})" for i in found)
    return [f"Balanced sampling: {len(labels):,} draws in each epoch, so that an image comes {times} on average"]
