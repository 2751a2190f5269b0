"""Get the features of images: read from the store, or computed by the chosen engine and stored."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from tlmed.cache import Store, StoreError, cache_folder, limit_features
from tlmed.data.reading import Pixels
from tlmed.features.activations import Activations, Ready, Shelf, extract
from tlmed.features.engines import choose_engine, make_engine
from tlmed.graph_runs import CannotConvert
from tlmed.replicas import workers
from tlmed.voice import Voice


def rounds(engine: str, *precisions: str) -> bool:
    """Tell from an engine's name and all precisions whether features can differ from those of Keras in float32.

    >>> rounds("auto", "float32", "float32"), rounds("auto", "float32", "float16")
    (False, True)
    """
    return set(precisions) != {"float32"} or engine == "openvino"


@dataclass(frozen=True)
class Means:
    """How features are computed and kept.

    Attributes:
        backbone: What the store's list calls the network.
        engine: As `choose_engine` takes it, with `precision`.
        batch_size: Images per call of the engine.
        precision: Of the engine's arithmetic.
        dtype: In which numbers features are kept, "float32" or "float16".
    """

    backbone: str
    engine: str
    batch_size: int
    precision: str = "float32"
    dtype: str = "float32"


def keep_features(
    network: keras.Model,
    pixels: Pixels,
    name: str,
    voice: Voice,
    means: Means,
    rows: np.ndarray | None = None,
    ready: Callable[[str], Ready | None] = lambda key: None,
) -> tuple[Activations, dict] | None:
    """Return the features of images, and for `timing.json` how they were obtained.

    Args:
        network: From raw images to one output or several.
        pixels: The images, with digests.
        name: What the features are for.
        voice: Where to tell of it.
        means: How they are computed and kept.
        rows: The images that are needed; None: all.
        ready: Returns what was prepared before for an address, if there is something (`EarlyFeatures.take`).

    Returns:
        None if the store cannot be used; the user is warned of that.
    """
    start = time.perf_counter()
    shelf = Shelf(Store(cache_folder(), limit_features()), f"{means.backbone}, {name}", means.dtype)
    chosen = choose_engine(means.engine, means.precision)

    def begin(key: str) -> Ready:
        return ready(key) or _wait(shelf.store, key, voice)

    def run(made):
        return made, *extract(network, made, pixels, shelf, voice.features, rows, begin)

    try:
        try:
            used, activations, done = run(make_engine(chosen, network, means.batch_size, means.precision))
        except CannotConvert as reason:
            voice.warn(f"{chosen} cannot run the frozen blocks ({reason}); TensorFlow does, in float32.")
            used, activations, done = run(make_engine("tensorflow", network, means.batch_size))
    except StoreError as reason:
        voice.warn(f"The cache cannot be used, and frozen blocks run as often as they are needed: {reason}.")
        return None
    for note in done.notes:
        voice.warn(note)
    seconds = round(time.perf_counter() - start - done.waited, 3)
    waited = f", after {done.waited:.1f} s in which another process computed" if done.waited else ""
    voice.say(f"Features ({name}): {_describe(done, used.name)}, {seconds:.1f} s{waited}")
    return activations, {
        "name": name,
        "images": done.images,
        "computed": done.computed,
        "batches": done.batches,
        "engine": used.name,
        "engine_version": used.version,
        "engine_precision": used.precision,
        "key": done.key,
        "seconds": seconds,
        "preparation_seconds": round(done.preparation, 3),
        "waiting_seconds": round(done.waited, 3),
    }


def _wait(store, key, voice) -> Ready:
    """Wait until no other process computes rows of an address."""
    if workers()[1] > 1:  # each computes a share of its own, at the same time
        return Ready()
    if turn := store.take_turn(key):
        return Ready(turn=turn)
    start = time.perf_counter()
    with voice.busy("Waiting for features that another process computes"):
        turn = store.wait_for_turn(key)
    return Ready(turn=turn, waited=time.perf_counter() - start)


def _describe(done, engine) -> str:
    """Say how many rows were computed and how many were in the store."""
    stored = done.images - done.computed
    early = " while images were read" if done.early == done.computed else f", {done.early:,} while images were read"
    parts = [f"{done.computed:,} computed by {engine}{early if done.early else ''}"] if done.computed else []
    parts += [f"{stored:,} from the cache"] if stored else []
    return ", ".join(parts)
