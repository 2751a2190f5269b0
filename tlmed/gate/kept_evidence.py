"""What the check of the data computes from pixels alone, kept in the store: small pictures, measures, near-copies.

Whatever decides the numbers is part of an address: the code of this package, the versions of libraries, the processor,
and the size of images. Small pictures and measures are found by the digest of each image's pixels, near-copies by all
small pictures and groups together. Splits, labels and seeds decide none of them.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlmed.cache import Store, StoreError
from tlmed.data.reading import Pixels
from tlmed.environment.processor import describe_processor
from tlmed.gate.copy_sets import Pair
from tlmed.gate.frame_measures import FRAME
from tlmed.gate.sketches import SKETCH

_PORTION = 2**13  # images in a file of the store
_BYTES = "uint8"
_WIDTH = SKETCH**2 + FRAME.itemsize  # of a row: a small picture, then the measures as they are in memory
_PAIR = np.dtype(
    [("ends", np.int64, 2), ("correlation", np.float64), ("matrix", np.float64, (2, 3)), ("boxes", np.int64, (2, 4))]
)
_LIBRARIES = ("numpy", "scipy", "pillow", "faiss-cpu")
_PICTURES, _PAIRS = "small pictures for the check of the data", "near-copies for the check of the data"


@dataclass(frozen=True, eq=False)
class Memory:
    """Where the check looks for what it computed before, and keeps what it computes; by default nowhere.

    A store that cannot be used is passed over: everything can be computed again.

    Attributes:
        store: The store; None: nothing is known or kept.
        warn: Told of each file that was damaged.
    """

    store: Store | None = None
    warn: Callable[[str], None] = field(default=lambda line: None, repr=False)

    def recall_pictures(self, pixels: Pixels, sketches: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Fill in what is known of images; return the rows, int [m], of those that are not.

        Args:
            pixels: Of n images, with digests.
            sketches: uint8 [n, 64, 64], filled where they are known.
            frames: `FRAME` [n], the same.
        """
        found = self._open(_address_pictures(pixels), _WIDTH, set(pixels.digests))
        places = {digest: (held.values, place) for held in found for place, digest in enumerate(held.digests)}
        missing = []
        for row, digest in enumerate(pixels.digests):
            if digest not in places:
                missing.append(row)
                continue
            values, place = places[digest]
            sketches[row] = values[place, : SKETCH**2].reshape(SKETCH, SKETCH)
            frames[row] = np.frombuffer(values[place, SKETCH**2 :].tobytes(), FRAME)[0]
        return np.array(missing, np.int64)

    def keep_pictures(self, pixels: Pixels, rows: np.ndarray, sketches: np.ndarray, frames: np.ndarray) -> None:
        """Keep what was computed of some images.

        Args:
            pixels: Of n images, with digests.
            rows: Which images, int [m].
            sketches: uint8 [n, 64, 64].
            frames: `FRAME` [n].
        """
        for start in range(0, len(rows), _PORTION):
            part = rows[start : start + _PORTION]
            measures = np.frombuffer(frames[part].tobytes(), np.uint8).reshape(len(part), -1)
            values = np.concatenate([sketches[part].reshape(len(part), -1), measures], axis=1)
            self._keep(_address_pictures(pixels), _PICTURES, [pixels.digests[row] for row in part], values)

    def recall_pairs(self, address: str) -> tuple[list[Pair], int] | None:
        """Return the near-copies of an address, and how many candidates were looked at; None if it is not known.

        Args:
            address: From `address_pairs`.
        """
        found = self._open(address, _PAIR.itemsize, None)
        if not found:
            return None
        values = np.frombuffer(found[0].values.tobytes(), _PAIR)
        pairs = [
            Pair(*pair["ends"].tolist(), float(pair["correlation"]), pair["matrix"].copy(), pair["boxes"].copy())
            for pair in values[1:]
        ]
        return pairs, int(values["ends"][0, 0])

    def keep_pairs(self, address: str, pairs: Sequence[Pair], examined: int) -> None:
        """Keep near-copies.

        Args:
            address: From `address_pairs`.
            pairs: All of them, in the order in which sets were joined.
            examined: How many candidates were looked at.
        """
        values = np.zeros(1 + len(pairs), _PAIR)
        values["ends"][0] = examined, len(pairs)
        for place, pair in enumerate(pairs, 1):
            values[place] = (pair.first, pair.second), pair.correlation, pair.matrix, pair.boxes
        numbers = [hashlib.sha256(b"%d" % place).digest() for place in range(len(values))]
        self._keep(address, _PAIRS, numbers, np.frombuffer(values.tobytes(), np.uint8).reshape(len(values), -1))

    @contextlib.contextmanager
    def alone(self, address: str) -> Iterator[None]:
        """Wait until no other process computes what an address will hold, and let none begin in the block."""
        with contextlib.ExitStack() as stack:
            if self.store is not None:
                with contextlib.suppress(StoreError):
                    stack.enter_context(self.store.wait_for_turn(address))
            yield

    def _open(self, address, width, wanted) -> list:
        if self.store is None:
            return []
        try:
            found, notes = self.store.open(address, (width,), _BYTES, wanted)
        except StoreError:
            return []
        for note in notes:
            self.warn(note)
        return found

    def _keep(self, address, name, digests, values) -> None:
        if self.store is None or not len(digests):
            return
        about = {"name": name, "engine": "tlmed", "engine_precision": ""}
        try:
            with self.store.create(address, about, values.shape[1:], _BYTES, digests) as append:
                append(values)
        except StoreError:  # there is no room for it
            return


NOWHERE = Memory()


def address_pairs(sketches: np.ndarray, rows: np.ndarray, groups: Sequence[str] | None) -> str:
    """Return the address of the near-copies among images.

    Args:
        sketches: uint8 [n, 64, 64].
        rows: Which images are looked at, int [m].
        groups: Of all n images; None for none.
    """
    seen = hashlib.sha256(np.ascontiguousarray(sketches[rows]).tobytes())
    seen.update(np.asarray(rows, np.int64).tobytes())
    return _address({"pairs": seen.hexdigest(), "groups": None if groups is None else list(groups)})


def _address_pictures(pixels) -> str:
    return _address({"pictures": list(pixels.image_size)})


def _address(words: Mapping) -> str:
    return hashlib.sha256(json.dumps({**words, **_describe_means()}, sort_keys=True).encode()).hexdigest()


@functools.cache
def _describe_means() -> dict[str, str]:
    """Return what computes: the code of this package, versions of libraries, and the processor."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(f"{path.name}\n".encode() + path.read_bytes())
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"code": code.hexdigest(), **versions, "processor": json.dumps(describe_processor())}
