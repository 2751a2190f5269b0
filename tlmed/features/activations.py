"""Activations of a frozen prefix: computed once per image, kept in the store, read back as batches."""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from tlmed.cache import address
from tlmed.cache.row_files import Rows
from tlmed.cache.store import Store, StoreError
from tlmed.data.reading import Pixels
from tlmed.data.row_batches import map_rows
from tlmed.features.engines import Engine
from tlmed.features.keys import describe

TURN = 256  # images that are decoded before the network runs over them
PORTION = 1024  # images at least in a file of the store
PORTION_SECONDS = 120.0  # a larger file takes about this time to compute


@dataclass(frozen=True, eq=False)
class Ready:
    """What there is when activations must be computed.

    Attributes:
        engine: One that is prepared; None: there is none yet, and others may have computed activations meanwhile.
        rows: What it has computed already, by the digests of images.
        turn: Ends when all is computed.
        waited: Seconds in which others computed.
    """

    engine: Engine | None = None
    rows: Mapping[bytes, np.ndarray] = field(default_factory=dict, repr=False)
    turn: AbstractContextManager = field(default_factory=contextlib.nullcontext)
    waited: float = 0.0


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Activations:
    """Give the activations of images by row, as `Pixels` gives their pixels.

    Attributes:
        shapes: Of each output of the prefix, for one image.
        sources: Arrays [n, values], mapped into memory.
        places: int64 [rows, 2]: for each row, which source holds it and where; -1 for images that are not needed.
    """

    shapes: tuple[tuple[int, ...], ...]
    sources: tuple[np.ndarray, ...] = field(repr=False)
    places: np.ndarray = field(repr=False)

    @property
    def spec(self) -> tf.TensorSpec:
        """Shape and type of a batch of rows: float32 [None, values]."""
        return tf.TensorSpec([None, sum(map(math.prod, self.shapes))], tf.float32)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 [len(rows), values] in the order of `rows`.

        Raises:
            IndexError: If an image is not among those whose activations are here.
        """
        which, where = self.places[rows].T
        if (which < 0).any():
            raise IndexError(f"`rows` must be among those that were extracted. Received: {rows[which < 0].tolist()}.")
        if len(self.sources) == 1:
            return self.sources[0][where].astype("float32", copy=False)
        taken = np.empty((len(rows), self.spec.shape[1]), "float32")
        for number, source in enumerate(self.sources):
            chosen = which == number
            taken[chosen] = source[where[chosen]]
        return taken

    def split(self, values: tf.Tensor):
        """Return rows as what the suffix takes: one tensor, or a tuple of one for each output."""
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = tf.split(values, sizes, axis=1) if len(sizes) > 1 else [values]
        shaped = tuple(tf.reshape(part, (-1, *shape)) for part, shape in zip(parts, self.shapes, strict=True))
        return shaped if len(shaped) > 1 else shaped[0]

    def batches(self, rows: tf.data.Dataset, labels: np.ndarray | None = None) -> tf.data.Dataset:
        """Map batches of row numbers to activations, in parallel and in order; see `Pixels.batches`."""
        return map_rows(rows, self.take, self.spec, labels, self.split)


@dataclass(frozen=True)
class Extraction:
    """How many activations were computed, and how many came from the store.

    Attributes:
        key: Their address in the store.
        images: How many images there are.
        computed: How many of them the prefix ran over; the others were in the store.
        batches: How often it ran.
        early: How many of those that were computed were so before they were asked for.
        preparation: Seconds that were waited for the engine to compile or convert the prefix.
        waited: Seconds that were waited for others that computed the same.
        notes: Sentences for the user.
    """

    key: str
    images: int
    computed: int
    batches: int
    early: int = 0
    preparation: float = 0.0
    waited: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shelf:
    """Where activations are looked up and kept.

    Attributes:
        store: The store.
        name: What its list calls them.
        dtype: In which numbers they are kept, "float32" or "float16".
    """

    store: Store
    name: str
    dtype: str = "float32"


def extract(
    prefix: keras.Model,
    engine: Engine,
    pixels: Pixels,
    shelf: Shelf,
    watch: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] | None = None,
    rows: np.ndarray | None = None,
    ready: Callable[[str], Ready] = lambda key: Ready(),
) -> tuple[Activations, Extraction]:
    """Return a network's activations for images: read from the store, or computed and put into it.

    Args:
        prefix: From raw images to one output or several.
        engine: What runs it.
        pixels: The images, with digests.
        shelf: Where rows are looked up and kept.
        watch: Makes a function that is told of how many more images rows were computed, given the shelf's name and the
            number.
        rows: The images that are needed; None: all. Only their activations can be taken.
        ready: Called with an address whose activations are not all there; it waits until this process may compute them.
            If what it returns has an engine, that runs instead.

    Raises:
        StoreError: If the store cannot be used.
        CannotConvert: If the engine cannot run the network.
    """
    store, name, dtype = shelf.store, shelf.name, shelf.dtype
    description = describe(prefix, engine, dtype)
    key, digests = address(description), pixels.digests
    rows = np.arange(len(digests)) if rows is None else rows
    wanted = {digests[row] for row in rows}
    shapes = tuple(tuple(output.shape[1:]) for output in keras.tree.flatten(prefix.outputs))
    kind = (sum(map(math.prod, shapes)),), dtype
    found, notes = store.open(key, *kind, wanted)
    missing = _find_missing(found, digests, rows)
    calls, preparation, prepared = engine.calls, 0.0, Ready()
    if len(missing):
        prepared = ready(key)
        with prepared.turn:
            if prepared.engine is None:
                found, more = store.open(key, *kind, wanted)
                notes += more
                missing = _find_missing(found, digests, rows)
            else:
                engine, calls = prepared.engine, 0
            if len(missing):
                start = time.perf_counter()
                engine.prepare()
                preparation = time.perf_counter() - start
                with watch(name, len(missing)) if watch else contextlib.nullcontext(lambda count: None) as tell:
                    for part in _portions(missing):
                        about = {"name": name, **description}
                        with store.create(key, about, *kind, [digests[row] for row in part]) as append:
                            for values in _compute_in_turns(part, engine, pixels, prepared.rows):
                                append(values)
                                tell(len(values))
                # Read back from the store, so that rows are the same whether they were computed now or earlier.
                found, more = store.open(key, *kind, wanted)
                notes += more
    done = Extraction(
        key,
        len(rows),
        len(missing),
        engine.calls - calls,
        sum(digests[row] in prepared.rows for row in missing),
        preparation,
        prepared.waited,
        tuple(notes),
    )
    return Activations(shapes, *_locate(found, digests, rows)), done


def _find_missing(found, digests, rows) -> np.ndarray:
    """Return the rows of images whose activations are not there."""
    held = {digest for part in found for digest in part.digests}
    return np.array([row for row in rows if digests[row] not in held], np.int64)


def _compute_in_turns(rows, engine, pixels, early) -> Iterator[np.ndarray]:
    """Yield the activations of images; decoding and computing take turns, because they would compete for cores."""
    for turn in _split(rows, engine.batch_size * max(1, TURN // engine.batch_size)):
        yield from _compute(turn, engine, pixels, early)


def _compute(rows, engine, pixels, early) -> Iterator[np.ndarray]:
    """Yield the activations of some images in order, of all together if some of them are there already."""
    digests = [pixels.digests[row] for row in rows]
    late = [row for row, digest in zip(rows, digests, strict=True) if digest not in early]
    computed = map(engine, _split(pixels.take(np.array(late, np.int64)), engine.batch_size)) if late else ()
    if len(late) == len(rows):
        yield from computed
        return
    values = dict(zip((pixels.digests[row] for row in late), itertools.chain.from_iterable(computed), strict=True))
    yield np.stack([early[digest] if digest in early else values[digest] for digest in digests])


def _portions(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield rows in portions, each for a file of its own: a process that is killed loses at most one portion."""
    start, size = 0, PORTION
    while start < len(rows):
        begin = time.perf_counter()
        yield rows[start : start + size]
        start += size
        # The time since `yield` is what the last portion took: it gives the size of the next one.
        size = max(PORTION, int(size * PORTION_SECONDS / (time.perf_counter() - begin)))


def _split(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _locate(
    found: Sequence[Rows], digests: Sequence[bytes], rows: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return the arrays that hold some images' rows, and where each row is; -1 for images that are not among them."""
    where = {digest: (number, row) for number, held in enumerate(found) for row, digest in enumerate(held.digests)}
    if any(digests[row] not in where for row in rows):
        raise StoreError("features that were written just now are gone, or have changed")
    places = np.full((len(digests), 2), -1, np.int64)
    places[rows] = [where[digests[row]] for row in rows]
    return tuple(held.values for held in found), places
