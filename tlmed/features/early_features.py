"""Prepare the engine of frozen blocks in a thread while images are read, and run it over those that are decoded."""

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Lock

import keras
import numpy as np

from tlmed.cache import Store, StoreError, Turn, address, cache_folder, limit_features
from tlmed.errors import InputError
from tlmed.features.activations import PORTION, Ready
from tlmed.features.engines import Engine, choose_engine, make_engine
from tlmed.features.kept import Means
from tlmed.features.keys import describe
from tlmed.graph_runs import CannotConvert

MOST = PORTION  # images: a process that is killed loses a portion at most
_WAITING = 2**28  # bytes of pixels at most that wait for the engine
# Seconds. Conversion is Python for the most part. By default it keeps Python's lock for 5 ms each time, and threads
# that decode images wait for the lock several times for each image: one core would have nothing to do.
_SWITCH = 1e-4


@dataclass(frozen=True, eq=False)
class EarlyFeatures:
    """What a thread prepares and computes while images are read, until it is taken.

    Attributes:
        found: Holds what will be the address of the features, and what is ready for it; or None. Whoever takes it
            empties the list.
        decoded: Digests and pixels that wait for the engine; None at the end.
        ready: Whether the engine is prepared, or will not be.
        over: Whether no more images are computed.
        taken: Digests of the images that were put into `decoded`.
    """

    found: list[Future[tuple[str, Ready] | None]] = field(default_factory=list)
    decoded: SimpleQueue = field(default_factory=SimpleQueue)
    ready: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)
    taken: set[bytes] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def add(self, digest: bytes, pixels: np.ndarray) -> None:
        """Compute the features of an image soon, unless there are too many; threads may call it at the same time.

        Args:
            digest: The SHA-256 of its pixels.
            pixels: uint8 [height, width, 3], which nobody changes.
        """
        with self._lock:
            full = len(self.taken) >= MOST or self.decoded.qsize() * pixels.nbytes >= _WAITING
            if full or digest in self.taken or self.over.is_set():
                return
            self.taken.add(digest)
        self.decoded.put((digest, pixels))

    @property
    def is_busy(self) -> bool:
        """Whether features of images are computed, or will be."""
        return bool(self.found) and not self.found[0].done()

    def finish(self) -> None:
        """Wait until the features of all images that were added are computed; no more can be added."""
        self.decoded.put(None)
        wait(self.found)

    def take(self, key: str) -> Ready | None:
        """Return what is ready if it is for this address; None the second time.

        Raises:
            Whatever the engine raised.
        """
        held = self.found.pop().result() if self.found else None
        if held is not None and held[0] == key:
            return held[1]
        _end_turn(held)
        return None

    def give_up(self) -> None:
        """Let others compute the features if nobody has taken them."""
        if self.found and (done := self.found.pop()).exception() is None:
            _end_turn(done.result())


def _end_turn(held: tuple[str, Ready] | None) -> None:
    if held is not None:
        with held[1].turn:
            pass


@contextlib.contextmanager
def preparing(network: keras.Model, means: Means) -> Iterator[EarlyFeatures]:
    """Prepare an engine in a thread while the block runs, and run it over the images that are added.

    Converting uses one core, and computing waits for images at first: decoding them fills the rest. Where the store has
    features of the network already, of whichever images, nothing is prepared or computed. Features are as good in this
    order as in any other, because those of an image do not depend on the others of its batch. What is not finished at
    the end of the block is given up. Whoever does not take what is ready must call `give_up`: others wait for it.

    Args:
        network: From raw images to features, with the weights that it will have when features are needed: those of
            other weights are not taken.
        means: How features are computed and kept.
    """
    early = EarlyFeatures()
    try:
        with _switching(_SWITCH), ThreadPoolExecutor(1) as pool:
            early.found.append(pool.submit(_compute, network, means, early))
            try:
                yield early
            finally:
                early.over.set()
                early.decoded.put(None)
    except BaseException:
        early.give_up()
        raise


@contextlib.contextmanager
def _switching(seconds: float) -> Iterator[None]:
    """Let threads hand Python's lock on after that time in the block, if they do not sooner."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, seconds))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _compute(network, means, early) -> tuple[str, Ready] | None:
    try:
        made = _prepare(network, means)
        if made is None:
            early.over.set()
            return None
    finally:
        early.ready.set()
    key, engine, turn = made
    rows = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(turn)
        for batch in _batches(early, means.batch_size):
            digests, images = zip(*batch, strict=True)
            rows.update(zip(digests, engine(np.stack(images)), strict=True))
        stack.pop_all()  # the turn goes on until the features are in the store
    return key, Ready(engine, rows, turn)


def _batches(early, size) -> Iterator[list[tuple[bytes, np.ndarray]]]:
    """Yield full batches as they come, and the rest at the end."""
    batch = []
    while (image := early.decoded.get()) is not None:
        if early.over.is_set():
            return
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch and not early.over.is_set():
        yield batch


def _prepare(network, means) -> tuple[str, Engine, Turn] | None:
    """Return an address, its engine and the turn to compute; None where that is not needed or not possible."""
    with contextlib.ExitStack() as stack:
        try:
            engine = make_engine(
                choose_engine(means.engine, means.precision), network, means.batch_size, means.precision
            )
            key, store = address(describe(network, engine, means.dtype)), Store(cache_folder(), limit_features())
            if store.holds(key) or (turn := store.take_turn(key)) is None:
                return None
            stack.enter_context(turn)
            if store.holds(key):  # another process has computed them since
                return None
            engine.prepare()
        except (CannotConvert, InputError, StoreError):  # who needs the engine finds the same, and says so
            return None
        stack.pop_all()
        return key, engine, turn
