"""Graphs that networks were converted to, kept in the cache: a later start needs no conversion, and no TensorFlow.

They are rows of the store, as features are: written whole or not at all, checked whenever they are read, counted
against the limit, listed and deleted with the others. Their key names all that decides a graph: the network, the rules
of this package, and the versions of the libraries that convert and run it.
"""

import hashlib
import importlib.metadata
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tlmed import __version__
from tlmed.cache import Store, StoreError, address, cache_folder, find_writers, limit_features
from tlmed.regular_files import sha256
from tlmed.rundir import NETWORK, RunDir
from tlmed.serving.graph_engines import MOST, NEEDED

FORMAT = 1  # rises with every change of how a network is converted, or of what is written
_WIDTH = 2**16  # bytes of a row
_HEAD = struct.Struct("<QQ")  # bytes of the first and of the second part
_CONVERTING = ("tensorflow", "keras")
_LIBRARIES = {engine: (*_CONVERTING, *packages) for engine, (packages, _) in NEEDED.items()}
_HUB = "keras-hub"


@dataclass(frozen=True, eq=False)
class Shelf:
    """The place of a network's graph in the cache.

    Attributes:
        key: Of the store; "" where nothing is kept.
        about: The same for people; rows are of no images, but parts of the graph.
        found: The parts of what is there; nothing where it is not, or was damaged.
    """

    key: str = ""
    about: Mapping[str, str | int] = field(default_factory=dict)
    found: tuple[tuple[bytes, ...], ...] = ()

    def keep(self, parts: tuple[bytes, ...]) -> None:
        """Keep the parts of a graph; where the cache cannot be written, the next start converts again."""
        if not self.key:
            return
        rows = np.frombuffer(_pack(parts), np.uint8).reshape(-1, _WIDTH)
        numbers = [hashlib.sha256(b"%d" % place).digest() for place in range(len(rows))]
        try:
            with _open_store().create(self.key, self.about, (_WIDTH,), "uint8", numbers) as append:
                append(rows)
        except StoreError:
            return


def open_shelf(run: RunDir, engine: str, warn: Callable[[str], None]) -> Shelf:
    """Return the place of a network's graph.

    Args:
        run: Whose network it is.
        engine: Which runs it.
        warn: Is told what is wrong with the cache.

    Raises:
        OSError: The network cannot be read.
    """
    digest = sha256(run / NETWORK)
    try:
        versions = {package: importlib.metadata.version(package) for package in _LIBRARIES[engine]}
    except importlib.metadata.PackageNotFoundError:  # of an installation under another name no version is known
        return Shelf()
    rules = {"format": FORMAT, "tlmed": __version__, "most": MOST}
    key = address({"graph of": digest, "engine": engine, "versions": versions | _find_optional(), **rules})
    name = f"{run.path.name}, the network of `tlmed serve`"
    about = {"name": name, "engine": engine, "engine_precision": "float32", "images": 0}
    return Shelf(key, about, tuple(_find(key, warn)))


def _find(key: str, warn: Callable[[str], None]) -> Iterator[tuple[bytes, ...]]:
    try:
        found, notes = _open_store().open(key, (_WIDTH,), "uint8")
    except StoreError:
        return
    for note in notes:
        warn(note)
    if found and (writers := find_writers(cache_folder())):
        warn(writers)
    for rows in found:
        yield _unpack(rows.values.tobytes())


def _find_optional() -> dict[str, str]:
    """Return the version of keras-hub, whose layers a network may have, if it is there."""
    try:
        return {_HUB: importlib.metadata.version(_HUB)}
    except importlib.metadata.PackageNotFoundError:
        return {}


def _open_store() -> Store:
    return Store(cache_folder(), limit_features())


def _pack(parts: tuple[bytes, ...]) -> bytes:
    first, second = (*parts, b"")[:2]
    content = _HEAD.pack(len(first), len(second)) + first + second
    return content + bytes(-len(content) % _WIDTH)


def _unpack(content: bytes) -> tuple[bytes, ...]:
    """Return the parts of a content; whatever another file holds, its graph is none that can be loaded."""
    first, second = _HEAD.unpack_from(content)
    middle = _HEAD.size + first
    return tuple(filter(None, (content[_HEAD.size : middle], content[middle : middle + second])))
