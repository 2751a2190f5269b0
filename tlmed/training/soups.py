"""Give a network the mean of the weights of some epochs, or of all steps, if validation is no worse for it."""

from collections.abc import Callable, Mapping, Sequence
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
        found = _try(model, [_average(values) for values in zip(*parts, more, strict=True)], score, settle)
        if _is_no_worse(found, best):
            kept, parts, best, weights = (*kept, number), [*parts, more], found, model.get_weights()
    model.set_weights(weights)
    return Soup(kept, best[0])


def choose_average(
    model: keras.Model,
    weights: list[np.ndarray],
    averages: Mapping[int, list[np.ndarray]],
    score: Callable[[], tuple[float, float]],
    settle: Callable[[], None] | None = None,
) -> int | None:
    """Give a network the best of some moving averages of its weights, if its score is no worse for it.

    Args:
        model: The network.
        weights: Those of its best epoch.
        averages: The moving averages, by the epoch after which they were taken; of equal ones the last is taken.
        score: As of `cook`.
        settle: As of `cook`.

    Returns:
        The epoch of the average that the network has; None if it has `weights`.
    """
    model.set_weights(weights)
    chosen, best = None, score()
    for epoch, average in averages.items():
        found = _try(model, average, score, settle)
        if _is_no_worse(found, best):
            chosen, best, weights = epoch, found, model.get_weights()
    model.set_weights(weights)
    return chosen


def _try(model, weights, score, settle) -> tuple[float, float]:
    model.set_weights(weights)
    if settle is not None:
        settle()
    return score()


def _is_no_worse(found, best) -> bool:
    return (found[0], -found[1]) >= (best[0], -best[1])


def _average(values: Sequence[np.ndarray]) -> np.ndarray:
    # In float64, so that the mean of equal numbers is that number: frozen weights keep their bits.
    return np.mean(np.stack(values).astype("float64"), axis=0).astype(values[0].dtype)
