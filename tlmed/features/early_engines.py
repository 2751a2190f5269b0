"""Prepare the engine of frozen blocks in a thread while images are read, if the store lacks their features."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import keras

from tlmed.cache import Store, cache_folder, limit_features
from tlmed.errors import InputError
from tlmed.features.engines import CannotConvert, Engine, choose_engine, make_engine
from tlmed.features.kept import Means
from tlmed.features.keys import address, describe


@dataclass(frozen=True, eq=False)
class EarlyEngine:
    """An engine that a thread prepares, until it is taken: afterwards its memory is that of who took it.

    Attributes:
        found: Holds what will be the address of the features that the engine computes, and the engine; or None.
    """

    found: list[Future[tuple[str, Engine] | None]]

    def take(self, key: str) -> Engine | None:
        """Return the engine, once it is ready, if it computes the features of an address; None the second time."""
        held = self.found.pop().result() if self.found else None
        return held[1] if held is not None and held[0] == key else None


@contextlib.contextmanager
def preparing(network: keras.Model, means: Means) -> Iterator[EarlyEngine]:
    """Prepare an engine in a thread while the block runs, and wait for it at the end of the block.

    Converting holds Python's lock about half of the time, and uses one core: decoding images fills the rest. Where the
    store has features of the network already, of whichever images, nothing is prepared.

    Args:
        network: From raw images to features, with the weights that it will have when features are computed: those of
            an engine that was prepared with others are not taken.
        means: How features are computed and kept.
    """
    with ThreadPoolExecutor(1) as pool:
        yield EarlyEngine([pool.submit(_prepare, network, means)])


def _prepare(network, means) -> tuple[str, Engine] | None:
    try:
        engine = make_engine(choose_engine(means.engine, means.precision), network, means.batch_size, means.precision)
        key = address(describe(network, engine, means.dtype))
        if Store(cache_folder(), limit_features()).holds(key):
            return None
        engine.prepare()
    except (CannotConvert, InputError):  # who needs the engine finds the same, and says so
        return None
    return key, engine
