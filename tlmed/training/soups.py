"""Average the weights of a phase's best epochs, as far as validation is no worse for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

PLACES = 3  # of the best epochs, with `average="top3"`


@dataclass(frozen=True)
class Soup:
    """The weights that a phase ends with.

    Attributes:
        epochs: The epochs whose mean they are, from 0; the best one first.
        score: Their score.
    """

    epochs: tuple[int, ...]
    score: float


def cook(
    model: keras.Model,
    ranked: Sequence[tuple[int, list[np.ndarray]]],
    score: Callable[[], tuple[float, float]],
    settle: Callable[[], None] | None = None,
) -> Soup:
    """Give a network the mean of the weights of some epochs: the greedy soup of Wortsman et al. 2022, recipe 1.

    One epoch after the other, by rank, is added to the mean if the score is then no worse.

    Args:
        model: The network.
        ranked: The number and the weights of each epoch, the best first.
        score: Scores the network by its current weights: the higher the better, then the loss.
        settle: Estimates statistics of BatchNorm again, where these belong to the weights of each step; they are
            estimated for each mean before it is scored.

    Returns:
        What was averaged; the best epoch alone if nothing was.
    """
    (first, weights), *others = ranked
    model.set_weights(weights)
    kept, parts, best = (first,), [weights], score()
    for number, more in others:
        model.set_weights([_average(values) for values in zip(*parts, more, strict=True)])
        if settle is not None:
            settle()
        found = score()
        if (found[0], -found[1]) >= (best[0], -best[1]):
            kept, parts, best, weights = (*kept, number), [*parts, more], found, model.get_weights()
    model.set_weights(weights)
    return Soup(kept, best[0])


def _average(values: Sequence[np.ndarray]) -> np.ndarray:
    # In float64, so that the mean of equal numbers is that number: frozen weights keep their bits.
    return np.mean(np.stack(values).astype("float64"), axis=0).astype(values[0].dtype)
