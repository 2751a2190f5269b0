"""Give what draws random numbers in a network a stream of its own for each phase and each replica."""

import tlmed.tensorflow_start

from collections.abc import Iterable

import keras
import numpy as np

from tlmed.frozen import leaves
from tlmed.replicas import assign_each, replicas
from tlmed.seeds import derive


def reseed(layers: Iterable[keras.layers.Layer], seed: int, phase: str) -> None:
    """Begin the streams of dropout, augmentation and the like anew.

    Args:
        layers: Those that may draw.
        seed: The run's.
        phase: The name of the phase that begins.
    """
    for i, generator in seed_generators(layers):
        # A stream for each replica: with one for all, dropout would be the same on every replica.
        streams = [("layer", phase, i, *((number,) if number else ())) for number in range(replicas())]
        states = np.array([(derive(seed, *stream), 0) for stream in streams])  # Keras keeps a seed and a counter
        assign_each([generator.state], [states.astype(generator.state.dtype)])


def seed_generators(layers: Iterable[keras.layers.Layer]) -> list[tuple[int, keras.random.SeedGenerator]]:
    """Return what draws random numbers in some layers, each with its layer's number among the leaves.

    After them come those that a user's layer keeps under other names, or beside layers of its own.
    """
    layers, found = list(layers), []
    parts = leaves(layers)
    for i, layer in enumerate(parts):
        # Dropout calls it `seed_generator`, the augmentation layers `generator`.
        generator = getattr(layer, "seed_generator", None) or getattr(layer, "generator", None)
        if isinstance(generator, keras.random.SeedGenerator):
            found.append((i, generator))
    known = {id(generator) for _, generator in found}
    every = [generator for layer in layers for part in layer._flatten_layers() for generator in part._seed_generators]
    others = {id(generator): generator for generator in every if id(generator) not in known}
    return found + list(enumerate(others.values(), len(parts)))
